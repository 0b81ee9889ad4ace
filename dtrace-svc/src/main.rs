//! The DTrace service on its own.

use shared::clock::SystemClock;
use shared::config::Source;
use std::sync::Arc;

fn main() -> anyhow::Result<()> {
    shared::process::run(tokio::runtime::Builder::new_multi_thread(), serve())?
}

async fn serve() -> anyhow::Result<()> {
    shared::logging::init();
    let file = std::env::var_os("QUINTET_CONFIG").map(std::path::PathBuf::from);
    let source = Source::load(file.as_deref())?;
    let common = source.common()?;
    let key = shared::secrets::internal_key(&common)?;
    let running = dtrace_svc::start(source.section("dtrace")?, &common, key, Arc::new(SystemClock))?;
    log::info!("{} ready on {}", running.name(), running.url());
    shared::stop::signalled().await?;
    running.stop().await;
    Ok(())
}
