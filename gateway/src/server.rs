//! Sockets and threads: listeners that accept, workers that serve.
//!
//! One task accepts for all listeners and hands each connection to the worker with the fewest. A worker is a thread
//! with a runtime of its own; a connection stays with its worker, and so do the worker's connections to services.

mod drain;
mod io;
mod listener;
mod worker;

pub(crate) use io::{BodyPhase, Phase};
pub(crate) use listener::{Door, Listener, keep_watch};
pub(crate) use worker::{Worker, WorkerHandle};
