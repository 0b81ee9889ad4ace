//! `quintet dtrace runs` and `replay`: what was run before.

use super::flags::ReplayFlags;
use super::screen::Screen;
use super::{client_for, path, scripts};
use crate::cli::{Format, Server};
use anyhow::{bail, ensure};
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
    let (mut pieces, mut events) = (answer.bytes_stream(), Events::default());
    let mut screen = Screen::new(&flags.script, flags.format.output);
    loop {
        let piece = tokio::select! {
            piece = pieces.next() => piece,
            _ = tokio::signal::ctrl_c() => break,
        };
        let Some(piece) = piece else { break };
        for event in events.take(&piece?)? {
            if !event.show(&mut screen)? {
                return Ok(());
            }
        }
    }
    screen.finish();
    Ok(())
}

/// One server-sent event.
#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    data: String,
}

impl Event {
    /// Shows it. False when nobody reads along any more.
    fn show(&self, screen: &mut Screen) -> anyhow::Result<bool> {
        let data = || serde_json::from_str::<Map<String, Value>>(&self.data);
        match self.name.as_str() {
            "tick" => Ok(screen.figures(&data()?)),
            "output" => Ok(screen.output(&data()?)),
            "end" => match data()?.get("error").and_then(Value::as_str) {
                Some(text) => bail!("the run ended: {text}"),
                None => Ok(true),
            },
            _ => Ok(true),
        }
    }
}

/// Server-sent events out of the bytes of an answer.
#[derive(Default)]
struct Events {
    waiting: Vec<u8>,
}

impl Events {
    /// The events that are whole with these bytes.
    fn take(&mut self, bytes: &[u8]) -> anyhow::Result<Vec<Event>> {
        self.waiting.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.waiting.windows(2).position(|pair| pair == b"\n\n") {
            let rest = self.waiting.split_off(end + 2);
            events.push(Event::of(&String::from_utf8_lossy(&self.waiting)));
            self.waiting = rest;
        }
        ensure!(self.waiting.len() <= MAX_EVENT, "an event is larger than {MAX_EVENT} bytes");
        Ok(events)
    }
}

impl Event {
    fn of(text: &str) -> Self {
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.unwrap_or_default().to_owned()
        };
        Self { name: field("event"), data: field("data") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_whole_however_they_are_cut() {
        let text = "event: config\ndata: {}\n\nevent: tick\ndata: {\"0-3\":1}\n\nevent: en";
        let event = |name: &str, data: &str| Event { name: name.into(), data: data.into() };
        for size in 1..text.len() {
            let mut events = Events::default();
            let found: Vec<Event> =
                text.as_bytes().chunks(size).flat_map(|piece| events.take(piece).unwrap()).collect();
            assert_eq!(found, [event("config", "{}"), event("tick", "{\"0-3\":1}")], "{size}");
            assert_eq!(events.waiting, b"event: en");
        }
    }
}
