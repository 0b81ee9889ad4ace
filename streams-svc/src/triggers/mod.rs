//! Triggers: which events belong into which stream, and when a stream is ready.
//!
//! `triggers.yaml` becomes [`Triggers`] ([`load()`]); a [`Matcher`] sorts events by them; [`FireCounts`]
//! remembers, for one stream, how far its fire criteria are met. Nothing here knows stored streams.

mod comparison;
mod criteria;
mod distinguishing;
mod fire;
mod load;
mod matcher;

use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};

pub use self::distinguishing::Distinguishing;
pub use self::fire::FireCounts;
pub use self::load::{load, parse};
pub use self::matcher::{Explanation, Match, Matcher};

pub(crate) use self::comparison::compare_numbers;

use self::criteria::Criteria;
use self::distinguishing::Distinguisher;
use crate::timex::{EvaluationError, Expression};

/// All triggers in the order of their file; names are unique.
#[derive(Debug, Clone, Default)]
pub struct Triggers(Vec<Arc<Trigger>>);

/// One trigger definition.
#[derive(Debug)]
pub struct Trigger {
    name: String,
    debug_level: u8,
    distinguished_by: Vec<Distinguisher>,
    expiration: Expression,
    fire_pipeline: Option<String>,
    expire_pipeline: Option<String>,
    fire_delay: TimeDelta,
    match_criteria: Vec<Criteria>,
    fire_criteria: Vec<Criteria>,
    fire_fingerprint: Arc<str>,
}

impl Triggers {
    /// The trigger with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Trigger>> {
        self.0.iter().find(|trigger| trigger.name == name)
    }

    /// All triggers in the order of their file.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Trigger>> {
        self.0.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Trigger {
    /// The name, which its streams bear.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How much is counted: 0 nothing, 1 counts, 2 reasons too.
    #[must_use]
    pub fn debug_level(&self) -> u8 {
        self.debug_level
    }

    /// Pipeline for streams whose fire criteria are met.
    #[must_use]
    pub fn fire_pipeline(&self) -> Option<&str> {
        self.fire_pipeline.as_deref()
    }

    /// Pipeline for streams that expire.
    #[must_use]
    pub fn expire_pipeline(&self) -> Option<&str> {
        self.expire_pipeline.as_deref()
    }

    /// When a stream whose criteria are met now will fire.
    #[must_use]
    pub fn fire_timestamp(&self, now: NaiveDateTime) -> NaiveDateTime {
        now.checked_add_signed(self.fire_delay).unwrap_or(now)
    }

    /// When a stream with these first and last event times expires.
    ///
    /// # Errors
    /// [`EvaluationError`] if that is no date; such an event joins no stream.
    pub fn expire_timestamp(
        &self,
        first: NaiveDateTime,
        last: NaiveDateTime,
        now: NaiveDateTime,
    ) -> Result<NaiveDateTime, EvaluationError> {
        let variables = [("first", first), ("last", last), ("timestamp", now)];
        self.expiration.evaluate(&variables).map(|times| times.timestamp())
    }
}

#[cfg(test)]
mod tests;
