//! How long to wait before the next attempt.

use std::time::Duration;

/// Longest wait after the first failure: the poll delay of the original consumer.
const FIRST: Duration = Duration::from_millis(500);

/// Longest wait after many failures.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// Waits that double with each failure in a row. Half of each is left to chance, so that many consumers do not come
/// back to a broker in one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure; `chance` is 0 to 1.
    pub(super) fn next(&mut self, chance: f64) -> Duration {
        let longest = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        longest.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
    }

    /// Something worked.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_start_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..8).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        backoff.failures = u32::MAX;
        assert_eq!(backoff.next(0.0).as_millis(), 15_000);
        backoff.reset();
        assert_eq!(backoff.next(0.0).as_millis(), 250);
    }
}
