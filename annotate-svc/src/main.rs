//! The annotation service on its own.

fn main() -> anyhow::Result<()> {
    Ok(shared::alone::run(annotate_svc::NAME, annotate_svc::start)?)
}
