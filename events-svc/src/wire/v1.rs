//! The v1 object of an event (streams-events-v1.md, sections 1.1 and 6.1).
//!
//! Stored are the members without the braces, so that an answer can put `_mark` in front without reading the text.

use super::{push_quoted, python_float};
use crate::model::{Event, TraitValue};
use chrono::NaiveDateTime;
use shared::datetime::push_iso;
use std::collections::BTreeMap;

/// Where an event stands in a list.
const MARK: &str = "_mark";

/// Names that say something else to clients: a list's `_mark`, by which they page, and the `__type__` by which they know
/// a date from an object; klugman ends at one that it does not know.
const TAKEN: [&str; 2] = [MARK, "__type__"];

/// The members of the flat object, sorted by name: all traits plus `message_id`, `event_type` and `timestamp`.
///
/// The three fixed names win over traits of the same name; traits with [`TAKEN`] names are not shown. A name that occurs with two types is shown with the one that came first; v2 shows all.
#[must_use]
pub fn members(event: &Event) -> String {
    let mut members: BTreeMap<&str, Member<'_>> = BTreeMap::from([
        ("message_id", Member::Text(&event.message_id)),
        ("event_type", Member::Text(&event.event_type)),
        ("timestamp", Member::Instant(event.generated)),
    ]);
    for property in event.traits.iter().filter(|property| !TAKEN.contains(&property.name.as_str())) {
        members.entry(&property.name).or_insert_with(|| Member::of(&property.value));
    }
    let mut text = String::with_capacity(members.len() * super::USUAL_TRAIT_BYTES);
    for (name, member) in members {
        if !text.is_empty() {
            text.push(',');
        }
        push_quoted(&mut text, name);
        text.push(':');
        member.push(&mut text);
    }
    text
}

/// A member's value.
enum Member<'e> {
    Text(&'e str),
    Integer(i64),
    Float(f64),
    Instant(NaiveDateTime),
}

impl<'e> Member<'e> {
    fn of(value: &'e TraitValue) -> Self {
        match value {
            TraitValue::Text(text) => Self::Text(text),
            TraitValue::Integer(number) => Self::Integer(*number),
            TraitValue::Float(number) => Self::Float(*number),
            TraitValue::Datetime(instant) => Self::Instant(*instant),
        }
    }

    fn push(&self, out: &mut String) {
        match self {
            Self::Text(text) => push_quoted(out, text),
            Self::Integer(number) => out.push_str(&number.to_string()),
            Self::Float(number) => out.push_str(&python_float(*number)),
            Self::Instant(instant) => {
                out.push_str("{\"__type__\":\"datetime\",\"datetime\":\"");
                push_iso(out, *instant);
                out.push_str("\"}");
            }
        }
    }
}

/// One event of a list: the stored members behind its mark.
pub fn push_marked(out: &mut String, id: i64, is_ascending: bool, members: &str) {
    let sign = if is_ascending { "+" } else { "" };
    out.push_str(&format!("{{\"{MARK}\":\"{sign}{id:x}\","));
    out.push_str(members);
    out.push('}');
}
