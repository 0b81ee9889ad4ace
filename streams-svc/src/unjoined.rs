//! Events that fit a trigger and join no stream of it all the same. A source that sends many would fill the log with
//! one line each.

use std::fmt::Display;

/// Events of one batch that the log names.
const NAMED: u64 = 10;

/// Those of one batch.
#[derive(Debug, Default)]
pub(crate) struct Unjoined(u64);

impl Unjoined {
    /// Takes note of an event; whether the log names it.
    pub(crate) fn note(&mut self, trigger: &str, message_id: &str, why: impl Display) -> bool {
        self.0 += 1;
        let is_named = self.0 <= NAMED;
        if is_named {
            log::warn!(trigger = trigger, message_id = message_id;
                "event joins no stream of trigger '{trigger}': {why}");
        }
        is_named
    }

    /// Ends the batch; how many more there were than the log names.
    pub(crate) fn end(&mut self) -> u64 {
        let more = std::mem::take(&mut self.0).saturating_sub(NAMED);
        if more > 0 {
            log::warn!(events = more; "{more} more events join no stream");
        }
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_events_of_a_batch_are_named_and_the_others_counted() {
        let mut unjoined = Unjoined::default();
        for (count, more) in [(12, 2), (10, 0), (0, 0), (11, 1)] {
            let named = (0..count).filter(|_| unjoined.note("t", "m", "why")).count();
            assert_eq!((named, unjoined.end()), (count.min(10), more), "{count}");
        }
    }
}
