//! The gateway as a program of its own, for split deployments.

use anyhow::Context;
use quintet_gateway::{NAME, Running, Upstreams, start};
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
    let located = |cause: anyhow::Error| source.located(&cause.to_string()).map_or(cause, anyhow::Error::msg);
    let begun = begin(&source).await.map_err(located);
    let running = begun.context("gateway not started")?;
    for (name, url) in running.listeners() {
        log::info!(listener = *name; "listening on {url}");
    }
    stop::signalled().await?;
    running.stop().await;
    Ok(())
}

async fn begin(source: &Source) -> anyhow::Result<Running> {
    let (config, common) = (source.section(NAME)?, source.common()?);
    let key = secrets::internal_key(&common)?;
    Ok(start(config, &common, key, Upstreams::new(), Arc::new(SystemClock)).await?)
}
