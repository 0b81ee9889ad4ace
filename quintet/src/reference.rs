//! The reference of all settings in Markdown, made from the types that read them.

use crate::product;
use schemars::Schema;
use serde_json::Value;
use shared::config::Common;

/// `docs/configuration.md`; a test keeps the file equal to this.
pub(crate) fn markdown() -> String {
    let mut text = String::from(
        "# Configuration reference\n\n\
         Made by `quintet config reference`; do not edit.\n\n\
         Settings are read from `quintet.toml`, then from `QUINTET_SECTION__KEY` variables, then from flags; the \
         later wins. The variable of `gateway.listen` is `QUINTET_GATEWAY__LISTEN`. A list may be one text with \
         commas. `key[].name` is a key of each entry of a list of tables: `[[key]]` in the file, \
         `[{name=\"…\"}]` in a variable. A key nobody knows stops the start.\n",
    );
    push_section(&mut text, "Common", "", &schemars::schema_for!(Common));
    for section in product::sections() {
        push_section(&mut text, &format!("Section `{}`", section.name), section.name, &(section.schema)());
    }
    text
}

fn push_section(text: &mut String, title: &str, prefix: &str, schema: &Schema) {
    text.push_str(&format!("\n## {title}\n\n| Key | Default | Meaning |\n|---|---|---|\n"));
    push_keys(text, prefix, schema.as_value(), schema.as_value(), None);
}

/// One row for each key; keys of a nested table follow with dotted names, those of a list's entries with `[]`.
fn push_keys(text: &mut String, prefix: &str, root: &Value, schema: &Value, defaults: Option<&Value>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let default = property.get("default").or_else(|| defaults?.get(name));
        let inner = resolve(root, property);
        if inner.get("properties").is_some() {
            push_keys(text, &key, root, inner, default);
            continue;
        }
        let is_required = || schema.get("required")?.as_array()?.iter().find(|required| *required == name);
        let shown = match default {
            None if is_required().is_some() => "required".to_owned(),
            None | Some(Value::Null) => "unset".to_owned(),
            Some(value) => format!("`{value}`"),
        };
        let meaning = property.get("description").or_else(|| inner.get("description"));
        let meaning = meaning.and_then(Value::as_str).unwrap_or("").replace('\n', " ").replace('|', "\\|");
        text.push_str(&format!("| `{key}` | {shown} | {meaning} |\n"));
        if let Some(entry) = inner.get("items").map(|items| resolve(root, items)) {
            push_keys(text, &format!("{key}[]"), root, entry, None);
        }
    }
}

/// The schema that a `$ref`, alone or in an `anyOf`, stands for.
fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let direct = schema.get("$ref");
    let either = || schema.get("anyOf")?.as_array()?.iter().find_map(|option| option.get("$ref"));
    let target = direct.or_else(either).and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
    target.and_then(|path| root.pointer(path)).unwrap_or(schema)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checked_in_reference_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let stored = std::fs::read_to_string(path).unwrap_or_default();
        let update = "run `cargo run -- config reference > docs/configuration.md`";
        assert!(stored.trim_end() == super::markdown().trim_end(), "docs/configuration.md is old: {update}");
    }
}
