//! The command line: commands, flags and the help that teaches them.

use crate::annotate::AnnotateFlags;
use crate::audit::AuditCommand;
use crate::dtrace::DtraceCommand;
use crate::oauth_client::ClientCommand;
use crate::product::target_names;
use crate::role::RoleCommand;
use crate::streams::StreamsCommand;
use crate::user::UserCommand;
use clap::builder::PossibleValuesParser;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

/// Five telemetry APIs behind one gateway: StackTach streams and events, Panko events, Snap tasks and tribe,
/// FiFo DTrace scripts, Bosun annotations.
#[derive(Debug, Parser)]
#[command(name = "quintet", version, after_help = FIRST_STEPS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const FIRST_STEPS: &str = "\
First steps:
  quintet demo                           start with sample data, and see what there is
  quintet                                start everything on SQLite under ./data
  quintet events import FILE.ndjson.gz   load notifications or events
  quintet events list --limit 5          see the last that were stored
  quintet events tail                    watch new ones arrive
  quintet annotate web 2.7 goes out      note what happens
  quintet dtrace run 'cpu samples'       trace, with a histogram that grows
  quintet streams list --state error     see which streams failed
  quintet user create ada --role reader  let somebody in (secure mode)
  quintet config print                   every setting with its value";

const DEMO_HELP: &str = "\
Its data is kept in ./demo-data (or --data-dir), with the definitions, triggers and pipelines in example/: change them there,
then `curl -X POST http://127.0.0.1:8080/v1/streams/reload`. Starting it again changes nothing that is there.
With --url the samples go to a gateway that runs; its own triggers decide what becomes of them.";

/// The command line, each command with the usage that its help shows. In the usage of a refusal clap would take
/// whatever `QUINTET_URL` and `QUINTET_TOKEN` have set for required.
pub(crate) fn command() -> clap::Command {
    let mut all = Cli::command();
    all.build();
    with_usage(all)
}

fn with_usage(mut command: clap::Command) -> clap::Command {
    let usage = command.render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    command.override_usage(usage).mut_subcommands(with_usage)
}

/// Where settings come from. They are read from quintet.toml, then QUINTET_* variables, then flags.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Settings file; quintet.toml in this folder is read when it exists
    #[arg(long, global = true, env = "QUINTET_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of SQLite files and secrets
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the gateway and the services (also without any command)
    Serve(Box<ServeFlags>),
    /// Start everything with sample notifications, triggers and pipelines, so that every list shows something
    #[command(after_help = DEMO_HELP)]
    Demo(DemoFlags),
    /// Tell several processes the time of a replay: POST /time sets it, GET /time tells it
    #[command(after_help = "\
Its address is the time_sync_endpoint of their winchester.yaml. Processes that share one database need none: they take
`time_sync_endpoint: internal`.")]
    Clock {
        /// Address to listen on
        #[arg(long, default_value = "127.0.0.1:8099", value_name = "ADDRESS")]
        listen: String,
    },
    /// Check or show the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Bring all tables up to date, then end
    Migrate {
        #[command(flatten)]
        format: Format,
    },
    /// Ask a running gateway how its services are, or one process how it is; ends with 1 when one is not ready
    Health(HealthFlags),
    /// List, read, load and watch events
    #[command(subcommand)]
    Events(EventsCommand),
    /// Note what happens, as with Bosun's annotate; list, search and delete what was noted
    Annotate(Box<AnnotateFlags>),
    /// Keep DTrace and bpftrace scripts, and run them with a live histogram
    #[command(subcommand)]
    Dtrace(Box<DtraceCommand>),
    /// List, watch, reset and delete streams; try triggers on an event
    #[command(subcommand)]
    Streams(StreamsCommand),
    /// Make and remove users; grant and revoke what they may do
    #[command(subcommand)]
    User(Box<UserCommand>),
    /// Make and remove roles: permissions that users share
    #[command(subcommand)]
    Role(RoleCommand),
    /// Make and remove OAuth 2 clients: programs with a secret, or with users of their own
    #[command(subcommand)]
    Client(Box<ClientCommand>),
    /// Make, list and revoke API tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// See what was done to users, permissions and tokens; verify that nobody has changed the log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Print a completion script, for instance `quintet completions bash`
    Completions {
        /// The shell it is for
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; it is shown once, here
    Create {
        /// What it is for
        name: String,
        /// Role that its bearer has; may be given several times
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// FiFo permission that its bearer has, for instance 'cloud->events->list'; may be given several times
        #[arg(long = "permission", value_name = "PATTERN")]
        permissions: Vec<String>,
        /// OpenStack user id of its bearer
        #[arg(long, value_name = "ID")]
        user_id: Option<String>,
        /// OpenStack project id of its bearer
        #[arg(long, value_name = "ID")]
        project_id: Option<String>,
        /// Seconds after which it ends
        #[arg(long, value_name = "SECONDS")]
        expires_in_secs: Option<u64>,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
    /// List tokens, without the tokens themselves
    List {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
    /// End a token within a second
    Revoke {
        /// Id of the token
        id: String,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
}

/// What `serve` starts, and where.
#[derive(Debug, Default, Args)]
pub(crate) struct ServeFlags {
    /// What to start in this process, with commas between
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "all", value_parser = targets())]
    pub(crate) target: Vec<String>,
    /// Address of the gateway's main listener
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Listen on the original ports of 127.0.0.1 too, one for each API: 8000, 8977, 8181, 8070, 8087; other addresses:
    /// settings gateway.compat
    #[arg(long)]
    pub(crate) compat: bool,
}

/// Where the samples go.
#[derive(Debug, Args)]
pub(crate) struct DemoFlags {
    /// Address of the gateway that the demo starts
    #[arg(long, value_name = "ADDRESS", conflicts_with = "url")]
    pub(crate) listen: Option<String>,
    /// A gateway that runs already; then none is started
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// API token; not needed while the gateway is open
    #[arg(long, env = "QUINTET_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read all settings and the files they name; says what is wrong and where
    Check {
        #[command(flatten)]
        format: Format,
    },
    /// Show every setting with its value, secrets masked, and the names of those that are unset
    #[command(after_help = "With --output table it is TOML, as quintet.toml has it.")]
    Print {
        #[command(flatten)]
        format: Format,
    },
    /// Print the reference of all settings in Markdown
    Reference,
}

/// Which gateway to ask, and as whom.
#[derive(Debug, Clone, Args)]
pub(crate) struct Server {
    /// Address of the gateway
    #[arg(long, env = "QUINTET_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub(crate) url: String,
    /// API token; not needed while the gateway is open
    #[arg(long, env = "QUINTET_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
}

/// How answers are shown.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Format {
    /// A table for people, or JSON for programs
    #[arg(long, short, value_enum, default_value = "table")]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Columns for people
    Table,
    /// JSON for programs
    Json,
}

/// What `serve` starts.
fn targets() -> PossibleValuesParser {
    ["all"].into_iter().chain(target_names()).into()
}

#[derive(Debug, Args)]
pub(crate) struct HealthFlags {
    /// Ask only the gateway or the service that these settings start on this machine; without this, the gateway at --url
    /// tells how everything is
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(target_names()))]
    pub(crate) target: Option<String>,
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// List events in the order in which they were stored, the last first
    #[command(
        after_help = "Example: quintet events list --type compute.instance.exists --trait tenant_id:42 --limit 5"
    )]
    List(ListFlags),
    /// Show one event with all its traits
    Get {
        /// Message id of the event
        message_id: String,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
    /// Load notifications or events from NDJSON, plain or gzip; loading twice changes nothing
    #[command(after_help = "\
A line is a notification (with payload) or an event (with generated and traits); both kinds may be mixed.
An interrupted import goes on where it stopped: its place is kept in FILE.import until the end.

Ends with 0 when every line was taken, with 3 when everything was sent and some lines were not taken (see
`quintet events dead-letters list`), with 1 when it stopped before the end.")]
    Import(ImportFlags),
    /// Print events as they are stored, until interrupted
    Tail(TailFlags),
    /// Messages that could not be used: see why, try again, or drop them
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
}

#[derive(Debug, Args)]
pub(crate) struct ListFlags {
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event_type: Option<String>,
    /// Only events after this time (ISO 8601, UTC unless it says otherwise)
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Only events up to this time
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// Only events with this trait; may be given several times
    #[arg(long = "trait", value_name = "NAME:VALUE")]
    pub(crate) traits: Vec<String>,
    /// Most events to show
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ImportFlags {
    /// NDJSON file, plain or gzip; - reads standard input
    pub(crate) file: PathBuf,
    /// Lines in one request
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) batch: u16,
    /// Start at the first line even when an earlier import was interrupted
    #[arg(long)]
    pub(crate) restart: bool,
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct TailFlags {
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event_type: Option<String>,
    /// Only events with this trait; may be given several times
    #[arg(long = "trait", value_name = "NAME:VALUE")]
    pub(crate) traits: Vec<String>,
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List them, oldest first
    List {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
    /// Show one with its message
    Show {
        /// Number of the letter
        id: i64,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
    /// Try messages again, for instance after mending the definitions
    Replay {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
    /// Remove messages for good
    Drop {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        format: Format,
    },
}

/// One letter or all.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// Number of the letter
    pub(crate) id: Option<i64>,
    /// All letters that are there
    #[arg(long)]
    pub(crate) all: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands below this one, with the words that lead there.
    fn commands(command: &clap::Command, words: &str) -> Vec<(String, clap::Command)> {
        let below = command.get_subcommands().filter(|one| one.get_name() != "help");
        below
            .flat_map(|one| {
                let words = format!("{words} {}", one.get_name());
                std::iter::once((words.clone(), one.clone())).chain(commands(one, &words))
            })
            .collect()
    }

    #[test]
    fn every_command_that_asks_a_gateway_has_both_forms_of_output() {
        let has = |command: &clap::Command, name: &str| {
            command.get_arguments().any(|argument| argument.get_long() == Some(name))
        };
        let all = commands(&command(), "quintet");
        let asking: Vec<_> = all.iter().filter(|(_, one)| has(one, "token")).collect();
        let without = asking.iter().filter(|(_, one)| !has(one, "output"));
        let without: Vec<&str> = without.map(|(words, _)| words.as_str()).collect();
        // The demo is a start, and an annotation is printed as Bosun's tool prints it, which is JSON.
        assert_eq!(without, ["quintet demo", "quintet annotate"]);
        assert!(asking.len() > 50, "{}", asking.len());
    }

    #[test]
    fn an_unknown_target_is_a_mistake_of_the_command_line() {
        for (name, given, expected) in [
            ("serve", "events,zz", "[possible values: all, gateway, events, streams, annotate, dtrace]"),
            ("health", "zz", "[possible values: gateway, events, streams, annotate, dtrace]"),
            // Where the services of one process listen, only that process knows: its gateway tells how they are.
            ("health", "all", "[possible values: gateway, events, streams, annotate, dtrace]"),
        ] {
            let words = ["quintet", name, "--target", given];
            let refused = command().try_get_matches_from(words).unwrap_err();
            let text = refused.to_string();
            assert_eq!(refused.exit_code(), 2, "{text}");
            assert!(text.contains("for '--target <NAME") && text.contains(expected), "{text}");
        }
        assert!(command().try_get_matches_from(["quintet", "serve", "--target", "all,gateway"]).is_ok());
    }

    #[test]
    fn the_usage_of_a_refusal_has_no_more_than_the_command_needs() {
        for (words, expected) in [
            (&["quintet", "events", "get"][..], "Usage: quintet events get [OPTIONS] <MESSAGE_ID>\n"),
            (&["quintet", "annotate"], "Usage: quintet annotate [OPTIONS] <MESSAGE>...\n"),
        ] {
            let given = [words, &["--token", "t"]].concat();
            let refused = command().try_get_matches_from(given).unwrap_err().to_string();
            assert!(refused.contains(expected) && !refused.contains("--token"), "{refused}");
        }
    }
}
