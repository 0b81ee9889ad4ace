//! `quintet dtrace runs` and `replay`: what was run before.

use super::flags::ReplayFlags;
use super::screen::Screen;
use super::{client_for, path, scripts};
use crate::cli::{Format, Server};
use crate::sse::{Events, ServerEvent};
use anyhow::bail;
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Map, Value};
use std::time::Duration;

/// Longest replay.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// Largest event taken, in bytes.
const MAX_EVENT: usize = 64 << 20;

/// Lists the last runs of a script.
pub(super) async fn list(script: &str, server: Server, format: Format) -> anyhow::Result<()> {
    let (client, id) = client_for(server, script).await?;
    let runs = client.get(&path(&[&id, "runs"])?, &[]).await?;
    scripts::show(&runs, &["run", "subject", "started", "ended", "outcome", "recorded"], format);
    Ok(())
}

/// Shows a recorded run as it went on.
pub(super) async fn replay(flags: ReplayFlags) -> anyhow::Result<()> {
    let (client, id) = client_for(flags.server, &flags.script).await?;
    let place = format!("{}?speed={}", path(&[&id, "runs", &flags.run, "events"])?, flags.speed);
    let answer = client.send(client.request(Method::GET, &place).timeout(LONGEST)).await?;
    let (mut pieces, mut events) = (answer.bytes_stream(), Events::new(MAX_EVENT));
    let mut screen = Screen::new(&flags.script, flags.format.output);
    loop {
        let piece = tokio::select! {
            piece = pieces.next() => piece,
            _ = tokio::signal::ctrl_c() => break,
        };
        let Some(piece) = piece else { break };
        for event in events.take(&piece?)? {
            if !show(&event, &mut screen)? {
                return Ok(());
            }
        }
    }
    screen.finish();
    Ok(())
}

/// Shows an event. False when nobody reads along any more.
fn show(event: &ServerEvent, screen: &mut Screen) -> anyhow::Result<bool> {
    let data = || serde_json::from_str::<Map<String, Value>>(event.data.as_deref().unwrap_or_default());
    match event.name.as_deref() {
        Some("tick") => Ok(screen.figures(&data()?)),
        Some("output") => Ok(screen.output(&data()?)),
        Some("dropped") => {
            let count: Value = serde_json::from_str(event.data.as_deref().unwrap_or_default())?;
            Ok(screen.output(&Map::from_iter([("dropped".to_owned(), count)])))
        }
        Some("end") => match data()?.get("error").and_then(Value::as_str) {
            Some(text) => bail!("the run ended: {text}"),
            None => Ok(true),
        },
        _ => Ok(true),
    }
}
