//! The v2 object of an event (events-v2.md, section 2).
//!
//! Stored is the text up to and with `"raw":`; the raw document stands in a column of its own. Traits are written in
//! one fixed form, so that a reader finds a trait by searching for [`trait_head`]: inside a JSON string the quotes
//! of that text would be escaped.

use super::{python_float, quoted};
use crate::model::{Event, Trait, TraitValue};
use shared::datetime::iso;

/// Name of a trait's type on the wire.
#[must_use]
pub fn type_name(value: &TraitValue) -> &'static str {
    match value {
        TraitValue::Text(_) => "string",
        TraitValue::Integer(_) => "integer",
        TraitValue::Float(_) => "float",
        TraitValue::Datetime(_) => "datetime",
    }
}

/// A trait's value as v2 writes it: always text.
#[must_use]
pub fn value_text(value: &TraitValue) -> String {
    match value {
        TraitValue::Text(text) => text.clone(),
        TraitValue::Integer(number) => number.to_string(),
        TraitValue::Float(number) => python_float(*number),
        TraitValue::Datetime(instant) => iso(*instant),
    }
}

/// The start of a trait's object, up to its value's opening quote.
#[must_use]
pub fn trait_head(name: &str, type_name: &str) -> String {
    format!("{{\"name\":{},\"type\":\"{type_name}\",\"value\":\"", quoted(name))
}

/// The stored text of an event: everything before the raw document. `traits` are sorted by name already.
#[must_use]
pub fn head(event: &Event, traits: &[Trait]) -> String {
    let mut text = format!(
        "{{\"message_id\":{},\"event_type\":{},\"generated\":\"{}\",\"traits\":[",
        quoted(&event.message_id),
        quoted(&event.event_type),
        iso(event.generated)
    );
    for (index, property) in traits.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&trait_head(&property.name, type_name(&property.value)));
        // `quoted` begins with the quote that `trait_head` has written already.
        text.push_str(quoted(&value_text(&property.value)).get(1..).unwrap_or("\""));
        text.push('}');
    }
    text.push_str("],\"raw\":");
    text
}

/// One event of an answer: the stored text with its raw document.
pub fn push_event(out: &mut String, head: &str, raw: &str) {
    out.push_str(head);
    out.push_str(raw);
    out.push('}');
}
