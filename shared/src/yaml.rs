//! YAML files as a small tree whose every node knows its file and line.
//!
//! For files that old Python programs read before us: anchors, aliases and merge keys are resolved, and
//! plain scalars get the type `PyYAML` gives them (`scalar`). What a file means is for its reader; this
//! module helps to refuse it well: `event_definitions.yaml:12: traits: …`.
//!
//! Sizes are bounded (see [`load()`]), so a hostile file is refused, not expanded.

mod load;
mod scalar;

use std::fmt;
use std::sync::Arc;

pub use load::{load, parse};

/// Why a file is refused, and where. Shown as `file.yaml:12: message`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// Name of the file as it was given.
    pub file: String,
    /// Line from 1; 0 if the fault is the whole file's.
    pub line: u32,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

/// A value and where it was written. What came through an alias or a merge key keeps the line of its
/// origin.
#[derive(Debug, Clone)]
pub struct Node {
    file: Arc<str>,
    line: u32,
    value: Value,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum Value {
    /// `~`, `null` or nothing.
    Null,
    /// `true`, `yes`, `on` and their opposites.
    Bool(bool),
    /// Whole number within 64 bits.
    Int(i64),
    /// Number with a point, infinity or not-a-number.
    Float(f64),
    /// Everything else, timestamps and over-long integers included.
    Text(String),
    /// Sequence.
    List(Vec<Node>),
    /// Mapping in the order of its first keys; each key once, the last value wins.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The value.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The line, from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }

    /// An error that points here.
    #[must_use]
    pub fn error(&self, message: impl fmt::Display) -> Error {
        Error { file: self.file.to_string(), line: self.line, message: message.to_string() }
    }

    /// The value of a text key; `None` also if this is no mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.iter().find(|(own, _)| own.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// The whole number, if it is one.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        if let Value::Int(number) = self.value { Some(number) } else { None }
    }

    /// The number, whole or not.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self.value {
            #[expect(clippy::as_conversions, reason = "the nearest double is what is asked for")]
            Value::Int(number) => Some(number as f64),
            Value::Float(number) => Some(number),
            Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(truth) = self.value { Some(truth) } else { None }
    }

    /// The items, if it is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Value::List(items) = &self.value { Some(items) } else { None }
    }

    /// The entries in order, if it is a mapping.
    #[must_use]
    pub fn as_map(&self) -> Option<&[(Self, Self)]> {
        if let Value::Map(entries) = &self.value { Some(entries) } else { None }
    }

    /// Whether nothing, `~` or `null` is written here.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The kind of value in words, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The same as JSON; keys become text, infinity and not-a-number become `null`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(truth) => (*truth).into(),
            Value::Int(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                entries.iter().map(|(key, value)| (key.key_text(), value.to_json())).collect()
            }
        }
    }

    fn key_text(&self) -> String {
        self.as_str().map_or_else(|| self.to_json().to_string(), str::to_owned)
    }
}

#[cfg(test)]
mod tests;
