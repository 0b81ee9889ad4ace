//! How often one client address may do something: a token bucket for each address, the oldest forgotten first.

use crate::cache::Cache;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses remembered; one that is forgotten starts afresh.
const ADDRESSES: usize = 8192;

/// A limit on how often each address may do something.
#[derive(Debug)]
pub(crate) struct RateLimit {
    /// Most that may come at once.
    burst: f64,
    per_sec: f64,
    buckets: Mutex<Cache<IpAddr, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl RateLimit {
    /// `count` in each `period` on average, and at most `count` at once.
    #[must_use]
    pub(crate) fn new(count: u32, period: Duration) -> Self {
        let burst = f64::from(count);
        Self { burst, per_sec: burst / period.as_secs_f64(), buckets: Mutex::new(Cache::new(ADDRESSES)) }
    }

    /// Counts one; `Err` holds the seconds until the next is welcome.
    ///
    /// # Errors
    /// When the address has used up its share.
    pub(crate) fn take(&self, address: IpAddr, now: Instant) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bucket = self.refilled(buckets.get(&address).copied(), now);
        if bucket.left < 1.0 {
            return Err(self.wait_secs(bucket));
        }
        bucket.left -= 1.0;
        buckets.insert(address, bucket);
        Ok(())
    }

    /// Takes one back that was counted too early.
    pub(crate) fn give_back(&self, address: IpAddr, now: Instant) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bucket = self.refilled(buckets.get(&address).copied(), now);
        bucket.left = (bucket.left + 1.0).min(self.burst);
        buckets.insert(address, bucket);
    }

    /// Whether the next one would be refused; counts nothing.
    ///
    /// # Errors
    /// As [`RateLimit::take`].
    pub(crate) fn check(&self, address: IpAddr, now: Instant) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = self.refilled(buckets.get(&address).copied(), now);
        if bucket.left < 1.0 { Err(self.wait_secs(bucket)) } else { Ok(()) }
    }

    fn refilled(&self, bucket: Option<Bucket>, now: Instant) -> Bucket {
        let left = bucket.map_or(self.burst, |bucket| {
            let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
            (bucket.left + passed * self.per_sec).min(self.burst)
        });
        Bucket { left, at: now }
    }

    fn wait_secs(&self, bucket: Bucket) -> u64 {
        let missing =
            Duration::try_from_secs_f64((1.0 - bucket.left) / self.per_sec).unwrap_or(Duration::MAX);
        missing.as_secs().saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_burst_and_then_waits_for_its_rate() {
        let limit = RateLimit::new(3, Duration::from_secs(6));
        let (one, two) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(limit.take(one, start), Ok(()));
        }
        // One each two seconds: the next is two seconds away, and the answer is never too early.
        assert_eq!(limit.take(one, start), Err(3));
        assert_eq!(limit.check(one, start + Duration::from_secs(1)), Err(2));
        assert_eq!(limit.take(two, start), Ok(()), "another address has its own share");
        assert_eq!(limit.take(one, start + Duration::from_secs(2)), Ok(()));
        assert_eq!(limit.take(one, start + Duration::from_secs(2)), Err(3));
        assert_eq!(limit.take(one, start + Duration::from_secs(60)), Ok(()));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_no_more() {
        let limit = RateLimit::new(2, Duration::from_secs(6));
        let (one, start) = ([127, 0, 0, 1].into(), Instant::now());
        for _ in 0..3 {
            assert_eq!(limit.take(one, start), Ok(()));
            limit.give_back(one, start);
        }
        limit.give_back(one, start);
        assert_eq!([limit.take(one, start), limit.take(one, start)], [Ok(()), Ok(())]);
        // One each three seconds.
        assert_eq!(limit.take(one, start), Err(4));
    }
}
