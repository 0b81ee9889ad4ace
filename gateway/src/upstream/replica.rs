//! One process of a service, as all workers see it.

use super::breaker::{Breaker, Pass};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// A replica of a service.
#[derive(Debug)]
pub(crate) struct Replica {
    address: SocketAddr,
    in_flight: AtomicUsize,
    answered: AtomicU64,
    failed: AtomicU64,
    breaker: Breaker,
}

impl Replica {
    /// A replica about which nothing is known yet.
    #[must_use]
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            in_flight: AtomicUsize::new(0),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            breaker: Breaker::default(),
        }
    }

    /// Where it listens.
    #[must_use]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests it is answering for this gateway.
    #[must_use]
    pub(crate) fn load(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Answers and failures so far.
    #[must_use]
    pub(crate) fn tally(&self) -> (u64, u64) {
        (self.answered.load(Relaxed), self.failed.load(Relaxed))
    }

    /// Its breaker.
    #[must_use]
    pub(crate) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// It answered.
    pub(crate) fn succeeded(&self, pass: Pass) {
        self.answered.fetch_add(1, Relaxed);
        self.breaker.succeeded(pass);
    }

    /// It did not, or said that it cannot.
    pub(crate) fn failed(&self, pass: Pass, now_micros: i64) {
        self.failed.fetch_add(1, Relaxed);
        self.breaker.failed(pass, now_micros);
    }
}

/// The weight of one request on a replica; gone when dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    replica: Arc<Replica>,
    clock: ClockRef,
}

/// A clock inside a value that shows itself in logs.
#[derive(Clone)]
struct ClockRef(shared::clock::SharedClock);

impl std::fmt::Debug for ClockRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl InFlight {
    /// Lays the weight of one request on `replica`.
    #[must_use]
    pub(crate) fn new(replica: &Arc<Replica>, clock: &shared::clock::SharedClock) -> Self {
        replica.in_flight.fetch_add(1, Relaxed);
        Self { replica: Arc::clone(replica), clock: ClockRef(Arc::clone(clock)) }
    }

    /// The replica broke off in the middle of its answer.
    pub(crate) fn broke_off(&self) {
        self.replica.failed(Pass::Normal, self.clock.0.now().timestamp_micros());
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.replica.in_flight.fetch_sub(1, Relaxed);
    }
}
