//! Answers in XML (events-v2.md, section 8): compact, without a declaration, every item inside `<item>`.

use crate::distill::python;
use crate::model::TraitDescription;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// `text` for element content. What XML cannot hold at all becomes U+FFFD.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A parser would read a bare one as a line feed.
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(c),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

fn push_element(out: &mut String, name: &str, text: &str) {
    if text.is_empty() {
        out.push_str(&format!("<{name} />"));
    } else {
        out.push_str(&format!("<{name}>{}</{name}>", escaped(text)));
    }
}

/// A text of a list.
pub(super) fn push_text(out: &mut String, text: &str) {
    push_element(out, "item", text);
}

/// An instance of a trait.
pub(super) fn push_trait(out: &mut String, name: &str, value: &str, kind: &str) {
    out.push_str("<item>");
    push_element(out, "name", name);
    push_element(out, "value", value);
    push_element(out, "type", kind);
    out.push_str("</item>");
}

/// Name and type of a trait.
pub(super) fn push_description(out: &mut String, description: &TraitDescription) {
    out.push_str("<item>");
    push_element(out, "type", &description.kind);
    push_element(out, "name", &description.name);
    out.push_str("</item>");
}

/// The stored JSON text of an event, read back.
#[derive(Deserialize)]
struct StoredText<'a> {
    #[serde(borrow)]
    message_id: Cow<'a, str>,
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    generated: &'a str,
    traits: Vec<StoredTrait<'a>>,
    raw: &'a RawValue,
}

#[derive(Deserialize)]
struct StoredTrait<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// The children of an event's element, from its JSON text.
///
/// # Errors
/// When the text is no event: the store wrote something else than it reads.
pub(super) fn push_event(out: &mut String, json: &str) -> Result<(), serde_json::Error> {
    let event: StoredText<'_> = serde_json::from_str(json)?;
    push_element(out, "message_id", &event.message_id);
    push_element(out, "event_type", &event.event_type);
    out.push_str(if event.traits.is_empty() { "<traits />" } else { "<traits>" });
    for property in &event.traits {
        push_trait(out, &property.name, &property.value, property.kind);
    }
    if !event.traits.is_empty() {
        out.push_str("</traits>");
    }
    push_element(out, "generated", event.generated);
    match serde_json::from_str(event.raw.get()) {
        Ok(Value::Null) => out.push_str("<raw nil=\"true\" />"),
        // Quirk: the text form of a Python dict.
        Ok(raw) => push_element(out, "raw", &python::text(&raw)),
        // A number beyond every double has no Python form here.
        Err(_) => push_element(out, "raw", event.raw.get()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_becomes_elements_in_the_order_of_the_contract() {
        let json = r#"{"message_id":"m<1>","event_type":"a","generated":"2013-12-31T05:00:00","traits":[{"name":"n","type":"integer","value":"7"}],"raw":{"a":{"b":[1,null,true,"x",1.5,{}]},"uni":"é"}}"#;
        let mut out = String::new();
        push_event(&mut out, json).unwrap();
        assert_eq!(
            out,
            "<message_id>m&lt;1&gt;</message_id><event_type>a</event_type><traits><item><name>n</name>\
             <value>7</value><type>integer</type></item></traits><generated>2013-12-31T05:00:00</generated>\
             <raw>{'a': {'b': [1, None, True, 'x', 1.5, {}]}, 'uni': 'é'}</raw>"
        );
    }

    #[test]
    fn raw_without_a_python_form_stays_json() {
        let json = |raw: &str| {
            format!(r#"{{"message_id":"m","event_type":"a","generated":"g","traits":[],"raw":{raw}}}"#)
        };
        let mut out = String::new();
        push_event(&mut out, &json("[1e999]")).unwrap();
        assert!(out.ends_with("<raw>[1e999]</raw>"), "{out}");
        push_event(&mut out, &json("null")).unwrap();
        assert!(out.ends_with("<raw nil=\"true\" />"), "{out}");
    }

    #[test]
    fn text_is_escaped_and_control_characters_are_replaced() {
        assert_eq!(escaped("a&b<c>\u{1}\r\n\"é"), "a&amp;b&lt;c&gt;\u{fffd}&#13;\n\"é");
    }
}
