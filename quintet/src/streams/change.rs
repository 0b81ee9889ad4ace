//! `quintet streams reset` and `delete`.

use super::flags::Failed;
use crate::cli::Server;
use crate::client::Client;
use crate::output::{plain, print_line};
use anyhow::Context;
use reqwest::Method;
use serde_json::Value;

/// Streams of one look.
const PAGE: usize = 1000;

/// Resets streams, and says which state each has then.
pub(super) async fn reset(which: Failed, server: Server) -> anyhow::Result<()> {
    let client = Client::new(server)?;
    let ids = if which.all { failed(&client).await? } else { which.ids };
    for id in &ids {
        let path = format!("/v1/streams/{id}");
        client.send(client.request(Method::PUT, &path)).await.with_context(|| format!("stream {id}"))?;
        let streams = client.get(&path, &[]).await?;
        // Deleted in between: it was done, and is gone.
        let state = streams.pointer("/0/state").map_or_else(|| "completed".to_owned(), plain);
        if !print_line(&format!("stream {id}: {state}")) {
            break;
        }
    }
    if ids.is_empty() {
        print_line("no stream has failed");
    }
    Ok(())
}

/// All streams that failed, oldest first.
async fn failed(client: &Client) -> anyhow::Result<Vec<u64>> {
    let mut ids = Vec::new();
    for state in ["error", "expire_error"] {
        let mut mark = "+".to_owned();
        loop {
            let query = [("state", state.to_owned()), ("mark", mark.clone()), ("limit", PAGE.to_string())];
            let page = client.get("/v1/streams", &query).await?;
            let streams = page.as_array().map(Vec::as_slice).unwrap_or_default();
            ids.extend(streams.iter().filter_map(|stream| stream.get("id").and_then(Value::as_u64)));
            match streams.last().and_then(|stream| stream.get("_mark")?.as_str()) {
                Some(last) => last.clone_into(&mut mark),
                None => break,
            }
        }
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Deletes streams.
pub(super) async fn delete(ids: &[u64], server: Server) -> anyhow::Result<()> {
    let client = Client::new(server)?;
    for id in ids {
        let request = client.request(Method::DELETE, &format!("/v1/streams/{id}"));
        client.send(request).await.with_context(|| format!("stream {id}"))?;
        print_line(&format!("stream {id}: deleted"));
    }
    Ok(())
}
