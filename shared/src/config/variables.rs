//! Settings in environment variables: what a text means depends on the setting that it is for.
//!
//! `0012345678` is a number for one setting and eight digits behind two zeros for a password. So the type that reads a
//! setting tells, by its schema, before anything is made of the text.

use super::Secret;
use figment::providers::Env;
use figment::util::nest;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde_json::Value as Json;

/// Variables of the command line, which are no settings.
const NO_SETTINGS: [&str; 3] = ["config", "url", "token"];

/// The `QUINTET_*` variables that are settings: dotted keys and texts.
#[derive(Debug, Clone)]
pub(super) struct Variables(Vec<(String, Secret)>);

impl Variables {
    /// Those of this process now, without the ones of tests (`QUINTET_TEST_*`).
    pub(super) fn read() -> Self {
        let env = Env::prefixed("QUINTET_")
            .filter(|key| !key.starts_with("test_") && !NO_SETTINGS.iter().any(|name| key == *name))
            .split("__");
        Self(env.iter().map(|(key, text)| (key.into_string(), Secret::new(text))).collect())
    }

    /// Lays them over `settings`. `schema` describes those whose keys begin with `prefix`.
    pub(super) fn over(&self, settings: Figment, prefix: &str, schema: &Json) -> Figment {
        self.0.iter().fold(settings, |settings, (key, text)| {
            let meant = key.strip_prefix(prefix).and_then(|key| find(schema, key));
            settings.merge(Variable { key, value: value(text.reveal(), meant) })
        })
    }
}

/// The schema of the setting with this dotted key.
fn find<'s>(root: &'s Json, key: &str) -> Option<&'s Json> {
    key.split('.').try_fold(root, |schema, part| {
        let property = schema.get("properties").and_then(|properties| properties.get(part));
        let property = property.or_else(|| schema.get("additionalProperties"))?;
        let of_option = || property.get("anyOf")?.get(0)?.get("$ref");
        let target = property.get("$ref").or_else(of_option).and_then(Json::as_str);
        target.map_or(Some(property), |target| root.pointer(target.strip_prefix('#')?))
    })
}

/// What a text means. Secrets are taken as they stand; another text may have quotes around it.
fn value(text: &str, schema: Option<&Json>) -> Value {
    let is = |kind: &str| {
        let kinds = schema.and_then(|schema| schema.get("type"));
        kinds.is_some_and(|kinds| {
            kinds == kind || kinds.as_array().is_some_and(|kinds| kinds.iter().any(|one| one == kind))
        })
    };
    let is_secret = schema.and_then(|schema| schema.get("writeOnly")) == Some(&Json::Bool(true));
    let parsed = text.parse().unwrap_or_else(|never: std::convert::Infallible| match never {});
    let (is_text, is_list) =
        (matches!(parsed, Value::String(..) | Value::Char(..)), matches!(parsed, Value::Array(..)));
    // A list can be one text with commas.
    let is_changed = (is("string") && !is_text) || (is("array") && !is_text && !is_list);
    if is_secret {
        text.into()
    } else if is_changed {
        text.trim().into()
    } else {
        parsed
    }
}

/// One variable, as the source of one setting.
struct Variable<'v> {
    key: &'v str,
    value: Value,
}

impl Provider for Variable<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment variable")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(nest(self.key, self.value.clone()).into_dict().unwrap_or_default()))
    }
}
