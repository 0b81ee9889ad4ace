//! `quintet dtrace`: scripts, and runs of them with a histogram that grows in the terminal.

mod flags;
mod replay;
mod run;
mod screen;
mod scripts;
mod socket;

pub(crate) use flags::DtraceCommand;

use crate::cli::Server;
use crate::client::{Client, is_id};
use anyhow::bail;
use reqwest::Method;
use serde_json::Value;

/// Where the gateway has the scripts.
const PATH: &str = "/v1/dtrace";

/// Runs one of the commands.
pub(crate) async fn run(command: DtraceCommand) -> anyhow::Result<()> {
    match command {
        DtraceCommand::List { server, format } => scripts::list(server, format).await,
        DtraceCommand::Get { script, server, format } => scripts::get(&script, server, format).await,
        DtraceCommand::Create(flags) => scripts::create(flags).await,
        DtraceCommand::Edit(flags) => scripts::edit(flags).await,
        DtraceCommand::Delete { scripts, server, format } => scripts::delete(&scripts, server, format).await,
        DtraceCommand::Metadata(command) => scripts::metadata(command).await,
        DtraceCommand::Catalogue { server, format } => scripts::catalogue(server, format).await,
        DtraceCommand::Run(flags) => run::run(flags).await,
        DtraceCommand::Runs { script, server, format } => replay::list(&script, server, format).await,
        DtraceCommand::Replay(flags) => replay::replay(flags).await,
    }
}

/// A path below the scripts', its words encoded.
fn path(words: &[&str]) -> anyhow::Result<String> {
    crate::client::path(PATH, words)
}

/// The id of the script that a person names, by its id or by its name.
async fn resolve(client: &Client, script: &str) -> anyhow::Result<String> {
    if is_id(script) {
        return Ok(script.to_owned());
    }
    let query = [("full-list", "true".to_owned()), ("full-list-fields", "uuid,name".to_owned())];
    let all = client.get(PATH, &query).await?;
    let named =
        all.as_array().into_iter().flatten().filter(|found| found.get("name") == Some(&script.into()));
    let ids: Vec<&str> = named.filter_map(|found| found.get("uuid")?.as_str()).collect();
    match ids.as_slice() {
        [id] => Ok((*id).to_owned()),
        [] => bail!("no script is named {script} (see `quintet dtrace list` and `quintet dtrace catalogue`)"),
        several => bail!("{} scripts are named {script}: {}", several.len(), several.join(" ")),
    }
}

/// A client, and the id of the script that a person names.
async fn client_for(server: Server, script: &str) -> anyhow::Result<(Client, String)> {
    let client = Client::new(server)?;
    let id = resolve(&client, script).await?;
    Ok((client, id))
}

/// Sends a document to a path.
async fn send(
    client: &Client,
    method: Method,
    path: &str,
    body: &Value,
) -> anyhow::Result<reqwest::Response> {
    client.send(client.request(method, path).json(body)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded() {
        assert_eq!(path(&["a b", "metadata", "x/y"]).unwrap(), "/v1/dtrace/a%20b/metadata/x%2Fy");
    }
}
