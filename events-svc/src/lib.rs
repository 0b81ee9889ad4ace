//! The event service: notifications and events in, one event store, both versions of the reading API out, and the
//! feed that other services follow.

pub mod model;
mod schema;
pub mod store;
pub mod wire;
