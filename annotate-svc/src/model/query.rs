//! The parameters of a query (annotate.md, section 4).

use super::annotation::Field;
use super::stamp::{Form, INSTANTS, Stamp, parse_either};
use super::words::Words;
use chrono::{DateTime, Duration, Utc};

/// Conditions that one query may have.
const MAX_CONDITIONS: usize = 32;

/// Why a query cannot be answered; the texts are the original's where it has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Nobody knows the parameter.
    #[error("{0} is not a valid query field")]
    UnknownName(String),
    /// A date is neither of the two forms; with both reasons.
    #[error("couldn't parse {0} as RFC3339 or epoch: {1}")]
    Date(&'static str, String),
    /// Nobody knows the word after the colon.
    #[error("{0} is not a valid query verb")]
    UnknownVerb(String),
    /// A search for no words.
    #[error("message field does not support empty searches")]
    EmptyMessage,
    /// More conditions than any client means.
    #[error("a query may have at most {MAX_CONDITIONS} conditions")]
    TooManyConditions,
    /// Another parameter has a value that cannot be used.
    #[error("{0}")]
    Invalid(String),
}

/// Whether a field's value must or must not be the given one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// The whole value, in this letter case.
    Is,
    /// Anything else.
    IsNot,
}

/// A condition on one field; "" asks for the empty field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Any field but `Message`.
    pub field: Field,
    /// How the value is compared.
    pub verb: Verb,
    /// The value.
    pub value: String,
}

/// Annotations match when they end at or after its start and start at or before its end. Turned around, it holds
/// those that cover it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// First instant, microseconds since 1970.
    pub start: i64,
    /// Last instant, microseconds since 1970.
    pub end: i64,
}

impl Window {
    /// From two times in milliseconds; a missing one, or one beyond all dates, leaves that side open.
    #[must_use]
    pub fn of_millis(start: Option<i64>, end: Option<i64>) -> Self {
        let stamp = |millis: i64| Stamp::epoch_millis(millis).map(|stamp| stamp.micros);
        let side = |millis: i64, otherwise| stamp(millis).unwrap_or(otherwise);
        let (first, last) = (INSTANTS.start() * 1_000_000, INSTANTS.end() * 1_000_000);
        Self {
            start: start.map_or(first, |millis| side(millis, if millis < 0 { first } else { last })),
            end: end.map_or(last, |millis| side(millis, if millis < 0 { first } else { last }) + 999),
        }
    }

    /// From two dates. A date without a fraction stands for its whole second at the end of a window, because that is
    /// how annotations show their dates.
    #[must_use]
    pub fn between(start: Stamp, end: Stamp) -> Self {
        let rest_of_second = if end.micros.rem_euclid(1_000_000) == 0 { 999_999 } else { 0 };
        Self { start: start.micros, end: end.micros + rest_of_second }
    }
}

/// The conditions of a query, all of which must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// On fields.
    pub fields: Vec<Condition>,
    /// Words that the message must have.
    pub words: Option<Words>,
    /// Words that the message must not have, together.
    pub without: Vec<Words>,
    /// No annotation can meet them.
    pub is_impossible: bool,
}

/// The parameters that a query has in all its forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// The window.
    pub window: Window,
    /// Its start and end as they were given.
    pub dates: (Stamp, Stamp),
    /// Form of the dates in the answer.
    pub form: Form,
    /// What to look for.
    pub conditions: Conditions,
    has_window: bool,
    /// Parameters of the route's own, with their first values.
    own: Vec<(String, String)>,
}

impl Parameters {
    /// Reads a query string. `own` are the names that this route knows besides the common ones.
    ///
    /// # Errors
    /// [`QueryError`]; unknown names come before everything else.
    pub fn parse(query: &str, own: &[&str], now: DateTime<Utc>) -> Result<Self, QueryError> {
        let mut pairs = pairs(query);
        // The first value of a repeated parameter counts.
        let mut seen = std::collections::HashSet::new();
        pairs.retain(|(name, _)| seen.insert(name.clone()));
        for (name, _) in &pairs {
            let first = name.split(':').next().unwrap_or_default();
            let is_known = ["StartDate", "EndDate", "Epoch"].contains(&first)
                || Field::named(first).is_some()
                || own.contains(&name.as_str());
            if !is_known {
                return Err(QueryError::UnknownName(name.clone()));
            }
        }
        let value =
            |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let date = |name: &'static str| match value(name) {
            None | Some("") => Ok(None),
            Some(text) => parse_either(text).map(Some).map_err(|reasons| QueryError::Date(name, reasons)),
        };
        let start = date("StartDate")?.unwrap_or_else(|| Stamp::utc(now - Duration::hours(24)));
        let end = date("EndDate")?.unwrap_or_else(|| Stamp::utc(now));
        let form = if value("Epoch") == Some("1") { Form::Epoch } else { Form::Rfc3339 };
        let has_window =
            [value("StartDate"), value("EndDate")].into_iter().flatten().any(|date| !date.is_empty());
        let conditions = Conditions::read(&pairs)?;
        pairs.retain(|(name, _)| own.contains(&name.as_str()));
        Ok(Self {
            window: Window::between(start, end),
            dates: (start, end),
            form,
            conditions,
            has_window,
            own: pairs,
        })
    }

    /// Whether they ask for less than everything: a date, a condition or a filter is given.
    #[must_use]
    pub fn is_search(&self) -> bool {
        let has_filter = self.own("filter").is_some_and(|filter| !filter.trim().is_empty());
        self.has_window || has_filter || self.conditions != Conditions::default()
    }

    /// The value of one of the route's own parameters.
    #[must_use]
    pub fn own(&self, wanted: &str) -> Option<&str> {
        self.own.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }
}

impl Conditions {
    fn read(pairs: &[(String, String)]) -> Result<Self, QueryError> {
        let mut conditions = Self::default();
        for (name, value) in pairs {
            let mut parts = name.split(':');
            let Some(field) = parts.next().and_then(Field::named) else { continue };
            let value = match parts.next() {
                None | Some("" | "Is") => value.as_str(),
                Some("Empty") => "",
                Some(other) => return Err(QueryError::UnknownVerb(other.to_owned())),
            };
            // Any third part negates, whatever it says: the Grafana plugin sends `Owner::Empty` for "is not".
            let verb = if parts.next().is_some() { Verb::IsNot } else { Verb::Is };
            if field == Field::Message {
                conditions.add_words(verb, Words::parse(value)?);
            } else {
                conditions.add(Condition { field, verb, value: value.to_owned() })?;
            }
        }
        Ok(conditions)
    }

    fn add_words(&mut self, verb: Verb, words: Words) {
        match (verb, &mut self.words) {
            (Verb::IsNot, _) => self.without.push(words),
            (Verb::Is, Some(own)) => own.and(words),
            (Verb::Is, own @ None) => *own = Some(words),
        }
    }

    /// Adds a condition.
    ///
    /// # Errors
    /// [`QueryError::TooManyConditions`].
    pub fn add(&mut self, condition: Condition) -> Result<(), QueryError> {
        // No stored text contains U+0000.
        if condition.value.contains('\0') {
            self.is_impossible |= condition.verb == Verb::Is;
            return Ok(());
        }
        if self.fields.len() + self.without.len() >= MAX_CONDITIONS {
            return Err(QueryError::TooManyConditions);
        }
        self.fields.push(condition);
        Ok(())
    }
}

/// Takes a query string apart as Go does: `+` is a space, pairs with a bad `%` or a semicolon are dropped.
#[must_use]
pub fn pairs(query: &str) -> Vec<(String, String)> {
    let read = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decoded(name)?, decoded(value)?))
    };
    query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')).filter_map(read).collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit =
                    |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                bytes.push(digit(high)? * 16 + digit(low)?);
                tail
            }
            (b'%', _) => return None,
            (b'+', tail) => {
                bytes.push(b' ');
                tail
            }
            (plain, tail) => {
                bytes.push(*plain);
                tail
            }
        };
    }
    Some(
        String::from_utf8(bytes)
            .unwrap_or_else(|cause| String::from_utf8_lossy(cause.as_bytes()).into_owned()),
    )
}
