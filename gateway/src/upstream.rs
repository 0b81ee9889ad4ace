//! The services behind the gateway: which replicas each has, which of them to ask, and the connections to them.
//!
//! What all workers share ([`names`]: replicas with load and breaker) are plain counters. What a worker needs for itself
//! ([`Backend`]: connections, retry budget) is its own, so that no request waits for a lock.

mod backend;
mod breaker;
mod budget;
mod names;
mod pool;
mod replica;
mod wire;

pub(crate) use backend::{Backend, Refusal, Ticket};
pub(crate) use names::{Directory, bad_url};
pub(crate) use pool::{Attempt, Pool};
pub(crate) use replica::InFlight;
pub(crate) use wire::{Answer, Failure, Head, Outgoing, is_of_connection, is_of_house};
