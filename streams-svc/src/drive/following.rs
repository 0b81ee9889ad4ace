//! Whether the feed is followed, for those who ask: the check `events` and a metric.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};
use prometheus::{IntGauge, Opts};

/// What became of the last looks at the feed.
pub struct Following {
    looks: Mutex<Looks>,
    last: IntGauge,
}

/// The last looks at the feed.
enum Looks {
    /// None yet.
    None,
    /// The last one succeeded.
    Good,
    /// None, for other replicas hold all parts of the feed.
    Idle,
    /// All since this time failed, the last one of this cause.
    Bad(DateTime<Utc>, String),
}

impl Following {
    /// Nobody has looked yet.
    ///
    /// # Errors
    /// Only when the metric's name is malformed.
    pub fn new() -> Result<Self, prometheus::Error> {
        let help =
            "Time of the last look at the feed that succeeded, in seconds since 1970; 0 before the first.";
        let last = IntGauge::with_opts(Opts::new("quintet_streams_feed_followed_timestamp_seconds", help))?;
        Ok(Self { looks: Mutex::new(Looks::None), last })
    }

    /// A look succeeded, with or without new events.
    pub(super) fn succeeded(&self, now: DateTime<Utc>) {
        self.last.set(now.timestamp());
        self.put(|_before| Looks::Good);
    }

    /// There is nothing to look for: all parts of the feed are other replicas'.
    pub(super) fn rested(&self) {
        self.put(|_before| Looks::Idle);
    }

    /// A look failed.
    pub(super) fn failed(&self, now: DateTime<Utc>, cause: String) {
        self.put(|before| match before {
            Looks::Bad(since, _) => Looks::Bad(*since, cause),
            Looks::None | Looks::Good | Looks::Idle => Looks::Bad(now, cause),
        });
    }

    fn put(&self, next: impl FnOnce(&Looks) -> Looks) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        *looks = next(&looks);
    }

    /// `ok`, or since when the feed is not followed, and why.
    #[must_use]
    pub fn report(&self) -> String {
        match &*self.looks.lock().unwrap_or_else(PoisonError::into_inner) {
            Looks::None => "not followed yet".to_owned(),
            Looks::Good => "ok".to_owned(),
            Looks::Idle => "other replicas follow the feed".to_owned(),
            Looks::Bad(since, cause) => {
                let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
                format!("not followed since {since}: {cause}")
            }
        }
    }

    /// The time of the last look that succeeded, for Prometheus.
    #[must_use]
    pub fn metric(&self) -> &IntGauge {
        &self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_gives_the_time_and_the_last_one_the_cause() {
        let at = |secs: i64| DateTime::from_timestamp(secs, 0).unwrap();
        let following = Following::new().unwrap();
        assert_eq!((following.report().as_str(), following.metric().get()), ("not followed yet", 0));
        following.succeeded(at(60));
        assert_eq!((following.report().as_str(), following.metric().get()), ("ok", 60));
        following.failed(at(61), "refused".into());
        following.failed(at(62), "no answer".into());
        assert_eq!(following.report(), "not followed since 1970-01-01T00:01:01Z: no answer");
        assert_eq!(following.metric().get(), 60);
        following.succeeded(at(63));
        assert_eq!((following.report().as_str(), following.metric().get()), ("ok", 63));
        following.rested();
        assert_eq!(
            (following.report().as_str(), following.metric().get()),
            ("other replicas follow the feed", 63)
        );
    }
}
