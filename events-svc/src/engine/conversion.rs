//! One notification's text made into an event, without touching the database.

use super::TOLD;
use crate::distill::{Distiller, Outcome, TraitError, unwrap_envelope};
use crate::store::{Prepared, prepare};
use chrono::NaiveDateTime;
use serde_json::Value;
use std::collections::VecDeque;

/// How many messages back a repeat is recognised, as oslo.messaging does it.
const LAST: usize = 16;

/// Longest `_unique_id` that is remembered; theirs have 32 characters.
const ID_BYTES: usize = 255;

/// The `_unique_id`s of the last messages that one consumer took: a sender that lost its connection sends again, and
/// the repeat is dropped (events-v2.md, section 14).
#[derive(Debug, Clone, Default)]
pub struct Recent(VecDeque<String>);

impl Recent {
    /// Remembers the message's id; tells whether it is a repeat.
    fn is_repeat(&mut self, notification: &Value) -> bool {
        let Some(id) = notification.get("_unique_id").and_then(Value::as_str) else { return false };
        if id.is_empty() || id.len() > ID_BYTES {
            return false;
        }
        if self.0.iter().any(|known| known == id) {
            return true;
        }
        self.0.truncate(LAST - 1);
        self.0.push_front(id.to_owned());
        false
    }
}

/// Traits of one batch that could not be made: the first are told, the others counted. A log must not grow faster than
/// what comes in.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    first: Vec<String>,
    more: usize,
}

impl LeftOut {
    fn add(&mut self, errors: &[TraitError]) {
        let room = TOLD - self.first.len();
        self.first.extend(errors.iter().take(room).map(ToString::to_string));
        self.more += errors.len().saturating_sub(room);
    }

    /// Writes it to the log.
    pub(super) fn tell(&self) {
        for trait_error in &self.first {
            log::warn!("trait left out: {trait_error}");
        }
        if self.more > 0 {
            log::warn!("{} more traits of this batch left out", self.more);
        }
    }
}

/// What a notification's text turned out to be.
pub(super) enum Converted {
    Event(Box<Prepared>),
    Repeat,
    Dropped,
    Invalid(String),
}

/// Reads and converts one text; `recent` is given where repeats are recognised. Traits that cannot be made go to
/// `left_out`.
pub(super) fn convert(
    distiller: &Distiller,
    text: &[u8],
    now: NaiveDateTime,
    recent: Option<&mut Recent>,
    left_out: &mut LeftOut,
) -> Converted {
    let parsed = match serde_json::from_slice::<Value>(text) {
        Ok(parsed) => parsed,
        Err(cause) => return Converted::Invalid(format!("not valid JSON: {cause}")),
    };
    let notification = match unwrap_envelope(&parsed) {
        Ok(notification) => notification,
        Err(reason) => return Converted::Invalid(reason),
    };
    if recent.is_some_and(|recent| recent.is_repeat(&notification)) {
        return Converted::Repeat;
    }
    let distilled = distiller.distill(&notification, now);
    left_out.add(&distilled.warnings);
    match distilled.outcome {
        Outcome::Event(event) => match prepare(&event) {
            Ok(prepared) => Converted::Event(Box::new(prepared)),
            Err(cause) => Converted::Invalid(cause.to_string()),
        },
        Outcome::Dropped => Converted::Dropped,
        Outcome::Invalid(reason) => Converted::Invalid(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_sixteen_unique_ids_are_known() {
        let mut recent = Recent::default();
        let message = |n: usize| json!({ "_unique_id": format!("u{n}") });
        for n in 0..16 {
            assert!(!recent.is_repeat(&message(n)), "{n}");
        }
        assert!(recent.is_repeat(&message(0)), "15 messages ago");
        assert!(!recent.is_repeat(&message(16)));
        assert!(!recent.is_repeat(&message(0)), "16 messages ago: forgotten");
        assert!(recent.is_repeat(&message(16)));
    }

    #[test]
    fn messages_without_a_usable_unique_id_are_never_repeats() {
        let mut recent = Recent::default();
        for id in [json!(null), json!(7), json!(""), json!("x".repeat(256))] {
            let message = json!({ "_unique_id": id });
            assert!(!recent.is_repeat(&message) && !recent.is_repeat(&message), "{id}");
        }
        assert!(!recent.is_repeat(&json!([])) && recent.0.is_empty());
    }

    #[test]
    fn a_batch_tells_its_first_ten_spoilt_traits_and_counts_the_others() {
        let distiller = Distiller::builtin().unwrap();
        let bad = json!({
            "message_id": "m", "event_type": "compute.instance.update", "publisher_id": "p",
            "payload": { "memory_mb": "much", "vcpus": "x" }
        });
        let mut left_out = LeftOut::default();
        for _ in 0..15 {
            convert(&distiller, bad.to_string().as_bytes(), NaiveDateTime::default(), None, &mut left_out);
        }
        assert_eq!((left_out.first.len(), left_out.more), (10, 15 * 2 - 10));
    }
}
