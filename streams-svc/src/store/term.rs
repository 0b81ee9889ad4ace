//! Distinguishing values as index terms, and the keys that active streams are found by.
//!
//! A term is the beginning of a SHA-256 over name, type and value: 16 bytes, found by equality alone. A range has
//! two, for clients may ask for its begin or for both ends. The text that is hashed must never change.

use sha2::{Digest, Sha256};
use shared::datetime::{iso, parse};

use crate::model::Value;

/// Bytes of a term: as good as free of collisions, and short.
const TERM_BYTES: usize = 16;

/// Key of the stream that takes events of a trigger and these values; `key` is that of the values.
#[must_use]
pub fn active_key(trigger: &str, key: &str) -> Vec<u8> {
    Sha256::digest(format!("{}:{trigger}{key}", trigger.len())).to_vec()
}

fn term(name: &str, kind: char, value: &str) -> Vec<u8> {
    let digest = Sha256::digest(format!("{}:{name}{kind}{value}", name.len()));
    digest.iter().take(TERM_BYTES).copied().collect()
}

/// The terms under which a value is stored.
pub(super) fn stored_terms(name: &str, value: &Value) -> Vec<Vec<u8>> {
    match value {
        Value::Text(text) => vec![term(name, 't', text)],
        Value::Int(int) => vec![term(name, 'i', &int.to_string())],
        Value::Float(float) => vec![float_term(name, *float)],
        Value::Datetime(at) => vec![term(name, 'd', &iso(*at))],
        Value::Range { begin, end } => {
            let (begin, end) = (iso(*begin), iso(*end));
            vec![term(name, 'b', &begin), term(name, 'r', &format!("{begin}/{end}"))]
        }
    }
}

/// The terms of everything that a text can mean as a value (streams-events-v1.md, section 4).
#[must_use]
pub fn wanted_terms(name: &str, text: &str) -> Vec<Vec<u8>> {
    let mut terms = vec![term(name, 't', text)];
    terms.extend(text.parse::<i64>().ok().map(|int| term(name, 'i', &int.to_string())));
    let float = text.parse::<f64>().ok().filter(|float| float.is_finite());
    terms.extend(float.map(|float| float_term(name, float)));
    if let Some(at) = parse(text).map(iso) {
        terms.extend([term(name, 'd', &at), term(name, 'b', &at)]);
    }
    let ends = text.split_once('/').and_then(|(begin, end)| Some((parse(begin)?, parse(end)?)));
    terms.extend(ends.map(|(begin, end)| term(name, 'r', &format!("{}/{}", iso(begin), iso(end)))));
    terms
}

fn float_term(name: &str, float: f64) -> Vec<u8> {
    // Adding zero makes the negative zero, which equals it, positive.
    term(name, 'f', &format!("{:?}", float + 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(text: &str, value: &Value) -> bool {
        stored_terms("n", value).iter().any(|stored| wanted_terms("n", text).contains(stored))
    }

    #[test]
    fn text_finds_values_of_every_type_it_can_be_read_as() {
        let at = |text| parse(text).unwrap();
        let day = Value::Range { begin: at("2015-02-27"), end: at("2015-02-28") };
        for (text, value) in [
            ("7", Value::Text("7".to_owned())),
            ("7", Value::Int(7)),
            ("7", Value::Float(7.0)),
            ("7.0", Value::Float(7.0)),
            ("-0", Value::Float(0.0)),
            ("2015-02-27T13:00+01:00", Value::Datetime(at("2015-02-27T12:00"))),
            ("2015-02-27", day.clone()),
            ("2015-02-27/2015-02-28T00:00Z", day.clone()),
        ] {
            assert!(finds(text, &value), "{text} {value:?}");
        }
        for (text, value) in [
            ("7.0", Value::Int(7)),
            ("7.0", Value::Text("7".to_owned())),
            ("A", Value::Text("a".to_owned())),
            ("2015-02-28", day.clone()),
            ("2015-02-27/2015-03-01", day),
        ] {
            assert!(!finds(text, &value), "{text} {value:?}");
        }
        assert_ne!(stored_terms("a", &Value::Int(7)), stored_terms("b", &Value::Int(7)));
        assert_ne!(active_key("a", "k"), active_key("b", "k"));
    }
}
