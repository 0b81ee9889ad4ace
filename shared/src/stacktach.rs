//! Query strings of `StackTach` v3, which the services of events and of streams both speak (streams-events-v1.md, sections
//! 1 to 4): dates, marks, limits and pairs of traits. What is refused is told in words for a 400.

use crate::datetime;
use crate::db::Direction;
use chrono::NaiveDateTime;
use std::collections::HashMap;

/// Items of a list when the client names no limit.
const DEFAULT_LIMIT: usize = 200;

/// A decoded query string.
pub struct Query(HashMap<String, String>);

impl Query {
    /// Decodes `text`. An empty parameter counts as absent, of a repeated one the last counts; what cannot be decoded is
    /// no parameter at all.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(text);
        let pairs = pairs.map(actix_web::web::Query::into_inner).unwrap_or_default();
        Self(pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// A parameter's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A date.
    ///
    /// # Errors
    /// Text that is no date.
    pub fn date(&self, name: &str) -> Result<Option<NaiveDateTime>, String> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let date = datetime::parse_query(text);
        date.map(Some).ok_or_else(|| format!("{name} is not a date in ISO 8601 form: {text}"))
    }

    /// `mark`: the direction of the list, and the id after which it begins. A raw `+` in a query string arrives as a blank.
    ///
    /// # Errors
    /// Text that is no mark.
    pub fn mark(&self) -> Result<(Direction, Option<i64>), String> {
        let text = self.get("mark").unwrap_or("");
        let (direction, digits) = match text.strip_prefix(['+', ' ']) {
            Some(digits) => (Direction::Ascending, digits),
            None => (Direction::Descending, text.strip_prefix('-').unwrap_or(text)),
        };
        let is_hex = digits.chars().all(|c| c.is_ascii_hexdigit());
        match i64::from_str_radix(digits, 16) {
            _ if digits.is_empty() => Ok((direction, None)),
            Ok(id) if is_hex => Ok((direction, Some(id))),
            _ => Err(format!("mark is not a mark of an earlier answer: {text}")),
        }
    }

    /// `limit`, at most `most`; the default for what is no number, as the original.
    ///
    /// # Errors
    /// Negative numbers.
    pub fn limit(&self, most: usize) -> Result<usize, String> {
        let default = DEFAULT_LIMIT.min(most);
        let Some(text) = self.get("limit").map(str::trim) else { return Ok(default) };
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
            return Ok(default);
        }
        if text.starts_with('-') && digits.chars().any(|c| c != '0') {
            return Err(format!("limit is negative: {text}"));
        }
        // What is too long for a number is too long for a list.
        Ok(digits.parse().unwrap_or(most).min(most))
    }

    /// `name:value;name:value`, blanks around both cut. Of one name the last pair counts.
    ///
    /// # Errors
    /// A pair without colon or name, or with a NUL, which no stored text has; more than `most` pairs.
    pub fn pairs(&self, name: &str, most: usize) -> Result<Vec<(String, String)>, String> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for text in split_pairs(self.get(name).unwrap_or("")) {
            let pair = text.split_once(':').filter(|_| !text.contains('\0'));
            let pair = pair.map(|(key, value)| (key.trim(), value.trim())).filter(|(key, _)| !key.is_empty());
            let (key, value) = pair.ok_or_else(|| format!("{name}: expected name:value, got {text}"))?;
            pairs.retain(|(other, _)| other != key);
            pairs.push((key.to_owned(), value.to_owned()));
            if pairs.len() > most {
                return Err(format!("{name}: at most {most} pairs are taken"));
            }
        }
        Ok(pairs)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
        Query(HashMap::from([("traits".to_owned(), text.to_owned())])).pairs("traits", 64)
    }

    #[test]
    fn of_a_repeated_parameter_the_last_counts_that_is_not_empty() {
        assert_eq!(Query::parse("state=active&state=error").get("state"), Some("error"));
        assert_eq!(Query::parse("state=active&state=").get("state"), Some("active"));
        assert_eq!(Query::parse("state=").get("state"), None);
    }

    #[test]
    fn more_pairs_than_a_database_can_plan_are_refused() {
        let many = |names: usize| (0..names).map(|name| format!("a{name}:1;")).collect::<String>();
        assert_eq!(pairs(&many(64)).unwrap().len(), 64);
        assert_eq!(pairs(&many(65)), Err("traits: at most 64 pairs are taken".to_owned()));
        assert_eq!(pairs(&"a:1;".repeat(1000)).unwrap().len(), 1, "of one name the last counts");
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
        assert_eq!(pairs("u:http://h:1/ ;u: a:b "), Ok(vec![("u".to_owned(), "a:b".to_owned())]));
        for text in ["nocolon", " :value", "a\0:b", "a:b\0"] {
            assert_eq!(pairs(text), Err(format!("traits: expected name:value, got {text}")));
        }
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
        assert_eq!(["", "abc", "0", "1000"].map(limit), [Some(200), Some(200), Some(0), Some(1000)]);
        assert_eq!(limit("99999999999999999999999"), Some(10_000));
        assert_eq!(["-1", "-0"].map(limit), [None, Some(0)]);
    }

    proptest! {
        #[test]
        fn no_query_string_panics(text in "\\PC{0,80}") {
            let query = Query::parse(&text);
            let _ = (query.mark(), query.limit(100), query.date("mark"), pairs(&text));
        }
    }
}
