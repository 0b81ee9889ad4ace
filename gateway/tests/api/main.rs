//! The gateway through real sockets, in front of services that the test plays by hand.

mod proxying;
mod support;
