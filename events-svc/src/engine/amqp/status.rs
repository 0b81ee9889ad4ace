//! How brokers and queues are, for `/readyz?verbose` and `/metrics`.

use crate::engine::Accepted;
use crate::metrics::Name;
use prometheus::{IntCounterVec, IntGaugeVec, Opts};
use shared::metrics::Metrics;
use std::sync::{Mutex, PoisonError};

/// Figures of all consumers. Cloning shares them.
#[derive(Clone)]
pub(super) struct Figures {
    connected: IntGaugeVec,
    messages: IntCounterVec,
    in_hand: IntGaugeVec,
    failures: IntCounterVec,
}

impl Figures {
    /// # Errors
    /// Only when a name is malformed, which a test rules out.
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let opts = |name: Name, help: &str| Opts::new(name.as_str(), help);
        let queue = ["broker", "queue"];
        Ok(Self {
            connected: IntGaugeVec::new(opts(Name::AmqpConnected, "1 while connected."), &["broker"])?,
            messages: IntCounterVec::new(
                opts(Name::AmqpMessages, "Messages acknowledged, by what became of them."),
                &["broker", "queue", "outcome"],
            )?,
            in_hand: IntGaugeVec::new(
                opts(Name::AmqpInHand, "Messages taken and not yet acknowledged."),
                &queue,
            )?,
            failures: IntCounterVec::new(
                opts(Name::AmqpFailures, "Broken connections and channels, and batches that were held."),
                &queue,
            )?,
        })
    }

    /// # Errors
    /// When a name is taken.
    pub(super) fn register(&self, metrics: &Metrics) -> Result<(), prometheus::Error> {
        metrics.register(self.connected.clone())?;
        metrics.register(self.messages.clone())?;
        metrics.register(self.in_hand.clone())?;
        metrics.register(self.failures.clone())?;
        Ok(())
    }
}

/// How the connection to one broker is.
pub(super) struct BrokerStatus {
    /// `host:port/vhost`.
    pub(super) broker: String,
    state: Mutex<String>,
    figures: Figures,
}

impl BrokerStatus {
    pub(super) fn new(broker: String, figures: &Figures) -> Self {
        figures.connected.with_label_values(&[&broker]).set(0);
        Self { broker, state: Mutex::new("connecting".into()), figures: figures.clone() }
    }

    pub(super) fn connected(&self) {
        log::info!(broker = self.broker; "connected to {}", self.broker);
        self.figures.connected.with_label_values(&[&self.broker]).set(1);
        set(&self.state, "connected".into());
    }

    /// The connection is gone or could not be made.
    pub(super) fn failed(&self, cause: &str) {
        log::warn!(broker = self.broker; "no connection to {}: {cause}", self.broker);
        self.figures.failures.with_label_values(&[self.broker.as_str(), ""]).inc();
        self.disconnected(format!("not connected: {cause}"));
    }

    pub(super) fn disconnected(&self, state: String) {
        self.figures.connected.with_label_values(&[&self.broker]).set(0);
        set(&self.state, state);
    }

    /// In words, with the states of the broker's queues.
    pub(super) fn describe<'q>(&self, queues: impl Iterator<Item = &'q QueueStatus>) -> String {
        let queues: Vec<String> =
            queues.map(|queue| format!("{}: {}", queue.queue, get(&queue.state))).collect();
        format!("{} {} ({})", self.broker, get(&self.state), queues.join("; "))
    }
}

/// How one queue is.
pub(super) struct QueueStatus {
    broker: String,
    pub(super) queue: String,
    state: Mutex<String>,
    figures: Figures,
}

impl QueueStatus {
    pub(super) fn new(broker: &str, queue: &str, figures: &Figures) -> Self {
        let (broker, queue) = (broker.to_owned(), queue.to_owned());
        Self { broker, queue, state: Mutex::new("not consuming".into()), figures: figures.clone() }
    }

    /// Where a dead letter says that it came from.
    pub(super) fn source(&self) -> String {
        format!("{} {}", self.broker, self.queue)
    }

    pub(super) fn consuming(&self) {
        set(&self.state, "consuming".into());
    }

    /// Something went wrong that is tried again.
    pub(super) fn failed(&self, state: String) {
        log::warn!(broker = self.broker, queue = self.queue; "{} of {}: {state}", self.queue, self.broker);
        self.figures.failures.with_label_values(&[&self.broker, &self.queue]).inc();
        set(&self.state, state);
    }

    pub(super) fn stopped(&self) {
        self.in_hand(0);
        set(&self.state, "not consuming".into());
    }

    pub(super) fn in_hand(&self, messages: usize) {
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        self.figures.in_hand.with_label_values(&[&self.broker, &self.queue]).set(messages);
    }

    pub(super) fn acknowledged(&self, accepted: &Accepted) {
        let Accepted { received: _, saved, duplicate, dropped, invalid } = *accepted;
        for (outcome, messages) in
            [("saved", saved), ("duplicate", duplicate), ("dropped", dropped), ("invalid", invalid)]
        {
            let labels = [self.broker.as_str(), self.queue.as_str(), outcome];
            self.figures.messages.with_label_values(&labels).inc_by(u64::try_from(messages).unwrap_or(0));
        }
        self.in_hand(0);
    }
}

fn set(state: &Mutex<String>, text: String) {
    *state.lock().unwrap_or_else(PoisonError::into_inner) = text;
}

fn get(state: &Mutex<String>) -> String {
    state.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
