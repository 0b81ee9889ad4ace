//! Keeps retries from turning a slow service into a dead one: at most one retry for five requests, with a small
//! reserve so that a quiet gateway can retry at all (Finagle's `RetryBudget`).

use std::cell::Cell;

/// Tokens that one retry costs; each request brings one.
const RETRY_COST: u32 = 5;

/// Most tokens kept: ten retries.
const RESERVE: u32 = 50;

/// The budget of one worker for one service.
#[derive(Debug)]
pub(crate) struct Budget(Cell<u32>);

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(RESERVE))
    }
}

impl Budget {
    /// Counts a request.
    pub(crate) fn deposit(&self) {
        self.0.set((self.0.get() + 1).min(RESERVE));
    }

    /// Pays for a retry, if there is enough.
    #[must_use]
    pub(crate) fn withdraw(&self) -> bool {
        let left = self.0.get().checked_sub(RETRY_COST);
        if let Some(left) = left {
            self.0.set(left);
        }
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_requests_may_be_retried_beyond_the_reserve() {
        let budget = Budget::default();
        let mut retries = 0;
        for _ in 0..1000 {
            budget.deposit();
            retries += u32::from(budget.withdraw());
        }
        assert_eq!(retries, 10 + 1000 / 5 - 1, "the first deposit finds the reserve full");
        assert!(!budget.withdraw());
    }
}
