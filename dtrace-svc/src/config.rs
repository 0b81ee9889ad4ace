//! Settings of the DTrace service: section `dtrace`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::config::{ConfigError, is_base_url, is_origin, list_or_commas};
use shared::server::Listen;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Most runs at once.
const MOST_RUNS: usize = 10_000;

/// Most listeners at once.
const MOST_LISTENERS: usize = 1_000_000;

/// Longest time of a tracer: a year.
const LONGEST_RUN_SECS: u64 = 31_536_000;

/// Section `dtrace`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Internal listener.
    pub listen: Listen,
    /// What runs scripts on this machine: `auto`, `bpftrace`, `dtrace`, `simulated`; `remote`: nothing does, only the
    /// remote servers.
    pub executor: Setting,
    /// This machine's name among the servers of a run.
    pub server: String,
    /// Virtual machines (zones) on this machine.
    #[serde(deserialize_with = "list_or_commas")]
    pub vms: Vec<String>,
    /// Further servers: DTrace services on other machines, which share this installation's internal key.
    pub remotes: BTreeMap<String, RemoteServer>,
    /// The program `bpftrace`.
    pub bpftrace_path: PathBuf,
    /// The program `dtrace`.
    pub dtrace_path: PathBuf,
    /// Whether bpftrace's scripts may read and write files of this machine with the rights of this service: `cat`,
    /// `skboutput`, `#include` of any file. The service's own secrets are among them.
    pub allow_files: bool,
    /// What one tracer may use.
    pub tracer: TracerLimits,
    /// How many runs, for how long.
    pub runs: RunLimits,
    /// Internal route of the gateway that tells whose a bearer token is, for tokens in websocket messages:
    /// `http://host:port/internal/identity`.
    pub identity_url: Option<String>,
    /// Largest body taken, in bytes, after inflating, 1024 to 16 777 216.
    pub max_body_bytes: usize,
    /// Largest script, in bytes: name, text, config and metadata together.
    pub max_script_bytes: usize,
    /// Largest message taken from a websocket, in bytes.
    pub max_message_bytes: usize,
    /// Seconds after which a listener who takes nothing is cut off, and within which one must answer a ping twice.
    pub listener_timeout_secs: u64,
    /// Seconds within which a websocket must bring a token whose handshake did not say who calls.
    pub login_timeout_secs: u64,
    /// Origins of web pages that may read answers with credentials; empty: the original's `*`.
    #[serde(deserialize_with = "list_or_commas")]
    pub cors_origins: Vec<String>,
}

/// Which executor a machine uses: setting `dtrace.executor`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Setting {
    /// What the script's first line names; without one, DTrace when it is there, else bpftrace.
    #[default]
    Auto,
    /// As `auto`, and scripts without a first line are bpftrace's.
    Bpftrace,
    /// As `auto`, and scripts without a first line are D.
    Dtrace,
    /// Made-up figures for every script.
    Simulated,
    /// This machine traces nothing itself; only remote servers do.
    Remote,
}

/// Another DTrace service, as the settings name it.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RemoteServer {
    /// Base URL of its internal listener, `http://host:port`, without user, password and query.
    pub url: String,
    /// Virtual machines (zones) on it.
    pub vms: Vec<String>,
}

/// What a tracer may use.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TracerLimits {
    /// Bytes of address space, 16 MiB to 1 PiB.
    pub memory_bytes: u64,
    /// Seconds of processor time, 1 to 31 536 000.
    pub cpu_secs: u64,
    /// Seconds from start to end, 1 to 31 536 000.
    pub run_secs: u64,
}

/// Bounds of runs.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunLimits {
    /// Milliseconds between two messages of a run, 50 to 60 000. The original's is 1000.
    pub interval_millis: u64,
    /// Runs at once, 1 to 10 000.
    pub max_runs: usize,
    /// Runs at once that one user has started, 1 to 10 000.
    pub max_runs_per_user: usize,
    /// Listeners at once, of all runs together, 1 to 1 000 000.
    pub max_listeners: usize,
    /// Messages that are kept of a recorded run.
    pub max_recorded_messages: usize,
    /// Bytes of messages that are kept of a recorded run.
    pub max_recorded_bytes: usize,
    /// Runs that the audit log keeps; the oldest go first.
    pub max_runs_kept: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            executor: Setting::default(),
            server: "local".into(),
            vms: Vec::new(),
            remotes: BTreeMap::new(),
            bpftrace_path: "bpftrace".into(),
            dtrace_path: "dtrace".into(),
            allow_files: false,
            tracer: TracerLimits::default(),
            runs: RunLimits::default(),
            identity_url: None,
            max_body_bytes: 1 << 20,
            max_script_bytes: 4 << 20,
            max_message_bytes: 64 << 10,
            listener_timeout_secs: 10,
            login_timeout_secs: 30,
            cors_origins: Vec::new(),
        }
    }
}

impl Default for TracerLimits {
    fn default() -> Self {
        Self { memory_bytes: 2 << 30, cpu_secs: 3600, run_secs: 86_400 }
    }
}

impl Default for RunLimits {
    fn default() -> Self {
        Self {
            interval_millis: 1000,
            max_runs: 32,
            max_runs_per_user: 8,
            max_listeners: 2048,
            max_recorded_messages: 7200,
            max_recorded_bytes: 32 << 20,
            max_runs_kept: 100_000,
        }
    }
}

impl Config {
    /// Refuses values that cannot work.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] naming the key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let runs = &self.runs;
        let no_tracer = self.executor == Setting::Remote && self.remotes.is_empty();
        let tracer = &self.tracer;
        let most = |count: usize, most: usize| (1..=most).contains(&count);
        let checks = [
            ((1024..=16 << 20).contains(&self.max_body_bytes), "max_body_bytes: expected 1024 to 16777216"),
            (
                (self.max_body_bytes..=64 << 20).contains(&self.max_script_bytes),
                "max_script_bytes: expected dtrace.max_body_bytes to 67108864",
            ),
            (
                (1024..=16 << 20).contains(&self.max_message_bytes),
                "max_message_bytes: expected 1024 to 16777216",
            ),
            ((1..=3600).contains(&self.listener_timeout_secs), "listener_timeout_secs: expected 1 to 3600"),
            ((1..=3600).contains(&self.login_timeout_secs), "login_timeout_secs: expected 1 to 3600"),
            ((50..=60_000).contains(&runs.interval_millis), "runs.interval_millis: expected 50 to 60000"),
            (most(runs.max_runs, MOST_RUNS), "runs.max_runs: expected 1 to 10000"),
            (most(runs.max_runs_per_user, MOST_RUNS), "runs.max_runs_per_user: expected 1 to 10000"),
            (most(runs.max_listeners, MOST_LISTENERS), "runs.max_listeners: expected 1 to 1000000"),
            (
                (16 << 20..=1 << 50).contains(&tracer.memory_bytes),
                "tracer.memory_bytes: expected 16777216 to 1125899906842624",
            ),
            ((1..=LONGEST_RUN_SECS).contains(&tracer.cpu_secs), "tracer.cpu_secs: expected 1 to 31536000"),
            ((1..=LONGEST_RUN_SECS).contains(&tracer.run_secs), "tracer.run_secs: expected 1 to 31536000"),
            (runs.max_runs_kept > 0, "runs.max_runs_kept: expected at least 1"),
            (!no_tracer, "remotes: executor is remote, and there is no remote server"),
            (
                self.remotes.values().all(|server| is_base_url(&server.url)),
                "remotes: expected an http:// or https:// URL for each server, without user, password and query",
            ),
            (
                self.identity_url.as_deref().is_none_or(is_base_url),
                "identity_url: expected http://host:port/internal/identity, without user, password and query",
            ),
            (
                self.cors_origins.iter().all(|origin| is_origin(origin)),
                "cors_origins: expected origins as https://grafana.example.com",
            ),
            (!self.remotes.contains_key(&self.server), "server: a remote server has the same name"),
            (!self.server.is_empty(), "server: expected a name"),
        ];
        match checks.into_iter().find(|(holds, _)| !holds) {
            Some((_, text)) => Err(ConfigError::Conflict(format!("dtrace.{text}"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_cannot_work_are_refused_by_name() {
        type Change = fn(&mut Config);
        let cases: [(&str, Change); 11] = [
            ("runs.max_runs: expected 1 to 10000", |config| config.runs.max_runs = 0),
            ("runs.max_runs_per_user: expected 1 to 10000", |config| config.runs.max_runs_per_user = 0),
            ("runs.max_listeners: expected 1 to 1000000", |config| config.runs.max_listeners = 0),
            ("runs.max_listeners: expected 1 to 1000000", |config| config.runs.max_listeners = usize::MAX),
            ("tracer.memory_bytes: expected 16777216 to 1125899906842624", |config| {
                config.tracer.memory_bytes = 0;
            }),
            ("tracer.cpu_secs: expected 1 to 31536000", |config| config.tracer.cpu_secs = 0),
            ("tracer.run_secs: expected 1 to 31536000", |config| config.tracer.run_secs = 0),
            ("tracer.run_secs: expected 1 to 31536000", |config| config.tracer.run_secs = u64::MAX),
            ("cors_origins: expected origins as https://grafana.example.com", |config| {
                config.cors_origins = vec!["https://a".into(), "example.com".into()];
            }),
            ("cors_origins: expected origins as https://grafana.example.com", |config| {
                config.cors_origins = vec!["*".into()];
            }),
            ("max_body_bytes: expected 1024 to 16777216", |config| config.max_body_bytes = 1023),
        ];
        for (expected, change) in cases {
            let mut config = Config::default();
            assert!(config.validate().is_ok());
            change(&mut config);
            assert_eq!(config.validate().unwrap_err().to_string(), format!("dtrace.{expected}"));
        }
    }

    #[test]
    fn addresses_that_cannot_be_asked_or_hold_a_login_are_refused_without_showing_them() {
        let refusal =
            |config: Config| config.validate().map_or_else(|error| error.to_string(), |()| "ok".into());
        let remote = |url: &str| {
            let server = RemoteServer { url: url.into(), vms: Vec::new() };
            refusal(Config { remotes: BTreeMap::from([("b".into(), server)]), ..Config::default() })
        };
        let identity = |url: &str| refusal(Config { identity_url: Some(url.into()), ..Config::default() });
        for good in ["http://a:1", "https://a/internal/identity", "http://[::1]:9/x"] {
            assert_eq!((remote(good).as_str(), identity(good).as_str()), ("ok", "ok"));
        }
        for bad in [
            "",
            "nonsense",
            "a:1",
            "ftp://hunter2",
            "http://",
            "http:/hunter2",
            " http://hunter2",
            "http://a:1/?hunter2",
            "http://a:1/#hunter2",
        ] {
            assert!(remote(bad).starts_with("dtrace.remotes: expected ") && !remote(bad).contains("hunter2"));
            assert!(identity(bad).starts_with("dtrace.identity_url: expected "), "{bad}");
        }
        for bad in ["http://u:hunter2@a:1", "http://hunter2@a:1", "http://u:hunter2@a:99999"] {
            assert!(remote(bad).starts_with("dtrace.remotes: expected ") && !remote(bad).contains("hunter2"));
            assert!(!identity(bad).contains("hunter2") && identity(bad) != "ok", "{bad}");
        }
    }
}
