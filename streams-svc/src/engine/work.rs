//! A worker takes a stream, runs its pipeline and lets it go.

use chrono::{NaiveDateTime, TimeDelta};

use super::State;
use crate::counters::Counter;
use crate::pipeline::{Definition, Pipelines};
use crate::triggers::Trigger;

/// The two things that are done with streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// Run the fire pipeline.
    Fire,
    /// Run the expire pipeline.
    Expire,
}

/// What there is to do for a stream that was taken.
#[derive(Debug, Clone, Copy)]
pub enum Plan<'a> {
    /// Run this pipeline.
    Run(&'a Definition),
    /// The trigger names no pipeline for the task: nothing to run, the stream is done.
    Nothing,
    /// Trigger or pipeline do not exist (any more): the stream is in error.
    Impossible(Counter<'a>),
}

impl Task {
    /// State while the task runs.
    #[must_use]
    pub fn running(self) -> State {
        match self {
            Self::Fire => State::Firing,
            Self::Expire => State::Expiring,
        }
    }

    /// State after the task failed.
    #[must_use]
    pub fn failed(self) -> State {
        match self {
            Self::Fire => State::Error,
            Self::Expire => State::ExpireError,
        }
    }

    /// The pipeline of a trigger for the task.
    #[must_use]
    pub fn pipeline(self, trigger: &Trigger) -> Option<&str> {
        match self {
            Self::Fire => trigger.fire_pipeline(),
            Self::Expire => trigger.expire_pipeline(),
        }
    }

    /// What there is to run for a stream of this name whose trigger is `trigger`.
    #[must_use]
    pub fn plan<'a>(self, name: &'a str, trigger: Option<&'a Trigger>, pipelines: &'a Pipelines) -> Plan<'a> {
        let Some(trigger) = trigger else { return Plan::Impossible(Counter::UnknownTrigger(name)) };
        let Some(pipeline) = self.pipeline(trigger) else { return Plan::Nothing };
        match pipelines.get(pipeline) {
            Some(definition) => Plan::Run(definition),
            None => Plan::Impossible(Counter::UnknownPipeline(pipeline)),
        }
    }

    /// The name under which a success is counted.
    #[must_use]
    pub fn success(self) -> Counter<'static> {
        match self {
            Self::Fire => Counter::StreamsFired,
            Self::Expire => Counter::StreamsExpired,
        }
    }

    /// The name under which "nothing to run" is counted.
    #[must_use]
    pub fn no_pipeline(self, trigger: &str) -> Counter<'_> {
        match self {
            Self::Fire => Counter::NoFirePipeline(trigger),
            Self::Expire => Counter::NoExpirePipeline(trigger),
        }
    }
}

/// When a failed task is tried again by itself. The original never does; the default is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Failures after which nothing more is tried; 0 is never.
    pub limit: u32,
    /// Wait after the first failure; it doubles after each further one.
    pub first_wait: TimeDelta,
    /// Longest wait.
    pub longest_wait: TimeDelta,
}

impl Default for Retry {
    fn default() -> Self {
        Self { limit: 0, first_wait: TimeDelta::seconds(1), longest_wait: TimeDelta::minutes(10) }
    }
}

impl Retry {
    /// When to try again after so many failures in a row, the present one included; `None` is never.
    #[must_use]
    pub fn next(&self, failures: u32, now: NaiveDateTime) -> Option<NaiveDateTime> {
        if failures == 0 || failures > self.limit {
            return None;
        }
        let doublings = failures.saturating_sub(1).min(30);
        let wait = self.first_wait.checked_mul(1_i32.checked_shl(doublings)?).unwrap_or(self.longest_wait);
        now.checked_add_signed(wait.min(self.longest_wait))
    }
}
