//! The event service through its routes, on a real database: SQLite, or PostgreSQL when
//! `QUINTET_TEST_POSTGRES_URL` is set.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod amqp;
mod batches;
mod common;
mod dead_letters;
mod emitted;
mod events_v1;
mod feed;
mod lists;
mod notifications;
mod retention;
mod start;
mod v2;
