//! The one binary most people run: every service in one process, or one of them, and the command line.

mod annotate;
mod audit;
mod cli;
mod client;
mod config;
mod demo;
mod dtrace;
mod events;
mod health;
mod holder;
mod migrate;
mod oauth_client;
mod output;
mod product;
mod reference;
mod role;
mod serve;
mod sse;
mod streams;
#[cfg(test)]
mod tests;
mod token;
mod user;

use clap::{CommandFactory, FromArgMatches};
use cli::{Cli, Command};
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    shared::logging::init();
    let command = run(parsed(annotate::with_two_dashes(std::env::args_os())));
    let ended = shared::process::run(tokio::runtime::Builder::new_multi_thread(), command);
    match ended.map_err(anyhow::Error::from).flatten().and_then(|code| output::outcome().map(|()| code)) {
        Ok(code) => code,
        Err(error) => {
            output::say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The command line; one that is wrong ends the program with clap's words.
fn parsed(arguments: Vec<OsString>) -> Cli {
    let mut command = cli::command();
    let matches = command.try_get_matches_from_mut(arguments).unwrap_or_else(|error| error.exit());
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command.unwrap_or_else(|| Command::Serve(Box::default())) {
        Command::Serve(flags) => serve::serve(&cli.settings, &flags).await?,
        Command::Clock { listen } => serve::clock(&listen).await?,
        Command::Demo(flags) => demo::demo(&cli.settings, &flags).await?,
        Command::Config(command) => config::run(&cli.settings, &command)?,
        Command::Migrate { format } => migrate::migrate(&cli.settings, format.output)?,
        Command::Health(flags) => return health::health(&cli.settings, &flags).await,
        Command::Events(command) => return events::run(command).await,
        Command::Annotate(flags) => annotate::run(*flags).await?,
        Command::Dtrace(command) => dtrace::run(*command).await?,
        Command::Streams(command) => streams::run(command).await?,
        Command::User(command) => user::run(*command).await?,
        Command::Role(command) => role::run(command).await?,
        Command::Client(command) => oauth_client::run(*command).await?,
        Command::Token(command) => token::run(command).await?,
        Command::Audit(command) => return audit::run(command).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "quintet", &mut script);
            output::print_bytes(&script);
        }
    }
    Ok(ExitCode::SUCCESS)
}
