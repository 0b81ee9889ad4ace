//! A replica as one worker sees it, with the worker's own connections to it.
//!
//! Requests share it by a count that belongs to the worker alone: a count of all workers would be carried from one
//! processor's cache to the other's with every request.

use super::breaker::{Failure, Pass};
use super::connection::Pool;
use super::replica::Replica;
use shared::clock::SharedClock;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

/// A replica, and a worker's way to it.
pub(super) struct Peer {
    pub(super) replica: Arc<Replica>,
    pub(super) pool: Rc<Pool>,
    clock: SharedClock,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("replica", &self.replica).finish_non_exhaustive()
    }
}

impl Peer {
    pub(super) fn new(replica: Arc<Replica>, pool: Rc<Pool>, clock: SharedClock) -> Self {
        Self { replica, pool, clock }
    }

    /// Leave to ask it, if its breaker gives it.
    pub(super) fn enter(self: &Rc<Self>, now: i64) -> Option<Ticket> {
        let pass = self.replica.breaker().enter(now)?;
        Some(Ticket { in_flight: InFlight::new(self), pass })
    }

    /// Leave to ask it while it rests, if it still answers.
    pub(super) fn enter_resting(self: &Rc<Self>) -> Option<Ticket> {
        let is_answering = self.replica.breaker().is_answering();
        is_answering.then(|| Ticket { in_flight: InFlight::new(self), pass: Pass::Normal })
    }

    fn failed(&self, pass: Pass, failure: Failure) {
        self.replica.failed(pass, failure, self.clock.now().timestamp_micros());
    }
}

/// Leave to ask one replica.
pub(crate) struct Ticket {
    in_flight: InFlight,
    pass: Pass,
}

impl Ticket {
    /// The connections to the replica.
    #[must_use]
    pub(crate) fn pool(&self) -> &Rc<Pool> {
        &self.in_flight.0.pool
    }

    /// The replica.
    #[must_use]
    pub(crate) fn replica(&self) -> &Replica {
        self.in_flight.replica()
    }

    /// The replica answered with something else than "I cannot".
    pub(crate) fn succeeded(&self) {
        self.in_flight.0.replica.succeeded(self.pass);
    }

    /// It could not be reached, broke off, or was too slow.
    pub(crate) fn failed(&self) {
        self.in_flight.0.failed(self.pass, Failure::Silence);
    }

    /// It said that it cannot do what was asked; `is_safe` when that would have changed nothing. Who cannot even read
    /// rests as if he were silent.
    pub(crate) fn refused(&self, is_safe: bool) {
        self.in_flight.0.failed(self.pass, if is_safe { Failure::Silence } else { Failure::Refusal });
    }

    /// The weight on the replica, for as long as the answer passes.
    #[must_use]
    pub(crate) fn into_in_flight(self) -> InFlight {
        self.in_flight
    }
}

/// The weight of one request on a replica; gone when dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Rc<Peer>);

impl InFlight {
    fn new(peer: &Rc<Peer>) -> Self {
        peer.replica.begin();
        Self(Rc::clone(peer))
    }

    /// The replica.
    #[must_use]
    pub(crate) fn replica(&self) -> &Replica {
        &self.0.replica
    }

    /// The replica broke off in the middle of its answer.
    pub(crate) fn broke_off(&self) {
        self.0.failed(Pass::Normal, Failure::Silence);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.replica.end();
    }
}
