//! What runs scripts: this machine with its tracers, and others. An executor knows nothing of listeners, users or the store.
//!
//! | file | what |
//! |---|---|
//! | `process` | a tracer as a process group of its own, within limits |
//! | `installed` | a tracer that is a program of this machine |
//! | `bpftrace`, `dtrace` | the two there are: what completes their scripts, and reads their output |
//! | `simulated` | figures made from a seed, for tests and for trying things out |
//! | `remote` | the same service on another machine |
//! | `local` | this machine's tracers behind one door |

mod bpftrace;
mod dtrace;
mod installed;
mod local;
mod process;
mod remote;
mod simulated;

pub use bpftrace::bpftrace;
pub use dtrace::dtrace;
pub use installed::Installed;
pub use local::Local;
pub use remote::{Remote, SUBJECT};
pub use simulated::Simulated;

use crate::script::{Dialect, Excess, Kind};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::DropGuard;

/// A server of a run.
pub trait Executor: Send + Sync {
    /// Starts a run; comes back when the tracer traces, or says why it does not.
    fn start(&self, job: Job) -> BoxFuture<'_, Result<Tracing, Diagnostic>>;
}

/// A tracer of this machine.
pub trait Tracer: Executor {
    /// `bpftrace`, `dtrace` or `simulated`.
    fn name(&self) -> &'static str;

    /// Whether it is there and may trace.
    fn probe(&self) -> BoxFuture<'_, Capability>;

    /// Compiles a script without running it.
    fn check<'a>(&'a self, script: &'a str) -> BoxFuture<'a, Result<(), Diagnostic>>;
}

/// A script to run, filled in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Job {
    /// The text.
    pub script: String,
    /// Its language.
    pub dialect: Dialect,
    /// Milliseconds between two prints of the aggregations.
    pub interval_millis: u64,
    /// For whom, for the audit log.
    pub subject: String,
}

/// What a tracer can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// Which tracer.
    pub tracer: &'static str,
    /// What it says of itself.
    pub version: String,
    /// Why it cannot trace; `None` when it can.
    pub hindrance: Option<String>,
}

impl Capability {
    /// The tracer with its version, or with what hinders it.
    #[must_use]
    pub fn described(&self) -> String {
        let Self { tracer, version, hindrance } = self;
        match hindrance {
            Some(hindrance) => format!("{tracer}: {hindrance}"),
            // bpftrace and DTrace name themselves before their number.
            None if version.starts_with(tracer) => version.clone(),
            None => format!("{tracer} {version}").trim_end().to_owned(),
        }
    }
}

/// Why a tracer refuses a script: its own words, and the place they name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, thiserror::Error)]
#[error("{text}")]
pub struct Diagnostic {
    /// What the tracer said.
    pub text: String,
    /// Line of the script, from 1.
    pub line: Option<u32>,
    /// Column, from 1.
    pub column: Option<u32>,
    /// It is not about the script: the tracer could not be reached, and may be later.
    #[serde(default)]
    pub is_temporary: bool,
    /// It is not about the script: this machine has no tracer that could say anything about it.
    #[serde(default)]
    pub is_without_tracer: bool,
}

impl Diagnostic {
    /// A refusal without a place.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), line: None, column: None, is_temporary: false, is_without_tracer: false }
    }

    /// No tracer that could be asked.
    #[must_use]
    pub fn without_tracer(text: impl Into<String>) -> Self {
        Self { is_without_tracer: true, ..Self::new(text) }
    }

    /// A tracer out of reach.
    #[must_use]
    pub fn temporary(text: impl Into<String>) -> Self {
        Self { is_temporary: true, ..Self::new(text) }
    }
}

impl From<Excess> for Diagnostic {
    fn from(excess: Excess) -> Self {
        Self::new(excess.to_string())
    }
}

/// What a tracer tells.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// It traces.
    Started,
    /// Figures of one aggregation since its last print.
    Sample(Sample),
    /// Text that the script prints.
    Line(String),
    /// Events that were lost on the way.
    Lost(u64),
    /// All aggregations have been printed: a tick is over.
    Tick,
    /// It has ended; nothing follows.
    Exit(Exit),
}

impl Event {
    /// The event, of which a printed line is no longer than [`MAX_LINE`].
    #[must_use]
    pub(crate) fn cut(mut self) -> Self {
        if let Self::Line(line) = &mut self {
            line.truncate(line.floor_char_boundary(MAX_LINE));
        }
        self
    }
}

/// Figures of one aggregation and one combination of keys.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Sample {
    /// The aggregation, with its `@`.
    pub name: String,
    /// Its keys.
    pub keys: Vec<String>,
    /// The figures.
    pub reading: Reading,
}

/// Figures, by the way they go together.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reading {
    /// Adds up, or is the least, the greatest, the mean: as the kind says.
    Number(Kind, i64),
    /// Count and total, which add up.
    Stats(i64, i64),
    /// A histogram.
    Buckets(Vec<Bucket>),
    /// A word; the last one counts.
    Word(String),
}

/// How many values lay between two bounds, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Bucket {
    /// Least value; `i64::MIN` when the bucket takes everything below.
    pub low: i64,
    /// Greatest value; `i64::MAX` when the bucket takes everything above.
    pub high: i64,
    /// How many.
    pub count: u64,
}

/// How a tracer ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Exit {
    /// Its exit code; 128 and the signal's number when a signal ended it; `None` when it was never reached.
    pub code: Option<i32>,
    /// The end of what it wrote to standard error.
    pub stderr: String,
}

impl Exit {
    /// Whether the script came to its own end.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }
}

/// A run under way. Dropping it stops the tracer.
#[derive(Debug)]
pub struct Tracing {
    first: VecDeque<Event>,
    events: mpsc::Receiver<Event>,
    _stop: DropGuard,
}

/// Bytes of one printed line that are passed on.
pub const MAX_LINE: usize = 8192;

/// Longest event, as JSON, between services.
pub(crate) const MAX_EVENT: usize = 1 << 20;

/// Events that may wait between a tracer and whoever reads it; then the tracer waits.
const EVENTS: usize = 1024;

impl Tracing {
    fn new(events: mpsc::Receiver<Event>, stop: DropGuard) -> Self {
        Self { first: VecDeque::new(), events, _stop: stop }
    }

    /// The next event; `None` when the tracer is gone.
    pub async fn next(&mut self) -> Option<Event> {
        match self.first.pop_front() {
            Some(event) => Some(event),
            None => self.events.recv().await,
        }
    }

    /// Waits until the tracer traces. An end before that is a refusal of the script.
    async fn started(
        mut self,
        timeout: Duration,
        refusal: impl Fn(&Exit) -> Diagnostic,
    ) -> Result<Self, Diagnostic> {
        match tokio::time::timeout(timeout, self.events.recv()).await {
            Ok(Some(Event::Exit(exit))) => Err(refusal(&exit)),
            Ok(Some(event)) => {
                self.first.push_back(event);
                Ok(self)
            }
            Ok(None) => Err(Diagnostic::new("the tracer ended without a word")),
            Err(_elapsed) => {
                Err(Diagnostic::temporary(format!("the tracer did not start within {} s", timeout.as_secs())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracer_is_named_once() {
        let described = |tracer, version: &str, hindrance: Option<&str>| {
            let hindrance = hindrance.map(str::to_owned);
            Capability { tracer, version: version.to_owned(), hindrance }.described()
        };
        assert_eq!(described("bpftrace", "bpftrace v0.17.0", None), "bpftrace v0.17.0");
        assert_eq!(described("dtrace", "dtrace: Sun D 1.13", None), "dtrace: Sun D 1.13");
        assert_eq!(described("simulated", "", None), "simulated");
        assert_eq!(described("other", "1.0", None), "other 1.0");
        assert_eq!(described("bpftrace", "bpftrace v0.17.0", Some("no rights")), "bpftrace: no rights");
    }
}
