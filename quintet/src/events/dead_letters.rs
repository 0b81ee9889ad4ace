//! `quintet events dead-letters`: messages that could not be used.

use crate::cli::{DeadLettersCommand, OutputFormat};
use crate::client::Client;
use crate::output::{Rows, plain, print_json, print_object};
use reqwest::Method;
use serde_json::{Map, Value, json};

/// Where the gateway shows them.
const PATH: &str = "/admin/events/dead-letters";

/// Runs one of the commands.
pub(crate) async fn run(command: DeadLettersCommand) -> anyhow::Result<()> {
    match command {
        DeadLettersCommand::List { server, format } => list(&Client::new(server)?, format.output).await,
        DeadLettersCommand::Show { id, server, format } => {
            let letter = Client::new(server)?.get(&format!("{PATH}/{id}"), &[]).await?;
            print_object(&letter, ["member", "value"], format.output);
            Ok(())
        }
        DeadLettersCommand::Replay { which, server, format } => {
            let client = Client::new(server)?;
            let counts = match which.id {
                Some(id) => post(&client, &format!("{PATH}/{id}/replay")).await?,
                None => replay_all(&client).await?,
            };
            print_object(&counts, ["outcome", "count"], format.output);
            Ok(())
        }
        DeadLettersCommand::Drop { which, server, format } => {
            let deleted = drop_letters(&Client::new(server)?, which.id).await?;
            print_object(&deleted, ["outcome", "count"], format.output);
            Ok(())
        }
    }
}

async fn drop_letters(client: &Client, id: Option<i64>) -> anyhow::Result<Value> {
    let path = id.map_or_else(|| PATH.to_owned(), |id| format!("{PATH}/{id}"));
    let answer = client.send(client.request(Method::DELETE, &path)).await?;
    // One that was dropped is answered without words.
    Ok(if id.is_some() { json!({ "deleted": 1 }) } else { answer.json().await? })
}

async fn post(client: &Client, path: &str) -> anyhow::Result<Value> {
    Ok(client.send(client.request(Method::POST, path)).await?.json().await?)
}

/// Replays in bounded calls, each going on where the last ended; answers the sums.
async fn replay_all(client: &Client) -> anyhow::Result<Value> {
    let (mut sums, mut next) = (Map::new(), Some(0));
    while let Some(after) = next {
        let step = post(client, &format!("{PATH}/replay?after={after}")).await?;
        next = step.get("next").and_then(Value::as_i64);
        for (name, count) in step.as_object().into_iter().flatten() {
            if let Some(count) = count.as_u64().filter(|_| name != "next") {
                let sum = sums.get(name).and_then(Value::as_u64).unwrap_or(0);
                sums.insert(name.clone(), (sum + count).into());
            }
        }
    }
    Ok(sums.into())
}

async fn list(client: &Client, output: OutputFormat) -> anyhow::Result<()> {
    let (mut letters, mut after) = (Vec::new(), Value::from(0));
    loop {
        let page = client.get(PATH, &[("after", plain(&after)), ("limit", "1000".to_owned())]).await?;
        let page = page.get("dead_letters").and_then(Value::as_array).cloned().unwrap_or_default();
        let Some(last) = page.last().and_then(|letter| letter.get("id")).cloned() else { break };
        after = last;
        letters.extend(page);
    }
    match output {
        OutputFormat::Json => print_json(&Value::from(letters)),
        OutputFormat::Table => {
            let mut rows = Rows::new(&["id", "received", "source", "reason"]);
            let names = ["id", "received", "source", "reason"];
            for letter in &letters {
                rows.push(
                    names.iter().map(|name| letter.get(*name).map(plain).unwrap_or_default()).collect(),
                );
            }
            rows.print();
        }
    }
    Ok(())
}
