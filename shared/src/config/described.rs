//! What is wrong with settings, in words without what they hold: any value may be, or have in it, a password.

use figment::error::{Actual, Kind};
use figment::{Error, Metadata};

/// What is wrong, with key and place as the user wrote them.
pub(super) fn described(error: &Error) -> String {
    let key = error.path.join(".");
    let mut text = reason(&error.kind);
    if !key.is_empty() {
        text.push_str(&format!(" for key {key}"));
    }
    if let Some(place) = error.metadata.as_ref().and_then(|metadata| place(metadata, &key)) {
        text.push_str(&format!(" in {place}"));
    }
    text
}

/// Where a key is set.
pub(super) fn place(origin: &Metadata, key: &str) -> Option<String> {
    match &origin.source {
        Some(figment::Source::File(path)) => Some(path.display().to_string()),
        // Flags and defaults come from our own code.
        Some(_) => None,
        None => Some(format!("QUINTET_{}", key.to_ascii_uppercase().replace('.', "__"))),
    }
}

/// An address as a refusal may show it: without what stands before an `@`, which may be a password.
#[must_use]
pub fn without_login(address: &str) -> String {
    let Some((before, after)) = address.rsplit_once('@') else { return address.to_owned() };
    let scheme = before.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
    format!("{scheme}********@{after}")
}

fn reason(kind: &Kind) -> String {
    match kind {
        Kind::Message(text) => without_snippet(text),
        Kind::InvalidType(found, expected) => {
            format!("invalid type: found {}, expected {expected}", form(found))
        }
        Kind::InvalidValue(found, expected) => {
            format!("invalid value: found {}, expected {expected}", form(found))
        }
        Kind::Unsupported(found) => format!("unsupported type: {}", form(found)),
        Kind::UnsupportedKey(found, expected) => {
            format!("unsupported key: found {}, expected {expected}", form(found))
        }
        Kind::InvalidLength(..)
        | Kind::UnknownVariant(..)
        | Kind::UnknownField(..)
        | Kind::MissingField(_)
        | Kind::DuplicateField(_)
        | Kind::ISizeOutOfRange(_)
        | Kind::USizeOutOfRange(_) => kind.to_string(),
    }
}

/// What kind of value was found.
fn form(found: &Actual) -> &'static str {
    match found {
        Actual::Bool(_) => "a boolean",
        Actual::Unsigned(_) | Actual::Signed(_) => "a whole number",
        Actual::Float(_) => "a number",
        Actual::Char(_) | Actual::Str(_) => "a text",
        Actual::Bytes(_) => "bytes",
        Actual::Unit | Actual::Option => "nothing",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        Actual::NewtypeStruct
        | Actual::Enum
        | Actual::UnitVariant
        | Actual::NewtypeVariant
        | Actual::TupleVariant
        | Actual::StructVariant
        | Actual::Other(_) => "another value",
    }
}

/// An error of TOML's reader says where, shows the line behind `12 |`, and says why: that line is left out.
fn without_snippet(text: &str) -> String {
    let is_said =
        |line: &&str| !line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit()).starts_with('|');
    text.lines().filter(is_said).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
#[expect(clippy::result_large_err, reason = "the closure type of figment's jail is not ours")]
mod tests {
    use super::super::{ConfigError, Secret, Source};
    use super::*;
    use figment::Jail;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use std::collections::BTreeMap;

    #[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    struct Section {
        brokers: Vec<Server>,
        servers: BTreeMap<String, Server>,
        limit: u32,
        is_on: bool,
    }

    #[derive(Debug, Deserialize, Serialize, JsonSchema)]
    struct Server {
        url: Option<Secret>,
    }

    fn refusal() -> String {
        let refused: Result<Section, ConfigError> = Source::load(None).unwrap().section("events");
        let error = refused.unwrap_err();
        format!("{error} {:?}", error.to_string())
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_not_shown() {
        for (key, text, expected) in [
            ("BROKERS", "amqp://u:hunter2@h/v", "found a text, expected a sequence for key events.brokers"),
            ("SERVERS", "http://u:hunter2@h", "found a text, expected a map for key events.servers"),
            ("SERVERS", "{a=\"hunter2\"}", "found a text, expected struct Server for key events.servers.a"),
            ("LIMIT", "hunter2", "found a text, expected u32 for key events.limit"),
            ("IS_ON", "1234567", "found a whole number, expected a boolean for key events.is_on"),
        ] {
            Jail::expect_with(|jail| {
                jail.set_env(format!("QUINTET_EVENTS__{key}"), text);
                let refused = refusal();
                assert!(refused.contains(expected), "{refused}");
                assert!(!refused.contains("hunter2") && !refused.contains("1234567"), "{refused}");
                assert!(refused.contains(&format!(" in QUINTET_EVENTS__{key}")), "{refused}");
                Ok(())
            });
        }
    }

    #[test]
    fn a_file_that_is_no_toml_is_refused_with_line_and_column_alone() {
        for text in [
            "data_dir = \"a\"\nadmin_password = \"hunter2\n",
            "data_dir = \"a\"\nadmin_password = hunter2\n",
            "\nadmin_password \"hunter2 | 7 | x\"\n",
        ] {
            Jail::expect_with(|jail| {
                jail.create_file("quintet.toml", text)?;
                let refused = Source::load(None).unwrap().common().unwrap_err().to_string();
                assert!(refused.contains("line 2, column "), "{refused}");
                assert!(refused.ends_with("quintet.toml") && !refused.contains("hunter2"), "{refused}");
                let why = refused.split_once(", column ").and_then(|(_, rest)| rest.split_once(": "));
                assert!(why.is_some_and(|(_, why)| !why.starts_with("in ")), "{refused}");
                Ok(())
            });
        }
    }

    #[test]
    fn an_address_is_shown_without_its_login() {
        for (address, shown) in [
            ("http://u:hunter2@h:99999", "http://********@h:99999"),
            ("u:hunt@er2@h", "********@h"),
            ("ftp://h", "ftp://h"),
        ] {
            assert_eq!(without_login(address), shown);
        }
    }
}
