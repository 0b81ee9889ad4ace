//! A service as a program of its own.

use crate::clock::{SharedClock, SystemClock};
use crate::config::{Common, Source};
use crate::identity::IdentityKey;
use crate::server::{Running, StartError};
use crate::{logging, process, secrets, stop};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::runtime::Builder;

/// Starts a service of these settings.
pub type Start<C> = fn(C, &Common, IdentityKey, SharedClock) -> Result<Running, StartError>;

/// Runs the service whose section is `name` until SIGTERM or SIGINT.
///
/// # Errors
/// [`StartError`] with what the operator has to change, and where that is set.
pub fn run<C>(name: &str, start: Start<C>) -> Result<(), StartError>
where
    C: DeserializeOwned + Serialize + JsonSchema + Default,
{
    logging::init();
    process::run(Builder::new_multi_thread(), serve(name, start))?
}

async fn serve<C>(name: &str, start: Start<C>) -> Result<(), StartError>
where
    C: DeserializeOwned + Serialize + JsonSchema + Default,
{
    let source = Source::of_program()?;
    let running = begin(&source, name, start).map_err(|cause| match source.located(&cause.to_string()) {
        Some(text) => StartError::Config(text),
        None => cause,
    })?;
    log::info!("{} ready on {}", running.name(), running.url());
    stop::signalled().await?;
    running.stop().await;
    Ok(())
}

fn begin<C>(source: &Source, name: &str, start: Start<C>) -> Result<Running, StartError>
where
    C: DeserializeOwned + Serialize + JsonSchema + Default,
{
    let common = source.common()?;
    let key = secrets::internal_key(&common)?;
    start(source.section(name)?, &common, key, Arc::new(SystemClock))
}
