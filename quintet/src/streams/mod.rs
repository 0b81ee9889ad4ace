//! `quintet streams`: list, show, reset, delete, match, tail.

mod change;
mod flags;
mod list;
mod matching;
mod tail;

pub(crate) use flags::StreamsCommand;

/// Where the gateway has the streams.
const PATH: &str = "/v1/streams";

/// Runs one of the commands.
pub(crate) async fn run(command: StreamsCommand) -> anyhow::Result<()> {
    match command {
        StreamsCommand::List(flags) => list::list(flags).await,
        StreamsCommand::Show { id, server, format } => list::show(id, server, format).await,
        StreamsCommand::Reset { which, server, format } => change::reset(which, server, format).await,
        StreamsCommand::Delete { ids, server, format } => change::delete(&ids, server, format).await,
        StreamsCommand::Match(flags) => matching::match_event(flags).await,
        StreamsCommand::Tail(flags) => tail::tail(flags).await,
    }
}
