//! Settings of the stream service: section `streams`.
//!
//! Triggers and pipelines come from the `winchester_config` that all services share; what is set here wins over
//! what stands there.

use std::time::Duration;

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use shared::config::{ConfigError, is_base_url, list_or_commas, without_login};
use shared::server::Listen;

use crate::engine::Retry;

/// Longest time that any setting may name.
const MOST_SECS: f64 = 86_400.0;

/// Section `streams`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Internal listener.
    pub listen: Listen,
    /// Base URLs of the event service, `http://host:port`, whose feed is followed and which takes new events. Of
    /// several, replicas with one database, one is used until it fails, and then the next. In one process with it this
    /// is filled in.
    #[serde(deserialize_with = "commas")]
    pub events_url: String,
    /// Most streams of one page, whatever limit the client names, 1 to 100 000.
    pub max_page: usize,
    /// Largest body taken, in bytes, at least 1.
    pub max_body_bytes: usize,
    /// Listeners to `/v1/streams/tail` at a time, 1 to 1000.
    pub max_tails: usize,
    /// Days that the history of streams is kept, 1 to 3650.
    pub history_days: u32,
    /// Rest in seconds of a worker that found nothing. Unset: `pipeline_worker_delay` of the winchester.yaml, or 10.
    /// A stream that an event makes ready wakes it before; one that only time makes ready waits for the end of the rest.
    pub worker_delay_secs: Option<f64>,
    /// Streams that a worker takes at once. Unset: `pipeline_worker_batch_size` of the winchester.yaml, or 1000.
    pub worker_batch_size: Option<usize>,
    /// Delete streams when they are completed. Unset: as the winchester.yaml says, or true.
    pub purge_completed_streams: Option<bool>,
    /// Pipelines that run at the same time, 1 to 256. One of them gets at most half of what the others leave free, so
    /// that none holds up the others.
    pub pipeline_threads: usize,
    /// Seconds after which a pipeline has failed, 1 to 86 400.
    pub pipeline_timeout_secs: u64,
    /// Seconds after which a worker that is not heard of has lost its streams, 5 to 86 400.
    pub lease_secs: u64,
    /// How often a stream whose pipeline failed is tried again by itself, 0 to 1000; 0 leaves it in its error state
    /// at once.
    pub retry_limit: u32,
    /// Seconds before the first such try; doubled before each further one.
    pub retry_wait_secs: u32,
    /// Most seconds between two tries.
    pub retry_max_wait_secs: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            events_url: String::new(),
            max_page: 10_000,
            max_body_bytes: 1 << 20,
            max_tails: 100,
            history_days: 30,
            worker_delay_secs: None,
            worker_batch_size: None,
            purge_completed_streams: None,
            pipeline_threads: 16,
            pipeline_timeout_secs: 60,
            lease_secs: 60,
            retry_limit: 0,
            retry_wait_secs: 1,
            retry_max_wait_secs: 600,
        }
    }
}

impl Config {
    /// Refuses values that cannot work. An `events_url` left out is refused by the start alone: one process fills it in
    /// late.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] naming the key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let within = |name: &str, is_good: bool, expected: &str| {
            let refused = || ConfigError::Conflict(format!("streams.{name}: expected {expected}"));
            is_good.then_some(()).ok_or_else(refused)
        };
        if let Some(url) = self.event_services().find(|url| !is_base_url(url)) {
            within("events_url", false, &format!("http://host:port, found {}", without_login(url)))?;
        }
        within("max_page", (1..=100_000).contains(&self.max_page), "1 to 100000")?;
        within("max_body_bytes", self.max_body_bytes > 0, "at least 1")?;
        within("max_tails", (1..=1000).contains(&self.max_tails), "1 to 1000")?;
        within("history_days", (1..=3650).contains(&self.history_days), "1 to 3650")?;
        let is_time = |secs: f64| (0.01..=MOST_SECS).contains(&secs);
        within("worker_delay_secs", self.worker_delay_secs.is_none_or(is_time), "0.01 to 86400")?;
        let is_batch = |size| (1..=10_000).contains(&size);
        within("worker_batch_size", self.worker_batch_size.is_none_or(is_batch), "1 to 10000")?;
        within("pipeline_threads", (1..=256).contains(&self.pipeline_threads), "1 to 256")?;
        let is_timeout = (1..=86_400).contains(&self.pipeline_timeout_secs);
        within("pipeline_timeout_secs", is_timeout, "1 to 86400")?;
        within("lease_secs", (5..=86_400).contains(&self.lease_secs), "5 to 86400")?;
        within("retry_limit", self.retry_limit <= 1000, "0 to 1000")
    }

    /// The base URLs of `events_url`.
    pub fn event_services(&self) -> impl Iterator<Item = &str> {
        self.events_url.split(',').map(str::trim).filter(|url| !url.is_empty())
    }

    /// When failed pipelines are tried again.
    #[must_use]
    pub fn retry(&self) -> Retry {
        Retry {
            limit: self.retry_limit,
            first_wait: TimeDelta::seconds(self.retry_wait_secs.into()),
            longest_wait: TimeDelta::seconds(self.retry_max_wait_secs.into()),
        }
    }

    /// How long one pipeline may take.
    #[must_use]
    pub fn pipeline_timeout(&self) -> Duration {
        Duration::from_secs(self.pipeline_timeout_secs)
    }
}

/// One text with commas, however the list is given.
fn commas<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    list_or_commas(deserializer).map(|list| list.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn config(events_url: Value) -> Config {
        serde_json::from_value(json!({ "events_url": events_url })).unwrap()
    }

    #[test]
    fn event_services_are_a_list_or_one_text_with_commas() {
        for urls in [json!("http://a:1, https://b/x/,"), json!(["http://a:1", "https://b/x/"])] {
            let config = config(urls);
            assert_eq!(config.event_services().collect::<Vec<_>>(), ["http://a:1", "https://b/x/"]);
            assert!(config.validate().is_ok());
        }
        assert!(config(json!("")).validate().is_ok(), "one process fills it in");
    }

    #[test]
    fn an_event_service_that_cannot_be_asked_is_refused_with_key_and_value() {
        for bad in [
            "http://a b",
            "http://h:99999",
            "http://",
            "http:/a",
            "ftp://a",
            "a:1",
            "http://a?b",
            "http://a#b",
        ] {
            let text = config(json!(format!("http://good:1,{bad}"))).validate().unwrap_err().to_string();
            assert_eq!(text, format!("streams.events_url: expected http://host:port, found {bad}"));
        }
    }

    #[test]
    fn an_event_service_with_a_login_is_refused_without_showing_it() {
        for bad in ["http://u:hunter2@a:1", "http://u:hunter2@a:99999", "http://hunter2@a:1"] {
            let error = config(json!(bad)).validate().unwrap_err().to_string();
            assert!(
                error.starts_with("streams.events_url: expected http://host:port, found http://********@a:")
            );
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_service_that_takes_no_bytes_is_refused() {
        let error = Config { max_body_bytes: 0, ..Config::default() }.validate().unwrap_err().to_string();
        assert_eq!(error, "streams.max_body_bytes: expected at least 1");
    }
}
