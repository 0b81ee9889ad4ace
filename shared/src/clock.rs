//! The one source of "now". Everything that waits, expires or stamps takes a [`Clock`], so that tests drive time by hand.

use chrono::{DateTime, NaiveDateTime, Utc};
use std::sync::{Arc, Mutex, PoisonError};

/// A source of the present instant, shared by everything that asks for the time.
pub type SharedClock = Arc<dyn Clock>;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The present instant in UTC.
    fn now(&self) -> DateTime<Utc>;

    /// The present instant as naive UTC, cut to whole microseconds as both databases store it.
    fn now_naive(&self) -> NaiveDateTime {
        let now = self.now();
        DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now).naive_utc()
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that may read the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// A clock that stands still until it is moved by hand.
#[derive(Debug)]
pub struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    /// A clock that shows `start` until it is moved.
    #[must_use]
    pub fn at(start: DateTime<Utc>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(start)))
    }

    /// Shows `now` from here on.
    pub fn set(&self, now: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Moves the clock on by `step`.
    pub fn advance(&self, step: chrono::Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += step;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
