//! `split`: a segment of a text.

use serde_json::Value;
use shared::yaml::Error;

use super::super::python;
use super::{Match, Parameters, TraitPlugin};

#[derive(Debug)]
struct Split {
    /// `None`: at runs of blanks.
    separator: Option<String>,
    /// From the end if negative.
    segment: i64,
    /// Most cuts.
    max_split: Option<usize>,
    first_match_only: bool,
}

/// Looks at the first match alone.
pub(super) fn first_match(parameters: &Parameters<'_>) -> Result<Box<dyn TraitPlugin>, Error> {
    new(parameters, true)
}

/// Gives a value for every match.
pub(super) fn every_match(parameters: &Parameters<'_>) -> Result<Box<dyn TraitPlugin>, Error> {
    new(parameters, false)
}

fn new(parameters: &Parameters<'_>, first_match_only: bool) -> Result<Box<dyn TraitPlugin>, Error> {
    let separator = match parameters.raw("separator") {
        None => Some(".".to_owned()),
        Some(node) if node.is_null() => None,
        Some(node) => match node.as_str().filter(|text| !text.is_empty()) {
            Some(text) => Some(text.to_owned()),
            None => return Err(node.error("separator must be a text that is not empty")),
        },
    };
    Ok(Box::new(Split {
        separator,
        segment: parameters.integer("segment")?.unwrap_or(0),
        // A negative number of cuts means no limit.
        max_split: parameters.integer("max_split")?.and_then(|cuts| usize::try_from(cuts).ok()),
        first_match_only,
    }))
}

impl TraitPlugin for Split {
    fn trait_values(&self, matches: &[Match]) -> Vec<Value> {
        let wanted = if self.first_match_only { 1 } else { matches.len() };
        matches.iter().take(wanted).map(|found| self.segment(&found.value)).collect()
    }
}

impl Split {
    fn segment(&self, value: &Value) -> Value {
        let text = python::text(value);
        let pieces: Vec<&str> = match (&self.separator, self.max_split) {
            (Some(separator), Some(cuts)) => {
                text.splitn(cuts.saturating_add(1), separator.as_str()).collect()
            }
            (Some(separator), None) => text.split(separator.as_str()).collect(),
            (None, cuts) => words(&text, cuts),
        };
        let segment = match usize::try_from(self.segment) {
            Ok(segment) => pieces.get(segment),
            Err(_negative) => usize::try_from(self.segment.unsigned_abs())
                .ok()
                .and_then(|from_end| pieces.get(pieces.len().checked_sub(from_end)?)),
        };
        segment.map_or(Value::Null, |segment| (*segment).into())
    }
}

/// Words between blanks; after so many cuts the rest stays whole, without the blanks before it.
fn words(text: &str, max_split: Option<usize>) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if max_split.is_some_and(|cuts| words.len() >= cuts) {
            words.push(rest);
            break;
        }
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        words.push(word);
        rest = after.trim_start();
    }
    words
}
