//! The v1 query string: last value wins, blanks count as absent (streams-events-v1.md, sections 1 to 4).

use crate::error::Error;
use crate::model::{Direction, FlatFilter, TraitValue};
use chrono::NaiveDateTime;
use std::collections::HashMap;

/// Events of a list when the client names no limit.
const DEFAULT_LIMIT: usize = 200;

/// Pairs of one filter, at most, as in v2: each is a query of its own to the database's planner.
const MAX_PAIRS: usize = 64;

/// A decoded query string.
pub(crate) struct Query(HashMap<String, String>);

impl Query {
    /// Decodes `text`; of a repeated parameter the last value counts, an empty one counts as absent.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(text);
        let pairs = pairs.map(actix_web::web::Query::into_inner).unwrap_or_default();
        Self(pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// A parameter's value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A date parameter.
    pub(crate) fn date(&self, name: &str) -> Result<Option<NaiveDateTime>, Error> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let date = shared::datetime::parse_query(text);
        date.map(Some).ok_or_else(|| Error::Invalid(format!("{name} is not a date in ISO 8601 form: {text}")))
    }

    /// Direction and mark. A raw `+` in a query string arrives as a blank.
    fn mark(&self) -> Result<(Direction, Option<i64>), Error> {
        let text = self.get("mark").unwrap_or("");
        let (direction, digits) = match text.strip_prefix(['+', ' ']) {
            Some(digits) => (Direction::Ascending, digits),
            None => (Direction::Descending, text.strip_prefix('-').unwrap_or(text)),
        };
        let is_hex = digits.chars().all(|c| c.is_ascii_hexdigit());
        match i64::from_str_radix(digits, 16) {
            _ if digits.is_empty() => Ok((direction, None)),
            Ok(id) if is_hex => Ok((direction, Some(id))),
            _ => Err(Error::Invalid(format!("mark is not a mark of an earlier answer: {text}"))),
        }
    }

    /// Default for what is no number, as the original; at most `most`.
    fn limit(&self, most: usize) -> Result<usize, Error> {
        let Some(text) = self.get("limit").map(str::trim) else { return Ok(DEFAULT_LIMIT.min(most)) };
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
        match text.parse::<i64>() {
            Ok(number) if number < 0 => Err(Error::Invalid(format!("limit is negative: {text}"))),
            _ if is_number && text.starts_with('-') => {
                Err(Error::Invalid(format!("limit is negative: {text}")))
            }
            Ok(number) => Ok(usize::try_from(number).unwrap_or(most).min(most)),
            // A number too long for any list.
            Err(_) if is_number => Ok(most),
            Err(_) => Ok(DEFAULT_LIMIT.min(most)),
        }
    }

    /// What `GET /v1/events` and its count ask for.
    pub(crate) fn filter(&self, most: usize) -> Result<FlatFilter, Error> {
        let (direction, mark) = self.mark()?;
        Ok(FlatFilter {
            event_type: self.get("event_name").map(str::to_owned),
            after: self.date("from_datetime")?,
            until: self.date("to_datetime")?,
            traits: trait_pairs(self.get("traits").unwrap_or(""))?,
            mark,
            direction,
            limit: self.limit(most)?,
        })
    }
}

/// `name:value;name:value`, each value with everything it can be read as. Of one name the last pair counts.
fn trait_pairs(text: &str) -> Result<Vec<(String, Vec<TraitValue>)>, Error> {
    let mut pairs: Vec<(String, Vec<TraitValue>)> = Vec::new();
    for pair in split_pairs(text) {
        let (name, value) = pair
            .split_once(':')
            .ok_or_else(|| Error::Invalid(format!("traits: expected name:value, got {pair}")))?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || name.contains('\0') || value.contains('\0') {
            return Err(Error::Invalid(format!("traits: expected name:value, got {pair}")));
        }
        pairs.retain(|(other, _)| other != name);
        pairs.push((name.to_owned(), readings(value)));
        if pairs.len() > MAX_PAIRS {
            return Err(Error::Invalid(format!("traits: at most {MAX_PAIRS} pairs are taken")));
        }
    }
    Ok(pairs)
}

/// Cuts at `;`, and at a `,` whose piece up to the next separator holds a colon: the original client joins pairs
/// with commas, and a value may contain one.
fn split_pairs(text: &str) -> Vec<String> {
    let mut pairs: Vec<String> = Vec::new();
    for part in text.split(';') {
        let mut pieces = part.split(',');
        let mut pair = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            if piece.contains(':') {
                pairs.push(std::mem::replace(&mut pair, piece.to_owned()));
            } else {
                pair.push(',');
                pair.push_str(piece);
            }
        }
        pairs.push(pair);
    }
    pairs.retain(|pair| !pair.trim().is_empty());
    pairs
}

/// Everything a text can mean as a trait's value.
fn readings(text: &str) -> Vec<TraitValue> {
    let mut readings = vec![TraitValue::Text(text.to_owned())];
    readings.extend(text.parse().ok().map(TraitValue::Integer));
    readings.extend(text.parse().ok().filter(|number: &f64| number.is_finite()).map(TraitValue::Float));
    readings.extend(shared::datetime::parse(text).map(TraitValue::Datetime));
    readings
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn more_pairs_than_a_database_can_plan_are_refused() {
        let pairs = |names: usize| (0..names).map(|name| format!("a{name}:1;")).collect::<String>();
        assert_eq!(trait_pairs(&pairs(64)).unwrap().len(), 64);
        assert!(matches!(trait_pairs(&pairs(65)), Err(Error::Invalid(_))));
        assert_eq!(trait_pairs(&"a:1;".repeat(1000)).unwrap().len(), 1, "of one name the last counts");
    }

    #[test]
    fn pairs_split_at_semicolons_and_at_commas_before_a_pair() {
        assert_eq!(split_pairs("a:1;b:2"), ["a:1", "b:2"]);
        assert_eq!(split_pairs("a:1,b:2"), ["a:1", "b:2"]);
        assert_eq!(split_pairs("a:x,y;b:2"), ["a:x,y", "b:2"]);
        assert_eq!(split_pairs("a:x,y,b:2:3,c"), ["a:x,y", "b:2:3,c"]);
        assert_eq!(split_pairs(""), [""; 0]);
    }

    #[test]
    fn a_pair_splits_at_its_first_colon_and_the_last_of_a_name_counts() {
        let pairs = trait_pairs("u:http://h:1/ ;u: a:b ").unwrap();
        assert_eq!(pairs, [("u".to_owned(), vec![TraitValue::Text("a:b".to_owned())])]);
        assert!(trait_pairs("nocolon").is_err());
    }

    #[test]
    fn a_value_stands_for_every_type_it_can_be_read_as() {
        use TraitValue::{Float, Integer, Text};
        assert_eq!(readings("7"), [Text("7".into()), Integer(7), Float(7.0)]);
        assert_eq!(readings("2.0"), [Text("2.0".into()), Float(2.0)]);
        let noon = "2015-02-27T12:00:00".parse().unwrap();
        assert_eq!(readings("2015-02-27T13:00+01:00").last(), Some(&TraitValue::Datetime(noon)));
    }

    #[test]
    fn marks_are_hexadecimal_and_their_sign_is_the_direction() {
        use Direction::{Ascending, Descending};
        let mark = |text: &str| Query::parse(&format!("mark={text}")).mark().ok();
        assert_eq!(mark("280"), Some((Descending, Some(640))));
        assert_eq!(mark("%2B280"), Some((Ascending, Some(640))));
        assert_eq!(mark("+280"), Some((Ascending, Some(640))));
        assert_eq!(mark("%2B"), Some((Ascending, None)));
        assert_eq!(mark("-"), Some((Descending, None)));
        assert_eq!(mark("-280"), Some((Descending, Some(640))));
        assert_eq!(mark("xyz"), None);
        assert_eq!(mark("%2B-1"), None);
        assert_eq!(mark("ffffffffffffffffff"), None);
    }

    #[test]
    fn limits_follow_the_original() {
        let limit = |text: &str| Query::parse(&format!("limit={text}")).limit(10_000).ok();
        assert_eq!(limit(""), Some(200));
        assert_eq!(limit("abc"), Some(200));
        assert_eq!(limit("0"), Some(0));
        assert_eq!(limit("1000"), Some(1000));
        assert_eq!(limit("99999999999999999999999"), Some(10_000));
        assert_eq!(limit("-1"), None);
    }

    proptest! {
        #[test]
        fn no_query_string_panics(text in "\\PC{0,80}") {
            let _ = Query::parse(&text).filter(100);
            let _ = trait_pairs(&text);
        }
    }
}
