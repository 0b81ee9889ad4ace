//! `quintet config`: check, print, reference.

use crate::cli::{ConfigCommand, OutputFormat, Settings};
use crate::output::{print_json, print_line};
use crate::{product, reference};
use serde_json::{Value, json};
use shared::config::Source;

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
                OutputFormat::Table => drop(print_line(&as_toml(values)?)),
            }
        }
        ConfigCommand::Reference => drop(print_line(reference::markdown().trim_end())),
    }
    Ok(())
}

/// Every setting, read and checked as a start does, with the files it names.
fn values(settings: &Settings) -> anyhow::Result<Value> {
    values_of(&settings.source()?)
}

fn values_of(source: &Source) -> anyhow::Result<Value> {
    let common = source.common()?;
    shared::secrets::check(&common).map_err(|cause| product::located(source, cause.into()))?;
    product::check_sections_to_come(source)?;
    let mut values = serde_json::Map::new();
    for section in product::sections() {
        let checked = (section.values)(source, &common);
        let checked = checked.map_err(|cause| product::located(source, cause))?;
        values.insert(section.name.to_owned(), checked);
    }
    let common = serde_json::to_value(&common)?;
    // Keys of no section come first, as TOML wants it.
    Ok(common.as_object().cloned().into_iter().flatten().chain(values).collect())
}

/// The settings as `quintet.toml` has them. TOML has no null: keys that are unset are named in comments at the end.
fn as_toml(mut values: Value) -> anyhow::Result<String> {
    let mut unset = Vec::new();
    take_nulls(&mut values, "", &mut unset);
    let mut text = toml::to_string(&values)?;
    if !unset.is_empty() {
        text.push_str("\n# Unset:\n");
    }
    unset.iter().for_each(|key| text.push_str(&format!("# {key}\n")));
    Ok(text.trim_end().to_owned())
}

/// Moves the names of members without a value into `unset`.
fn take_nulls(value: &mut Value, prefix: &str, unset: &mut Vec<String>) {
    let Some(members) = value.as_object_mut() else { return };
    members.retain(|name, value| {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        take_nulls(value, &key, unset);
        if value.is_null() {
            unset.push(key);
        }
        !value.is_null()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_reference_is_printed() {
        let source = Source::load(None).unwrap();
        // An entry of each list of tables, whose keys the reference has too.
        let source = source.with("events.amqp", json!([{ "queues": [{ "queue": "q" }] }]));
        let printed = keys(values_of(&source).unwrap());
        let reference = reference::markdown();
        let rows = reference.lines().filter_map(|line| line.strip_prefix("| `"));
        let named: Vec<String> =
            rows.filter_map(|row| row.split_once('`')).map(|(key, _)| key.replace("[]", ".0")).collect();
        assert!(named.len() > 100, "{}", named.len());
        let missing: Vec<&String> = named.iter().filter(|key| !printed.contains(*key)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    /// The keys of all members, and of the members in them.
    fn keys(values: Value) -> std::collections::BTreeSet<String> {
        let mut keys = std::collections::BTreeSet::new();
        let mut rest = vec![(String::new(), values)];
        while let Some((key, value)) = rest.pop() {
            let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
            match value {
                Value::Object(members) => {
                    rest.extend(members.into_iter().map(|(name, value)| (below(&name), value)));
                }
                Value::Array(entries) => {
                    rest.extend(
                        (0..)
                            .zip(entries)
                            .map(|(place, value): (usize, _)| (below(&place.to_string()), value)),
                    );
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
            keys.insert(key);
        }
        keys
    }

    #[test]
    fn unset_keys_are_named_and_do_not_hinder_the_reading() {
        let values = json!({ "a": null, "b": 1, "c": { "d": null, "e": [], "f": { "g": null } } });
        let text = as_toml(values).unwrap();
        assert_eq!(text, "b = 1\n\n[c]\ne = []\n\n[c.f]\n\n# Unset:\n# a\n# c.d\n# c.f.g");
        assert!(toml::from_str::<toml::Table>(&text).is_ok());
    }
}
