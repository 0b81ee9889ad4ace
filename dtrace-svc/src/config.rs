//! Settings of the DTrace service: section `dtrace`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::config::ConfigError;
use shared::server::Listen;

/// Section `dtrace`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Internal listener.
    pub listen: Listen,
    /// Largest body taken, in bytes, after inflating.
    pub max_body_bytes: usize,
    /// Largest script, in bytes: name, text, config and metadata together.
    pub max_script_bytes: usize,
    /// Origins of web pages that may read answers with credentials; empty: the original's `*`.
    #[serde(deserialize_with = "shared::config::list_or_commas")]
    pub cors_origins: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            max_body_bytes: 1 << 20,
            max_script_bytes: 4 << 20,
            cors_origins: Vec::new(),
        }
    }
}

impl Config {
    /// Refuses values that cannot work.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] naming the key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |text: &str| Err(ConfigError::Conflict(format!("dtrace.{text}")));
        if !(1024..=16 << 20).contains(&self.max_body_bytes) {
            return refuse("max_body_bytes: expected 1024 to 16777216");
        }
        if !(self.max_body_bytes..=64 << 20).contains(&self.max_script_bytes) {
            return refuse("max_script_bytes: expected dtrace.max_body_bytes to 67108864");
        }
        Ok(())
    }
}
