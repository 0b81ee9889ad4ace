//! `quintet events`: list, get, import, tail, dead-letters.

mod dead_letters;
pub(crate) mod import;
mod list;
mod tail;

pub(crate) use list::{columns, find};

use crate::cli::EventsCommand;
use std::process::ExitCode;

/// Runs one of the commands.
pub(crate) async fn run(command: EventsCommand) -> anyhow::Result<ExitCode> {
    match command {
        EventsCommand::List(flags) => list::list(flags).await?,
        EventsCommand::Get { message_id, server, format } => list::get(&message_id, server, format).await?,
        EventsCommand::Import(flags) => return import::import(flags).await,
        EventsCommand::Tail(flags) => tail::tail(flags).await?,
        EventsCommand::DeadLetters(command) => dead_letters::run(command).await?,
    }
    Ok(ExitCode::SUCCESS)
}
