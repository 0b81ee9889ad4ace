//! The gateway through real sockets, in front of services that the test plays by hand.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test whose scaffold fails has failed"
)]
#![expect(clippy::field_reassign_with_default, reason = "the common settings have private fields")]

mod audit;
mod balancing;
mod compat;
mod cors;
mod guard;
mod house;
mod identity;
mod limits;
mod links;
mod malformed;
mod oauth;
mod pages;
mod permissions;
mod proxying;
mod restart;
mod routes;
mod secure;
mod shapes;
mod stopping;
mod streaming;
mod support;
mod tokens;
mod users;
mod waiting;
mod watching;
