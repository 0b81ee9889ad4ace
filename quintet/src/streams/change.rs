//! `quintet streams reset` and `delete`.

use super::PATH;
use super::flags::Failed;
use crate::cli::{Format, OutputFormat, Server};
use crate::client::Client;
use crate::output::{plain, print_json, print_line};
use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};

/// The states of streams that failed.
const FAILED: [&str; 2] = ["error", "expire_error"];

/// Resets streams, and says which state each has then, or why nothing was reset.
pub(super) async fn reset(which: Failed, server: Server, format: Format) -> anyhow::Result<()> {
    let client = Client::new(server)?;
    let ids = if which.all { failed(&client).await? } else { which.ids };
    let mut done = Vec::new();
    let outcome = reset_each(&client, &ids, format.output, &mut done).await;
    match format.output {
        OutputFormat::Json => print_json(&done.into()),
        OutputFormat::Table if ids.is_empty() => drop(print_line("no stream has failed")),
        OutputFormat::Table => {}
    }
    outcome
}

/// What became of each stream goes into `done`, and as a table to the reader at once.
async fn reset_each(
    client: &Client,
    ids: &[u64],
    output: OutputFormat,
    done: &mut Vec<Value>,
) -> anyhow::Result<()> {
    for id in ids {
        let before = state(client, *id).await?;
        let request = client.request(Method::PUT, &format!("/v1/streams/{id}"));
        client.send(request).await.with_context(|| format!("stream {id}"))?;
        // Deleted in between: it was done, and is gone.
        let after = state(client, *id).await?.unwrap_or_else(|| "completed".to_owned());
        let is_reset = is_reset(before.as_deref(), &after);
        let words = if is_reset { after.clone() } else { format!("not reset, since it is {after}") };
        done.push(json!({ "id": id, "state": after, "reset": is_reset }));
        if output == OutputFormat::Table && !print_line(&format!("stream {id}: {words}")) {
            break;
        }
    }
    Ok(())
}

/// The state of a stream; `None` when it is not there.
async fn state(client: &Client, id: u64) -> anyhow::Result<Option<String>> {
    let streams =
        client.get(&format!("/v1/streams/{id}"), &[]).await.with_context(|| format!("stream {id}"))?;
    Ok(streams.pointer("/0/state").map(plain))
}

/// Whether a reset did something: to a stream that had failed, or whose worker is gone. A stream may be at work again,
/// and done, before it is looked at.
fn is_reset(before: Option<&str>, after: &str) -> bool {
    let is_waiting = |state: &str| ["retry_fire", "retry_expire"].contains(&state);
    before.is_some_and(|before| FAILED.contains(&before) || is_waiting(after) && !is_waiting(before))
}

/// All streams that failed, oldest first.
async fn failed(client: &Client) -> anyhow::Result<Vec<u64>> {
    let mut ids = Vec::new();
    for state in FAILED {
        let query = [("state", state.to_owned())];
        let streams = client.pages(PATH, &query, Some("+".to_owned()), usize::MAX).await?;
        ids.extend(streams.iter().filter_map(|stream| stream.get("id").and_then(Value::as_u64)));
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Deletes streams.
pub(super) async fn delete(ids: &[u64], server: Server, format: Format) -> anyhow::Result<()> {
    let client = Client::new(server)?;
    let mut deleted = Vec::new();
    let outcome = delete_each(&client, ids, format.output, &mut deleted).await;
    if format.output == OutputFormat::Json {
        print_json(&json!({ "deleted": deleted }));
    }
    outcome
}

async fn delete_each(
    client: &Client,
    ids: &[u64],
    output: OutputFormat,
    deleted: &mut Vec<u64>,
) -> anyhow::Result<()> {
    for id in ids {
        let request = client.request(Method::DELETE, &format!("/v1/streams/{id}"));
        client.send(request).await.with_context(|| format!("stream {id}"))?;
        deleted.push(*id);
        if output == OutputFormat::Table {
            print_line(&format!("stream {id}: deleted"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_has_not_failed_is_not_reset() {
        for (before, after, expected) in [
            ("error", "retry_fire", true),
            ("expire_error", "completed", true),
            ("error", "error", true),
            ("firing", "retry_fire", true),
            ("completed", "completed", false),
            ("active", "active", false),
            ("firing", "error", false),
            ("retry_fire", "retry_fire", false),
        ] {
            assert_eq!(is_reset(Some(before), after), expected, "{before} {after}");
        }
    }
}
