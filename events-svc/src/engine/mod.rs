//! Work that no request waits for alone: group commits, the AMQP consumers, retention.

pub mod amqp;
mod committer;
mod conversion;
mod notifications;
mod retention;

pub use committer::{Ingest, IngestError, LARGEST_BATCH};
pub use conversion::Recent;
pub use notifications::{Accepted, Delivered, Fate, Notifications, Texts};
pub use retention::{retain, step as retention_step};
