//! Logs: readable lines on a terminal, one JSON object a line anywhere else; `RUST_LOG` chooses, default `info`.

use env_logger::{Builder, Env};
use log::Record;
use log::kv::{Error, Key, Value, VisitSource};
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

tokio::task_local! {
    /// Id of the request that the running task answers.
    pub static REQUEST_ID: String;
}

/// What is logged when `RUST_LOG` says nothing. The AMQP client's own lines tell again, as errors, what the service
/// reports and mends.
const DEFAULT_FILTER: &str = "info,actix_server=warn,lapin=off,tracing::span=off";

/// Time in which [`Seldom`] says a thing once.
const QUIET: Duration = Duration::from_secs(30);

/// Says what may happen with every request, such as a lost database, once in half a minute.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    at: Option<Instant>,
    held_back: u64,
}

impl Seldom {
    /// Nothing has been said yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Said { at: None, held_back: 0 }))
    }

    /// Runs `say`, which learns how often it was held back since, unless it ran less than half a minute ago.
    pub fn say(&self, say: impl FnOnce(u64)) {
        self.say_at(Instant::now(), say);
    }

    fn say_at(&self, now: Instant, say: impl FnOnce(u64)) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.at.is_some_and(|at| now.saturating_duration_since(at) < QUIET) {
            said.held_back += 1;
            return;
        }
        said.at = Some(now);
        let held_back = std::mem::take(&mut said.held_back);
        drop(said);
        say(held_back);
    }
}

/// Starts logging for this process; a second call does nothing.
pub fn init() {
    let mut builder = Builder::from_env(Env::default().default_filter_or(DEFAULT_FILTER));
    if !std::io::stderr().is_terminal() {
        builder.format(|out, record| {
            let line = json_line(&out.timestamp_micros().to_string(), record);
            writeln!(out, "{line}")
        });
    }
    // A second logger in one process (tests) is no fault.
    let _ = builder.try_init();
}

fn json_line(time: &str, record: &Record<'_>) -> serde_json::Value {
    struct Members<'a>(&'a mut serde_json::Map<String, serde_json::Value>);
    impl<'kvs> VisitSource<'kvs> for Members<'_> {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
            let value = serde_json::to_value(&value).unwrap_or_else(|_odd| value.to_string().into());
            self.0.insert(key.to_string(), value);
            Ok(())
        }
    }
    let mut line = serde_json::Map::new();
    line.insert("time".into(), time.into());
    line.insert("level".into(), record.level().as_str().to_ascii_lowercase().into());
    line.insert("target".into(), record.target().into());
    line.insert("message".into(), record.args().to_string().into());
    if let Ok(id) = REQUEST_ID.try_with(String::clone) {
        line.insert("request_id".into(), id.into());
    }
    // Visiting a map cannot fail: `visit_pair` never does.
    let _ = record.key_values().visit(&mut Members(&mut line));
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_thing_is_said_once_in_half_a_minute() {
        let (seldom, start) = (Seldom::new(), Instant::now());
        let said = |secs: u64| {
            let mut said = None;
            seldom.say_at(start + Duration::from_secs(secs), |held_back| said = Some(held_back));
            said
        };
        assert_eq!([0, 1, 29, 30, 31, 90].map(said), [Some(0), None, None, Some(2), None, Some(1)]);
    }

    #[test]
    fn a_line_holds_message_values_and_request_id() {
        let values = [("stream_id", 7)];
        let line = REQUEST_ID.sync_scope("req-1".into(), || {
            let record = Record::builder()
                .level(log::Level::Warn)
                .target("streams")
                .args(format_args!("stream failed"))
                .key_values(&values)
                .build();
            json_line("T", &record)
        });
        let expected = serde_json::json!({"time": "T", "level": "warn", "target": "streams",
            "message": "stream failed", "request_id": "req-1", "stream_id": 7});
        assert_eq!(line, expected);
    }
}
