//! The way of handlers to the world: HTTP, and AMQP over connections that are kept and shared.
//!
//! Handlers run on threads of their own and block; every call ends with the time of their pipeline at the latest.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::uri::{AMQPAuthority, AMQPUri, AMQPUserInfo};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ExchangeKind};
use tokio::runtime::Handle;

use crate::pipeline::{Answer, Broker, HandlerError, Message, Outlet, Post};

/// Longest wait for a broker.
const BROKER_TIMEOUT: Duration = Duration::from_secs(20);

/// Most brokers whose connections are kept.
const MAX_BROKERS: usize = 64;

/// Bytes of an HTTP answer that handlers get to see.
const MAX_ANSWER: usize = 1 << 20;

/// AMQP: durable messages survive a restart of the broker.
const PERSISTENT: u8 = 2;

/// Clients and connections that all pipelines share.
pub struct Net {
    runtime: Handle,
    client: reqwest::Client,
    channels: Mutex<HashMap<Broker, Arc<Link>>>,
}

/// A connection to a broker with its one channel.
struct Link {
    channel: Channel,
    _connection: Connection,
}

/// The way out for one pipeline, until its time is over.
struct TimedOutlet {
    net: Arc<Net>,
    deadline: Instant,
}

impl Net {
    /// Must be called inside a tokio runtime, which does the work.
    #[must_use]
    pub fn new(client: reqwest::Client) -> Self {
        Self { runtime: Handle::current(), client, channels: Mutex::default() }
    }

    /// A way out that closes at `deadline`.
    pub fn outlet(self: &Arc<Self>, deadline: Instant) -> impl Outlet + use<> {
        TimedOutlet { net: Arc::clone(self), deadline }
    }

    async fn post(&self, post: &Post) -> Result<Answer, HandlerError> {
        let mut request = self.client.post(&post.url).body(post.body.clone());
        for (name, value) in &post.headers {
            request = request.header(name, value);
        }
        // The address may be a secret, and users read the error.
        let unnamed = |cause: reqwest::Error| HandlerError::new(cause.without_url());
        let mut answer = request.send().await.map_err(unnamed)?;
        let mut body = Vec::new();
        while body.len() < MAX_ANSWER
            && let Some(chunk) = answer.chunk().await.map_err(unnamed)?
        {
            body.extend_from_slice(&chunk);
        }
        body.truncate(MAX_ANSWER);
        Ok(Answer { status: answer.status().as_u16(), body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Publishes, over a new connection if the one that was kept is broken.
    async fn publish(&self, message: &Message) -> Result<(), HandlerError> {
        let kept = self.lock().get(&*message.broker).map(Arc::clone);
        if let Some(link) = kept.filter(|link| link.channel.status().connected())
            && link.publish(message).await.is_ok()
        {
            return Ok(());
        }
        let link = Arc::new(Link::open(&message.broker).await?);
        let outcome = link.publish(message).await;
        let mut channels = self.lock();
        if channels.len() >= MAX_BROKERS {
            channels.clear();
        }
        channels.insert(Broker::clone(&message.broker), link);
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Broker, Arc<Link>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    async fn open(broker: &Broker) -> Result<Self, HandlerError> {
        let userinfo = AMQPUserInfo { username: broker.user.clone(), password: broker.password.clone() };
        let uri = AMQPUri {
            authority: AMQPAuthority { userinfo, host: broker.host.clone(), port: broker.port },
            vhost: broker.vhost.clone(),
            ..AMQPUri::default()
        };
        let name = format!("quintet streams {}", env!("CARGO_PKG_VERSION"));
        let connection = shared::amqp::connect(uri, None, name).await.map_err(HandlerError::new)?;
        let channel = connection.create_channel().await.map_err(HandlerError::new)?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(HandlerError::new)?;
        Ok(Self { channel, _connection: connection })
    }

    /// Declares exchange and queue, publishes, and waits until the broker has the message.
    async fn publish(&self, message: &Message) -> Result<(), HandlerError> {
        match self.confirmed(message).await.map_err(HandlerError::new)? {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => Err(HandlerError::new(
                format_args!("the broker returned the message: {}", returned.reply_text),
            )),
            Confirmation::Nack(None) | Confirmation::NotRequested => {
                Err(HandlerError::new("the broker did not take the message"))
            }
        }
    }

    async fn confirmed(&self, message: &Message) -> Result<Confirmation, lapin::Error> {
        let (broker, channel) = (&*message.broker, &self.channel);
        let (exchange, queue) = (broker.exchange.as_str(), message.queue.as_str());
        let kind = match broker.exchange_type.as_str() {
            "direct" => ExchangeKind::Direct,
            "fanout" => ExchangeKind::Fanout,
            "headers" => ExchangeKind::Headers,
            "topic" => ExchangeKind::Topic,
            other => ExchangeKind::Custom(other.to_owned()),
        };
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(exchange.into(), kind, durable, FieldTable::default()).await?;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.into(), durable, FieldTable::default()).await?;
        let bound = QueueBindOptions::default();
        channel.queue_bind(queue.into(), exchange.into(), queue.into(), bound, FieldTable::default()).await?;
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_content_encoding("utf-8".into())
            .with_delivery_mode(PERSISTENT);
        let options = BasicPublishOptions::default();
        let body = message.body.as_bytes();
        channel.basic_publish(exchange.into(), queue.into(), options, body, properties).await?.await
    }
}

impl TimedOutlet {
    fn block<T>(
        &self,
        most: Duration,
        work: impl Future<Output = Result<T, HandlerError>>,
    ) -> Result<T, HandlerError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(HandlerError::new("the pipeline's time is over"));
        }
        let timed = async { tokio::time::timeout(left.min(most), work).await };
        self.net
            .runtime
            .block_on(timed)
            .unwrap_or_else(|_elapsed| Err(HandlerError::new("no answer in time")))
    }
}

impl Outlet for TimedOutlet {
    fn publish(&self, message: &Message) -> Result<(), HandlerError> {
        self.block(BROKER_TIMEOUT, self.net.publish(message))
    }

    fn post(&self, request: &Post) -> Result<Answer, HandlerError> {
        self.block(request.timeout, self.net.post(request))
    }

    fn wait(&self, time: Duration) -> Result<(), HandlerError> {
        let waited = async {
            tokio::time::sleep(time).await;
            Ok(())
        };
        self.block(time + Duration::from_secs(1), waited)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_broker_that_says_nothing_keeps_no_socket_of_a_pipeline_whose_time_is_over() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let broker = Broker { host: "127.0.0.1".to_owned(), port, ..Broker::default() };
        let message = Message { broker: Arc::new(broker), queue: "q".to_owned(), body: "{}".to_owned() };
        let net = Arc::new(Net::new(reqwest::Client::new()));
        let outlet = net.outlet(Instant::now() + Duration::from_secs(1));
        let published = tokio::task::spawn_blocking(move || outlet.publish(&message));
        let mut socket = listener.accept().await.unwrap().0;
        let mut greeting = [0; 8];
        socket.read_exact(&mut greeting).await.unwrap();
        assert_eq!(&greeting, b"AMQP\x00\x00\x09\x01");
        let refused = published.await.unwrap().unwrap_err();
        assert_eq!(refused, HandlerError::new("no answer in time"));
        let end = tokio::time::timeout(Duration::from_secs(10), socket.read(&mut greeting)).await;
        assert_eq!(end.unwrap().unwrap(), 0, "the other end is shut");
    }
}
