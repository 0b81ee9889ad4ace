//! The commands of `quintet streams` and their flags.

use crate::cli::{Format, Server};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use streams_svc::engine::State;

#[derive(Debug, Subcommand)]
pub(crate) enum StreamsCommand {
    /// List streams, newest first
    #[command(after_help = "\
Examples:
  quintet streams list --state error
  quintet streams list --trigger daily_usage --trait instance_id:86def971-f2a2-4b1d-b379-fca1b0ddf0d7")]
    List(ListFlags),
    /// Show one stream with its events and what became of it
    Show {
        /// Number of the stream
        id: u64,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
    /// Let failed streams try again: `error` becomes `retry_fire`, `expire_error` becomes `retry_expire`
    #[command(after_help = "\
The pipeline runs once more over all events of the stream. Streams in any other state are left alone.
Why a stream failed: quintet streams show ID")]
    Reset {
        #[command(flatten)]
        which: Failed,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
    /// Delete streams, whatever their state; their events stay
    Delete {
        /// Numbers of the streams
        #[arg(required = true, value_name = "ID")]
        ids: Vec<u64>,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
    /// Say which triggers would take an event, into which stream, and why the others would not; stores nothing
    #[command(after_help = "\
Examples:
  quintet streams match --event 9156b83e-f684-4ec3-8f94-7e41902f27aa     an event that is stored
  quintet streams match event.json                                       an event as /v1/events shows it
  echo '{\"event_type\":\"compute.instance.update\",\"instance_id\":\"i1\"}' | quintet streams match -")]
    Match(MatchFlags),
    /// Print changes of streams as they happen, until interrupted
    #[command(after_help = "\
A broken connection is made again, and goes on after the last change that was seen.")]
    Tail(TailFlags),
}

#[derive(Debug, Args)]
pub(crate) struct ListFlags {
    /// Only streams in this state
    #[arg(long, value_name = "STATE", value_parser = states(&[]), ignore_case = true)]
    pub(crate) state: Option<String>,
    /// Only streams of this trigger
    #[arg(long, value_name = "NAME")]
    pub(crate) trigger: Option<String>,
    /// Only streams with this distinguishing trait; may be given several times
    #[arg(long = "trait", value_name = "NAME:VALUE")]
    pub(crate) traits: Vec<String>,
    /// Only streams whose first event was before this time (ISO 8601, UTC unless it says otherwise)
    #[arg(long, value_name = "TIME")]
    pub(crate) older_than: Option<String>,
    /// Only streams whose last event was after this time
    #[arg(long, value_name = "TIME")]
    pub(crate) younger_than: Option<String>,
    /// Most streams to show
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) format: Format,
}

/// Some streams, or all that failed.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Failed {
    /// Numbers of the streams
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<u64>,
    /// All streams in `error` and `expire_error`
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MatchFlags {
    #[command(flatten)]
    pub(crate) which: Asked,
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) format: Format,
}

/// The event to try.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Asked {
    /// JSON file with an event; - reads standard input
    pub(crate) file: Option<PathBuf>,
    /// Message id of a stored event
    #[arg(long, value_name = "MESSAGE_ID")]
    pub(crate) event: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TailFlags {
    /// Only streams of this trigger
    #[arg(long, value_name = "NAME")]
    pub(crate) trigger: Option<String>,
    /// Only changes to this state, for instance error
    #[arg(long, value_name = "STATE", value_parser = states(&["deleted"]), ignore_case = true)]
    pub(crate) state: Option<String>,
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) format: Format,
}

/// The words of the API for the states of a stream, and further ones.
fn states(further: &[&'static str]) -> PossibleValuesParser {
    PossibleValuesParser::new(State::ALL.map(State::word).iter().chain(further).copied())
}
