//! The flags of `quintet annotate`.

use crate::cli::Format;
use clap::{ArgAction, Args, Subcommand};

const USAGE: &str = "\
quintet annotate [OPTIONS] <MESSAGE>...
       quintet annotate [OPTIONS] --in
       quintet annotate <COMMAND>";

const EXAMPLES: &str = "\
Examples:
  quintet annotate -owner sre -category deploy web 2.7 goes out
  quintet annotate -start -2h -end now -host web01 disk was full
  quintet annotate -id 78a59f94-76ed-42d2-9ed0-9c7b282c4e83 -owner sre the corrected text
  quintet annotate list -owner sre --limit 5
  quintet annotate search 'disk full'
  quintet annotate -- list of words that begins like a command

Flags may have one dash or two, and come before the message. Times are RFC 3339, seconds since 1970, `now`, `-2h`
(s m h d w), or what `date` prints. With one of -start and -end the annotation has no duration.";

/// An annotation, or one of the commands.
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    override_usage = USAGE,
    after_help = EXAMPLES
)]
pub(crate) struct AnnotateFlags {
    #[command(flatten)]
    pub(super) new: New,
    #[command(flatten)]
    pub(super) api: Api,
    #[command(subcommand)]
    pub(super) command: Option<AnnotateCommand>,
}

/// Where the API is, and who asks.
#[derive(Debug, Args)]
pub(super) struct Api {
    /// Root of the API: the gateway, or its /api as of Bosun
    #[arg(
        short = 'h',
        long = "api",
        env = "QUINTET_URL",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    pub(super) api: String,
    /// API token; not needed while the gateway is open
    #[arg(long, env = "QUINTET_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(super) token: Option<String>,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// The annotation to send.
#[derive(Debug, Args)]
pub(super) struct New {
    /// When it began; without it and -end: now
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) start: Option<String>,
    /// When it ended
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) end: Option<String>,
    /// The person [default: who runs it, before sudo too]
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,
    /// Id of the annotation to replace
    #[arg(long, value_name = "ID")]
    pub(super) id: Option<String>,
    /// The host; "" for none [default: this host's short name in lower case]
    #[arg(long, value_name = "NAME")]
    pub(super) host: Option<String>,
    /// The team
    #[arg(long, value_name = "NAME")]
    pub(super) owner: Option<String>,
    /// The kind of thing: deploy, outage, …
    #[arg(long, value_name = "KIND")]
    pub(super) category: Option<String>,
    /// A link
    #[arg(long, value_name = "LINK")]
    pub(super) url: Option<String>,
    /// Send the JSON of standard input instead
    #[arg(
        long = "in",
        conflicts_with_all = ["start", "end", "user", "id", "host", "owner", "category", "url", "message"]
    )]
    pub(super) is_from_input: bool,
    /// What happened
    #[arg(value_name = "MESSAGE", required_unless_present = "is_from_input")]
    pub(super) message: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum AnnotateCommand {
    /// List annotations that were active in a window, newest first
    #[command(disable_help_flag = true)]
    List(ListFlags),
    /// Find annotations by the words of their message, newest first
    #[command(disable_help_flag = true)]
    Search(SearchFlags),
    /// Delete annotations; their history stays
    #[command(disable_help_flag = true)]
    Delete {
        /// Ids of the annotations
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        format: Format,
        #[command(flatten)]
        api: Api,
    },
}

/// Which annotations to show.
#[derive(Debug, Args)]
pub(super) struct ListFlags {
    /// Begin of the window [default: a day ago; of a search: the beginning]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) start: Option<String>,
    /// End of the window [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) end: Option<String>,
    /// Only of this person
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,
    /// Only of this host
    #[arg(long, value_name = "NAME")]
    pub(super) host: Option<String>,
    /// Only of this team
    #[arg(long, value_name = "NAME")]
    pub(super) owner: Option<String>,
    /// Only of this kind
    #[arg(long, value_name = "KIND")]
    pub(super) category: Option<String>,
    /// Only of this system
    #[arg(long, value_name = "NAME")]
    pub(super) source: Option<String>,
    /// Only with this link
    #[arg(long, value_name = "LINK")]
    pub(super) url: Option<String>,
    /// Only what this expression says, for instance 'owner:sre AND ! user:empty'
    #[arg(long, value_name = "FILTER")]
    pub(super) filter: Option<String>,
    /// Most annotations to show
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(super) limit: usize,
    #[command(flatten)]
    pub(super) format: Format,
    #[command(flatten)]
    pub(super) api: Api,
}

/// Which words to look for.
#[derive(Debug, Args)]
pub(super) struct SearchFlags {
    /// All of these words; `deploy*` is a beginning, `"of web"` a phrase
    #[arg(required = true, value_name = "WORDS")]
    pub(super) words: Vec<String>,
    #[command(flatten)]
    pub(super) list: ListFlags,
}
