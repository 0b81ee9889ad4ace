//! The v1 query string: last value wins, blanks count as absent (streams-events-v1.md, sections 1 to 5).

use std::collections::HashMap;

use chrono::NaiveDateTime;

use crate::engine::State;
use crate::error::Error;
use crate::store::{Direction, StreamFilter, wanted_terms};

/// Streams of a list when the client names no limit.
const DEFAULT_LIMIT: usize = 200;

/// Most traits that a filter may name.
const MAX_TRAITS: usize = 50;

/// A decoded query string.
pub(super) struct Query(HashMap<String, String>);

impl Query {
    /// Decodes `text`; of a repeated parameter the last value counts, an empty one counts as absent.
    pub(super) fn parse(text: &str) -> Self {
        let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(text);
        let pairs = pairs.map(actix_web::web::Query::into_inner).unwrap_or_default();
        let last: HashMap<String, String> = pairs.into_iter().collect();
        Self(last.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// A parameter's value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether `details`, or `detail`, is asked for: any text but a word for no.
    pub(super) fn has_details(&self) -> bool {
        let word = self.get("details").or_else(|| self.get("detail")).unwrap_or("no");
        !["false", "0", "no", "off"].iter().any(|no| word.eq_ignore_ascii_case(no))
    }

    /// What `GET /v1/streams` and its count ask for.
    pub(super) fn filter(&self, most: usize) -> Result<StreamFilter, Error> {
        let (direction, mark) = self.mark()?;
        let name = self.get("trigger_name").or_else(|| self.get("name"));
        if name.is_some_and(|name| name.contains('\0')) {
            return Err(Error::Invalid("trigger_name contains a NUL character".to_owned()));
        }
        Ok(StreamFilter {
            older_than: self.date("older_than")?,
            younger_than: self.date("younger_than")?,
            state: self.state()?,
            trigger_name: name.map(str::to_owned),
            traits: self.traits()?,
            mark,
            direction,
            limit: self.limit(most)?,
        })
    }

    fn date(&self, name: &str) -> Result<Option<NaiveDateTime>, Error> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let date = shared::datetime::parse_query(text);
        date.map(Some).ok_or_else(|| Error::Invalid(format!("{name} is not a date in ISO 8601 form: {text}")))
    }

    fn state(&self) -> Result<Option<State>, Error> {
        let Some(word) = self.get("state") else { return Ok(None) };
        State::from_word(word).map(Some).ok_or_else(|| Error::Invalid(format!("state is not known: {word}")))
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
        let default = DEFAULT_LIMIT.min(most);
        let Some(text) = self.get("limit").map(str::trim) else { return Ok(default) };
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
            return Ok(default);
        }
        if text.starts_with('-') && digits.chars().any(|c| c != '0') {
            return Err(Error::Invalid(format!("limit is negative: {text}")));
        }
        // What is too long for a number is too long for a list.
        Ok(digits.parse().unwrap_or(most).min(most))
    }

    /// For each trait of `distinguishing_traits` the terms it may be stored under. Of one name the last pair counts.
    fn traits(&self) -> Result<Vec<Vec<Vec<u8>>>, Error> {
        let text = self.get("distinguishing_traits").unwrap_or("");
        let mut pairs: Vec<(String, Vec<Vec<u8>>)> = Vec::new();
        for pair in split_pairs(text) {
            let wrong = || Error::Invalid(format!("distinguishing_traits: expected name:value, got {pair}"));
            let (name, value) = pair.split_once(':').ok_or_else(wrong)?;
            let (name, value) = (name.trim(), value.trim());
            if name.is_empty() {
                return Err(wrong());
            }
            pairs.retain(|(other, _)| other != name);
            pairs.push((name.to_owned(), wanted_terms(name, value)));
        }
        if pairs.len() > MAX_TRAITS {
            return Err(Error::Invalid(format!("distinguishing_traits: more than {MAX_TRAITS} traits")));
        }
        Ok(pairs.into_iter().map(|(_, terms)| terms).collect())
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_for_no_are_no_and_any_other_text_is_yes() {
        for (text, expected) in [
            ("", false),
            ("details=", false),
            ("details=False", false),
            ("detail=off", false),
            ("details=0", false),
            ("details=no", false),
            ("details=True", true),
            ("detail=1", true),
            ("details=please", true),
        ] {
            assert_eq!(Query::parse(text).has_details(), expected, "{text}");
        }
    }

    #[test]
    fn last_value_counts_even_if_it_is_empty() {
        assert_eq!(Query::parse("state=active&state=").get("state"), None);
        assert_eq!(Query::parse("state=active&state=error").get("state"), Some("error"));
    }

    #[test]
    fn limits_follow_the_original() {
        let limit = |text: &str| Query::parse(&format!("limit={text}")).limit(10_000).ok();
        assert_eq!(["", "abc", "0", "1000"].map(limit), [Some(200), Some(200), Some(0), Some(1000)]);
        assert_eq!(limit("99999999999999999999999"), Some(10_000));
        assert_eq!(limit("-1"), None);
    }

    #[test]
    fn pairs_split_at_semicolons_and_at_commas_before_a_pair() {
        assert_eq!(split_pairs("a:1;b:2"), ["a:1", "b:2"]);
        assert_eq!(split_pairs("a:x,y,b:2:3,c"), ["a:x,y", "b:2:3,c"]);
        assert_eq!(split_pairs(""), [""; 0]);
    }

    proptest! {
        #[test]
        fn no_query_string_panics(text in "\\PC{0,80}") {
            let _ = Query::parse(&text).filter(100);
            let _ = Query::parse(&format!("distinguishing_traits={text}")).filter(100);
        }
    }
}
