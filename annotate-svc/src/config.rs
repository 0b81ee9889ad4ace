//! Settings of the annotation service: section `annotate`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::config::{ConfigError, is_origin};
use shared::server::Listen;

/// Section `annotate`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Internal listener.
    pub listen: Listen,
    /// Largest body taken, in bytes.
    pub max_body_bytes: usize,
    /// Most annotations of one bulk create, 1 to 100 000.
    pub max_bulk: usize,
    /// Most annotations of one page, whatever `limit` the client names, 1 to 100 000. Without `limit` everything is
    /// streamed.
    pub max_page: usize,
    /// Most annotations that a table, figures or values of a window are made of.
    pub max_rows: usize,
    /// Most values that a list of values holds.
    pub max_values: usize,
    /// Listeners to changes at a time, 1 to 1 000 000.
    pub max_listeners: usize,
    /// Seconds after which a listener to changes who takes nothing is cut off, 1 to 3600.
    pub listener_timeout_secs: u64,
    /// Seconds an annotation is kept after its end; 0 keeps annotations for ever.
    pub annotation_time_to_live_secs: u64,
    /// Seconds that versions and deleted annotations are kept; 0 keeps them for ever.
    pub history_time_to_live_secs: u64,
    /// Origins whose pages may read; `*` stands for all.
    #[serde(deserialize_with = "shared::config::list_or_commas")]
    pub cors_origins: Vec<String>,
    /// Origins whose pages may read and write with the user's login; `*` is not taken.
    #[serde(deserialize_with = "shared::config::list_or_commas")]
    pub cors_write_origins: Vec<String>,
    /// Answer for an unknown id as the first version of the original did: 500 with Elasticsearch's text, instead of
    /// 404 `not found`. The original's own client then takes the answer for an empty annotation.
    pub seed_not_found: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            max_body_bytes: 16 << 20,
            max_bulk: 10_000,
            max_page: 10_000,
            max_rows: 100_000,
            max_values: 100_000,
            max_listeners: 500,
            listener_timeout_secs: 10,
            annotation_time_to_live_secs: 0,
            history_time_to_live_secs: 90 * 24 * 3600,
            cors_origins: vec!["*".to_owned()],
            cors_write_origins: Vec::new(),
            seed_not_found: false,
        }
    }
}

impl Config {
    /// Refuses values that cannot work.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] naming the key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |text: &str| Err(ConfigError::Conflict(format!("annotate.{text}")));
        if !(1..=100_000).contains(&self.max_bulk) {
            return refuse("max_bulk: expected 1 to 100000");
        }
        if !(1..=100_000).contains(&self.max_page) {
            return refuse("max_page: expected 1 to 100000");
        }
        if !(1..=1_000_000).contains(&self.max_listeners) {
            return refuse("max_listeners: expected 1 to 1000000");
        }
        if !(1..=3600).contains(&self.listener_timeout_secs) {
            return refuse("listener_timeout_secs: expected 1 to 3600");
        }
        if self.max_rows == 0 {
            return refuse("max_rows: expected at least 1");
        }
        if self.cors_write_origins.iter().any(|origin| origin == "*") {
            return refuse("cors_write_origins: expected origins, not *");
        }
        if let Some(origin) = self.cors_origins.iter().find(|origin| *origin != "*" && !is_origin(origin)) {
            return refuse(&format!("cors_origins: no origin: {origin}"));
        }
        if let Some(origin) = self.cors_write_origins.iter().find(|origin| !is_origin(origin)) {
            return refuse(&format!("cors_write_origins: no origin: {origin}"));
        }
        if self.max_body_bytes == 0 {
            return refuse("max_body_bytes: expected at least 1");
        }
        if self.max_values == 0 {
            return refuse("max_values: expected at least 1");
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
        let cases: [(&str, Change); 7] = [
            ("max_listeners: expected 1 to 1000000", |config| config.max_listeners = 0),
            // tokio's semaphore panics from here on.
            ("max_listeners: expected 1 to 1000000", |config| config.max_listeners = 1 << 61),
            ("cors_origins: no origin: example.com", |config| {
                config.cors_origins = vec!["example.com".into()];
            }),
            ("cors_origins: no origin: https://a/", |config| config.cors_origins = vec!["https://a/".into()]),
            ("cors_write_origins: no origin: https://A", |config| {
                config.cors_write_origins = vec!["https://A".into()];
            }),
            ("cors_write_origins: expected origins, not *", |config| {
                config.cors_write_origins = vec!["*".into()];
            }),
            ("max_body_bytes: expected at least 1", |config| config.max_body_bytes = 0),
        ];
        for (expected, change) in cases {
            let mut config = Config { cors_write_origins: vec!["https://a:1".into()], ..Config::default() };
            assert!(config.validate().is_ok());
            change(&mut config);
            assert_eq!(config.validate().unwrap_err().to_string(), format!("annotate.{expected}"));
        }
    }
}
