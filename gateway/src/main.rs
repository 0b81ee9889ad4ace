//! The gateway as a program of its own, for split deployments.

use anyhow::Context;
use shared::clock::SystemClock;
use shared::config::Source;
use shared::{logging, process, secrets, stop};
use std::path::PathBuf;
use std::sync::Arc;

fn main() -> anyhow::Result<()> {
    process::run(tokio::runtime::Builder::new_current_thread(), serve())?
}

async fn serve() -> anyhow::Result<()> {
    logging::init();
    let file = std::env::var_os("QUINTET_CONFIG").map(PathBuf::from);
    let source = Source::load(file.as_deref())?;
    let common = source.common()?;
    let config = source.section("gateway")?;
    let key = secrets::internal_key(&common)?;
    let running = quintet_gateway::start(
        config,
        &common,
        key,
        quintet_gateway::Upstreams::new(),
        Arc::new(SystemClock),
    )
    .await
    .context("gateway not started")?;
    for (name, url) in running.listeners() {
        log::info!(listener = *name; "listening on {url}");
    }
    stop::signalled().await?;
    running.stop().await;
    Ok(())
}
