//! Reading of posted events: the form of ceilometer's HTTP publisher, traits as arrays or as objects
//! (events-v2.md, section 13).
//!
//! Each event is read on its own from its text, so that a bad one spoils nothing but itself.

use crate::api::elements::{NotElements, elements};
use crate::distill::python;
use crate::engine::LARGEST_BATCH;
use crate::model::{Event, Trait, TraitValue};
use crate::store::{Prepared, prepare};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use shared::datetime;
use std::collections::HashMap;

/// Traits of one event, at most: OpenStack's own have a few dozen, and each is a row of an index.
const MAX_TRAITS: usize = 4096;

/// Why a body as a whole is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadBody {
    /// Not JSON at all.
    #[error("Request is not in valid JSON format")]
    NotJson,
    /// More events than are taken at once.
    #[error("too many events")]
    TooMany,
    /// JSON, but neither an event nor a list.
    #[error("expected an event or a list of events")]
    NotEvents,
}

/// Takes a body apart into the texts of its events, without reading them.
///
/// # Errors
/// [`BadBody`].
pub(super) fn split(body: &[u8]) -> Result<Vec<&str>, BadBody> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let body = std::str::from_utf8(body).map_err(|_not_utf8| BadBody::NotJson)?.trim_ascii();
    if body.starts_with('[') {
        return match elements(body.as_bytes(), LARGEST_BATCH) {
            Ok(events) => Ok(events.into_iter().map(RawValue::get).collect()),
            Err(NotElements::TooMany(_)) => Err(BadBody::TooMany),
            Err(NotElements::Json(_)) => rescue(body).ok_or(BadBody::NotJson),
        };
    }
    match serde_json::from_str::<&RawValue>(body) {
        Ok(_) if body.starts_with('{') => Ok(vec![body]),
        Ok(_) => Err(BadBody::NotEvents),
        Err(_) => Err(BadBody::NotJson),
    }
}

/// The elements of a list that is not quite JSON, found by counting brackets: Python writes a number that is none as
/// `NaN`, and the events beside it shall not be lost. `None` when no element is an object of its own, or there are more
/// than are taken.
fn rescue(body: &str) -> Option<Vec<&str>> {
    let inner = body.strip_prefix('[')?.strip_suffix(']')?;
    let (mut depth, mut is_quoted, mut is_escaped) = (0usize, false, false);
    let mut is_balanced = true;
    let elements = inner.split(|c| {
        match c {
            '"' if !is_escaped => is_quoted = !is_quoted,
            '[' | '{' if !is_quoted => depth += 1,
            ']' | '}' if !is_quoted => {
                is_balanced &= depth > 0;
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
        is_escaped = c == '\\' && is_quoted && !is_escaped;
        c == ',' && depth == 0 && !is_quoted
    });
    let elements: Vec<&str> = elements.take(LARGEST_BATCH + 1).map(str::trim_ascii).collect();
    if elements.len() > LARGEST_BATCH {
        return None;
    }
    let is_object = |text: &&str| text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok();
    (is_balanced && depth == 0 && !is_quoted && elements.iter().any(is_object)).then_some(elements)
}

/// Reads one event and makes it ready for the store.
///
/// # Errors
/// What is wrong with it, for the publisher's eyes.
pub(super) fn read(text: &str) -> Result<Prepared, String> {
    let members = members(text)?;
    let required = |name: &'static str| -> Result<String, String> {
        let value = members.get(name).ok_or_else(|| format!("{name} is missing"))?;
        serde_json::from_str(value.get()).map_err(|_not_text| format!("{name} is not text"))
    };
    let generated = required("generated")?;
    let event = Event {
        message_id: required("message_id")?,
        event_type: required("event_type")?,
        generated: datetime::parse(&generated)
            .ok_or_else(|| format!("generated is no time: {generated:.60}"))?,
        traits: members.get("traits").map_or(Ok(Vec::new()), |list| traits(list))?,
        raw: members.get("raw").map(|raw| document(raw)).transpose()?,
    };
    prepare(&event).map_err(|cause| cause.to_string())
}

/// The members of an object; of a name given twice the last counts, as in Python.
fn members(text: &str) -> Result<HashMap<String, &RawValue>, String> {
    if !text.starts_with('{') {
        return Err("not an object".into());
    }
    serde_json::from_str(text).map_err(|cause| format!("not an object: {cause}"))
}

/// A raw document that every reader of an answer can follow: it is read once as it will stand in a list of events.
///
/// Too deep nesting, numbers beyond every double and halves of surrogate pairs are JSON by its grammar alone.
fn document(raw: &RawValue) -> Result<Box<RawValue>, String> {
    if raw.get() != "{}" {
        let listed = format!("[[{}]]", raw.get());
        serde_json::from_str::<Value>(&listed).map_err(|cause| format!("raw cannot be read: {cause}"))?;
    }
    Ok(raw.to_owned())
}

/// A trait as an object.
#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(rename = "type", default)]
    kind: Value,
    #[serde(default)]
    value: Value,
}

/// Name, type and value of a trait in either form.
fn posted(text: &str) -> serde_json::Result<(String, Value, Value)> {
    if text.starts_with('[') {
        return serde_json::from_str(text);
    }
    let Named { name, kind, value } = serde_json::from_str(text)?;
    Ok((name, kind, value))
}

fn traits(list: &RawValue) -> Result<Vec<Trait>, String> {
    let list = match list.get() {
        "null" => Vec::new(),
        text => elements(text.as_bytes(), MAX_TRAITS).map_err(|cause| match cause {
            NotElements::TooMany(most) => format!("more than {most} traits"),
            NotElements::Json(_) => "traits is not a list".to_owned(),
        })?,
    };
    let mut traits = Vec::new();
    for text in list {
        let (name, kind, value) =
            posted(text.get()).map_err(|_other| format!("not a trait: {:.60}", text.get()))?;
        // A trait that has no value is not there.
        if !value.is_null() {
            let read = read_value(&kind, &value);
            let value =
                read.ok_or_else(|| format!("trait {name:.60}: {value:.60} is not of type {kind:.60}"))?;
            traits.push(Trait { name, value });
        }
    }
    Ok(traits)
}

/// The value of a trait by its type: ceilometer's number or a name; none means text.
fn read_value(kind: &Value, value: &Value) -> Option<TraitValue> {
    match (kind.as_str(), kind.as_u64()) {
        (Some("string" | "text"), _) | (_, Some(0 | 1)) => Some(TraitValue::Text(python::text(value).into())),
        (Some("integer" | "int"), _) | (_, Some(2)) => {
            Some(TraitValue::Integer(i64::try_from(python::integer(value)?).ok()?))
        }
        (Some("float"), _) | (_, Some(3)) => python::float(value).map(TraitValue::Float),
        (Some("datetime"), _) | (_, Some(4)) => datetime::parse(value.as_str()?).map(TraitValue::Datetime),
        _ if kind.is_null() => Some(TraitValue::Text(python::text(value).into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Small JSON values with all that could mislead a counter of brackets.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[a,\\[\\]{}\"\\\\ ]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::hash_map("[a,\\[\\]{}\"]{0,3}", inner, 0..3)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn rescue_finds_the_elements_that_json_has(mut list in prop::collection::vec(value(), 0..4)) {
            list.push(json!({ "an": "object" }));
            let text = serde_json::to_string(&list).unwrap();
            prop_assert_eq!(rescue(&text), split(text.as_bytes()).ok());
        }

        #[test]
        fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..60), near in "[\\[\\]{}\",:a1 \\\\-]{0,60}") {
            for body in [&body[..], near.as_bytes()] {
                for text in split(body).unwrap_or_default() {
                    let _ = read(text);
                }
            }
        }

        #[test]
        fn no_event_panics(traits in value(), raw in value(), text in ".{0,30}") {
            let event = json!({
                "message_id": text, "event_type": text, "generated": "2024-01-01T00:00:00", "traits": traits, "raw": raw
            });
            let _ = read(&event.to_string());
        }
    }

    #[test]
    fn a_nan_does_not_lose_its_neighbours() {
        assert_eq!(split(b"[{\"a\": 1}, {\"a\": NaN}]"), Ok(vec!["{\"a\": 1}", "{\"a\": NaN}"]));
        assert_eq!(split(b"[{\"a\": NaN}]"), Err(BadBody::NotJson));
    }
}
