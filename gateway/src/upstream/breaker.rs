//! Spares a failing replica, and the clients from waiting for it (M. Nygard, *Release It!*, "Circuit Breaker").
//!
//! A failure weighs two points, a success takes one away; [`TRIP_POINTS`] open the breaker. So five failures in a
//! row open it, and so does a replica that for long fails more than one request in three. An open breaker rests,
//! then lets one request through as a probe: its success closes the breaker, its failure doubles the rest.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering::Relaxed};

/// Points at which the breaker opens.
const TRIP_POINTS: u32 = 10;

/// Weight of one failure.
const FAILURE_POINTS: u32 = 2;

/// First rest, in microseconds.
const FIRST_REST: i64 = 1_000_000;

/// Longest rest, in microseconds.
const LONGEST_REST: i64 = 30_000_000;

/// Time after which a probe counts as lost and another may go, in microseconds.
const PROBE_TIME: i64 = 5_000_000;

/// The breaker of one replica; times are microseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    points: AtomicU32,
    /// When the rest ends; 0 while closed.
    rests_until: AtomicI64,
    /// Rests in a row.
    rests: AtomicU32,
    /// Whether the last failure was an answer.
    is_answering: AtomicBool,
}

/// How a replica failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It could not be reached, broke off, was too slow, or said that it cannot read.
    Silence,
    /// It said that it cannot write.
    Refusal,
}

/// Leave to ask the replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// The breaker is closed.
    Normal,
    /// The breaker is open; this request finds out whether it may close.
    Probe,
}

impl Breaker {
    /// Whether [`Breaker::enter`] would let a request through now.
    #[must_use]
    pub(crate) fn is_passable(&self, now: i64) -> bool {
        let rests_until = self.rests_until.load(Relaxed);
        rests_until == 0 || is_over(rests_until, now)
    }

    /// Whether it is open, resting or probing.
    #[must_use]
    pub(crate) fn is_open(&self) -> bool {
        self.rests_until.load(Relaxed) != 0
    }

    /// Leave to ask the replica, if there is one; of the requests that come after a rest only one gets it.
    #[must_use]
    pub(crate) fn enter(&self, now: i64) -> Option<Pass> {
        let rests_until = self.rests_until.load(Relaxed);
        if rests_until == 0 {
            return Some(Pass::Normal);
        }
        if !is_over(rests_until, now) {
            return None;
        }
        let claimed = self.rests_until.compare_exchange(rests_until, now + PROBE_TIME, Relaxed, Relaxed);
        claimed.ok().map(|_| Pass::Probe)
    }

    /// The replica answered; whether that closed the breaker.
    pub(crate) fn succeeded(&self, pass: Pass) -> bool {
        match pass {
            Pass::Normal => {
                // Most of the time there is nothing to take away, and nothing is written.
                if self.points.load(Relaxed) > 0 {
                    let _ = self.points.fetch_update(Relaxed, Relaxed, |points| points.checked_sub(1));
                }
            }
            Pass::Probe => {
                self.points.store(0, Relaxed);
                self.rests.store(0, Relaxed);
                self.rests_until.store(0, Relaxed);
            }
        }
        pass == Pass::Probe
    }

    /// Whether an open breaker's replica still answers, though it cannot do all that it is asked.
    #[must_use]
    pub(crate) fn is_answering(&self) -> bool {
        self.is_answering.load(Relaxed)
    }

    /// The replica failed; whether that opened the breaker.
    pub(crate) fn failed(&self, pass: Pass, failure: Failure, now: i64) -> bool {
        self.is_answering.store(failure == Failure::Refusal, Relaxed);
        if pass == Pass::Normal {
            let points = self.points.fetch_add(FAILURE_POINTS, Relaxed) + FAILURE_POINTS;
            if points < TRIP_POINTS || self.is_open() {
                return false;
            }
        }
        let rests = self.rests.fetch_add(1, Relaxed).min(16);
        let rest = (FIRST_REST << rests).min(LONGEST_REST);
        self.points.store(0, Relaxed);
        self.rests_until.store(now + rest, Relaxed);
        pass == Pass::Normal
    }
}

/// A rest also ends when it is longer than any rest can be: then the clock has been set back.
fn is_over(rests_until: i64, now: i64) -> bool {
    now >= rests_until || rests_until - now > LONGEST_REST
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const NOON: i64 = 1_700_000_000 * SECOND;

    fn fail(breaker: &Breaker, times: u32, now: i64) {
        for _ in 0..times {
            breaker.failed(Pass::Normal, Failure::Silence, now);
        }
    }

    #[test]
    fn five_failures_in_a_row_open_it_for_a_second() {
        let breaker = Breaker::default();
        fail(&breaker, 4, NOON);
        assert_eq!(breaker.enter(NOON), Some(Pass::Normal));
        fail(&breaker, 1, NOON);
        assert_eq!(breaker.enter(NOON), None);
        assert_eq!(breaker.enter(NOON + SECOND - 1), None);
        assert_eq!(breaker.enter(NOON + SECOND), Some(Pass::Probe));
    }

    #[test]
    fn only_one_request_probes_and_its_success_closes() {
        let breaker = Breaker::default();
        fail(&breaker, 5, NOON);
        let later = NOON + 2 * SECOND;
        assert_eq!(breaker.enter(later), Some(Pass::Probe));
        assert_eq!(breaker.enter(later), None);
        assert!(!breaker.is_passable(later));
        breaker.succeeded(Pass::Probe);
        assert_eq!(breaker.enter(later), Some(Pass::Normal));
        fail(&breaker, 4, later);
        assert!(!breaker.is_open(), "old failures are forgotten");
    }

    #[test]
    fn each_failed_probe_doubles_the_rest_up_to_half_a_minute() {
        let breaker = Breaker::default();
        fail(&breaker, 5, NOON);
        let mut now = NOON + SECOND;
        for rest in [2, 4, 8, 16, 30, 30] {
            assert_eq!(breaker.enter(now), Some(Pass::Probe));
            breaker.failed(Pass::Probe, Failure::Silence, now);
            assert_eq!(breaker.enter(now + rest * SECOND - 1), None, "{rest}");
            now += rest * SECOND;
        }
        assert_eq!(breaker.enter(now), Some(Pass::Probe));
        breaker.succeeded(Pass::Probe);
        fail(&breaker, 5, now);
        assert_eq!(breaker.enter(now + SECOND), Some(Pass::Probe), "a success starts the rests anew");
    }

    #[test]
    fn a_lost_probe_makes_room_for_another() {
        let breaker = Breaker::default();
        fail(&breaker, 5, NOON);
        assert_eq!(breaker.enter(NOON + SECOND), Some(Pass::Probe));
        assert_eq!(breaker.enter(NOON + 6 * SECOND - 1), None);
        assert_eq!(breaker.enter(NOON + 6 * SECOND), Some(Pass::Probe));
    }

    #[test]
    fn one_failure_in_three_is_borne_and_one_in_two_is_not() {
        let (borne, refused) = (Breaker::default(), Breaker::default());
        for _ in 0..1000 {
            borne.failed(Pass::Normal, Failure::Refusal, NOON);
            borne.succeeded(Pass::Normal);
            borne.succeeded(Pass::Normal);
        }
        assert!(!borne.is_open());
        for _ in 0..10 {
            refused.failed(Pass::Normal, Failure::Refusal, NOON);
            refused.succeeded(Pass::Normal);
        }
        assert!(refused.is_open());
    }

    #[test]
    fn a_clock_set_back_does_not_lock_a_replica_out() {
        let breaker = Breaker::default();
        fail(&breaker, 5, NOON);
        assert_eq!(breaker.enter(NOON - 3600 * SECOND), Some(Pass::Probe));
    }
}
