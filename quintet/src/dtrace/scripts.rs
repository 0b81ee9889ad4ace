//! `quintet dtrace list`, `get`, `create`, `edit`, `delete`, `metadata`, `catalogue`.

use super::flags::{CreateFlags, EditFlags, MetadataCommand, object};
use super::{PATH, client_for, path, send};
use crate::cli::{Format, OutputFormat, Server};
use crate::client::Client;
use crate::output::{Rows, harmless, plain, print_done, print_json, print_line, print_object};
use anyhow::Context;
use reqwest::Method;
use reqwest::header::LOCATION;
use serde_json::{Map, Value, json};
use std::io::Read;
use std::path::Path;

/// Largest script that is read from a file, in bytes; the service has its own bound.
const MAX_FILE: u64 = 64 << 20;

/// Lists the scripts.
pub(super) async fn list(server: Server, format: Format) -> anyhow::Result<()> {
    let query = [("full-list", "true".to_owned()), ("full-list-fields", "uuid,name,config".to_owned())];
    let scripts = Client::new(server)?.get(PATH, &query).await?;
    show(&scripts, &["uuid", "name", "config"], format);
    Ok(())
}

/// Lists the ready scripts.
pub(super) async fn catalogue(server: Server, format: Format) -> anyhow::Result<()> {
    let entries = Client::new(server)?.get(&path(&["catalogue"])?, &[]).await?;
    show(&entries, &["name", "dialect", "description", "config"], format);
    Ok(())
}

/// Shows the members of the objects of a list.
pub(super) fn show(list: &Value, members: &[&str], format: Format) {
    match format.output {
        OutputFormat::Json => print_json(list),
        OutputFormat::Table => {
            let mut rows = Rows::new(members);
            for entry in list.as_array().into_iter().flatten() {
                let cell = |member: &&str| entry.get(*member).map(plain).unwrap_or_default();
                rows.push(members.iter().map(cell).collect());
            }
            rows.print();
        }
    }
}

/// Shows one script.
pub(super) async fn get(script: &str, server: Server, format: Format) -> anyhow::Result<()> {
    let (client, id) = client_for(server, script).await?;
    let script = client.get(&path(&[&id])?, &[]).await?;
    match format.output {
        OutputFormat::Json => print_json(&script),
        OutputFormat::Table => {
            let text = |member: &str| script.get(member).map(plain).unwrap_or_default();
            for member in ["uuid", "name", "config", "metadata"] {
                print_line(&format!("{member}: {}", harmless(&text(member))));
            }
            print_line("");
            text("script").lines().for_each(|line| {
                print_line(&line.split('\t').map(harmless).collect::<Vec<_>>().join("\t"));
            });
        }
    }
    Ok(())
}

/// Stores a script and prints its id.
pub(super) async fn create(flags: CreateFlags) -> anyhow::Result<()> {
    let client = Client::new(flags.server)?;
    let query = if flags.check { "?check=1" } else { "" };
    let (script, config) = (text_of(&flags.file)?, object(flags.variables));
    let script = json!({ "name": flags.name, "script": script, "config": config });
    let id = store(&client, &script, query).await?;
    match flags.format.output {
        OutputFormat::Json => print_json(&json!({ "uuid": id, "name": flags.name })),
        OutputFormat::Table => drop(print_line(&id)),
    }
    Ok(())
}

/// Stores a script; answers its id.
pub(super) async fn store(client: &Client, script: &Value, query: &str) -> anyhow::Result<String> {
    let answer = send(client, Method::POST, &format!("{PATH}{query}"), script).await?;
    let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let id = location.and_then(|location| location.rsplit('/').next());
    Ok(id.context("the gateway does not say where the script is")?.to_owned())
}

/// The text of a file, or of standard input.
pub(super) fn text_of(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(MAX_FILE).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(MAX_FILE).read_to_string(&mut text))
    };
    read.with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(text)
}

/// Changes what the flags name.
pub(super) async fn edit(flags: EditFlags) -> anyhow::Result<()> {
    let (client, id) = client_for(flags.server, &flags.script).await?;
    let mut change = Map::new();
    change.extend(flags.name.map(|name| ("name".to_owned(), name.into())));
    change.extend(
        flags.file.as_deref().map(text_of).transpose()?.map(|text| ("script".to_owned(), text.into())),
    );
    if !flags.variables.is_empty() {
        change.insert("config".into(), object(flags.variables).into());
    }
    send(&client, Method::PUT, &path(&[&id])?, &change.into()).await?;
    print_done(&json!({ "changed": id }), flags.format);
    Ok(())
}

/// Deletes scripts.
pub(super) async fn delete(scripts: &[String], server: Server, format: Format) -> anyhow::Result<()> {
    let mut deleted = Vec::new();
    let outcome = delete_each(scripts, &server, &mut deleted).await;
    print_done(&json!({ "deleted": deleted }), format);
    outcome
}

async fn delete_each(scripts: &[String], server: &Server, deleted: &mut Vec<String>) -> anyhow::Result<()> {
    for script in scripts {
        let (client, id) = client_for(server.clone(), script).await?;
        client.send(client.request(Method::DELETE, &path(&[&id])?)).await?;
        deleted.push(id);
    }
    Ok(())
}

/// Shows, sets and removes metadata.
pub(super) async fn metadata(command: MetadataCommand) -> anyhow::Result<()> {
    match command {
        MetadataCommand::Get { script, server, output } => {
            let (client, id) = client_for(server, &script).await?;
            let metadata = client.get(&path(&[&id, "metadata"])?, &[]).await?;
            print_object(&metadata, ["key", "value"], output);
        }
        MetadataCommand::Set { script, keys_and_value, server, format } => {
            let (client, id) = client_for(server, &script).await?;
            let (value, keys) = keys_and_value.split_last().context("expected a JSON object")?;
            let value: Map<String, Value> =
                serde_json::from_str(value).with_context(|| format!("{value} is no JSON object"))?;
            let (method, place) = (Method::PUT, metadata_path(&id, keys)?);
            send(&client, method, &place, &value.into()).await?;
            print_done(&json!({ "changed": id }), format);
        }
        MetadataCommand::Delete { script, keys, server, format } => {
            let (client, id) = client_for(server, &script).await?;
            client.send(client.request(Method::DELETE, &metadata_path(&id, &keys)?)).await?;
            print_done(&json!({ "changed": id }), format);
        }
    }
    Ok(())
}

fn metadata_path(id: &str, keys: &[String]) -> anyhow::Result<String> {
    let mut words = vec![id, "metadata"];
    words.extend(keys.iter().map(String::as_str));
    path(&words)
}
