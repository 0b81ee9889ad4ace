//! Work that no request waits for alone: group commits, the AMQP consumers, retention.

pub mod amqp;
mod committer;
mod conversion;
mod feed_lag;
mod notifications;
mod retention;
mod trim;

pub use committer::{Ingest, LARGEST_BATCH};
pub use conversion::Recent;
pub use feed_lag::{FeedLag, watch as watch_feed};
pub use notifications::{Accepted, Delivered, Fate, HTTP, Notifications, Texts};
pub use retention::{retain, step as retention_step};
pub use trim::Trim;

/// Faults of one batch that are logged one by one.
const TOLD: usize = 10;
