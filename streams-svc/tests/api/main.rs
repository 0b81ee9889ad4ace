//! The stream service through its routes and its workers, on a real database: SQLite, or PostgreSQL when
//! `QUINTET_TEST_POSTGRES_URL` is set.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod clock;
mod common;
mod exactly_once;
mod hanging;
mod lists;
mod notabene;
mod pipelines;
mod readiness;
mod replicas;
mod rest;
mod tail;
mod winchester;
mod worked_example;
