//! The annotation API over its real routes and a real database: SQLite, or PostgreSQL when
//! `QUINTET_TEST_POSTGRES_URL` is set. Expected values are those of the contract and the seed document.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod alone;
mod annotations;
mod changes;
mod cors;
mod go;
mod grafana;
mod page;
mod permissions;
mod query;
mod retention;
mod rig;
mod search;
mod values;
mod writes;
