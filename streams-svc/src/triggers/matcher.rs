//! Sorting events by triggers, fast: most events fit few triggers, and most of those by type alone.

use std::collections::HashMap;
use std::sync::Arc;

use super::criteria::Criteria;
use super::distinguishing::{Distinguisher, Indistinct};
use super::{Distinguishing, Trigger, Triggers};
use crate::counters::{Counters, Group, Reason};
use crate::model::Event;
use crate::unjoined::Unjoined;

/// Most event types whose candidates are remembered; then all are forgotten. Real deployments have tens.
const MAX_TYPES: usize = 4096;

/// A trigger that takes an event, and the values that name the stream.
#[derive(Debug, Clone)]
pub struct Match {
    /// The trigger.
    pub trigger: Arc<Trigger>,
    /// The values of its distinguishing traits.
    pub distinguishing: Distinguishing,
}

/// What a trigger makes of an event.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The trigger.
    pub trigger: Arc<Trigger>,
    /// The values of the stream it would join, or the reasons why it joins none.
    pub outcome: Result<Distinguishing, Vec<String>>,
}

/// Finds the triggers that take an event. Each worker has its own: it remembers what it learned about
/// event types, and counts.
#[derive(Debug)]
pub struct Matcher {
    triggers: Triggers,
    groups: Vec<Group>,
    candidates: HashMap<String, Arc<[Candidate]>>,
    unjoined: Unjoined,
}

/// A trigger and those of its match criteria that can hold for an event type.
#[derive(Debug)]
struct Candidate {
    trigger: usize,
    criteria: Vec<usize>,
}

impl Matcher {
    /// A matcher for these triggers.
    #[must_use]
    pub fn new(triggers: Triggers) -> Self {
        let groups = triggers.iter().map(|trigger| Group::new(trigger.debug_level)).collect();
        Self { triggers, groups, candidates: HashMap::new(), unjoined: Unjoined::default() }
    }

    /// The triggers it sorts by.
    #[must_use]
    pub fn triggers(&self) -> &Triggers {
        &self.triggers
    }

    /// The triggers that take the event, in the order of their file.
    ///
    /// A trigger that matches but whose distinguishing values cannot be had takes it not; that is logged for the first
    /// of a batch ([`Self::end_batch`]), and the other triggers are not affected.
    pub fn match_event(&mut self, event: &Event) -> Vec<Match> {
        let mut matches = Vec::new();
        for candidate in self.candidates(&event.event_type).iter() {
            let (Some(trigger), Some(group)) =
                (self.triggers.0.get(candidate.trigger), self.groups.get_mut(candidate.trigger))
            else {
                continue;
            };
            let Some(criteria) = trigger.matching_criteria(event, &candidate.criteria, group) else {
                continue;
            };
            match trigger.distinguish(event, criteria) {
                Ok(distinguishing) => {
                    matches.push(Match { trigger: Arc::clone(trigger), distinguishing });
                }
                Err(why) => drop(self.unjoined.note(&trigger.name, &event.message_id, why)),
            }
        }
        matches
    }

    /// Ends a batch of events; of how many the log does not tell that they joined no stream.
    pub fn end_batch(&mut self) -> u64 {
        self.unjoined.end()
    }

    /// What each trigger makes of the event, and why: a dry run that counts nothing.
    #[must_use]
    pub fn explain(&self, event: &Event) -> Vec<Explanation> {
        let explain = |trigger: &Arc<Trigger>| Explanation {
            trigger: Arc::clone(trigger),
            outcome: trigger.explain(event),
        };
        self.triggers.iter().map(explain).collect()
    }

    /// Hands over what was counted since the last time.
    pub fn take_counters(&mut self) -> Counters {
        let mut counters = Counters::default();
        for (trigger, group) in self.triggers.iter().zip(&mut self.groups) {
            if trigger.debug_level > 0 {
                let fresh = Group::new(trigger.debug_level);
                counters.of(&trigger.name, trigger.debug_level).matching = std::mem::replace(group, fresh);
            }
        }
        counters
    }

    fn candidates(&mut self, event_type: &str) -> Arc<[Candidate]> {
        if let Some(known) = self.candidates.get(event_type) {
            return Arc::clone(known);
        }
        if self.candidates.len() >= MAX_TYPES {
            self.candidates.clear();
        }
        let found: Arc<[Candidate]> = self
            .triggers
            .iter()
            .enumerate()
            .map(|(index, trigger)| Candidate { trigger: index, criteria: trigger.criteria_for(event_type) })
            .filter(|candidate| !candidate.criteria.is_empty())
            .collect();
        self.candidates.insert(event_type.to_owned(), Arc::clone(&found));
        found
    }
}

impl Trigger {
    /// Places of the match criteria that can hold for an event type: all of them where every failure is
    /// to be counted.
    fn criteria_for(&self, event_type: &str) -> Vec<usize> {
        let fits = |criteria: &Criteria| self.debug_level > 0 || criteria.event_types.matches(event_type);
        self.match_criteria.iter().enumerate().filter(|(_, c)| fits(c)).map(|(place, _)| place).collect()
    }

    /// The first of these match criteria that holds, if the event has all distinguishing traits.
    fn matching_criteria(&self, event: &Event, places: &[usize], group: &mut Group) -> Option<&Criteria> {
        if let Some(absent) = self.distinguished_by.iter().find(|by| !event.has(&by.trait_name)) {
            group.fail(Reason::DistinguishingTraitMissing(&absent.trait_name));
            return None;
        }
        for criteria in places.iter().filter_map(|place| self.match_criteria.get(*place)) {
            if criteria.holds(event, group) {
                group.pass();
                return Some(criteria);
            }
        }
        group.fail(Reason::NoMatchingCriteria);
        None
    }

    /// The distinguishing values of an event that these criteria took.
    fn distinguish(&self, event: &Event, criteria: &Criteria) -> Result<Distinguishing, Indistinct> {
        let value = |by: &Distinguisher| {
            let source = criteria.map_distinguished_by.get(&by.trait_name).unwrap_or(&by.trait_name);
            Ok((by.trait_name.clone(), by.value(event, source)?))
        };
        self.distinguished_by.iter().map(value).collect()
    }

    fn explain(&self, event: &Event) -> Result<Distinguishing, Vec<String>> {
        let mut group = Group::new(2);
        let places: Vec<usize> = (0..self.match_criteria.len()).collect();
        match self.matching_criteria(event, &places, &mut group) {
            Some(criteria) => self.distinguish(event, criteria).map_err(|why| vec![why.to_string()]),
            None => Err(group.reasons().keys().cloned().collect()),
        }
    }
}
