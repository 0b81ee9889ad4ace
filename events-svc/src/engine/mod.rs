//! Work that no request waits for alone: group commits, the AMQP consumer, retention.

mod committer;
mod notifications;
mod retention;

pub use committer::{Ingest, IngestError};
pub use notifications::{Accepted, Notifications};
pub use retention::{retain, step as retention_step};
