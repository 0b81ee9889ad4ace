//! Work that no request waits for alone: group commits, the feed of changes, retention.

mod changes;
mod committer;
mod retention;

pub use changes::{Changes, Ended, Listener};
pub use committer::{WriteError, Writes};
pub use retention::{retain, step as retention_step};
