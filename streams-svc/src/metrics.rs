//! The service's own metrics.

use prometheus::Opts;
use shared::metrics::Metrics;

use crate::State;

/// Adds the service's own metrics to what `/metrics` shows.
///
/// # Errors
/// When a name is taken.
pub(crate) fn register(metrics: &Metrics, state: &State) -> Result<(), prometheus::Error> {
    metrics.register(state.statistics.metric().clone())?;
    metrics.register(state.followed.clone())?;
    metrics.register(state.following.metric().clone())?;
    Ok(())
}

/// Events of the feed that were sorted into streams.
///
/// # Errors
/// Only when the name is malformed.
pub(crate) fn followed() -> Result<prometheus::IntCounter, prometheus::Error> {
    let help = "Events of the feed that were sorted into streams.";
    prometheus::IntCounter::with_opts(Opts::new("quintet_streams_events_followed_total", help))
}
