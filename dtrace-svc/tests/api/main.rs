//! The service's routes over real HTTP, on a database of each test's own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;
mod list;
mod metadata;
mod scripts;
mod socket;
mod stream;
