//! Time expressions: a small language for instants and time ranges.
//!
//! This module is the whole language of the original `timex` library (0.20) and knows nothing of events
//! or streams. Parse once with [`Expression::parse`], evaluate often with [`Expression::evaluate`]; the
//! result, [`Times`], is an instant or a range that can be asked whether it contains an instant.
//!
//! # The language
//!
//! ```text
//! expression := range | stamp
//! range      := stamp "to" stamp | range op duration | "(" range ")" | function
//! stamp      := "$" NAME | stamp op duration | "(" stamp ")"
//! op         := "@" | "+" | "-"
//! function   := ("hour" | "day" | "month" | "year") [ "(" stamp ")" ]
//! duration   := (NUMBER [unit])+
//! unit       := us | s sec | m min | h hr | d | mo | y yr
//! ```
//!
//! * **Layout.** Blanks, tabs and newlines separate words and mean nothing else. Words are case-sensitive.
//!   A NAME is a letter or `_`, then letters, digits and `_`; the unit words and `to` are reserved.
//!   `2h30m` is not two words: write `2h 30m`.
//! * **Grouping.** Operators apply to what stands left of them, in written order. `to` binds loosest:
//!   `$a to $b + 1h` moves only the end, `($a to $b) + 1h` both.
//! * **Variables** are instants by name. `$timestamp` is what a function without argument looks at.
//!   A name without a value is an evaluation error.
//! * **`+` and `-`** first move by days, hours, minutes, seconds and microseconds together, then by
//!   months (carrying into the year), then by years. A day that the new month lacks becomes its last day.
//! * **`@`** replaces the named parts and keeps the others: `@ 0h 0m 0s` keeps the microseconds. An
//!   impossible date is an evaluation error.
//! * On a range every operator works on both ends. Repeated units of one duration add up.
//! * **A number without unit** is allowed only directly behind a range that has no operator yet. It counts
//!   one unit below the length of the range: months for a year or more, days from 28 days, hours from a
//!   day, minutes from an hour, seconds from a minute, else microseconds.
//! * **Functions** give the whole hour, day, month or year around their argument, and stay *pinned* to it:
//!   when an operator with a duration smaller than the function's unit has moved the range, it moves on by
//!   whole lengths of itself until the argument lies in it again. `day - 6h` at 19:45 is therefore
//!   18:00 today to 18:00 tomorrow. A duration is smaller when its largest named unit is: for `day`,
//!   `24h` is smaller and `1d` is not. A duration that is not smaller unpins the range.
//! * A range contains its begin and not its end; an instant contains only itself.
//! * Years run from 1 to 9999. Whatever leads outside is an evaluation error, never a panic.
//!
//! # Where this goes beyond the original
//!
//! The original crashes where a day does not exist after `+` or `-`, where a duration is not smaller than
//! the function's unit, and where a number without unit meets a range below a minute; it never ends when
//! `@` leaves a pinned range without length. Here the first three have the results described above, and
//! the last is an evaluation error. An unknown function is refused when parsing.

mod calendar;
mod duration;
mod lexer;
mod parser;
mod range;

use chrono::NaiveDateTime;

pub use self::duration::Unit;
pub use self::range::{TimeRange, Times};

use self::duration::Duration;

/// Longest text of an expression in bytes; longer ones are refused.
pub const MAX_LENGTH: usize = 4096;

/// Deepest nesting of parentheses; deeper ones are refused.
pub const MAX_DEPTH: usize = 100;

/// An expression that is not of the language. The text names what was found and its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at character {position}")]
pub struct ParseError {
    reason: String,
    position: usize,
}

impl ParseError {
    /// A refusal at the character with this index, counted from 0.
    fn new(reason: impl Into<String>, index: usize) -> Self {
        Self { reason: reason.into(), position: index.saturating_add(1) }
    }
}

/// Why an expression has no value for the given variables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The expression names a variable without a value.
    #[error("variable {0} is not defined")]
    Undefined(String),
    /// The result is no date, or lies outside the years 1 to 9999.
    #[error("the result is no date of the years 1 to 9999")]
    NoDate,
}

/// Instants by name, for the variables of an expression.
///
/// `$timestamp` is a variable like the others: who has no better value for it gives the present time.
pub trait Variables {
    /// The value of a variable, without its `$`.
    fn instant(&self, name: &str) -> Option<NaiveDateTime>;
}

impl<const N: usize> Variables for [(&str, NaiveDateTime); N] {
    fn instant(&self, name: &str) -> Option<NaiveDateTime> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// A parsed time expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression(Form);

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Stamp(StampForm),
    Range(RangeForm),
}

/// A variable and what is done to it, in order. Parentheses leave no trace: operators only ever apply to
/// everything left of them.
#[derive(Debug, Clone, PartialEq)]
struct StampForm {
    variable: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
struct RangeForm {
    source: RangeSource,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum RangeSource {
    Between(StampForm, StampForm),
    Around(Unit, StampForm),
}

/// One operator with its duration.
#[derive(Debug, Clone, PartialEq)]
struct Step {
    operator: Operator,
    duration: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Plus,
    Minus,
    Replace,
}

impl Expression {
    /// Parses the text of an expression.
    ///
    /// # Errors
    /// [`ParseError`] if the text is not of the language, longer than [`MAX_LENGTH`] or nested deeper than
    /// [`MAX_DEPTH`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parser::parse(text).map(Self)
    }

    /// Computes the value for these variables.
    ///
    /// # Errors
    /// [`EvaluationError`] if a variable is missing or a date does not exist.
    pub fn evaluate(&self, variables: &dyn Variables) -> Result<Times, EvaluationError> {
        match &self.0 {
            Form::Stamp(stamp) => stamp.evaluate(variables).map(Times::Stamp),
            Form::Range(range) => range.evaluate(variables).map(Times::Range),
        }
    }
}

impl StampForm {
    fn evaluate(&self, variables: &dyn Variables) -> Result<NaiveDateTime, EvaluationError> {
        let start = variables
            .instant(&self.variable)
            .ok_or_else(|| EvaluationError::Undefined(self.variable.clone()))?;
        self.steps.iter().try_fold(start, |at, step| step.apply(&step.duration, at))
    }
}

impl RangeForm {
    fn evaluate(&self, variables: &dyn Variables) -> Result<TimeRange, EvaluationError> {
        let start = match &self.source {
            RangeSource::Between(begin, end) => {
                TimeRange::new(begin.evaluate(variables)?, end.evaluate(variables)?)
            }
            RangeSource::Around(unit, stamp) => TimeRange::around(*unit, stamp.evaluate(variables)?)?,
        };
        self.steps.iter().try_fold(start, |range, step| range.apply(step))
    }
}

impl Step {
    /// The instant that this step makes of another, with the duration as it counts there.
    fn apply(&self, duration: &Duration, at: NaiveDateTime) -> Result<NaiveDateTime, EvaluationError> {
        match self.operator {
            Operator::Plus => calendar::add(at, duration),
            Operator::Minus => calendar::subtract(at, duration),
            Operator::Replace => calendar::replace(at, duration),
        }
        .ok_or(EvaluationError::NoDate)
    }
}

#[cfg(test)]
mod tests;
