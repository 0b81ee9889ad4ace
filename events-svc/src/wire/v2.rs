//! The v2 object of an event (events-v2.md, section 2).
//!
//! Stored is the text up to and with `"raw":`; the raw document stands in a column of its own. Traits are written in
//! one fixed form, so that a reader finds a trait by searching for [`trait_head`]: inside a JSON string the quotes
//! of that text would be escaped.

use super::{push_quoted, python_float};
use crate::model::{Event, Trait, TraitValue};
use shared::datetime::push_iso;

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

/// The start of a trait's object, up to its value's opening quote.
#[must_use]
pub fn trait_head(name: &str, type_name: &str) -> String {
    let mut text = String::new();
    push_start(&mut text, name, type_name);
    text.push('"');
    text
}

/// Appends a trait with a value that is text already.
pub fn push_trait(out: &mut String, name: &str, type_name: &str, value: &str) {
    push_start(out, name, type_name);
    push_quoted(out, value);
    out.push('}');
}

/// The stored text of an event: everything before the raw document. `traits` are sorted by name already.
#[must_use]
pub fn head(event: &Event, traits: &[&Trait]) -> String {
    let mut text = String::with_capacity((traits.len() + 3) * super::USUAL_TRAIT_BYTES);
    text.push_str("{\"message_id\":");
    push_quoted(&mut text, &event.message_id);
    text.push_str(",\"event_type\":");
    push_quoted(&mut text, &event.event_type);
    text.push_str(",\"generated\":");
    push_value(&mut text, &TraitValue::Datetime(event.generated));
    text.push_str(",\"traits\":[");
    for (index, property) in traits.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_start(&mut text, &property.name, type_name(&property.value));
        push_value(&mut text, &property.value);
        text.push('}');
    }
    text.push_str("],\"raw\":");
    text
}

/// The start of a trait's object, up to its value.
fn push_start(out: &mut String, name: &str, type_name: &str) {
    out.push_str("{\"name\":");
    push_quoted(out, name);
    out.extend([",\"type\":\"", type_name, "\",\"value\":"]);
}

/// A value as v2 writes it: always text.
fn push_value(out: &mut String, value: &TraitValue) {
    match value {
        TraitValue::Text(text) => push_quoted(out, text),
        TraitValue::Integer(number) => push_quoted(out, &number.to_string()),
        TraitValue::Float(number) => push_quoted(out, &python_float(*number)),
        TraitValue::Datetime(instant) => {
            out.push('"');
            push_iso(out, *instant);
            out.push('"');
        }
    }
}

/// One event of an answer: the stored text with its raw document.
pub fn push_event(out: &mut String, head: &str, raw: &str) {
    out.push_str(head);
    out.push_str(raw);
    out.push('}');
}
