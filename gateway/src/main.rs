//! The gateway as a program of its own, for split deployments.

use anyhow::{Context, anyhow};
use quintet_gateway::{NAME, Upstreams};
use shared::clock::SystemClock;
use shared::config::Source;
use shared::{logging, process, secrets, stop};
use std::sync::Arc;

fn main() -> anyhow::Result<()> {
    logging::init();
    process::run(tokio::runtime::Builder::new_current_thread(), serve())?
}

async fn serve() -> anyhow::Result<()> {
    let source = Source::of_program()?;
    let (config, common) = (source.section(NAME)?, source.common()?);
    let key = secrets::internal_key(&common)?;
    let started = quintet_gateway::start(config, &common, key, Upstreams::new(), Arc::new(SystemClock)).await;
    let located = started.map_err(|cause| match source.located(&cause.to_string()) {
        Some(text) => anyhow!(text),
        None => cause.into(),
    });
    let running = located.context("gateway not started")?;
    for (name, url) in running.listeners() {
        log::info!(listener = *name; "listening on {url}");
    }
    stop::signalled().await?;
    running.stop().await;
    Ok(())
}
