//! The event service on its own.

fn main() -> anyhow::Result<()> {
    Ok(shared::alone::run(events_svc::NAME, events_svc::start)?)
}
