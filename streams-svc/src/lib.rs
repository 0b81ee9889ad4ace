//! Triggers, streams and pipelines: the stream engine behind `/v1/streams`.
//!
//! What is here so far is the part without HTTP and without a database: pure functions over events,
//! definitions and a clock that the caller holds.

pub mod counters;
pub mod engine;
pub mod model;
pub mod pipeline;
pub mod timex;
pub mod triggers;
pub mod winchester;
