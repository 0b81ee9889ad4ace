//! `quintet audit`: what was done to users, permissions and tokens, and whether the log of it is whole.

use crate::cli::{Format, OutputFormat, Server};
use crate::client::Client;
use crate::output::{Rows, plain, print_json, print_line};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Each record's hash covers the record before it, so what was changed, removed or put in between shows. That the log was
cut off at its end shows only against an end that was noted elsewhere: keep what verify prints, and give it back.

  quintet audit verify
  quintet audit verify --head 1042:9pXk…")]
pub(crate) enum AuditCommand {
    /// List records, oldest first; without --after the newest
    List(ListFlags),
    /// Compute every hash anew; ends with 1 when the log is not whole
    Verify(VerifyFlags),
}

#[derive(Debug, Args)]
pub(crate) struct ListFlags {
    /// Only records after the one with this number
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// Most records to show
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyFlags {
    /// An end of the log that was printed earlier, which must still be in it
    #[arg(long, value_name = "NUMBER:HASH")]
    head: Option<String>,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    format: Format,
}

/// Runs one of the commands.
pub(crate) async fn run(command: AuditCommand) -> anyhow::Result<ExitCode> {
    match command {
        AuditCommand::List(flags) => list(flags).await.map(|()| ExitCode::SUCCESS),
        AuditCommand::Verify(flags) => verify(flags).await,
    }
}

async fn list(flags: ListFlags) -> anyhow::Result<()> {
    let mut query = vec![("limit", flags.limit.to_string())];
    query.extend(flags.after.map(|after| ("after", after.to_string())));
    let page = Client::new(flags.server)?.get("/admin/audit", &query).await?;
    let records = page.get("records").cloned().unwrap_or_default();
    match flags.format.output {
        OutputFormat::Json => print_json(&records),
        OutputFormat::Table => {
            let names = ["seq", "at", "actor", "address", "action", "target", "detail"];
            let mut rows = Rows::new(&names);
            for record in records.as_array().into_iter().flatten() {
                let text = |name: &&str| {
                    let text = record.get(*name).map(plain).unwrap_or_default();
                    if *name == "actor" { shortened(text) } else { text }
                };
                rows.push(names.iter().map(text).collect());
            }
            rows.print();
        }
    }
    Ok(())
}

/// An actor with the beginning of its id alone, as people tell ids apart: `user:ada#5f0c1a52`.
fn shortened(actor: String) -> String {
    match actor.rsplit_once('#') {
        Some((label, id)) if uuid::Uuid::try_parse(id).is_ok() => {
            format!("{label}#{}", id.split('-').next().unwrap_or(id))
        }
        Some(_) | None => actor,
    }
}

async fn verify(flags: VerifyFlags) -> anyhow::Result<ExitCode> {
    let query: Vec<(&str, String)> = flags.head.map(|head| ("head", head)).into_iter().collect();
    let verdict = Client::new(flags.server)?.get("/admin/audit/verify", &query).await?;
    let is_intact = verdict.get("is_intact").and_then(Value::as_bool).unwrap_or(false);
    let text = |pointer: &str| verdict.pointer(pointer).map(plain).unwrap_or_default();
    match flags.format.output {
        OutputFormat::Json => print_json(&verdict),
        OutputFormat::Table if is_intact => {
            let (records, seq, hash) = (text("/records"), text("/head/seq"), text("/head/hash"));
            let end = if seq == "0" { String::new() } else { format!(", the last one {seq}:{hash}") };
            print_line(&format!("the log is whole: {records} records{end}"));
        }
        OutputFormat::Table => drop(print_line(&format!("the log is NOT whole: {}", text("/fault")))),
    }
    Ok(if is_intact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_are_told_apart_by_the_beginning_of_their_ids() {
        for (actor, shown) in [
            ("user:ada#5f0c1a52-6b1e-4f0a-8f3c-000000000001", "user:ada#5f0c1a52"),
            ("token:a#b#5f0c1a52-6b1e-4f0a-8f3c-000000000001", "token:a#b#5f0c1a52"),
            ("proxy:u#1", "proxy:u#1"),
            ("settings", "settings"),
        ] {
            assert_eq!(shortened(actor.to_owned()), shown);
        }
    }
}
