//! Counters for people who write triggers: how often criteria were checked, passed, and why not.
//!
//! A trigger's `debug_level` decides what is kept: 0 nothing, 1 counts, 2 also the reasons. Everyone who
//! works on streams counts into an own [`Counters`] and hands it on with [`Counters::merge`]; nothing here
//! is shared or locked. The names are those the original logs.

use std::collections::BTreeMap;
use std::fmt;

/// Trigger name under which work for streams of unknown triggers is counted, with all details.
const UNKNOWN_TRIGGER: &str = "n/a";

/// Most different names kept in one table; they come from configuration and stored streams.
const MAX_NAMES: usize = 1000;

/// Why a criterion did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the displayed texts say it")]
pub enum Reason<'a> {
    DistinguishingTraitMissing(&'a str),
    TraitMissing(&'a str),
    NoMatchingCriteria,
    NotEnoughMatchingCriteria,
    ComparisonFailed(&'a str),
    UnknownComparison,
    TimeTraitMissing(&'a str),
    TimeVariableMissing,
    NotInTimeRange,
    WrongEventType,
    TimestampVariableMissing,
    NotTimeYet,
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DistinguishingTraitMissing(name) => write!(f, "not '{name}'"),
            Self::TraitMissing(name) => write!(f, "not {name}"),
            Self::NoMatchingCriteria => f.write_str("No matching criteria"),
            Self::NotEnoughMatchingCriteria => f.write_str("Not enough matching criteria"),
            Self::ComparisonFailed(sign) => write!(f, "{sign} failed"),
            Self::UnknownComparison => f.write_str("Criterion match() fall-thru"),
            Self::TimeTraitMissing(name) => write!(f, "Time: not '{name}'"),
            Self::TimeVariableMissing => f.write_str("Time: no referenced trait"),
            Self::NotInTimeRange => f.write_str("Not in timerange"),
            Self::WrongEventType => f.write_str("Wrong event type"),
            Self::TimestampVariableMissing => f.write_str("No timestamp trait"),
            Self::NotTimeYet => f.write_str("Not time yet."),
        }
    }
}

/// Something that happened to streams of a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the displayed texts say it")]
pub enum Counter<'a> {
    NewStream,
    AddedEvents,
    ReadyToFire,
    PreCommitSuccessful,
    PipelineError,
    CommitSuccessful,
    CommitError,
    RollbackSuccessful,
    RollbackError,
    Locked,
    UnknownTrigger(&'a str),
    UnknownPipeline(&'a str),
    NoFirePipeline(&'a str),
    NoExpirePipeline(&'a str),
    StreamsFired,
    StreamsExpired,
}

impl fmt::Display for Counter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewStream => f.write_str("New stream"),
            Self::AddedEvents => f.write_str("Added events"),
            Self::ReadyToFire => f.write_str("Ready to fire"),
            Self::PreCommitSuccessful => f.write_str("Pre-commit successful"),
            Self::PipelineError => f.write_str("Pipeline error"),
            Self::CommitSuccessful => f.write_str("Commit successful"),
            Self::CommitError => f.write_str("Commit error"),
            Self::RollbackSuccessful => f.write_str("Rollback successful"),
            Self::RollbackError => f.write_str("Rollback error"),
            Self::Locked => f.write_str("Locked"),
            Self::UnknownTrigger(name) => write!(f, "Unknown trigger def '{name}'"),
            Self::UnknownPipeline(name) => write!(f, "Unknown pipeline '{name}'"),
            Self::NoFirePipeline(name) => write!(f, "No fire pipeline for '{name}'"),
            Self::NoExpirePipeline(name) => write!(f, "No expire pipeline for '{name}'"),
            Self::StreamsFired => f.write_str("Streams fired"),
            Self::StreamsExpired => f.write_str("Streams expired"),
        }
    }
}

/// Counts of names, at most [`MAX_NAMES`] of them.
type Names = BTreeMap<String, u64>;

fn bump(names: &mut Names, name: String, by: u64) {
    if names.len() < MAX_NAMES || names.contains_key(&name) {
        let count = names.entry(name).or_insert(0);
        *count = count.saturating_add(by);
    }
}

/// Checks of one kind of criteria.
///
/// As in the original, a criteria that holds counts once for each of its traits (at least once), and a
/// trigger whose criteria hold counts once more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    level: u8,
    passed: u64,
    failed: u64,
    reasons: Names,
}

impl Group {
    /// A group for this debug level.
    #[must_use]
    pub fn new(level: u8) -> Self {
        Self { level, ..Self::default() }
    }

    /// Counts a check that held; returns true.
    pub fn pass(&mut self) -> bool {
        if self.level > 0 {
            self.passed = self.passed.saturating_add(1);
        }
        true
    }

    /// Counts a check that did not hold; returns false.
    pub fn fail(&mut self, reason: Reason<'_>) -> bool {
        if self.level > 0 {
            self.failed = self.failed.saturating_add(1);
        }
        if self.level > 1 {
            bump(&mut self.reasons, reason.to_string(), 1);
        }
        false
    }

    /// Counts a check by its outcome and returns it.
    pub fn check(&mut self, holds: bool, reason: Reason<'_>) -> bool {
        if holds { self.pass() } else { self.fail(reason) }
    }

    /// How many checks there were.
    #[must_use]
    pub fn checks(&self) -> u64 {
        self.passed.saturating_add(self.failed)
    }

    /// How many of them held.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// How often each reason was given, by its text.
    #[must_use]
    pub fn reasons(&self) -> &BTreeMap<String, u64> {
        &self.reasons
    }

    fn merge(&mut self, other: Self) {
        self.level = other.level;
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
        for (name, count) in other.reasons {
            bump(&mut self.reasons, name, count);
        }
    }
}

/// All counters of one trigger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TriggerCounters {
    level: u8,
    /// Checks of match criteria.
    pub matching: Group,
    /// Checks of fire criteria.
    pub firing: Group,
    counts: Names,
}

impl TriggerCounters {
    /// Counters for a trigger with this debug level.
    #[must_use]
    pub fn new(level: u8) -> Self {
        Self { level, matching: Group::new(level), firing: Group::new(level), counts: Names::new() }
    }

    /// Counts something once.
    pub fn count(&mut self, counter: Counter<'_>) {
        if self.level > 0 {
            bump(&mut self.counts, counter.to_string(), 1);
        }
    }

    /// How often each thing happened, by its text.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }

    fn merge(&mut self, other: Self) {
        self.level = other.level;
        self.matching.merge(other.matching);
        self.firing.merge(other.firing);
        for (name, count) in other.counts {
            bump(&mut self.counts, name, count);
        }
    }
}

/// The counters of all triggers by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<String, TriggerCounters>);

impl Counters {
    /// The counters of a trigger; made with this level when they are new.
    pub fn of(&mut self, trigger: &str, level: u8) -> &mut TriggerCounters {
        if !self.0.contains_key(trigger) {
            self.0.insert(trigger.to_owned(), TriggerCounters::new(level));
        }
        self.0.entry(trigger.to_owned()).or_default()
    }

    /// The counters for streams whose trigger no longer exists.
    pub fn of_unknown(&mut self) -> &mut TriggerCounters {
        self.of(UNKNOWN_TRIGGER, 2)
    }

    /// Triggers that count, with their counters, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TriggerCounters)> {
        self.0
            .iter()
            .filter(|(_, counters)| counters.level > 0)
            .map(|(name, counters)| (name.as_str(), counters))
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: Self) {
        for (name, counters) in other.0 {
            self.0.entry(name).or_default().merge(counters);
        }
    }

    /// The lines that the original logs every `statistics_period`.
    #[must_use]
    pub fn log_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, counters) in self.iter() {
            lines.push(format!("---- Trigger Definition: {name} ----"));
            for (title, group) in [("Match", &counters.matching), ("Fire", &counters.firing)] {
                lines.push(format!("{title} Criteria: {} checks, {} passed", group.checks(), group.passed()));
                lines.extend(group.reasons().iter().map(|(reason, count)| format!(" - {reason} = {count}")));
            }
            lines.extend(
                counters.counts().iter().map(|(name, count)| format!("Counter \"{name}\" = {count}")),
            );
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_decides_what_is_kept() {
        let counted = |level| {
            let mut counters = Counters::default();
            let of = counters.of("t", level);
            of.matching.pass();
            of.matching.fail(Reason::WrongEventType);
            of.count(Counter::NewStream);
            counters.log_lines()
        };
        assert!(counted(0).is_empty());
        let counts = ["---- Trigger Definition: t ----", "Match Criteria: 2 checks, 1 passed"];
        let rest = ["Fire Criteria: 0 checks, 0 passed", "Counter \"New stream\" = 1"];
        assert_eq!(counted(1), [counts, rest].concat());
        assert_eq!(counted(2), [&counts[..], &[" - Wrong event type = 1"], &rest].concat());
    }

    #[test]
    fn merged_counters_are_sums() {
        let (mut one, mut other) = (Counters::default(), Counters::default());
        one.of("t", 2).matching.fail(Reason::NotTimeYet);
        other.of("t", 2).matching.fail(Reason::NotTimeYet);
        other.of_unknown().count(Counter::UnknownTrigger("gone"));
        one.merge(other);
        assert_eq!(one.of("t", 2).matching.reasons()["Not time yet."], 2);
        assert_eq!(one.of_unknown().counts()["Unknown trigger def 'gone'"], 1);
    }

    #[test]
    fn number_of_names_is_bounded() {
        let mut counters = Counters::default();
        for number in 0..2 * MAX_NAMES {
            counters.of_unknown().count(Counter::UnknownTrigger(&number.to_string()));
        }
        assert_eq!(counters.of_unknown().counts().len(), MAX_NAMES);
    }
}
