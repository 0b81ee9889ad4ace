//! The services behind the gateway: which replicas each has, which of them to ask, and the connections to them.
//!
//! What all workers share ([`replica::Replica`]: load, breaker) are plain counters. What a worker needs for itself
//! ([`Backend`]: connections, retry budget) is its own, so that no request waits for a lock.

mod answer;
mod backend;
mod breaker;
mod budget;
mod connection;
mod http1;
mod names;
mod peer;
mod replica;

pub(crate) use answer::Answer;
pub(crate) use backend::{Backend, Refusal};
pub(crate) use connection::{Attempt, Pool};
pub(crate) use http1::LinkError;
pub(crate) use names::{Directory, bad_url};
pub(crate) use peer::{InFlight, Ticket};
pub(crate) use replica::Replica;
