//! The services behind the gateway: which replicas each has, which of them to ask, and the connections to them.
//!
//! What all workers share ([`replica::Replica`]: load, breaker) are plain counters. What a worker needs for itself
//! ([`Backend`]: connections, retry budget) is its own, so that no request waits for a lock.

mod backend;
mod breaker;
mod budget;
mod connection;
mod names;
mod peer;
mod replica;

pub(crate) use backend::{Backend, Refusal};
pub(crate) use connection::{Attempt, Pool, Returned};
pub(crate) use names::{Directory, bad_url};
pub(crate) use peer::{InFlight, Ticket};
