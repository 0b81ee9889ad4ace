//! `quintet token`: API tokens.

use crate::cli::{OutputFormat, TokenCommand};
use crate::client::{Client, path};
use crate::output::{Rows, joined, plain, print_json, print_line};
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Map, Value, json};
use shared::clock::{Clock, SystemClock};

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
            let mut rows = Rows::new(&["id", "name", "state", "roles", "permissions", "expires at"]);
            let now = SystemClock.now();
            for token in &tokens {
                let [id, name, roles, permissions, end] =
                    ["id", "name", "roles", "permissions", "expires_at"]
                        .map(|member| token.get(member).map(joined).unwrap_or_default());
                rows.push(vec![id, name, state(token, now).to_owned(), roles, permissions, end]);
            }
            rows.print();
        }
    }
    Ok(())
}

/// What a token is good for at `now`. An end that cannot be read is for people to judge, in its own column.
fn state(token: &Value, now: DateTime<Utc>) -> &'static str {
    let time = |member: &str| token.get(member).and_then(Value::as_str);
    let end = time("expires_at").and_then(|end| DateTime::parse_from_rfc3339(end).ok());
    match (time("revoked_at"), end) {
        (Some(_), _) => "revoked",
        (None, Some(end)) if end <= now => "expired",
        (None, _) => "live",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_live_until_it_is_revoked_or_its_end_has_come() {
        let now = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        for (end, revoked, expected) in [
            (Value::Null, Value::Null, "live"),
            (json!("2026-01-01T00:00:00.000001Z"), Value::Null, "live"),
            (json!("2026-01-01T00:00:00.000000Z"), Value::Null, "expired"),
            (Value::Null, json!("2025-12-31T00:00:00.000000Z"), "revoked"),
            (json!("2025-01-01T00:00:00.000000Z"), json!("2024-12-31T00:00:00.000000Z"), "revoked"),
        ] {
            let token = json!({ "expires_at": end, "revoked_at": revoked });
            assert_eq!(state(&token, now), expected, "{token}");
        }
    }
}
