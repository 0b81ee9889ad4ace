//! The stream service on its own.

fn main() -> anyhow::Result<()> {
    Ok(shared::alone::run(streams_svc::NAME, streams_svc::start)?)
}
