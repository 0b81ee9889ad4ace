//! The service's own metrics.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};
use shared::metrics::Metrics;

/// Names of the service's own metrics.
pub(crate) enum Name {
    /// Runs going on.
    Runs,
    /// Listeners of all runs.
    Listeners,
    /// Runs that have ended, by how.
    Endings,
    /// Messages that slow listeners did not get.
    Dropped,
    /// Listeners that were cut off.
    CutOff,
}

impl Name {
    /// The name as Prometheus sees it.
    #[must_use]
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Runs => "quintet_dtrace_runs",
            Self::Listeners => "quintet_dtrace_listeners",
            Self::Endings => "quintet_dtrace_runs_ended_total",
            Self::Dropped => "quintet_dtrace_messages_dropped_total",
            Self::CutOff => "quintet_dtrace_listeners_cut_off_total",
        }
    }
}

/// Figures of the runs.
#[derive(Debug, Clone)]
pub struct RunMetrics {
    pub(crate) runs: IntGauge,
    pub(crate) listeners: IntGauge,
    pub(crate) endings: IntCounterVec,
    pub(crate) dropped: IntCounter,
    pub(crate) cut_off: IntCounter,
}

impl RunMetrics {
    /// Adds them to what `/metrics` shows.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn register(metrics: &Metrics) -> Result<Self, prometheus::Error> {
        let opts = |name: &Name, help| Opts::new(name.as_str(), help);
        let counter = |name, help| metrics.register(IntCounter::with_opts(opts(&name, help))?);
        let gauge = |name, help| metrics.register(IntGauge::with_opts(opts(&name, help))?);
        let endings = IntCounterVec::new(opts(&Name::Endings, "Runs that have ended."), &["outcome"])?;
        Ok(Self {
            runs: gauge(Name::Runs, "Runs going on.")?,
            listeners: gauge(Name::Listeners, "Listeners of all runs.")?,
            endings: metrics.register(endings)?,
            dropped: counter(Name::Dropped, "Messages that slow listeners did not get.")?,
            cut_off: counter(Name::CutOff, "Listeners that were cut off.")?,
        })
    }
}
