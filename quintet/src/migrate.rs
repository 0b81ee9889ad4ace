//! `quintet migrate`: tables up to date, then end.

use crate::cli::{OutputFormat, Settings};
use crate::output::print_object;
use crate::product;
use serde_json::{Map, Value};

/// Migrates the tables of the gateway and of every service.
pub(crate) fn migrate(settings: &Settings, output: OutputFormat) -> anyhow::Result<()> {
    let migrated = product::migrate(&settings.source()?.common()?)?;
    let states = migrated.into_iter().map(|name| (name.to_owned(), "up to date".into()));
    print_object(&Value::from(states.collect::<Map<_, _>>()), ["part", "tables"], output);
    Ok(())
}
