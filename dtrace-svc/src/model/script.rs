//! One script: its five members, what a client may send for it, and its wire form.

use super::Refused;
use indexmap::IndexMap;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Longest name in bytes: it is part of an index.
const MAX_NAME_BYTES: usize = 1024;

/// Whether a word is the id of a script: a UUID in lower case with hyphens, as we make them.
#[must_use]
pub fn is_script_id(word: &str) -> bool {
    uuid::Uuid::try_parse(word).is_ok_and(|id| id.to_string() == word)
}

/// A stored script. `config` and `metadata` are JSON objects kept as text, so that numbers of any length come back
/// as they were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Version 4, lower case.
    pub uuid: String,
    /// Need not be unique.
    pub name: String,
    /// The text for the tracer, with `$variables$`.
    pub script: String,
    /// Values for the variables: a JSON object.
    pub config: String,
    /// Whatever clients keep beside it: a JSON object.
    pub metadata: String,
    /// Counts the changes.
    pub revision: i64,
}

impl Script {
    /// Bytes of the texts together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.name.len() + self.script.len() + self.config.len() + self.metadata.len()
    }

    /// The object as JSON, with only the named members.
    #[must_use]
    pub fn json(&self, fields: &Fields) -> String {
        let text = |value: &str| Value::from(value).to_string();
        let mut members = Vec::with_capacity(5);
        let mut push = |name: &str, value: &dyn Fn() -> String| {
            if fields.has(name) {
                members.push(format!("\"{name}\":{}", value()));
            }
        };
        push("uuid", &|| text(&self.uuid));
        push("name", &|| text(&self.name));
        push("script", &|| text(&self.script));
        push("config", &|| self.config.clone());
        push("metadata", &|| self.metadata.clone());
        format!("{{{}}}", members.join(","))
    }

    /// The object as a value, with only the named members.
    #[must_use]
    pub fn value(&self, fields: &Fields) -> Value {
        let object = |text: &str| serde_json::from_str(text).unwrap_or_else(|_impossible| Map::new().into());
        let mut members = Map::new();
        let mut push = |name: &str, value: &dyn Fn() -> Value| {
            if fields.has(name) {
                members.insert(name.to_owned(), value());
            }
        };
        push("uuid", &|| self.uuid.as_str().into());
        push("name", &|| self.name.as_str().into());
        push("script", &|| self.script.as_str().into());
        push("config", &|| object(&self.config));
        push("metadata", &|| object(&self.metadata));
        members.into()
    }
}

/// Which members of a script a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Option<Vec<String>>);

impl Fields {
    /// Every member.
    pub const ALL: Self = Self(None);

    /// Those that `text` names between commas; unknown names do no harm.
    #[must_use]
    pub fn named(text: &str) -> Self {
        Self(Some(text.split(',').map(|name| name.trim().to_owned()).collect()))
    }

    fn has(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.iter().any(|wanted| wanted == name))
    }
}

/// What a client sends to make a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Name of the script.
    pub name: String,
    /// Its text.
    pub script: String,
    /// A JSON object.
    pub config: String,
}

impl Draft {
    /// Reads a body: `name` and `script` are required, `config` is not, other members are ignored.
    ///
    /// # Errors
    /// [`Refused::Invalid`] naming the member that is wrong.
    pub fn parse(json: &str) -> Result<Self, Refused> {
        let change = Change::parse(json)?;
        let missing = |name| Refused::invalid(format!("{name} is missing"));
        Ok(Self {
            name: change.name.ok_or_else(|| missing("name"))?,
            script: change.script.ok_or_else(|| missing("script"))?,
            config: change.config.unwrap_or_else(|| "{}".to_owned()),
        })
    }
}

/// What a client sends to edit a script; what it leaves out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// New name.
    pub name: Option<String>,
    /// New text.
    pub script: Option<String>,
    /// New JSON object.
    pub config: Option<String>,
}

impl Change {
    /// Reads a body; members that cannot be edited are ignored.
    ///
    /// # Errors
    /// [`Refused::Invalid`] naming the member that is wrong.
    pub fn parse(json: &str) -> Result<Self, Refused> {
        let members = members(json)?;
        let name = text(&members, "name")?;
        if name.as_ref().is_some_and(|name| name.len() > MAX_NAME_BYTES) {
            return Err(Refused::invalid(format!("name is longer than {MAX_NAME_BYTES} bytes")));
        }
        let config = members.get("config").map(|config| config.get().trim());
        if config.is_some_and(|config| !config.starts_with('{')) {
            return Err(Refused::invalid("config is no object"));
        }
        Ok(Self { name, script: text(&members, "script")?, config: config.map(str::to_owned) })
    }
}

/// The members of a JSON object, each as it was written; of equal names the last counts.
///
/// The text is read through once, so that what is kept can always be read again.
pub(super) fn members(json: &str) -> Result<IndexMap<String, &RawValue>, Refused> {
    let refuse = |cause: serde_json::Error| Refused::invalid(format!("the body is no JSON object: {cause}"));
    let _readable: Map<String, Value> = serde_json::from_str(json).map_err(refuse)?;
    serde_json::from_str(json).map_err(refuse)
}

/// A text member. NUL is refused: PostgreSQL cannot store it.
fn text(members: &IndexMap<String, &RawValue>, name: &str) -> Result<Option<String>, Refused> {
    let Some(raw) = members.get(name) else { return Ok(None) };
    let text: String =
        serde_json::from_str(raw.get()).map_err(|_other| Refused::invalid(format!("{name} is no string")))?;
    if text.contains('\0') { Err(Refused::invalid(format!("{name} contains NUL"))) } else { Ok(Some(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_uuids_are_ids() {
        assert!(is_script_id("b7c658e0-2ddb-46dd-8973-4a59ffc9957e"));
        for other in [
            "",
            "x",
            "B7C658E0-2DDB-46DD-8973-4A59FFC9957E",
            "b7c658e02ddb46dd89734a59ffc9957e",
            "{b7c658e0-2ddb-46dd-8973-4a59ffc9957e}",
            "urn:uuid:b7c658e0-2ddb-46dd-8973-4a59ffc9957e",
        ] {
            assert!(!is_script_id(other), "{other}");
        }
    }

    #[test]
    fn a_draft_needs_name_and_script_as_strings_and_config_as_an_object() {
        let draft =
            Draft::parse(r#"{"name":"n","script":"s","config": {"a":123456789012345678901234567890},"x":1}"#);
        let config = r#"{"a":123456789012345678901234567890}"#.to_owned();
        assert_eq!(draft, Ok(Draft { name: "n".into(), script: "s".into(), config }));
        assert_eq!(Draft::parse(r#"{"name":"n","script":"s"}"#).unwrap().config, "{}");
        let deep =
            format!(r#"{{"name":"n","script":"s","config":{}1{}}}"#, "{\"a\":".repeat(200), "}".repeat(200));
        for wrong in [
            "",
            "[]",
            "{",
            r#"{"script":"s"}"#,
            r#"{"name":"n"}"#,
            r#"{"name":1,"script":"s"}"#,
            r#"{"name":"n","script":null}"#,
            r#"{"name":"n","script":"s","config":[]}"#,
            r#"{"name":"n","script":"s","config":null}"#,
            r#"{"name":"n","script":"s\u0000"}"#,
            r#"{"name":"n","script":"s","config":{"a":"\ud800"}}"#,
            r#"{"name":"n","script":"s","config":{"a":1e999}}"#,
            &deep,
        ] {
            assert!(matches!(Draft::parse(wrong), Err(Refused::Invalid(_))), "{wrong}");
        }
    }

    #[test]
    fn fields_choose_top_level_members_and_ignore_unknown_ones() {
        let script = Script {
            uuid: "u".into(),
            name: "n\"".into(),
            script: "s".into(),
            config: r#"{"a":1.0}"#.into(),
            metadata: "{}".into(),
            revision: 1,
        };
        let all = r#"{"uuid":"u","name":"n\"","script":"s","config":{"a":1.0},"metadata":{}}"#;
        assert_eq!(script.json(&Fields::ALL), all);
        assert_eq!(script.value(&Fields::ALL), serde_json::from_str::<Value>(all).unwrap());
        assert_eq!(
            script.json(&Fields::named("name, uuid,config.a,nothing")),
            r#"{"uuid":"u","name":"n\""}"#
        );
        assert_eq!(script.json(&Fields::named("")), "{}");
        assert_eq!(script.value(&Fields::named("config")), serde_json::json!({"config": {"a": 1.0}}));
    }
}
