//! How far the fire criteria of one stream are met.
//!
//! A criterion looks at one event alone, so counting each event once, when it joins, gives the same
//! answer as the original's check over all events of the stream, and costs nothing for those before.

use std::fmt;
use std::sync::Arc;

use super::Trigger;
use crate::counters::{Group, Reason};
use crate::model::Event;

/// Events counted for each fire criterion of a stream's trigger, up to the number it asks for.
///
/// The text form, for storing beside the stream, is `FINGERPRINT:COUNT,COUNT`. The fingerprint is that of
/// the fire criteria it was counted by; after a change of the criteria it tells that the stream has to be
/// counted anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FireCounts {
    fingerprint: Arc<str>,
    counts: Vec<u32>,
}

impl FireCounts {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(trigger: &Trigger) -> Self {
        Self {
            fingerprint: Arc::clone(&trigger.fire_fingerprint),
            counts: vec![0; trigger.fire_criteria.len()],
        }
    }

    /// Reads the text form; `None` if it was not counted by the trigger's present criteria.
    #[must_use]
    pub fn parse(text: &str, trigger: &Trigger) -> Option<Self> {
        let (fingerprint, counts) = text.split_once(':')?;
        let counts: Vec<u32> =
            counts.split_terminator(',').map(|count| count.parse().ok()).collect::<Option<_>>()?;
        let is_current =
            fingerprint == &*trigger.fire_fingerprint && counts.len() == trigger.fire_criteria.len();
        is_current.then(|| Self { fingerprint: Arc::clone(&trigger.fire_fingerprint), counts })
    }

    /// Counts all events of a stream.
    #[must_use]
    pub fn recount<'a>(trigger: &Trigger, events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut counts = Self::new(trigger);
        let mut uncounted = Group::default();
        for event in events {
            counts.count(trigger, event, &mut uncounted);
        }
        counts
    }

    /// Counts an event that joins the stream. `trigger` is the one these counts were made for.
    pub fn count(&mut self, trigger: &Trigger, event: &Event, group: &mut Group) {
        for (criteria, count) in trigger.fire_criteria.iter().zip(&mut self.counts) {
            if *count < criteria.number && criteria.holds(event, group) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// Whether every criterion has as many events as it asks for.
    pub fn are_met(&self, trigger: &Trigger, group: &mut Group) -> bool {
        let enough = |(count, criteria): (&u32, &super::Criteria)| *count >= criteria.number;
        let met = self.counts.iter().zip(&trigger.fire_criteria).all(enough);
        group.check(met, Reason::NotEnoughMatchingCriteria)
    }
}

impl fmt::Display for FireCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.fingerprint)?;
        for (index, count) in self.counts.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{count}")?;
        }
        Ok(())
    }
}
