//! How far the reader of the feed is behind, also when it has stopped reading.

use crate::State;
use crate::metrics::feed_lag;
use crate::store::find_newest_id;
use prometheus::IntGauge;
use shared::db::Place;
use shared::stop::Stop;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

/// How often the lag is looked at while nobody reads.
const PERIOD: Duration = Duration::from_secs(10);

/// The last place that was read, and the gauge that tells how far behind the newest event it is.
pub struct FeedLag {
    read: AtomicI64,
    gauge: IntGauge,
}

impl FeedLag {
    /// Nothing is read yet.
    ///
    /// # Errors
    /// Only when the metric's name is malformed.
    pub fn new() -> Result<Self, prometheus::Error> {
        Ok(Self { read: AtomicI64::new(0), gauge: feed_lag()? })
    }

    /// The metric.
    #[must_use]
    pub fn gauge(&self) -> &IntGauge {
        &self.gauge
    }

    /// Somebody has read up to `place`, when `newest` was the newest id.
    pub fn note(&self, place: Place, newest: i64) {
        self.read.store(place.id, Relaxed);
        self.gauge.set(newest - place.id);
    }
}

/// Keeps the gauge true until `stop`.
pub async fn watch(state: State, stop: Stop) {
    loop {
        match state.db.read(find_newest_id).await {
            Ok(newest) => state.feed_lag.gauge.set(newest - state.feed_lag.read.load(Relaxed)),
            Err(cause) => log::debug!("feed lag not known: {cause}"),
        }
        tokio::select! { () = stop.stopped() => return, () = tokio::time::sleep(PERIOD) => () }
    }
}
