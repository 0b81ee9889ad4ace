//! `quintet token`: API tokens.

use crate::cli::{OutputFormat, TokenCommand};
use crate::client::{Client, path};
use crate::output::{Rows, plain, print_json, print_line};
use reqwest::Method;
use serde_json::{Map, Value, json};

/// Where the gateway keeps them.
const PATH: &str = "/admin/tokens";

/// Runs one of the commands.
pub(crate) async fn run(command: TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::Create {
            name,
            roles,
            permissions,
            user_id,
            project_id,
            expires_in_secs,
            server,
            format,
        } => {
            let client = Client::new(server)?;
            let mut wish = Map::new();
            wish.insert("name".to_owned(), name.into());
            wish.insert("roles".to_owned(), roles.into());
            wish.insert("permissions".to_owned(), permissions.into());
            let options = [
                ("user_id", user_id.map(Value::from)),
                ("project_id", project_id.map(Value::from)),
                ("expires_in_secs", expires_in_secs.map(Value::from)),
            ];
            wish.extend(options.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
            let request = client.request(Method::POST, PATH).json(&wish);
            let made: Value = client.send(request).await?.json().await?;
            match (format.output, made.get("token")) {
                (OutputFormat::Table, Some(token)) => drop(print_line(&plain(token))),
                (OutputFormat::Json, _) | (_, None) => print_json(&made),
            }
        }
        TokenCommand::List { server, format } => list(&Client::new(server)?, format.output).await?,
        TokenCommand::Revoke { id, server, format } => {
            let client = Client::new(server)?;
            client.send(client.request(Method::DELETE, &path(PATH, &[&id])?)).await?;
            match format.output {
                OutputFormat::Json => print_json(&json!({ "revoked": id })),
                OutputFormat::Table => drop(print_line(&format!("token {id}: revoked"))),
            }
        }
    }
    Ok(())
}

async fn list(client: &Client, output: OutputFormat) -> anyhow::Result<()> {
    let (mut tokens, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.get(PATH, &[("after", after.clone()), ("limit", "1000".to_owned())]).await?;
        let page = page.get("tokens").and_then(Value::as_array).cloned().unwrap_or_default();
        let Some(last) = page.last().and_then(|token| token.get("id")) else { break };
        after = plain(last);
        tokens.extend(page);
    }
    match output {
        OutputFormat::Json => print_json(&json!(tokens)),
        OutputFormat::Table => {
            let names = ["id", "name", "roles", "permissions", "expires_at"];
            let mut rows = Rows::new(&names);
            for token in &tokens {
                rows.push(names.iter().map(|name| token.get(*name).map(plain).unwrap_or_default()).collect());
            }
            rows.print();
        }
    }
    Ok(())
}
