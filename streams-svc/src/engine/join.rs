//! An event joins a stream.

use chrono::NaiveDateTime;

use crate::counters::{Counter, TriggerCounters};
use crate::model::Event;
use crate::timex::EvaluationError;
use crate::triggers::{Distinguishing, FireCounts, Match};

/// An active stream, without its id and its events.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// Name of its trigger.
    pub name: String,
    /// Values that tell it from other streams of the trigger.
    pub distinguishing: Distinguishing,
    /// Time of its earliest event.
    pub first_event: NaiveDateTime,
    /// Time of its latest event.
    pub last_event: NaiveDateTime,
    /// When it expires.
    pub expire_timestamp: NaiveDateTime,
    /// When it fires; unset until the fire criteria are met.
    pub fire_timestamp: Option<NaiveDateTime>,
    /// How far the fire criteria are met. Not kept up once `fire_timestamp` is set.
    pub fire_counts: FireCounts,
}

/// What an event made of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// The stream with the event in it.
    pub stream: Stream,
    /// Whether the event opened it.
    pub is_new: bool,
    /// Whether the event made it ready to fire.
    pub became_ready: bool,
}

impl Stream {
    /// Whether events may still join: not expired, even if no worker has come by yet.
    #[must_use]
    pub fn takes_events(&self, now: NaiveDateTime) -> bool {
        self.expire_timestamp > now
    }

    /// Puts an event into the current stream of its trigger and values, or into a new one if there is none
    /// or the current one takes no more events.
    ///
    /// `current` must belong to `found`. Its fire counts must have been made for `found.trigger`.
    ///
    /// # Errors
    /// [`EvaluationError`] if the stream would have no expiration; the event then joins nothing.
    pub fn join(
        current: Option<Self>,
        found: &Match,
        event: &Event,
        now: NaiveDateTime,
        counters: &mut TriggerCounters,
    ) -> Result<Joined, EvaluationError> {
        let trigger = &found.trigger;
        let current = current.filter(|stream| stream.takes_events(now));
        let is_new = current.is_none();
        let (first, last) = match &current {
            Some(stream) => (stream.first_event.min(event.timestamp), stream.last_event.max(event.timestamp)),
            None => (event.timestamp, event.timestamp),
        };
        let expire = trigger.expire_timestamp(first, last, now)?;
        let mut stream = current.unwrap_or_else(|| Self {
            name: trigger.name().to_owned(),
            distinguishing: found.distinguishing.clone(),
            first_event: first,
            last_event: last,
            expire_timestamp: expire,
            fire_timestamp: None,
            fire_counts: FireCounts::new(trigger),
        });
        (stream.first_event, stream.last_event, stream.expire_timestamp) = (first, last, expire);
        if is_new {
            counters.count(Counter::NewStream);
        }
        counters.count(Counter::AddedEvents);
        let became_ready = stream.fire_timestamp.is_none() && {
            stream.fire_counts.count(trigger, event, &mut counters.firing);
            stream.fire_counts.are_met(trigger, &mut counters.firing)
        };
        if became_ready {
            counters.count(Counter::ReadyToFire);
            stream.fire_timestamp = Some(trigger.fire_timestamp(now));
        }
        Ok(Joined { stream, is_new, became_ready })
    }
}
