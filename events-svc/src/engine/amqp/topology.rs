//! Exchanges, queues and bindings: made when they are missing, as the original consumers make them.

use crate::config::amqp::Queue;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

/// Declares the queue, its exchanges and the bindings between them.
///
/// # Errors
/// When the broker refuses, for instance because one of them exists with other options; the channel is closed then.
pub(super) async fn declare(channel: &Channel, queue: &Queue) -> Result<(), lapin::Error> {
    let (durable, auto_delete) = (queue.durable.unwrap_or_default(), queue.auto_delete);
    let name = || queue.queue.as_str().into();
    let options = QueueDeclareOptions { durable, auto_delete, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    if let Some(queue_type) = queue.queue_type {
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(queue_type.as_str().into()));
    }
    channel.queue_declare(name(), options, arguments).await?;
    for exchange in &queue.exchanges {
        let kind = ExchangeKind::from(queue.exchange_type);
        let options = ExchangeDeclareOptions { durable, auto_delete, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(exchange.as_str().into(), kind, options, FieldTable::default()).await?;
        let routing_key = queue.routing_key.as_deref().unwrap_or_default().into();
        let options = QueueBindOptions::default();
        channel
            .queue_bind(name(), exchange.as_str().into(), routing_key, options, FieldTable::default())
            .await?;
    }
    Ok(())
}
