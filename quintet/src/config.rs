//! `quintet config`: check, print, reference.

use crate::cli::{ConfigCommand, OutputFormat, Settings};
use crate::output::{print_json, print_line};
use crate::{product, reference};
use serde_json::{Value, json};

/// Runs one of the commands.
pub(crate) fn run(settings: &Settings, command: &ConfigCommand) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Check { format } => {
            values(settings)?;
            match format.output {
                OutputFormat::Json => print_json(&json!({ "valid": true })),
                OutputFormat::Table => drop(print_line("settings are good")),
            }
        }
        ConfigCommand::Print { format } => {
            let values = values(settings)?;
            match format.output {
                OutputFormat::Json => print_json(&values),
                OutputFormat::Table => drop(print_line(toml::to_string(&without_nulls(values))?.trim_end())),
            }
        }
        ConfigCommand::Reference => drop(print_line(reference::markdown().trim_end())),
    }
    Ok(())
}

/// Every setting, read and checked as a start does, with the files it names.
fn values(settings: &Settings) -> anyhow::Result<Value> {
    let source = settings.source()?;
    let common = source.common()?;
    shared::secrets::check(&common)?;
    product::check_sections_to_come(&source)?;
    let mut values = serde_json::Map::new();
    for section in product::sections() {
        let checked = (section.values)(&source, &common);
        let checked = checked.map_err(|cause| product::located(&source, cause))?;
        values.insert(section.name.to_owned(), checked);
    }
    let common = serde_json::to_value(&common)?;
    // Keys of no section come first, as TOML wants it.
    Ok(common.as_object().cloned().into_iter().flatten().chain(values).collect())
}

/// TOML has no null: an unset key is left out.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let set = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(set.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            other
        }
    }
}
