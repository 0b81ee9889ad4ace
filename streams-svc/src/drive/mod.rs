//! What runs without a request, over the pure `engine` and the `store`:
//!
//! ```text
//! event service --feed--> Follower --one transaction--> streams --> Worker --> pipelines
//!       ^                                                              |
//!       +-------------------------- Sender <------- outbox <-----------+
//! ```

mod event_service;
mod follower;
mod following;
mod keeper;
mod net;
mod now;
mod pipelines;
mod places;
mod replica;
mod sender;
mod worker;

pub use event_service::{Entry, EventService, Fault, HttpEvents};
pub use follower::Follower;
pub use following::Following;
pub use keeper::{keep, report};
pub use net::Net;
pub use now::Now;
pub use replica::Replica;
pub(crate) use replica::{reload, replicas};
pub use sender::Sender;
pub use worker::Worker;

use shared::db::DbError;
use std::time::Duration;

/// What a step fails with; whoever drives tries again.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The event service.
    #[error(transparent)]
    Events(#[from] Fault),
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
    /// A fault of ours while sorting.
    #[error("sorting failed: {0}")]
    Sorting(String),
}

/// Waits after failures in a row: doubled from 0.1 s to 5 s.
fn backoff(failures: u32) -> Duration {
    Duration::from_millis(100_u64.saturating_mul(1 << failures.min(6))).min(Duration::from_secs(5))
}
