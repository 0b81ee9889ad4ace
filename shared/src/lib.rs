//! What two services already use and no API owns: the database door, group commit, configuration loading, server start and
//! stop, server-sent events, connections to AMQP brokers, logging, health and metrics, signed identity, secrets, the clock, and small readers
//! (globs, YAML with line numbers, ISO 8601 times, time expressions, the header `Accept`, `StackTach`'s query strings,
//! parts of URLs).
//!
//! Nothing here knows a route or a table, nor what only one service needs to know.

pub mod accept;
pub mod alone;
#[cfg(feature = "amqp")]
pub mod amqp;
pub mod body;
pub mod clock;
pub mod commit;
pub mod config;
pub mod connection;
pub mod datetime;
pub mod db;
pub mod glob;
pub mod identity;
pub mod logging;
pub mod metrics;
pub mod permission;
pub mod process;
pub mod secrets;
pub mod server;
pub mod sse;
pub mod stacktach;
pub mod stop;
#[cfg(feature = "testing")]
pub mod testing;
pub mod timex;
pub mod url;
pub mod yaml;
