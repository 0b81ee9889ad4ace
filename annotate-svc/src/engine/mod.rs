//! Work that no request waits for alone: group commits.

mod committer;

pub use committer::{WriteError, Writes};
