//! `quintet events dead-letters`: messages that could not be used.

use crate::cli::{DeadLettersCommand, OutputFormat};
use crate::client::Client;
use crate::output::{Rows, plain, print_json};
use reqwest::Method;
use serde_json::Value;

/// Where the gateway shows them.
const PATH: &str = "/admin/events/dead-letters";

/// Runs one of the commands.
pub(crate) async fn run(command: DeadLettersCommand) -> anyhow::Result<()> {
    match command {
        DeadLettersCommand::List { server, format } => list(&Client::new(server)?, format.output).await,
        DeadLettersCommand::Show { id, server } => {
            print_json(&Client::new(server)?.get(&format!("{PATH}/{id}"), &[]).await?);
            Ok(())
        }
        DeadLettersCommand::Replay { id, server } => {
            let client = Client::new(server)?;
            let request = client.request(Method::POST, &format!("{PATH}/{id}/replay"));
            print_json(&client.send(request).await?.json().await?);
            Ok(())
        }
        DeadLettersCommand::Drop { id, server } => {
            let client = Client::new(server)?;
            client.send(client.request(Method::DELETE, &format!("{PATH}/{id}"))).await?;
            Ok(())
        }
    }
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
