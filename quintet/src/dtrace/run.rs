//! `quintet dtrace run`: a run over the websocket, shown as it goes on.

use super::flags::RunFlags;
use super::screen::Screen;
use super::scripts::{store, text_of};
use super::socket::{Socket, Told};
use super::{path, resolve};
use crate::client::Client;
use actix_http::ws::CloseCode;
use anyhow::bail;
use reqwest::Method;
use serde_json::{Map, Value, json};

/// The script of a run.
struct Target {
    id: String,
    name: String,
    /// It was stored for this run, and goes after it.
    is_temporary: bool,
}

/// Runs a script until it ends, the ticks are over, or the user has seen enough.
pub(super) async fn run(flags: RunFlags) -> anyhow::Result<()> {
    let client = Client::new(flags.server.clone())?;
    let target = target(&client, &flags).await?;
    let outcome = follow(&client, &target, &flags).await;
    let removed = if target.is_temporary { remove(&client, &target).await } else { Ok(()) };
    outcome.and(removed)
}

async fn remove(client: &Client, target: &Target) -> anyhow::Result<()> {
    client.send(client.request(Method::DELETE, &path(&[&target.id])?)).await.map(drop)
}

/// The stored script of this id or name, else the ready one, else that of a file.
async fn target(client: &Client, flags: &RunFlags) -> anyhow::Result<Target> {
    if let Some(file) = &flags.file {
        let name = file.display().to_string();
        let script = json!({ "name": name, "script": text_of(file)? });
        return Ok(Target { id: store(client, &script, "").await?, name, is_temporary: true });
    }
    let name = flags.script.clone().unwrap_or_default();
    let cause = match resolve(client, &name).await {
        Ok(id) => return Ok(Target { id, name, is_temporary: false }),
        Err(cause) => cause,
    };
    let entries = client.get(&path(&["catalogue"])?, &[]).await?;
    let entry = entries
        .as_array()
        .into_iter()
        .flatten()
        .find(|entry| entry.get("name") == Some(&name.as_str().into()));
    let Some(entry) = entry else { return Err(cause) };
    // A recorded run is found by its script, so the script stays.
    Ok(Target { id: store(client, entry, "").await?, name, is_temporary: !flags.record })
}

async fn follow(client: &Client, target: &Target, flags: &RunFlags) -> anyhow::Result<()> {
    let record = if flags.record { "&record=true" } else { "" };
    let place = format!("{}?lines=true{record}", path(&[&target.id, "stream"])?);
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let opening = async {
        let mut socket = Socket::open(client, &place).await?;
        socket.send(&flags.message()).await?;
        anyhow::Ok(socket)
    };
    let mut socket = tokio::select! {
        socket = opening => socket?,
        _ = &mut interrupted => return Ok(()),
    };
    let mut screen = Screen::new(&target.name, flags.format.output);
    let outcome = tokio::select! {
        outcome = show(&mut socket, &mut screen, flags.ticks.unwrap_or(u64::MAX)) => outcome,
        _ = &mut interrupted => Ok(()),
    };
    socket.close().await;
    screen.finish();
    outcome
}

/// Shows what comes, until the end.
async fn show(socket: &mut Socket, screen: &mut Screen, ticks: u64) -> anyhow::Result<()> {
    let mut has_started = false;
    while screen.ticks() < ticks {
        let message = match socket.next().await? {
            Told::Message(message) => message,
            Told::Closed(CloseCode::Normal, _) => return Ok(()),
            Told::Closed(_, text) => bail!("the run ended: {text}"),
        };
        if let Some(text) = error(&message) {
            bail!("{text}");
        }
        // The first answer is the run's configuration.
        let is_read = match std::mem::replace(&mut has_started, true) {
            false => true,
            true if is_output(&message) => screen.output(&message),
            true => screen.figures(&message),
        };
        if !is_read {
            return Ok(());
        }
    }
    Ok(())
}

/// The text of `{"error": "…"}`.
fn error(message: &Map<String, Value>) -> Option<&str> {
    message.get("error").filter(|_| message.len() == 1)?.as_str()
}

/// Figures are numbers, words and objects, never a list.
fn is_output(message: &Map<String, Value>) -> bool {
    message.get("lines").is_some_and(Value::is_array)
}
