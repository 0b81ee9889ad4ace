//! The event service on its own.

fn main() {}
