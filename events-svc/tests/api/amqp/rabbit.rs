//! The broker of the tests, and a door in front of it that can be shut.

use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Address of a broker, and of a second virtual host on it.
const URLS: [&str; 2] = ["QUINTET_TEST_AMQP_URL", "QUINTET_TEST_AMQP_CELL_URL"];

/// With `1` a missing service fails the tests that need it.
const REQUIRED: &str = "QUINTET_TEST_REQUIRE_SERVICES";

/// An own connection to the broker.
pub(super) struct Rabbit {
    pub(super) url: String,
    connection: Connection,
    channel: Channel,
}

impl Rabbit {
    /// The broker, or a line that says that the test is skipped.
    pub(super) async fn find() -> Option<Self> {
        Self::find_at(URLS[0]).await
    }

    /// The second virtual host.
    pub(super) async fn find_cell() -> Option<Self> {
        Self::find_at(URLS[1]).await
    }

    async fn find_at(variable: &str) -> Option<Self> {
        let Ok(url) = std::env::var(variable) else {
            assert!(
                std::env::var(REQUIRED).as_deref() != Ok("1"),
                "{variable} is not set, but {REQUIRED} is"
            );
            eprintln!("SKIPPED, it needs RabbitMQ: {variable} is not set");
            return None;
        };
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Some(Self { url, connection, channel })
    }

    /// A new durable queue of its own name.
    pub(super) async fn queue(&self) -> String {
        let name = format!("test.{}", uuid::Uuid::new_v4().simple());
        self.declare(&name, true).await;
        name
    }

    pub(super) async fn declare(&self, name: &str, durable: bool) {
        let options = QueueDeclareOptions { durable, ..QueueDeclareOptions::default() };
        self.channel.queue_declare(name.into(), options, FieldTable::default()).await.unwrap();
    }

    /// Publishes; returns when the broker has taken all. A blank exchange leads to the queue named by the key.
    pub(super) async fn publish(&self, exchange: &str, key: &str, messages: &[Vec<u8>]) {
        for message in messages {
            let (exchange, key) = (exchange.into(), key.into());
            let properties = BasicProperties::default().with_content_type("application/json".into());
            let options = BasicPublishOptions::default();
            let confirmation =
                self.channel.basic_publish(exchange, key, options, message, properties).await.unwrap();
            // Awaited for all together below.
            drop(confirmation);
        }
        self.channel.wait_for_confirms().await.unwrap();
    }

    /// Messages of a queue that nobody has taken.
    pub(super) async fn ready(&self, queue: &str) -> usize {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = self.channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();
        queue.message_count().try_into().unwrap()
    }

    /// Whether somebody consumes the queue, which is after it was bound.
    pub(super) async fn is_consumed(&self, queue: &str) -> bool {
        // An own channel: asking for a queue that is not there ends it.
        let channel = self.connection.create_channel().await.unwrap();
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare(queue.into(), options, FieldTable::default()).await;
        queue.is_ok_and(|queue| queue.consumer_count() > 0)
    }

    /// Removes a queue and the exchanges that are bound to it.
    pub(super) async fn delete(&self, queue: &str, exchanges: &[&str]) {
        self.channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
        for exchange in exchanges {
            self.channel.exchange_delete((*exchange).into(), ExchangeDeleteOptions::default()).await.unwrap();
        }
    }

    /// `host:port`, and the address with another one in its place.
    fn place(&self) -> (String, impl Fn(u16) -> String) {
        let (login, rest) = self.url.split_once('@').unwrap();
        let (place, vhost) = rest.split_once('/').unwrap();
        let (login, vhost) = (login.to_owned(), vhost.to_owned());
        (place.to_owned(), move |port| format!("{login}@127.0.0.1:{port}/{vhost}"))
    }
}

/// A door to the broker. Connections go through it until it is shut or they are cut.
pub(super) struct Door {
    /// Address of the broker through the door.
    pub(super) url: String,
    port: u16,
    place: String,
    cut: watch::Sender<usize>,
    doorman: Option<tokio::task::JoinHandle<()>>,
}

impl Door {
    /// A door that is still shut: connections are refused.
    pub(super) async fn shut(rabbit: &Rabbit) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let (place, through) = rabbit.place();
        Self { url: through(port), port, place, cut: watch::Sender::new(0), doorman: None }
    }

    pub(super) async fn open(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        let (place, cut) = (self.place.clone(), self.cut.clone());
        self.doorman = Some(tokio::spawn(async move {
            loop {
                let (mut outside, _) = listener.accept().await.unwrap();
                let (place, mut cut) = (place.clone(), cut.subscribe());
                tokio::spawn(async move {
                    let mut inside = TcpStream::connect(place).await.unwrap();
                    tokio::select! { _ = copy_bidirectional(&mut outside, &mut inside) => (), _ = cut.changed() => () }
                });
            }
        }));
    }

    /// Breaks all connections; new ones may come.
    pub(super) fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Breaks all connections and refuses new ones.
    pub(super) async fn close(&mut self) {
        if let Some(doorman) = self.doorman.take() {
            doorman.abort();
            let _ = doorman.await;
        }
        self.cut();
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(doorman) = &self.doorman {
            doorman.abort();
        }
    }
}
