//! `quintet annotate`: the original's tool with its flags, and list, search, delete (annotate.md, section 9).

mod flags;
mod go;
mod list;
mod send;

pub(crate) use flags::AnnotateFlags;
pub(crate) use go::with_two_dashes;

use crate::cli::{Format, Server};
use crate::client::{Client, path};
use crate::output::print_done;
use annotate_svc::client::failure;
use anyhow::bail;
use chrono::{DateTime, Utc};
use flags::{AnnotateCommand, Api};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use shared::clock::{Clock, SystemClock};

/// Runs the command.
pub(crate) async fn run(flags: AnnotateFlags) -> anyhow::Result<()> {
    match flags.command {
        None => send::send(flags.new, flags.api).await,
        Some(AnnotateCommand::List(flags)) => list::list(flags).await,
        Some(AnnotateCommand::Search(flags)) => list::search(flags).await,
        Some(AnnotateCommand::Delete { ids, format, api }) => delete(&ids, format, api).await,
    }
}

async fn delete(ids: &[String], format: Format, api: Api) -> anyhow::Result<()> {
    let client = client(api)?;
    let mut deleted = Vec::new();
    let outcome = delete_each(&client, ids, &mut deleted).await;
    print_done(&json!({ "deleted": deleted }), format);
    outcome
}

async fn delete_each(client: &Client, ids: &[String], deleted: &mut Vec<String>) -> anyhow::Result<()> {
    for id in ids {
        ask(client, client.request(Method::DELETE, &path("/annotation", &[id])?)).await?;
        deleted.push(id.clone());
    }
    Ok(())
}

fn client(api: Api) -> anyhow::Result<Client> {
    Client::new(Server { url: api.api, token: api.token })
}

/// Sends a request; an error is one by its status, or by its words: servers of this API may answer it with 200.
async fn ask(client: &Client, request: RequestBuilder) -> anyhow::Result<Value> {
    let answer = client.send(request).await?;
    let (status, body) = (answer.status().as_u16(), answer.text().await?);
    if let Some(text) = failure(status, &body) {
        bail!("{text}");
    }
    if body.trim().is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&body)?) }
}

/// A time as people give it, in the form that is sent; empty when none is given.
fn time(text: Option<&str>) -> anyhow::Result<String> {
    let now: DateTime<Utc> = SystemClock.now();
    let read = text.map(|text| annotate_svc::client::parse_time(text, now).map_err(anyhow::Error::msg));
    Ok(read.transpose()?.unwrap_or_default())
}
