//! Distinguishing traits: the values that tell the streams of one trigger apart.

use std::fmt::Write;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};
use shared::datetime;

use crate::model::{Event, Value, hex};
use crate::timex::Expression;

/// An entry of `distinguished_by`: a trait, plain or seen through a time expression.
#[derive(Debug)]
pub(super) struct Distinguisher {
    pub(super) trait_name: String,
    pub(super) expression: Option<Expression>,
}

/// Why an event that matches belongs to no stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Indistinct {
    #[error("the event has no trait '{0}'")]
    Missing(String),
    #[error("trait '{0}' is no time")]
    NoTime(String),
    #[error("trait '{0}': {1}")]
    NoValue(String, crate::timex::EvaluationError),
}

impl Distinguisher {
    /// The value for an event, taken from this trait of it.
    pub(super) fn value(&self, event: &Event, source: &str) -> Result<Value, Indistinct> {
        let value = event.get(source).ok_or_else(|| Indistinct::Missing(source.to_owned()))?;
        let Some(expression) = &self.expression else { return Ok(value.into_owned()) };
        let timestamp = value.as_datetime().ok_or_else(|| Indistinct::NoTime(source.to_owned()))?;
        expression
            .evaluate(&[("timestamp", timestamp)])
            .map(Value::from)
            .map_err(|error| Indistinct::NoValue(source.to_owned(), error))
    }
}

/// The distinguishing traits of a stream, in the order of the trigger.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Distinguishing(IndexMap<String, Value>);

impl Distinguishing {
    /// The object of the API.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Json::Object(self.0.iter().map(|(name, value)| (name.clone(), value.to_json())).collect())
    }

    /// Reads the object of the API.
    #[must_use]
    pub fn from_json(members: Map<String, Json>) -> Self {
        let value = |(name, json)| Some((name, Value::from_json(json)?));
        Self(members.into_iter().filter_map(value).collect())
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// A name of bounded length for these values: 64 hexadecimal digits.
    ///
    /// Two sets have the same key exactly if they have the same names with values equal in type and value
    /// (SHA-256 is taken to have no collisions): 7, 7.0 and "7" differ, the order of names does not
    /// matter. It is the digest of this text, where LENGTH counts bytes and entries are sorted by name:
    ///
    /// ```text
    /// LENGTH ":" NAME TYPE LENGTH ":" VALUE ";"  …
    /// ```
    ///
    /// TYPE is `t` text, `i` integer, `f` float (shortest decimal that reads back), `d` datetime or `r`
    /// range (`begin/end`), times as in the API. The text must never change: stored streams are found by it.
    #[must_use]
    pub fn key(&self) -> String {
        hex(&Sha256::digest(self.canonical()))
    }

    fn canonical(&self) -> String {
        let mut entries: Vec<_> = self.0.iter().collect();
        entries.sort_unstable_by_key(|(name, _)| *name);
        entries.into_iter().fold(String::new(), |mut text, (name, value)| {
            let (kind, value) = canonical_value(value);
            let _ = write!(text, "{}:{name}{kind}{}:{value};", name.len(), value.len());
            text
        })
    }
}

impl FromIterator<(String, Value)> for Distinguishing {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

fn canonical_value(value: &Value) -> (char, String) {
    match value {
        Value::Text(text) => ('t', text.clone()),
        Value::Int(int) => ('i', int.to_string()),
        // Adding zero makes the negative zero, which equals it, positive.
        Value::Float(float) => ('f', format!("{:?}", float + 0.0)),
        Value::Datetime(at) => ('d', datetime::iso(*at)),
        Value::Range { begin, end } => ('r', format!("{}/{}", datetime::iso(*begin), datetime::iso(*end))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(values: &[(&str, Value)]) -> Distinguishing {
        values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn canonical_text_is_as_documented() {
        let at = |text| datetime::parse(text).unwrap();
        let day = Value::Range { begin: at("2015-02-27"), end: at("2015-02-28") };
        let values = set(&[("timestamp", day), ("instance_id", text("86def971"))]);
        assert_eq!(
            values.canonical(),
            "11:instance_idt8:86def971;9:timestampr39:2015-02-27T00:00:00/2015-02-28T00:00:00;"
        );
        // The digest of that text, by sha256sum.
        assert_eq!(values.key(), "bc38ff30f60729952a0c915d5d974ca30bdd694ccf2c4774cfec67ab0dca01f8");
    }

    #[test]
    fn type_belongs_to_the_key_and_order_does_not() {
        let key = |value| set(&[("n", value)]).key();
        let keys = [key(Value::Int(7)), key(Value::Float(7.0)), key(text("7")), key(text("7.0"))];
        for (index, one) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(one));
        }
        assert_eq!(key(Value::Float(0.0)), key(Value::Float(-0.0)));
        let (a, b) = (("a", Value::Int(1)), ("b", Value::Int(2)));
        assert_eq!(set(&[a.clone(), b.clone()]).key(), set(&[b, a]).key());
        assert_eq!(set(&[]).key().len(), 64);
    }

    proptest! {
        #[test]
        fn keys_are_equal_exactly_for_equal_texts(
            left in prop::collection::vec("[a:;t1]{0,4}", 2), right in prop::collection::vec("[a:;t1]{0,4}", 2)
        ) {
            let key = |names: &[String]| set(&[(&names[0], text(&names[1]))]).key();
            prop_assert_eq!(key(&left) == key(&right), left == right);
        }
    }
}
