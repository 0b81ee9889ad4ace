//! `quintet events tail`: events as they are stored.

use super::list::{PATH, columns};
use crate::cli::{OutputFormat, TailFlags};
use crate::client::{Client, is_final};
use crate::output::{harmless, print_line};
use serde_json::Value;
use std::time::Duration;

/// Pause between two looks.
const PERIOD: Duration = Duration::from_millis(500);

/// Events of one look.
const PAGE: usize = 500;

/// Prints new events until interrupted, or until nobody reads along.
pub(crate) async fn tail(flags: TailFlags) -> anyhow::Result<()> {
    tokio::select! {
        outcome = follow(flags) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn follow(flags: TailFlags) -> anyhow::Result<()> {
    let client = Client::new(flags.server)?;
    let newest = client.get(PATH, &[("limit", "1".to_owned())]).await?;
    let mut mark = newest.pointer("/0/_mark").and_then(Value::as_str).unwrap_or("").to_owned();
    loop {
        let mut query =
            vec![("mark", format!("+{}", mark.trim_start_matches('+'))), ("limit", PAGE.to_string())];
        query.extend(flags.event_type.clone().map(|name| ("event_name", name)));
        if !flags.traits.is_empty() {
            query.push(("traits", flags.traits.join(";")));
        }
        let page = match client.get(PATH, &query).await {
            Ok(page) => page,
            Err(cause) if is_final(&cause) => return Err(cause),
            Err(cause) => {
                log::warn!("{cause:#}, trying again");
                Value::Null
            }
        };
        let events = page.as_array().map(Vec::as_slice).unwrap_or_default();
        for event in events {
            let line = match flags.format.output {
                OutputFormat::Json => event.to_string(),
                OutputFormat::Table => columns(event).map(|cell| harmless(&cell)).join("  "),
            };
            if !print_line(&line) {
                return Ok(());
            }
        }
        if let Some(last) = events.last().and_then(|event| event.get("_mark")?.as_str()) {
            mark = last.to_owned();
        }
        if events.len() < PAGE {
            tokio::time::sleep(PERIOD).await;
        }
    }
}
