//! Values of expressions: an instant, or a range that may be pinned to one.

use chrono::NaiveDateTime;

use super::duration::{Duration, Unit};
use super::{EvaluationError, Step, calendar};

/// The value of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Times {
    /// One instant.
    Stamp(NaiveDateTime),
    /// A range of time.
    Range(TimeRange),
}

impl Times {
    /// Whether the instant lies in the range, or is this instant.
    #[must_use]
    pub fn contains(&self, at: NaiveDateTime) -> bool {
        match self {
            Self::Stamp(stamp) => *stamp == at,
            Self::Range(range) => range.contains(at),
        }
    }

    /// The instant, or the begin of the range.
    #[must_use]
    pub fn timestamp(&self) -> NaiveDateTime {
        match self {
            Self::Stamp(stamp) => *stamp,
            Self::Range(range) => range.begin,
        }
    }
}

/// A range of time: its begin belongs to it, its end does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeRange {
    begin: NaiveDateTime,
    end: NaiveDateTime,
    pin: Option<Pin>,
}

/// The instant that a function's range has to contain, and the function's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pin {
    at: NaiveDateTime,
    unit: Unit,
}

impl TimeRange {
    /// A plain range. An end before the begin is allowed; such a range contains nothing.
    pub(super) fn new(begin: NaiveDateTime, end: NaiveDateTime) -> Self {
        Self { begin, end, pin: None }
    }

    /// The whole hour, day, month or year around an instant, pinned to it.
    pub(super) fn around(unit: Unit, at: NaiveDateTime) -> Result<Self, EvaluationError> {
        let mut one = Duration::default();
        one.add(1, Some(unit));
        let begin = calendar::floor(at, unit).ok_or(EvaluationError::NoDate)?;
        let end = calendar::add(begin, &one).ok_or(EvaluationError::NoDate)?;
        Ok(Self { begin, end, pin: Some(Pin { at, unit }) })
    }

    /// First instant of the range.
    #[must_use]
    pub fn begin(&self) -> NaiveDateTime {
        self.begin
    }

    /// First instant after the range.
    #[must_use]
    pub fn end(&self) -> NaiveDateTime {
        self.end
    }

    /// Whether the instant lies in the range.
    #[must_use]
    pub fn contains(&self, at: NaiveDateTime) -> bool {
        self.begin <= at && at < self.end
    }

    /// The range after an operator, moved back over its pin where it is pinned.
    pub(super) fn apply(&self, step: &Step) -> Result<Self, EvaluationError> {
        let duration = step.duration.resolved(self.length_micros());
        let moved = Self::new(step.apply(&duration, self.begin)?, step.apply(&duration, self.end)?);
        match self.pin {
            Some(pin) if step.duration.is_smaller_than(pin.unit) => moved.moved_over(pin),
            Some(_) | None => Ok(moved),
        }
    }

    fn length_micros(&self) -> i64 {
        calendar::to_micros(self.end).saturating_sub(calendar::to_micros(self.begin))
    }

    /// Moves by whole lengths until the pin lies in the range. Computed rather than walked: a range of an
    /// hour may be centuries away.
    fn moved_over(&self, pin: Pin) -> Result<Self, EvaluationError> {
        if self.contains(pin.at) {
            return Ok(Self { pin: Some(pin), ..self.clone() });
        }
        let length = self.length_micros();
        if length <= 0 {
            return Err(EvaluationError::NoDate);
        }
        let begin = calendar::to_micros(self.begin);
        let away = calendar::to_micros(pin.at).saturating_sub(begin);
        let begin = begin.saturating_add(away.div_euclid(length).saturating_mul(length));
        Ok(Self {
            begin: calendar::from_micros(begin).ok_or(EvaluationError::NoDate)?,
            end: calendar::from_micros(begin.saturating_add(length)).ok_or(EvaluationError::NoDate)?,
            pin: Some(pin),
        })
    }
}
