//! The service's own metrics.

use crate::State;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGauge, Opts};
use shared::metrics::Metrics;

/// Names of the service's own metrics.
pub(crate) enum Name {
    /// Annotations written, by what was done and what became of it.
    Written,
    /// Kilobytes of writes that wait for their commit.
    QueueKilobytes,
    /// Who listens to changes now.
    Listeners,
}

impl Name {
    /// The name as Prometheus sees it.
    #[must_use]
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Written => "quintet_annotate_written_total",
            Self::QueueKilobytes => "quintet_annotate_queue_kilobytes",
            Self::Listeners => "quintet_annotate_listeners",
        }
    }
}

/// Adds the service's own metrics to what `/metrics` shows.
///
/// # Errors
/// When a name is taken.
pub(crate) fn register(metrics: &Metrics, state: &State) -> Result<(), prometheus::Error> {
    metrics.register(state.writes.counters().clone())?;
    let gauge = |name: &Name, help| IntGauge::new(name.as_str(), help);
    let queue = gauge(&Name::QueueKilobytes, "Kilobytes of writes waiting for their commit.")?;
    let listeners = gauge(&Name::Listeners, "Listeners to changes.")?;
    metrics.register(Gauges { queue, listeners, state: state.clone() })?;
    Ok(())
}

/// Counters of writes, labelled `action` (create, replace, patch, delete, restore) and `outcome` (done, replayed,
/// refused, failed).
///
/// # Errors
/// Only when the name above is malformed.
pub(crate) fn written() -> Result<IntCounterVec, prometheus::Error> {
    let opts = Opts::new(Name::Written.as_str(), "Annotations written, by action and outcome.");
    IntCounterVec::new(opts, &["action", "outcome"])
}

/// Reads queue and listeners when it is asked.
#[derive(Clone)]
struct Gauges {
    queue: IntGauge,
    listeners: IntGauge,
    state: State,
}

impl Collector for Gauges {
    fn desc(&self) -> Vec<&Desc> {
        [self.queue.desc(), self.listeners.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.queue.set(i64::try_from(self.state.writes.queue_kilobytes()).unwrap_or(i64::MAX));
        self.listeners.set(i64::try_from(self.state.changes.listeners()).unwrap_or(i64::MAX));
        [self.queue.collect(), self.listeners.collect()].concat()
    }
}
