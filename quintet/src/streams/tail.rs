//! `quintet streams tail`: changes as they happen, over a connection that is made again when it breaks.

use super::flags::TailFlags;
use crate::cli::OutputFormat;
use crate::client::{Client, is_final};
use crate::output::{plain, print_line};
use crate::sse::{Events, ServerEvent};
use anyhow::Context;
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;

/// Silence after which a connection counts as broken; the service sends something every 15 s.
const SILENCE: Duration = Duration::from_secs(45);

/// Pause before a connection is made again.
const PAUSE: Duration = Duration::from_secs(1);

/// Longest life of one connection: the client's own limit is for ordinary answers.
const LIFE: Duration = Duration::from_secs(30 * 86_400);

/// Longest event that is waited for; the service's are far smaller.
const MOST_BYTES: usize = 1 << 20;

/// Prints changes until interrupted, or until nobody reads along.
pub(super) async fn tail(flags: TailFlags) -> anyhow::Result<()> {
    tokio::select! {
        outcome = follow(flags) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn follow(flags: TailFlags) -> anyhow::Result<()> {
    let client = Client::new(flags.server.clone())?;
    let (mut last, mut was_open) = (None, false);
    loop {
        match listen(&client, &flags, &mut last, &mut was_open).await {
            Ok(End::NobodyReads) => return Ok(()),
            Ok(End::Broken) => {}
            // Nor will what was wrong from the start mend by itself.
            Err(cause) if !was_open || is_final(&cause) => return Err(cause),
            Err(cause) => log::warn!("{cause:#}, trying again"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Why listening ended.
enum End {
    /// Standard output is closed.
    NobodyReads,
    /// The connection ended, or went silent.
    Broken,
}

/// Listens on one connection; `last` is the id to come back with.
async fn listen(
    client: &Client,
    flags: &TailFlags,
    last: &mut Option<String>,
    was_open: &mut bool,
) -> anyhow::Result<End> {
    let mut request = client.request(Method::GET, "/v1/streams/tail").timeout(LIFE);
    if let Some(id) = &last {
        request = request.header("last-event-id", id);
    }
    let mut answer = client.send(request).await?;
    *was_open = true;
    let mut events = Events::new(MOST_BYTES);
    loop {
        let chunk = tokio::time::timeout(SILENCE, answer.chunk()).await.context("the tail is silent")??;
        let Some(chunk) = chunk else { return Ok(End::Broken) };
        for event in events.take(&chunk)? {
            let Some(change) = change(event, last) else { continue };
            if is_wanted(&change, flags) && !print_line(&line(&change, flags.format.output)) {
                return Ok(End::NobodyReads);
            }
        }
    }
}

/// The change that an event tells of. One without a change has an id too: where the tail began.
fn change(event: ServerEvent, last: &mut Option<String>) -> Option<Value> {
    *last = event.id.or(last.take());
    serde_json::from_str(&event.data?).ok()
}

fn is_wanted(change: &Value, flags: &TailFlags) -> bool {
    let is = |name: &str, wanted: &Option<String>| {
        let own = change.get(name).map(plain).unwrap_or_default();
        wanted.as_ref().is_none_or(|wanted| own.eq_ignore_ascii_case(wanted))
    };
    is("name", &flags.trigger) && is("state", &flags.state)
}

fn line(change: &Value, output: OutputFormat) -> String {
    if output == OutputFormat::Json {
        return change.to_string();
    }
    let columns = ["at", "stream_id", "name", "state", "reason"];
    let texts = columns.iter().filter_map(|name| change.get(*name)).map(plain);
    texts.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A connection that breaks before the first change goes on where it began.
    #[test]
    fn the_last_id_counts_with_a_change_or_without() {
        let text = b"id: 1-2\n\n: quiet\n\nid: 1-3\nevent: stream\ndata: {\"a\": 1}\n\n";
        let (mut last, mut seen) = (None, Vec::new());
        for event in Events::new(MOST_BYTES).take(text).unwrap() {
            seen.push((change(event, &mut last), last.clone().unwrap()));
        }
        let id = |id: &str| id.to_owned();
        assert_eq!(seen, [(None, id("1-2")), (None, id("1-2")), (Some(json!({"a": 1})), id("1-3"))]);
    }

    #[test]
    fn a_line_has_time_stream_trigger_state_and_reason() {
        let at = json!({"__type__": "datetime", "datetime": "2015-02-28T00:27:19"});
        let mut change =
            json!({"stream_id": 7, "name": "t", "serial": 1, "at": at, "state": "firing", "reason": null});
        assert_eq!(line(&change, OutputFormat::Table), "2015-02-28T00:27:19  7  t  firing");
        change["reason"] = "no".into();
        assert_eq!(line(&change, OutputFormat::Table), "2015-02-28T00:27:19  7  t  firing  no");
    }
}
