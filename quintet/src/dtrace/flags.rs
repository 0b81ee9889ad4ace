//! The flags of `quintet dtrace`.

use crate::cli::{Format, OutputFormat, Server};
use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use std::path::PathBuf;

const RUN_EXAMPLES: &str = "\
Examples:
  quintet dtrace run 'cpu samples' --var rate=99
  quintet dtrace run 'malloc sizes' --pid 4711 --ticks 10
  quintet dtrace run --file my.bt --var start=0 --var end=1000 --var step=50
  quintet dtrace run b7c658e0-2ddb-46dd-8973-4a59ffc9957e -o json | jq .

SCRIPT is the id or the name of a stored script, or the name of one of the catalogue's.
Ctrl-C ends the run and leaves the figures on the screen.";

#[derive(Debug, Subcommand)]
pub(crate) enum DtraceCommand {
    /// List scripts by name
    List {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
    /// Show one script
    Get {
        /// Id or name
        script: String,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
    /// Store a script; its id is printed
    Create(CreateFlags),
    /// Change a script's name, text or variables
    Edit(EditFlags),
    /// Delete scripts
    Delete {
        /// Ids or names
        #[arg(required = true)]
        scripts: Vec<String>,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
    /// Show, set and remove what is noted about a script
    #[command(subcommand)]
    Metadata(MetadataCommand),
    /// List the ready scripts, which can be run by their names
    Catalogue {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
    /// Run a script and show its figures as they grow
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunFlags),
    /// List the last runs of a script: who, when, how they ended
    Runs {
        /// Id or name
        script: String,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
    /// Show a recorded run again
    Replay(ReplayFlags),
}

#[derive(Debug, Args)]
pub(crate) struct CreateFlags {
    /// Name of the script
    pub(super) name: String,
    /// File with its text; - reads standard input
    pub(super) file: PathBuf,
    /// Value of a variable, `$name$` in the text; may be given several times
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub(super) variables: Vec<(String, Value)>,
    /// Store it only when the gateway's tracer takes it
    #[arg(long)]
    pub(super) check: bool,
    #[command(flatten)]
    pub(super) server: Server,
    #[command(flatten)]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
#[group(id = "change", required = true, multiple = true, args = ["name", "file", "variables"])]
pub(crate) struct EditFlags {
    /// Id or name of the script
    pub(super) script: String,
    /// New name
    #[arg(long)]
    pub(super) name: Option<String>,
    /// File with the new text; - reads standard input
    #[arg(long)]
    pub(super) file: Option<PathBuf>,
    /// Value of a variable; these take the place of all stored ones
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub(super) variables: Vec<(String, Value)>,
    #[command(flatten)]
    pub(super) server: Server,
    #[command(flatten)]
    pub(super) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MetadataCommand {
    /// Show it
    Get {
        /// Id or name of the script
        script: String,
        #[command(flatten)]
        server: Server,
        /// A table for people, or JSON for programs
        #[arg(long, short, value_enum, default_value = "json")]
        output: OutputFormat,
    },
    /// Set the members of an object below a path of keys
    Set {
        /// Id or name of the script
        script: String,
        /// The keys that lead there, then a JSON object
        #[arg(required = true, num_args = 1.., value_name = "KEYS… JSON")]
        keys_and_value: Vec<String>,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
    /// Remove what is at a path of keys
    Delete {
        /// Id or name of the script
        script: String,
        /// The keys that lead there
        #[arg(required = true)]
        keys: Vec<String>,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunFlags {
    /// Id or name of a stored script, or name of a ready one
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub(super) script: Option<String>,
    /// Run the script of this file (- is standard input), and do not keep it
    #[arg(long, conflicts_with = "record")]
    pub(super) file: Option<PathBuf>,
    /// Value of a variable, over the stored one; may be given several times
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub(super) variables: Vec<(String, Value)>,
    /// Only what this process does, where the script has $filter$
    #[arg(long)]
    pub(super) pid: Option<u32>,
    /// Only what programs of this name do, where the script has $filter$
    #[arg(long)]
    pub(super) execname: Option<String>,
    /// Further conditions, for instance '{"or":[["arg",0,">",4096],["probe","read"]]}'
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub(super) filter: Option<Value>,
    /// Only on this server; may be given several times
    #[arg(long = "server-name", value_name = "NAME")]
    pub(super) servers: Vec<String>,
    /// End after so many messages
    #[arg(long, value_name = "N")]
    pub(super) ticks: Option<u64>,
    /// Keep the run, for `quintet dtrace replay`
    #[arg(long)]
    pub(super) record: bool,
    #[command(flatten)]
    pub(super) server: Server,
    #[command(flatten)]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayFlags {
    /// Id or name of the script
    pub(super) script: String,
    /// Id of the run
    pub(super) run: String,
    /// 1 for the pace it had, 10 for ten times that; 0 shows the end at once
    #[arg(long, default_value_t = 1)]
    pub(super) speed: u32,
    #[command(flatten)]
    pub(super) server: Server,
    #[command(flatten)]
    pub(super) format: Format,
}

/// `name=value`: the value is a number, `true`, `false`, or else a text.
fn variable(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let parsed =
        serde_json::from_str::<Value>(value).ok().filter(|value| value.is_number() || value.is_boolean());
    Ok((name.to_owned(), parsed.unwrap_or_else(|| value.into())))
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|cause| cause.to_string())
}

/// Variables as an object.
pub(super) fn object(variables: Vec<(String, Value)>) -> Map<String, Value> {
    variables.into_iter().collect()
}

impl RunFlags {
    /// The start message: what is not set is left to the stored script.
    pub(super) fn message(&self) -> Map<String, Value> {
        let mut message = Map::new();
        if !self.variables.is_empty() {
            message.insert("config".into(), object(self.variables.clone()).into());
        }
        if !self.servers.is_empty() {
            message.insert("servers".into(), self.servers.clone().into());
        }
        let mut filter: Vec<Value> = Vec::new();
        filter.extend(self.pid.map(|pid| serde_json::json!(["pid", pid])));
        filter.extend(self.execname.as_ref().map(|name| serde_json::json!(["execname", name])));
        match &self.filter {
            // A list of conditions, not one condition: all of them must hold.
            Some(Value::Array(all)) if !all.first().is_some_and(Value::is_string) => {
                filter.extend(all.clone());
            }
            other => filter.extend(other.clone()),
        }
        if !filter.is_empty() {
            message.insert("filter".into(), serde_json::json!({ "and": filter }));
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        flags: RunFlags,
    }

    fn message(line: &[&str]) -> Value {
        let line = ["run", "script"].into_iter().chain(line.iter().copied());
        <Line as clap::Parser>::try_parse_from(line)
            .unwrap_or_else(|cause| panic!("{cause}"))
            .flags
            .message()
            .into()
    }

    #[test]
    fn a_start_message_holds_what_the_flags_name_and_nothing_else() {
        assert_eq!(message(&[]), json!({}));
        let line = ["--var", "rate=99", "--server-name", "a", "--server-name", "b"];
        assert_eq!(message(&line), json!({"config": {"rate": 99}, "servers": ["a", "b"]}));
        let one = json!({"filter": {"and": [["pid", 7], ["execname", "sh"]]}});
        assert_eq!(message(&["--pid", "7", "--execname", "sh"]), one);
        assert_eq!(message(&["--pid", "7", "--filter", r#"["execname","sh"]"#]), one);
        assert_eq!(message(&["--filter", r#"[["pid",7],["execname","sh"]]"#]), one);
        let nested = json!({"filter": {"and": [{"or": [["pid", 1], ["pid", 2]]}]}});
        assert_eq!(message(&["--filter", r#"{"or":[["pid",1],["pid",2]]}"#]), nested);
    }

    #[test]
    fn variables_are_numbers_truths_or_texts() {
        for (text, value) in [
            ("a=1", json!(1)),
            ("a=-1.5", json!(-1.5)),
            ("a=true", json!(true)),
            ("a=/lib/x.so=1", json!("/lib/x.so=1")),
            ("a=", json!("")),
            ("a=[1]", json!("[1]")),
            ("a=null", json!("null")),
        ] {
            assert_eq!(variable(text), Ok(("a".to_owned(), value)), "{text}");
        }
        assert!(variable("a").is_err());
    }
}
