//! `map`: looks values up in a table.

use std::collections::HashMap;

use serde_json::Value;
use shared::yaml::Error;

use super::super::python::Number;
use super::{Match, Parameters, TraitPlugin};

#[derive(Debug)]
struct Map {
    values: HashMap<Key, Value>,
    default: Value,
    case_sensitive: bool,
}

/// What a value is looked up by. As in Python, 1, 1.0 and `True` are one key.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Text(String),
    Int(i128),
    /// Bits of a float that is not whole.
    Float(u64),
}

pub(super) fn new(parameters: &Parameters<'_>) -> Result<Box<dyn TraitPlugin>, Error> {
    let required = || parameters.error("The 'values' parameter is required for the map trait plugin");
    let values = parameters.get("values").ok_or_else(required)?;
    let not_dict = || values.error("The 'values' parameter needs to be a dict for the map trait plugin");
    let entries = values.as_map().ok_or_else(not_dict)?;
    if entries.is_empty() {
        return Err(required());
    }
    let case_sensitive = match parameters.get("case_sensitive") {
        None => true,
        Some(node) => node.as_bool().ok_or_else(|| node.error("case_sensitive must be true or false"))?,
    };
    // A null key cannot be looked up: null matches are not handed to plugins.
    let keyed = entries
        .iter()
        .filter_map(|(key, value)| Some((Key::of(&key.to_json(), case_sensitive)?, value.to_json())));
    Ok(Box::new(Map {
        values: keyed.collect(),
        default: parameters.get("default").map_or(Value::Null, shared::yaml::Node::to_json),
        case_sensitive,
    }))
}

impl Key {
    fn of(value: &Value, case_sensitive: bool) -> Option<Self> {
        match (value, Number::of(value)) {
            (Value::String(text), _) if case_sensitive => Some(Self::Text(text.clone())),
            (Value::String(text), _) => Some(Self::Text(folded(text))),
            (_, Some(Number::Int(whole))) => Some(Self::Int(whole)),
            #[expect(clippy::as_conversions, reason = "whole and within the range that was tested")]
            (_, Some(Number::Float(float))) if float.fract() == 0.0 && float.abs() < 1e30 => {
                Some(Self::Int(float as i128))
            }
            (_, Some(Number::Float(float))) => Some(Self::Float(float.to_bits())),
            _ => None,
        }
    }
}

/// Without difference of case, so that `STRASSE` and `straße` are equal.
fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

impl TraitPlugin for Map {
    fn trait_values(&self, matches: &[Match]) -> Vec<Value> {
        let look_up = |found: &Match| {
            let key = Key::of(&found.value, self.case_sensitive);
            key.and_then(|key| self.values.get(&key)).unwrap_or(&self.default).clone()
        };
        matches.iter().map(look_up).collect()
    }
}
