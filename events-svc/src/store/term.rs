//! Index terms: a trait's name, type and value in one byte string whose order is the order of the values.
//!
//! `name 0x00 tag value`. Integers and datetimes (microseconds) are eight big-endian bytes with the sign bit
//! flipped; floats likewise, negative ones with all bits flipped; text is its UTF-8 bytes, and beyond
//! [`MAX_TEXT_BYTES`] its beginning and a hash, so that equality stays exact and order holds for the beginning.

use crate::model::TraitValue;
use sha2::{Digest, Sha256};
use shared::datetime::to_micros;

/// Longest text value that stands in a term whole, in bytes.
const MAX_TEXT_BYTES: usize = 224;

/// Room for a value without growing, in bytes: a UUID has 36.
const USUAL_VALUE_BYTES: usize = 40;

/// Longest name that stands in a term whole; a longer one is a [`super::key::key`].
fn start(name: &str, tag: u8) -> Vec<u8> {
    let name = super::key::key(name);
    let mut term = Vec::with_capacity(name.len() + 2 + USUAL_VALUE_BYTES);
    term.extend_from_slice(name.as_bytes());
    term.extend_from_slice(&[0, tag]);
    term
}

const SIGN: u64 = 1 << 63;

/// The tag of a value's type inside a term. Adding one gives the end of all terms of a name and type.
fn tag(value: &TraitValue) -> u8 {
    match value {
        TraitValue::Datetime(_) => b'd',
        TraitValue::Float(_) => b'f',
        TraitValue::Integer(_) => b'i',
        TraitValue::Text(_) => b's',
    }
}

/// The term of a trait.
#[must_use]
pub(super) fn term(name: &str, value: &TraitValue) -> Vec<u8> {
    let mut term = start(name, tag(value));
    match value {
        TraitValue::Integer(number) => term.extend((number.cast_unsigned() ^ SIGN).to_be_bytes()),
        TraitValue::Datetime(instant) => {
            term.extend((to_micros(*instant).cast_unsigned() ^ SIGN).to_be_bytes());
        }
        TraitValue::Float(number) => {
            // Adding 0.0 makes -0.0 equal to 0.0.
            let bits = (number + 0.0).to_bits();
            term.extend((if bits & SIGN == 0 { bits ^ SIGN } else { !bits }).to_be_bytes());
        }
        TraitValue::Text(text) => {
            let bytes = text.as_bytes();
            match bytes.get(..MAX_TEXT_BYTES) {
                Some(beginning) if bytes.len() > MAX_TEXT_BYTES => {
                    term.extend_from_slice(beginning);
                    term.extend(Sha256::digest(bytes).iter().take(8));
                }
                _ => term.extend_from_slice(bytes),
            }
        }
    }
    term
}

/// First term, and the one after the last, of all values of this name with the type of `value`.
#[must_use]
pub(super) fn span(name: &str, value: &TraitValue) -> (Vec<u8>, Vec<u8>) {
    (start(name, tag(value)), start(name, tag(value) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use proptest::prelude::*;

    fn datetime(micros: i64) -> TraitValue {
        TraitValue::Datetime(DateTime::from_timestamp_micros(micros).unwrap().naive_utc())
    }

    proptest! {
        #[test]
        fn order_of_terms_is_order_of_values(a: i64, b: i64, x in -1e300..1e300f64, y in -1e300..1e300f64) {
            use TraitValue::{Float, Integer};
            prop_assert_eq!(term("n", &Integer(a)).cmp(&term("n", &Integer(b))), a.cmp(&b));
            prop_assert_eq!(term("n", &Float(x)).partial_cmp(&term("n", &Float(y))), x.partial_cmp(&y));
            let (a, b) = (a / 1_000_000, b / 1_000_000);
            prop_assert_eq!(term("n", &datetime(a)).cmp(&term("n", &datetime(b))), a.cmp(&b));
        }

        #[test]
        fn texts_order_by_bytes_and_stay_in_their_span(a in ".{0,60}", b in ".{0,60}", name in "[a-z]{1,9}") {
            let (one, two) = (TraitValue::Text(a.clone()), TraitValue::Text(b.clone()));
            prop_assert_eq!(term(&name, &one).cmp(&term(&name, &two)), a.as_bytes().cmp(b.as_bytes()));
            let (first, end) = span(&name, &one);
            prop_assert!(first <= term(&name, &one) && term(&name, &one) < end);
        }
    }

    #[test]
    fn zero_has_one_term_and_long_texts_differ_after_the_cut() {
        assert_eq!(term("n", &TraitValue::Float(-0.0)), term("n", &TraitValue::Float(0.0)));
        let long = "x".repeat(MAX_TEXT_BYTES + 1);
        let (one, two) = (format!("{long}1"), format!("{long}2"));
        assert_ne!(term("n", &TraitValue::Text(one)), term("n", &TraitValue::Text(two)));
    }
}
