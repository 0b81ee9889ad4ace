//! Notifications from AMQP 0.9.1 brokers (streams-events-v1.md, section 8; events-v2.md, section 14).
//!
//! | file | what |
//! |---|---|
//! | `broker` | one broker's connection, made again when it breaks |
//! | `topology` | exchanges, queues and bindings |
//! | `consumer` | one queue: take, store, acknowledge |
//! | `backoff` | how long to wait after failures |
//! | `status` | states and figures |
//!
//! A message is acknowledged when its event, or the dead letter that it became, is committed; not before. So it may
//! be delivered again, and is then recognised by its message id. While the store is away, or has no room for a dead
//! letter, a queue's batch is held and nothing more is taken from that queue: the rest waits at the broker. A
//! broker that is away stops neither the service nor the others, and does not make the service unready: what it has
//! stored can be read.

mod backoff;
mod broker;
mod consumer;
mod status;
mod topology;

use super::{Notifications, Recent};
use crate::config;
use backoff::Backoff;
use broker::BrokerConsumer;
use consumer::QueueConsumer;
use shared::amqp::ConnectError;
use shared::metrics::Metrics;
use shared::server::Check;
use shared::stop::Stop;
use status::{BrokerStatus, Figures, QueueStatus};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Why consuming ended.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// An address or a file that the settings name.
    #[error("{0}")]
    Settings(String),
    /// The broker refused, or the connection broke.
    #[error("{0}")]
    Broker(#[from] lapin::Error),
    /// No answer in time.
    #[error("no answer in time while {0}")]
    Silent(&'static str),
    /// The queue is gone.
    #[error("the broker ended the delivery")]
    Cancelled,
    /// The channel ended while a batch was held.
    #[error("the channel was lost")]
    Lost,
    /// The service stops.
    #[error("stopping")]
    Stopped,
}

impl From<ConnectError> for Failure {
    fn from(cause: ConnectError) -> Self {
        match cause {
            ConnectError::Broker(cause) => Self::Broker(cause),
            ConnectError::Silent => Self::Silent("opening the connection"),
        }
    }
}

/// The consumers of all brokers.
pub struct Consumers {
    brokers: Vec<(Arc<BrokerStatus>, Vec<Arc<QueueStatus>>, config::amqp::Broker)>,
    figures: Figures,
}

impl Consumers {
    /// Prepares what the settings ask for; nothing connects yet.
    ///
    /// # Errors
    /// Only when a metric's name is malformed.
    pub fn new(settings: &[config::amqp::Broker]) -> Result<Self, prometheus::Error> {
        let figures = Figures::new()?;
        let prepare = |broker: &config::amqp::Broker| {
            let name = name(broker);
            let queues = broker.filled_queues();
            let queues = queues.iter().map(|queue| Arc::new(QueueStatus::new(&name, &queue.queue, &figures)));
            let queues = queues.collect();
            (Arc::new(BrokerStatus::new(name, &figures)), queues, broker.clone())
        };
        Ok(Self { brokers: settings.iter().map(prepare).collect(), figures })
    }

    /// Adds the consumers' figures to what `/metrics` shows.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn register(&self, metrics: &Metrics) -> Result<(), prometheus::Error> {
        self.figures.register(metrics)
    }

    /// Tells how each broker and queue is. It never fails: see the module.
    #[must_use]
    pub fn check(&self) -> Check {
        let brokers: Vec<_> =
            self.brokers.iter().map(|(broker, queues, _)| (Arc::clone(broker), queues.clone())).collect();
        Check::new("amqp", move || {
            let describe = |(broker, queues): &(Arc<BrokerStatus>, Vec<Arc<QueueStatus>>)| {
                broker.describe(queues.iter().map(AsRef::as_ref))
            };
            let states: Vec<String> = brokers.iter().map(describe).collect();
            std::future::ready(Ok(if states.is_empty() {
                "no broker is configured".into()
            } else {
                states.join(", ")
            }))
        })
    }

    /// Starts one task for each broker; they end after `stop`, with the batches in hand acknowledged.
    #[must_use]
    pub fn start(self, notifications: &Notifications, stop: &Stop) -> Vec<JoinHandle<()>> {
        let start =
            |(status, queues, settings): (Arc<BrokerStatus>, Vec<Arc<QueueStatus>>, config::amqp::Broker)| {
                let consumer = |(status, queue)| QueueConsumer {
                    queue,
                    status,
                    prefetch: settings.prefetch,
                    notifications: notifications.clone(),
                    recent: Recent::default(),
                    backoff: Backoff::default(),
                    stop: stop.clone(),
                };
                let queues = queues.into_iter().zip(settings.filled_queues()).map(consumer).collect();
                tokio::spawn(BrokerConsumer { settings, status, queues, stop: stop.clone() }.run())
            };
        self.brokers.into_iter().map(start).collect()
    }
}

/// `host:port/vhost`: what logs, figures and dead letters call a broker.
fn name(broker: &config::amqp::Broker) -> String {
    broker.address().map_or_else(
        |_unreadable| "?".to_owned(),
        |address| {
            let vhost = address.vhost.trim_start_matches('/');
            format!("{}:{}/{vhost}", address.authority.host, address.authority.port)
        },
    )
}
