//! Messages to the listeners of a run, encoded once for all of them.

use crate::wire::{Format, to_msgpack};
use actix_web::web::Bytes;
use bytestring::ByteString;
use serde_json::Value;
use std::sync::OnceLock;

/// What a run tells its listeners.
#[derive(Debug)]
pub enum Message {
    /// Figures since the last message: `{key: {"low-high": count}}`.
    Figures(Encoded),
    /// Lines that the script has printed, and events that were lost: `{"lines": […], "lost": n}`. Only for listeners
    /// who asked: the original did not have it.
    Output(Encoded),
    /// The run is over.
    End(Ending),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The script came to its own end on every server.
    Finished,
    /// No server took the script; the tracer's text.
    Refused(String),
    /// No server took the script, for want of a tracer; what is missing.
    NoTracer(String),
    /// Every server has failed too often; the last text.
    Failed(String),
    /// Nobody listened any more, or the service stops.
    Stopped,
    /// The audit log could not be written, so nothing was run.
    Unavailable(String),
}

impl Ending {
    /// One word for the log.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Refused(_) | Self::NoTracer(_) => "refused",
            Self::Failed(_) => "failed",
            Self::Stopped => "stopped",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

/// A value in JSON, and in msgpack or as an event once somebody wants it.
#[derive(Debug)]
pub struct Encoded {
    json: ByteString,
    msgpack: OnceLock<Bytes>,
    event: OnceLock<Bytes>,
}

impl Encoded {
    /// Encodes `value`.
    #[must_use]
    pub fn new(value: &Value) -> Self {
        Self { json: value.to_string().into(), msgpack: OnceLock::new(), event: OnceLock::new() }
    }

    /// The JSON text, without line breaks.
    #[must_use]
    pub fn json(&self) -> &ByteString {
        &self.json
    }

    /// What `frame` makes of the JSON text, made once for all who listen to events.
    pub fn event(&self, frame: impl FnOnce(&str) -> Bytes) -> Bytes {
        self.event.get_or_init(|| frame(&self.json)).clone()
    }

    /// The bytes in either form.
    #[must_use]
    pub fn bytes(&self, format: Format) -> Bytes {
        match format {
            Format::Json => self.json.as_bytes().clone(),
            Format::Msgpack => {
                let encode = || {
                    let value: Value = serde_json::from_str(&self.json).unwrap_or_default();
                    Bytes::from(to_msgpack(&value))
                };
                self.msgpack.get_or_init(encode).clone()
            }
        }
    }
}
