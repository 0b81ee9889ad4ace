//! Settings of the event service: section `events`.

pub mod amqp;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::config::ConfigError;
use shared::server::Listen;
use std::path::PathBuf;

/// Section `events`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Internal listener.
    pub listen: Listen,
    /// Events that a list returns when the client names no limit: v2. 1 to `events.max_page`.
    pub default_return_limit: usize,
    /// Most events of one page, whatever limit the client names, `events.default_return_limit` to 100 000.
    pub max_page: usize,
    /// Largest body taken, in bytes, after inflating, at least 1.
    pub max_body_bytes: usize,
    /// Seconds an event is kept, by the time it was generated; 0 keeps events for ever.
    pub event_time_to_live_secs: u64,
    /// Most events kept; the oldest go first. 0 sets no bound.
    pub max_events: u64,
    /// Most dead letters kept, 1 to 1 000 000; posted ones may be half of them. Beyond that an HTTP caller only hears
    /// that its notification was invalid, and an AMQP queue with such a message is not consumed until letters are
    /// replayed or dropped.
    pub max_dead_letters: i64,
    /// Most bytes of all dead letters, at least 1 MiB, bounded in the same way.
    pub max_dead_letter_bytes: i64,
    /// Priorities (`info`, `error`, …) whose notifications are kept whole as `raw`.
    #[serde(deserialize_with = "shared::config::list_or_commas")]
    pub store_raw: Vec<String>,
    /// Drop notifications that no definition matches, instead of storing them with the default traits.
    pub drop_unmatched_notifications: bool,
    /// While this file exists, `/healthcheck` answers 503, so that a load balancer takes the instance out.
    pub disable_by_file_path: Option<PathBuf>,
    /// AMQP brokers to take notifications from.
    pub amqp: Vec<amqp::Broker>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            default_return_limit: 100,
            max_page: 10_000,
            max_body_bytes: 64 << 20,
            event_time_to_live_secs: 0,
            max_events: 0,
            max_dead_letters: 10_000,
            max_dead_letter_bytes: 256 << 20,
            store_raw: Vec::new(),
            drop_unmatched_notifications: false,
            disable_by_file_path: None,
            amqp: Vec::new(),
        }
    }
}

impl Config {
    /// Refuses values that cannot work.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] naming the key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |text: &str| Err(ConfigError::Conflict(format!("events.{text}")));
        if !(1..=100_000).contains(&self.max_page) {
            return refuse("max_page: expected 1 to 100000");
        }
        if !(1..=self.max_page).contains(&self.default_return_limit) {
            return refuse("default_return_limit: expected 1 to events.max_page");
        }
        if self.max_body_bytes == 0 {
            return refuse("max_body_bytes: expected at least 1");
        }
        if !(1..=1_000_000).contains(&self.max_dead_letters) {
            return refuse("max_dead_letters: expected 1 to 1000000");
        }
        if self.max_dead_letter_bytes < 1 << 20 {
            return refuse("max_dead_letter_bytes: expected at least 1048576");
        }
        for (place, broker) in self.amqp.iter().enumerate() {
            broker.validate(place)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_cannot_work_are_refused_by_name() {
        type Change = fn(&mut Config);
        let cases: [(&str, Change); 3] = [
            ("events.max_body_bytes: expected at least 1", |config| config.max_body_bytes = 0),
            ("events.max_page: expected 1 to 100000", |config| config.max_page = 0),
            ("events.default_return_limit: expected 1 to events.max_page", |config| config.max_page = 99),
        ];
        for (expected, change) in cases {
            let mut config = Config::default();
            assert!(config.validate().is_ok());
            change(&mut config);
            assert_eq!(config.validate().unwrap_err().to_string(), expected);
        }
    }
}
