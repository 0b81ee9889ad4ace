//! Python's view of JSON values, where the conversion rules are Python's: text form, equality, order and
//! the reading of numbers.
//!
//! `True` and `False` are the numbers 1 and 0, as in Python.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write as _;
use std::num::IntErrorKind;

use serde_json::Value;

/// A JSON number, or a boolean taken as one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    /// Whole; wide enough for the sum and product of two 64 bit integers.
    Int(i128),
    /// With a point or an exponent.
    Float(f64),
}

impl Number {
    /// The number in a value; text is none.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(truth) => Some(Self::Int(i128::from(*truth))),
            Value::Number(number) => match number.as_i128() {
                Some(whole) => Some(Self::Int(whole)),
                None => number.as_f64().map(Self::Float),
            },
            Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The nearest double.
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            #[expect(clippy::as_conversions, reason = "the nearest double is what is asked for")]
            Self::Int(whole) => whole as f64,
            Self::Float(float) => float,
        }
    }

    /// Back to JSON: an integer beyond 64 bits becomes a float, infinity becomes null.
    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Int(whole) => match i64::try_from(whole) {
                Ok(fits) => fits.into(),
                Err(_) => self.as_f64().into(),
            },
            Self::Float(float) => float.into(),
        }
    }

    fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(&right)),
            (left, right) => left.as_f64().partial_cmp(&right.as_f64()),
        }
    }
}

/// `str(value)`: text as it is, everything else as [`repr`].
pub(crate) fn text(value: &Value) -> Cow<'_, str> {
    if let Value::String(text) = value { Cow::Borrowed(text) } else { Cow::Owned(repr(value)) }
}

/// `repr(value)`: `None`, `True`, `3.0`, `'it'`, `[1, 'a']`, `{'a': {}}`.
pub(crate) fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(value, &mut out);
    out
}

fn write_repr(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => out.push_str(&float_text(float)),
            None => out.push_str(&number.to_string()),
        },
        Value::String(text) => write_quoted(text, out),
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                out.push_str(if place == 0 { "" } else { ", " });
                write_repr(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (place, (name, member)) in members.iter().enumerate() {
                out.push_str(if place == 0 { "" } else { ", " });
                write_quoted(name, out);
                out.push_str(": ");
                write_repr(member, out);
            }
            out.push('}');
        }
    }
}

/// Single quotes, unless the text holds one and no double quote.
fn write_quoted(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        let code = u32::from(c);
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if c == quote => out.extend(['\\', c]),
            _ if is_printable(c) => out.push(c),
            // Writing to a `String` cannot fail.
            _ if code <= 0xff => drop(write!(out, "\\x{code:02x}")),
            _ if code <= 0xffff => drop(write!(out, "\\u{code:04x}")),
            _ => drop(write!(out, "\\U{code:08x}")),
        }
    }
    out.push(quote);
}

/// Rust escapes the same Unicode categories as Python does, and besides marks that open a text; so ask
/// about the character in second place.
fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '\0'..='\x7f' => false,
        _ => String::from_iter(['a', c]).escape_debug().count() == 2,
    }
}

/// `repr(float)`: shortest digits that read back; an exponent, of two digits at least and with its sign,
/// from 1e16 up and below 1e-4.
pub(crate) fn float_text(float: f64) -> String {
    let scientific = format!("{float:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific.to_lowercase();
    };
    match exponent.parse::<i32>() {
        Ok(exponent @ (..-4 | 16..)) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ if float.fract() == 0.0 => format!("{float:.1}"),
        _ => float.to_string(),
    }
}

/// `left == right`.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::String(left), Value::String(right)) => left == right,
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            let same =
                |(name, value): (&String, &Value)| right.get(name).is_some_and(|other| equal(value, other));
            left.len() == right.len() && left.iter().all(same)
        }
        _ => match (Number::of(left), Number::of(right)) {
            (Some(left), Some(right)) => left.compare(right) == Some(Ordering::Equal),
            _ => false,
        },
    }
}

/// The order of two values; `None` where Python has none (text and number, objects, null).
pub(crate) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Array(left), Value::Array(right)) => {
            let differing = left.iter().zip(right).find(|(left, right)| !equal(left, right));
            differing.map_or(Some(left.len().cmp(&right.len())), |(left, right)| compare(left, right))
        }
        _ => Number::of(left)?.compare(Number::of(right)?),
    }
}

/// `int(value)`: numbers cut towards zero; text of digits with sign, blanks around and `_` between.
pub(crate) fn integer(value: &Value) -> Option<i128> {
    match (value, Number::of(value)) {
        (_, Some(Number::Int(whole))) => Some(whole),
        #[expect(clippy::as_conversions, reason = "saturates, and both ends are beyond any integer trait")]
        (_, Some(Number::Float(float))) => float.is_finite().then_some(float.trunc() as i128),
        (Value::String(text), None) => {
            let digits = without_underscores(text.trim())?;
            // Saturates: beyond 128 bits is beyond any integer trait.
            match digits.parse::<i128>() {
                Ok(whole) => Some(whole),
                Err(cause) if *cause.kind() == IntErrorKind::PosOverflow => Some(i128::MAX),
                Err(cause) if *cause.kind() == IntErrorKind::NegOverflow => Some(i128::MIN),
                Err(_) => None,
            }
        }
        _ => None,
    }
}

/// `float(value)`: the same with point and exponent, infinity and not-a-number.
pub(crate) fn float(value: &Value) -> Option<f64> {
    match (value, Number::of(value)) {
        (_, Some(number)) => Some(number.as_f64()),
        (Value::String(text), None) => without_underscores(text.trim())?.parse().ok(),
        _ => None,
    }
}

/// Takes out each `_` that stands between two digits; any other makes the text no number.
fn without_underscores(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(Cow::Borrowed(text));
    }
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let parts: Vec<&str> = text.split('_').collect();
    let between_digits = parts.windows(2).all(|pair| match pair {
        [before, after] => digit(before.chars().next_back()) && digit(after.chars().next()),
        _ => false,
    });
    between_digits.then(|| Cow::Owned(parts.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Right: what `CPython` 3.11 prints.
    #[test]
    fn text_forms_are_pythons() {
        for (value, expected) in [
            (json!(true), "True"),
            (json!(7), "7"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(3.0), "3.0"),
            (json!(0.5), "0.5"),
            (json!(1e22), "1e+22"),
            (json!(1e-7), "1e-07"),
            (json!(1.5e-300), "1.5e-300"),
            (json!(0.0001), "0.0001"),
            (json!(0.00001), "1e-05"),
            (json!(1e15), "1000000000000000.0"),
            (json!(1e16), "1e+16"),
            (json!(123_456_789.0), "123456789.0"),
            (json!(-0.0), "-0.0"),
            (json!("it's"), "it's"),
            (json!(["it's", "say \"x\"", "'\""]), r#"["it's", 'say "x"', '\'"']"#),
            (
                json!({"a": {"b": [1, null, true, "x", 1.5, {}]}}),
                "{'a': {'b': [1, None, True, 'x', 1.5, {}]}}",
            ),
            (
                json!(["é\u{a0}\u{200b}\u{301}\n\u{7f}\u{1f600}\u{e000}\\"]),
                r"['é\xa0\u200b́\n\x7f😀\ue000\\']",
            ),
        ] {
            assert_eq!(text(&value), expected);
        }
    }

    #[test]
    fn equality_and_order_are_pythons() {
        assert!(equal(&json!(1), &json!(1.0)) && equal(&json!(true), &json!(1)));
        assert!(!equal(&json!("1"), &json!(1)) && !equal(&json!(null), &json!(0)));
        assert!(equal(&json!({"a": [1], "b": 2}), &json!({"b": 2.0, "a": [true]})));
        assert_eq!(compare(&json!("a"), &json!("b")), Some(Ordering::Less));
        assert_eq!(compare(&json!([1, 2]), &json!([1])), Some(Ordering::Greater));
        assert_eq!(compare(&json!(1.5), &json!(1)), Some(Ordering::Greater));
        assert_eq!(compare(&json!("a"), &json!(1)), None);
        assert_eq!(compare(&json!(null), &json!(null)), None);
    }

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        for (value, expected) in [
            (json!(" -7\n"), Some(-7)),
            (json!("+1_000"), Some(1000)),
            (json!("9".repeat(50)), Some(i128::MAX)),
            (json!(format!("-{}", "9".repeat(50))), Some(i128::MIN)),
            (json!(3.99), Some(3)),
            (json!(-3.99), Some(-3)),
            (json!(false), Some(0)),
            (json!("3.7"), None),
            (json!(""), None),
            (json!("_1"), None),
            (json!("1__0"), None),
            (json!("0x5"), None),
            (json!([1]), None),
            (json!(null), None),
        ] {
            assert_eq!(integer(&value), expected, "{value}");
        }
        for (value, expected) in [
            (json!(" 1_0.5e1 "), Some(105.0)),
            (json!(".5"), Some(0.5)),
            (json!("5."), Some(5.0)),
            (json!("-inf"), Some(f64::NEG_INFINITY)),
            (json!(true), Some(1.0)),
            (json!("1e"), None),
            (json!("1_.5"), None),
            (json!("abc"), None),
            (json!({}), None),
        ] {
            assert_eq!(float(&value), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn float_text_reads_back(float in any::<f64>().prop_filter("finite", |float| float.is_finite())) {
            prop_assert_eq!(float_text(float).parse::<f64>().unwrap(), float);
        }
    }
}
