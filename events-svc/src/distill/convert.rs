//! From a JSON value to the value of a trait.

use std::borrow::Cow;

use serde_json::Value;
use shared::datetime;

use super::dialect::{Lists, Rules};
use super::python;
use crate::model::TraitValue;

/// Type of a trait, as its definition gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TraitType {
    /// `text`, the default.
    Text,
    /// `int`
    Int,
    /// `float`
    Float,
    /// `datetime`
    Datetime,
    /// `none`, in ceilometer's dialect: stored as text.
    Untyped,
}

/// Why a value makes no trait, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It cannot be of this type; the originals fail.
    Wrong(&'static str),
    /// The originals take it, but it is beyond what can be stored or searched here.
    Beyond(&'static str),
}

/// Converts a value that is not null.
///
/// `None`: no trait, because a blank stands for null in anything but text (Nova sends `''` for dates it
/// does not have). `\0` is taken out of text, for PostgreSQL cannot store it.
///
/// # Errors
/// If the value cannot be of this type, or not be stored.
pub(super) fn convert(value: &Value, kind: TraitType, rules: &Rules) -> Result<Option<TraitValue>, Fault> {
    if kind != TraitType::Text && value.as_str() == Some("") {
        return Ok(None);
    }
    let converted = match kind {
        TraitType::Text | TraitType::Untyped => TraitValue::Text(text(value, rules)),
        TraitType::Int => TraitValue::Integer(integer(value)?),
        TraitType::Float => TraitValue::Float(float(value)?),
        TraitType::Datetime => {
            let instant = value
                .as_str()
                .and_then(|text| datetime::parse_iso8601(text).or_else(|| datetime::parse(text)));
            TraitValue::Datetime(instant.ok_or(Fault::Wrong("not an ISO 8601 time"))?)
        }
    };
    Ok(Some(converted))
}

fn text(value: &Value, rules: &Rules) -> String {
    let text = match (value, rules.lists) {
        (Value::Array(_) | Value::Object(_), Lists::Json) => Cow::Owned(value.to_string()),
        _ => python::text(value),
    };
    match rules.text_limit.and_then(|limit| text.char_indices().nth(limit)) {
        Some((end, _)) => without_nul(text.get(..end).unwrap_or_default()),
        None => without_nul(&text),
    }
}

fn without_nul(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "") } else { text.to_owned() }
}

fn integer(value: &Value) -> Result<i64, Fault> {
    let whole = python::integer(value).ok_or(Fault::Wrong("not an integer"))?;
    i64::try_from(whole).map_err(|_beyond| Fault::Beyond("an integer beyond 64 bits"))
}

fn float(value: &Value) -> Result<f64, Fault> {
    let float = python::float(value).ok_or(Fault::Wrong("not a number"))?;
    if float.is_finite() { Ok(float) } else { Err(Fault::Beyond("not a finite number")) }
}

#[cfg(test)]
mod tests {
    use super::super::dialect::Dialect;
    use super::*;
    use chrono::NaiveDate;
    use serde_json::json;

    fn stackdistiller(value: Value, kind: TraitType) -> Result<Option<TraitValue>, Fault> {
        convert(&value, kind, &Dialect::Stackdistiller.rules())
    }

    fn ceilometer(value: Value, kind: TraitType) -> Result<Option<TraitValue>, Fault> {
        convert(&value, kind, &Dialect::Ceilometer.rules())
    }

    fn text(text: &str) -> Result<Option<TraitValue>, Fault> {
        Ok(Some(TraitValue::Text(text.to_owned())))
    }

    #[test]
    fn text_is_the_string_form() {
        for (value, expected) in
            [(json!(true), "True"), (json!(3.0), "3.0"), (json!(7), "7"), (json!(""), "")]
        {
            assert_eq!(stackdistiller(value.clone(), TraitType::Text), text(expected));
            assert_eq!(ceilometer(value, TraitType::Text), text(expected));
        }
    }

    #[test]
    fn lists_and_objects_are_json_in_one_dialect_and_python_in_the_other() {
        let value = json!({"a": [null, true, "x"]});
        assert_eq!(stackdistiller(value.clone(), TraitType::Text), text(r#"{"a":[null,true,"x"]}"#));
        assert_eq!(ceilometer(value, TraitType::Text), text("{'a': [None, True, 'x']}"));
    }

    #[test]
    fn ceilometer_cuts_text_at_255_characters_and_stackdistiller_does_not() {
        let long = "é".repeat(300);
        assert_eq!(stackdistiller(json!(long), TraitType::Text), text(&long));
        assert_eq!(ceilometer(json!(long), TraitType::Text), text(&"é".repeat(255)));
    }

    #[test]
    fn nul_is_taken_out_of_text() {
        assert_eq!(stackdistiller(json!("a\0b"), TraitType::Text), text("ab"));
    }

    #[test]
    fn blank_is_no_trait_unless_text() {
        for kind in [TraitType::Int, TraitType::Float, TraitType::Datetime, TraitType::Untyped] {
            assert_eq!(ceilometer(json!(""), kind), Ok(None));
        }
    }

    #[test]
    fn integers() {
        for (value, expected) in [
            (json!(-3.9), Ok(-3)),
            (json!(" +42 "), Ok(42)),
            (json!(true), Ok(1)),
            (json!(i64::MAX), Ok(i64::MAX)),
            (json!("3.7"), Err(Fault::Wrong("not an integer"))),
            (json!([1]), Err(Fault::Wrong("not an integer"))),
            (json!(u64::MAX), Err(Fault::Beyond("an integer beyond 64 bits"))),
            (json!(1e300), Err(Fault::Beyond("an integer beyond 64 bits"))),
        ] {
            let expected = expected.map(|number| Some(TraitValue::Integer(number)));
            assert_eq!(stackdistiller(value, TraitType::Int), expected);
        }
    }

    #[test]
    fn floats() {
        for (value, expected) in [
            (json!(2), Ok(2.0)),
            (json!("1e3"), Ok(1000.0)),
            (json!(false), Ok(0.0)),
            (json!("x"), Err(Fault::Wrong("not a number"))),
            (json!("nan"), Err(Fault::Beyond("not a finite number"))),
        ] {
            let expected = expected.map(|number| Some(TraitValue::Float(number)));
            assert_eq!(stackdistiller(value, TraitType::Float), expected);
        }
    }

    #[test]
    fn datetimes_are_utc() {
        let expected = NaiveDate::from_ymd_opt(2015, 2, 27).unwrap().and_hms_micro_opt(15, 27, 18, 603_932);
        for value in ["2015-02-27 15:27:18.603932", "2015-02-27T17:27:18.603932+02:00"] {
            assert_eq!(
                stackdistiller(json!(value), TraitType::Datetime),
                Ok(expected.map(TraitValue::Datetime))
            );
        }
        for value in [json!("tomorrow"), json!(20150227), json!(["2015-02-27"])] {
            assert_eq!(stackdistiller(value, TraitType::Datetime), Err(Fault::Wrong("not an ISO 8601 time")));
        }
    }
}
