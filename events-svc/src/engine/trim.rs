//! What a `winchester.yaml` says about old events (streams-events-v1.md, section 14).
//!
//! Keys: `trim_events`, `trim_events_age`, `trim_events_batch_size`, and `time_sync_endpoint`, for in a replay the
//! events say what time it is. All others are for somebody else.

use chrono::{DateTime, NaiveDateTime};
use shared::timex::{EvaluationError, Expression};
use shared::yaml::{self, Error, Node};
use std::path::Path;

/// The original's defaults.
const AGE: &str = "$timestamp - 14d";
const BATCH: usize = 100;

/// Removal of events by their age.
#[derive(Debug, Clone, PartialEq)]
pub struct Trim {
    age: Expression,
    /// Events removed at once, at least 1.
    pub(super) batch_size: usize,
    /// Whether the events say what time it is.
    pub(super) is_replay: bool,
}

impl Trim {
    /// Reads the keys; `None` when events are kept, also because the age is no time expression, which is logged.
    ///
    /// # Errors
    /// When the file cannot be read, or a key has a value of another kind.
    pub fn from_winchester(path: &Path) -> Result<Option<Self>, Error> {
        let root = yaml::load(path)?;
        let setting = |key: &str| root.get(key).filter(|node| !node.is_null());
        let refuse = |node: &Node, text: &str| node.error(format!("{text} is needed, not {}", node.kind()));
        let is_wanted = setting("trim_events")
            .map(|node| node.as_bool().ok_or_else(|| refuse(node, "trim_events: true or false")));
        if !is_wanted.transpose()?.unwrap_or(false) {
            return Ok(None);
        }
        let age = setting("trim_events_age")
            .map(|node| node.as_str().ok_or_else(|| refuse(node, "trim_events_age: a time expression")));
        let batch_size = setting("trim_events_batch_size").map(|node| {
            let size = node.as_i64().and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
            size.ok_or_else(|| refuse(node, "trim_events_batch_size: a number above 0"))
        });
        Ok(Self::new(
            age.transpose()?.unwrap_or(AGE),
            batch_size.transpose()?.unwrap_or(BATCH),
            setting("time_sync_endpoint")
                .is_some_and(|node| node.as_str().is_none_or(|text| !text.trim().is_empty())),
        ))
    }

    fn new(age: &str, batch_size: usize, is_replay: bool) -> Option<Self> {
        let refused = |why: String| {
            log::error!("trim_events_age: '{age}' is no time expression: {why}; no events are removed");
        };
        let age = Expression::parse(age).map_err(|why| refused(why.to_string())).ok()?;
        let any_present = [("timestamp", DateTime::UNIX_EPOCH.naive_utc())];
        match age.evaluate(&any_present) {
            Err(why @ EvaluationError::Undefined(_)) => {
                refused(why.to_string());
                None
            }
            Ok(_) | Err(EvaluationError::NoDate) => Some(Self { age, batch_size, is_replay }),
        }
    }

    /// Events before this time are too old; `None` when the age is no date then.
    pub(super) fn cutoff(&self, present: NaiveDateTime) -> Option<NaiveDateTime> {
        self.age.evaluate(&[("timestamp", present)]).ok().map(|age| age.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(settings: &str) -> Result<Option<Trim>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("winchester.yaml");
        std::fs::write(&file, settings).unwrap();
        let shown = folder.path().display().to_string();
        Trim::from_winchester(&file).map_err(|error| error.to_string().replace(&shown, "~"))
    }

    fn at(text: &str) -> NaiveDateTime {
        shared::datetime::parse(text).unwrap()
    }

    #[test]
    fn events_are_kept_unless_it_says_otherwise() {
        for text in ["", "trim_events: false\n", "trim_events_age: $timestamp - 1d\n", "trim_events: null\n"]
        {
            assert_eq!(load(text), Ok(None), "{text}");
        }
        let trim = load("trim_events: true\n").unwrap().unwrap();
        assert_eq!((trim.batch_size, trim.is_replay), (100, false));
        assert_eq!(trim.cutoff(at("2015-03-15T12:00:00")), Some(at("2015-03-01T12:00:00")));
    }

    #[test]
    fn age_and_batch_are_read() {
        let text = "trim_events: true\ntrim_events_age: day - 1d\ntrim_events_batch_size: 7\n\
                    time_sync_endpoint: internal\n";
        let trim = load(text).unwrap().unwrap();
        assert_eq!((trim.batch_size, trim.is_replay), (7, true));
        assert_eq!(trim.cutoff(at("2015-03-15T12:00:00")), Some(at("2015-03-14T00:00:00")));
        let blank = load("trim_events: true\ntime_sync_endpoint: ' '\n").unwrap().unwrap();
        assert!(!blank.is_replay, "as for streams");
        let young = load("trim_events: true\ntrim_events_age: $timestamp - 3000y\n").unwrap().unwrap();
        assert_eq!(young.cutoff(at("2015-03-15T12:00:00")), None, "no date is that old");
    }

    #[test]
    fn wrong_age_keeps_events() {
        for age in ["soon", "$last - 1d", "''"] {
            assert_eq!(load(&format!("trim_events: true\ntrim_events_age: {age}\n")), Ok(None), "{age}");
        }
    }

    #[test]
    fn other_values_are_refused_with_their_key() {
        for (setting, message) in [
            ("trim_events: 5", "trim_events: true or false is needed, not an integer"),
            (
                "trim_events_batch_size: 0\ntrim_events: true",
                "trim_events_batch_size: a number above 0 is needed, not an integer",
            ),
            (
                "trim_events_age: [a]\ntrim_events: true",
                "trim_events_age: a time expression is needed, not a list",
            ),
        ] {
            assert_eq!(load(setting), Err(format!("~/winchester.yaml:1: {message}")));
        }
    }
}
