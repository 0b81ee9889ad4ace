//! One process of a service, as all workers see it.

use super::breaker::{Breaker, Failure, Pass};
use crate::routes::Service;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// A replica of a service.
#[derive(Debug)]
pub(crate) struct Replica {
    service: Service,
    address: SocketAddr,
    in_flight: AtomicUsize,
    answered: AtomicU64,
    failed: AtomicU64,
    breaker: Breaker,
}

/// For logs: `events at 127.0.0.1:9001`.
impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.service.name(), self.address)
    }
}

impl Replica {
    /// A replica about which nothing is known yet.
    #[must_use]
    pub(crate) fn new(service: Service, address: SocketAddr) -> Self {
        Self {
            service,
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

    /// One more request is on its way.
    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// One request less.
    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// It answered.
    pub(crate) fn succeeded(&self, pass: Pass) {
        self.answered.fetch_add(1, Relaxed);
        if self.breaker.succeeded(pass) {
            log::info!("{self} answers again");
        }
    }

    /// It did not, or said that it cannot.
    pub(crate) fn failed(&self, pass: Pass, failure: Failure, now_micros: i64) {
        self.failed.fetch_add(1, Relaxed);
        if self.breaker.failed(pass, failure, now_micros) {
            log::warn!("{self} fails too often and is asked no more, but for a probe now and then");
        }
    }
}
