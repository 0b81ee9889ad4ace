//! Logs: readable lines on a terminal, one JSON object a line anywhere else; `RUST_LOG` chooses, default `info`.

use env_logger::{Builder, Env};
use log::Record;
use log::kv::{Error, Key, Value, VisitSource};
use std::io::{IsTerminal, Write};

tokio::task_local! {
    /// Id of the request that the running task answers.
    pub static REQUEST_ID: String;
}

/// What is logged when `RUST_LOG` says nothing. The AMQP client's own lines tell again, as errors, what the service
/// reports and mends.
const DEFAULT_FILTER: &str = "info,actix_server=warn,lapin=off,tracing::span=off";

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
