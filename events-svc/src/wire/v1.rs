//! The v1 object of an event (streams-events-v1.md, sections 1.1 and 6.1).
//!
//! Stored are the members without the braces, so that an answer can put `_mark` in front without reading the text.

use super::{python_float, quoted};
use crate::model::{Event, TraitValue};
use chrono::NaiveDateTime;
use shared::datetime::iso;
use std::collections::BTreeMap;

/// The members of the flat object, sorted by name: all traits plus `message_id`, `event_type` and `timestamp`.
///
/// The three fixed names win over traits of the same name. A name that occurs with two types is shown with the one
/// that came first; v2 shows both.
#[must_use]
pub fn members(event: &Event) -> String {
    let mut members: BTreeMap<&str, String> = BTreeMap::new();
    members.insert("message_id", quoted(&event.message_id));
    members.insert("event_type", quoted(&event.event_type));
    members.insert("timestamp", datetime(event.generated));
    for property in &event.traits {
        members.entry(&property.name).or_insert_with(|| value(&property.value));
    }
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    members.join(",")
}

/// One event of a list: the stored members behind its mark.
pub fn push_marked(out: &mut String, id: i64, is_ascending: bool, members: &str) {
    let sign = if is_ascending { "+" } else { "" };
    out.push_str(&format!("{{\"_mark\":\"{sign}{id:x}\","));
    out.push_str(members);
    out.push('}');
}

fn value(value: &TraitValue) -> String {
    match value {
        TraitValue::Text(text) => quoted(text),
        TraitValue::Integer(number) => number.to_string(),
        TraitValue::Float(number) => python_float(*number),
        TraitValue::Datetime(instant) => datetime(*instant),
    }
}

fn datetime(instant: NaiveDateTime) -> String {
    format!("{{\"__type__\":\"datetime\",\"datetime\":\"{}\"}}", iso(instant))
}
