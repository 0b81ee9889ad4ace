//! The DTrace service on its own.

fn main() -> anyhow::Result<()> {
    Ok(shared::alone::run(dtrace_svc::NAME, dtrace_svc::start)?)
}
