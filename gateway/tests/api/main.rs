//! The gateway through real sockets, in front of services that the test plays by hand.

mod balancing;
mod compat;
mod cors;
mod guard;
mod identity;
mod limits;
mod malformed;
mod pages;
mod proxying;
mod routes;
mod secure;
mod shapes;
mod stopping;
mod streaming;
mod support;
mod tokens;
