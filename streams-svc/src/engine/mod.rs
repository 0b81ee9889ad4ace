//! The life of a stream as pure functions: no database, no clock of its own, no randomness.
//!
//! ```text
//!             new event                criteria met: fire_timestamp = now + fire_delay
//!   (none) ----------> active --------------------------------------------------+
//!                       | |  expire_timestamp < now                             |
//!                       | +-----------------> expiring --ok--> completed (or purged)
//!                       |                        | error ^
//!                       |                        v       | reset: retry_expire
//!                       |                   expire_error
//!                       |  fire_timestamp < now
//!                       +-------------------> firing ----ok--> completed (or purged)
//!                                                | error ^
//!                                                v       | reset: retry_fire
//!                                              error
//! ```
//!
//! Firing and expiring are held by a lease; when it runs out, its worker counts as dead and the stream
//! returns to the retry state. Every change of state raises the stream's serial number by one and is only
//! valid for the serial it was decided on: that is the optimistic lock between workers.

mod join;
mod state;
mod work;

pub use self::join::{Joined, Stream};
pub use self::state::State;
pub use self::work::{Plan, Retry, Task};

#[cfg(test)]
mod tests;
