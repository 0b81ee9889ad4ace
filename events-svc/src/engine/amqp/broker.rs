//! One broker: connects, lets its queues be consumed, and connects again when that ends.

use super::Failure;
use super::backoff::{Backoff, LONGEST};
use super::consumer::QueueConsumer;
use super::status::BrokerStatus;
use crate::config;
use futures_util::StreamExt;
use futures_util::future::join_all;
use lapin::{Connection, Event};
use shared::stop::Stop;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time the broker may take to say good-bye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// Keeps one broker's queues consumed.
pub(super) struct BrokerConsumer {
    pub(super) settings: config::amqp::Broker,
    pub(super) status: Arc<BrokerStatus>,
    pub(super) queues: Vec<QueueConsumer>,
    pub(super) stop: Stop,
}

impl BrokerConsumer {
    /// Runs until the service stops. A broker that is away is waited for, however long it takes.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::default();
        while !self.stop.is_stopped() {
            let opened = tokio::select! {
                () = self.stop.stopped() => break,
                opened = self.connect() => opened,
            };
            match opened {
                Ok(connection) => {
                    self.status.connected();
                    let since = Instant::now();
                    self.consume(&connection).await;
                    if since.elapsed() > LONGEST {
                        backoff.reset();
                    }
                    if self.stop.is_stopped() {
                        break;
                    }
                    self.status.failed("the connection was lost");
                }
                Err(cause) => self.status.failed(&cause.to_string()),
            }
            let wait = tokio::time::sleep(backoff.next(rand::random()));
            tokio::select! { () = self.stop.stopped() => (), () = wait => () }
        }
        self.status.disconnected("stopped".into());
    }

    /// Connects as the settings say now.
    async fn connect(&self) -> Result<Connection, Failure> {
        let address = self.settings.address().map_err(Failure::Settings)?;
        let authorities = self.settings.authorities().map_err(Failure::Settings)?;
        let name = format!("quintet events {}", env!("CARGO_PKG_VERSION"));
        Ok(shared::amqp::connect(address, authorities, name).await?)
    }

    /// Consumes all queues until the connection is lost or the service stops.
    async fn consume(&mut self, connection: &Connection) {
        let lost = Stop::default();
        let queues = join_all(self.queues.iter_mut().map(|queue| queue.run(connection, &lost)));
        tokio::select! { _ = queues => (), () = tell_loss(connection, &lost) => () }
        // A broker that does not answer any more has nothing to be told.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, connection.close(200, "OK".into())).await;
    }
}

/// Tells the queues when the connection breaks; they end by themselves, each with its batch in hand.
async fn tell_loss(connection: &Connection, lost: &Stop) {
    let mut events = connection.events_listener();
    while let Some(event) = events.next().await {
        if let Event::Error(_) = event {
            lost.stop();
        }
    }
    std::future::pending::<()>().await;
}
