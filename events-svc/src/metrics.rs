//! The service's own metrics.

use crate::State;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGauge, Opts};
use shared::metrics::Metrics;

/// Names of the service's own metrics.
pub(crate) enum Name {
    /// Notifications and events taken in, by what became of them.
    Ingested,
    /// Events waiting for their commit.
    QueueDepth,
    /// Rows of the store that the reader of the feed has not been given yet.
    FeedLag,
    /// Whether a broker is connected, by `broker`.
    AmqpConnected,
    /// Messages acknowledged, by `broker`, `queue` and `outcome`.
    AmqpMessages,
    /// Messages taken and not yet acknowledged, by `broker` and `queue`.
    AmqpInHand,
    /// Broken connections (blank `queue`), broken channels and held batches, by `broker` and `queue`.
    AmqpFailures,
}

impl Name {
    /// The name as Prometheus sees it.
    #[must_use]
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Ingested => "quintet_events_ingested_total",
            Self::QueueDepth => "quintet_events_queue_depth",
            Self::FeedLag => "quintet_events_feed_lag_events",
            Self::AmqpConnected => "quintet_events_amqp_connected",
            Self::AmqpMessages => "quintet_events_amqp_messages_total",
            Self::AmqpInHand => "quintet_events_amqp_in_hand",
            Self::AmqpFailures => "quintet_events_amqp_failures_total",
        }
    }
}

/// Adds the service's own metrics to what `/metrics` shows.
///
/// # Errors
/// When a name is taken.
pub(crate) fn register(metrics: &Metrics, state: &State) -> Result<(), prometheus::Error> {
    metrics.register(state.ingest.counters().clone())?;
    let depth = IntGauge::new(Name::QueueDepth.as_str(), "Events waiting for their commit.")?;
    metrics.register(QueueDepth { depth, state: state.clone() })?;
    metrics.register(state.feed_lag.gauge().clone())?;
    Ok(())
}

/// How far the reader of the feed is behind. Of several replicas the one that is read from knows best: look at the
/// smallest.
///
/// # Errors
/// Only when the name above is malformed.
pub(crate) fn feed_lag() -> Result<IntGauge, prometheus::Error> {
    IntGauge::new(Name::FeedLag.as_str(), "Events stored that the reader of the feed has not seen.")
}

/// Counters of what came in, labelled `outcome`: saved, duplicate, dropped, invalid, and lost for invalid
/// ones of which no dead letter could be kept.
///
/// # Errors
/// Only when the name above is malformed.
pub(crate) fn ingested() -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(Name::Ingested.as_str(), "Events taken in, by outcome."), &["outcome"])
}

/// Reads the queue when it is asked.
#[derive(Clone)]
struct QueueDepth {
    depth: IntGauge,
    state: State,
}

impl Collector for QueueDepth {
    fn desc(&self) -> Vec<&Desc> {
        self.depth.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.depth.set(i64::try_from(self.state.ingest.queue_depth()).unwrap_or(i64::MAX));
        self.depth.collect()
    }
}
