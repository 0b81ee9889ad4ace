//! Criteria: a set of demands that one event meets or not.

use indexmap::IndexMap;
use shared::glob::GlobSet;

use super::comparison::Comparison;
use crate::counters::{Group, Reason};
use crate::model::Event;
use crate::timex::{EvaluationError, Expression};

/// One entry of `match_criteria` or `fire_criteria`.
#[derive(Debug)]
pub(super) struct Criteria {
    /// Event types it takes.
    pub(super) event_types: GlobSet,
    /// How many events have to meet it; only fire criteria ask.
    pub(super) number: u32,
    /// When the event has to have happened.
    pub(super) timestamp: Option<Expression>,
    /// Distinguishing trait to the event's trait it is taken from.
    pub(super) map_distinguished_by: IndexMap<String, String>,
    /// Demands by trait name.
    pub(super) traits: IndexMap<String, Comparison>,
}

impl Criteria {
    /// Whether the event meets every demand.
    pub(super) fn holds(&self, event: &Event, group: &mut Group) -> bool {
        if !self.event_types.matches(&event.event_type) {
            return group.fail(Reason::WrongEventType);
        }
        if let Some(timestamp) = &self.timestamp {
            match timestamp.evaluate(event) {
                Err(EvaluationError::Undefined(_)) => return group.fail(Reason::TimestampVariableMissing),
                Ok(times) if times.contains(event.timestamp) => {}
                Ok(_) | Err(EvaluationError::NoDate) => return group.fail(Reason::NotTimeYet),
            }
        }
        if self.traits.is_empty() {
            return group.pass();
        }
        self.traits.iter().all(|(name, comparison)| comparison.holds(name, event, group))
    }
}
