//! One queue: takes what is there, stores it, acknowledges it. In this order, always.

use super::backoff::Backoff;
use super::status::QueueStatus;
use super::{Failure, topology};
use crate::config::amqp::Queue;
use crate::engine::{Notifications, Recent, Texts};
use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};
use shared::stop::Stop;
use std::sync::Arc;
use std::time::Duration;

/// Longest time the broker may take to set up a channel.
const SETUP_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest time the broker may take to say good-bye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// Takes one queue's messages, over one connection after the other.
pub(super) struct QueueConsumer {
    pub(super) queue: Queue,
    pub(super) prefetch: u16,
    pub(super) notifications: Notifications,
    pub(super) status: Arc<QueueStatus>,
    pub(super) recent: Recent,
    pub(super) backoff: Backoff,
    pub(super) stop: Stop,
}

/// Messages that were delivered together and will be acknowledged together.
struct Batch {
    texts: Texts,
    last_tag: u64,
}

impl QueueConsumer {
    /// Consumes until `lost`, which tells that the connection is gone, or until the service stops. Whatever breaks a
    /// channel alone is tried again with a new one.
    pub(super) async fn run(&mut self, connection: &Connection, lost: &Stop) {
        while connection.status().connected() && !self.stop.is_stopped() {
            match self.consume(connection).await {
                Ok(()) | Err(Failure::Stopped) => break,
                Err(cause) => {
                    self.status.in_hand(0);
                    self.status.failed(format!("waiting: {cause}"));
                    let wait = tokio::time::sleep(self.backoff.next(rand::random()));
                    tokio::select! { () = self.stop.stopped() => (), () = lost.stopped() => (), () = wait => () }
                }
            }
        }
        self.status.stopped();
    }

    /// Consumes over one channel. Leaving it, however that happens, gives back to the broker what is not acknowledged.
    async fn consume(&mut self, connection: &Connection) -> Result<(), Failure> {
        let opened = tokio::time::timeout(SETUP_TIMEOUT, self.open(connection)).await;
        let (channel, mut messages) =
            opened.map_err(|_elapsed| Failure::Silent("setting up a channel"))??;
        self.status.consuming();
        loop {
            let first = tokio::select! {
                biased;
                () = self.stop.stopped() => break,
                first = messages.next() => first.ok_or(Failure::Cancelled)??,
            };
            let batch = collect(first, &mut messages, self.prefetch)?;
            self.status.in_hand(batch.texts.len());
            self.store(&batch, &channel).await?;
            channel.basic_ack(batch.last_tag, BasicAckOptions { multiple: true }).await?;
        }
        // Nothing is lost when it takes too long: the broker gives our messages to another.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, channel.close(200, "OK".into())).await;
        Ok(())
    }

    async fn open(&self, connection: &Connection) -> Result<(Channel, Consumer), Failure> {
        let channel = connection.create_channel().await?;
        if self.queue.declare {
            topology::declare(&channel, &self.queue).await?;
        }
        channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
        let (name, options) = (self.queue.queue.as_str().into(), BasicConsumeOptions::default());
        let messages = channel.basic_consume(name, "".into(), options, FieldTable::default()).await?;
        Ok((channel, messages))
    }

    /// Stores a batch, as often as it takes. It is held meanwhile and not given back: brokers count deliveries, and
    /// some drop a message that was delivered too often.
    async fn store(&mut self, batch: &Batch, channel: &Channel) -> Result<(), Failure> {
        let source = self.status.source();
        let mut delivered = loop {
            match self.notifications.deliver(&batch.texts, &source, Some(&mut self.recent)).await {
                Ok(delivered) => break delivered,
                Err(cause) => self.hold(batch, channel, &cause.to_string()).await?,
            }
        };
        while !delivered.unkept.is_empty() {
            self.hold(batch, channel, "no room for dead letters; replay or drop some").await?;
            match self.notifications.keep(delivered.unkept.clone()).await {
                Ok(unkept) => delivered.unkept = unkept,
                Err(cause) => log::warn!("dead letters wait: {cause}"),
            }
        }
        self.backoff.reset();
        self.status.acknowledged(&delivered.accepted);
        self.status.consuming();
        Ok(())
    }

    /// Waits before the batch in hand is tried again, unless that has no use any more.
    async fn hold(&mut self, batch: &Batch, channel: &Channel, cause: &str) -> Result<(), Failure> {
        self.status.failed(format!("holding {} messages: {cause}", batch.texts.len()));
        let wait = tokio::time::sleep(self.backoff.next(rand::random()));
        tokio::select! { () = self.stop.stopped() => return Err(Failure::Stopped), () = wait => () }
        if channel.status().connected() { Ok(()) } else { Err(Failure::Lost) }
    }
}

/// Bytes of messages at which a batch takes no further one.
const BATCH_BYTES: usize = 16 << 20;

/// The first message and those that are there already, at most `prefetch`, and not many more bytes than [`BATCH_BYTES`].
fn collect(first: Delivery, messages: &mut Consumer, prefetch: u16) -> Result<Batch, Failure> {
    let mut last_tag = first.delivery_tag;
    let mut bytes = first.data.len();
    let mut texts = vec![first.data];
    while texts.len() < usize::from(prefetch)
        && bytes < BATCH_BYTES
        && let Some(next) = messages.next().now_or_never()
    {
        let next = next.ok_or(Failure::Cancelled)??;
        last_tag = next.delivery_tag;
        bytes += next.data.len();
        texts.push(next.data);
    }
    Ok(Batch { texts: texts.into(), last_tag })
}
