//! The service's routes over real HTTP, on a database of each test's own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod files;
mod harness;
mod hostile;
mod list;
mod login;
mod metadata;
mod runs;
mod scripts;
mod seed;
mod socket;
mod stream;
mod tracing;
