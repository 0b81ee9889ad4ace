//! Where and how a service listens.

use crate::config::ConfigError;
use serde::{Deserialize, Serialize};
use std::net::ToSocketAddrs;

/// Where and how a service listens: the part of its section that all services share.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Address of the internal listener; port 0 takes a free one.
    pub address: String,
    /// Threads that serve requests, 1 to 64.
    pub workers: usize,
}

impl Default for Listen {
    fn default() -> Self {
        Self { address: "127.0.0.1:0".into(), workers: 2 }
    }
}

impl Listen {
    /// Refuses what would stop a start of the service `name` at the listener.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] naming the key.
    pub fn check(&self, name: &str) -> Result<(), ConfigError> {
        let Self { address, workers } = self;
        let refuse = |text: String| Err(ConfigError::Conflict(format!("{name}.listen.{text}")));
        if !(1..=64).contains(workers) {
            return refuse(format!("workers: expected 1 to 64, found {workers}"));
        }
        if !address.to_socket_addrs().is_ok_and(|mut found| found.next().is_some()) {
            return refuse(format!("address: expected host:port, found {address}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_that_cannot_work_is_refused_by_its_key() {
        let refusal = |address: &str, workers: usize| {
            let checked = Listen { address: address.into(), workers }.check("events");
            checked.map_or_else(|refused| refused.to_string(), |()| "accepted".into())
        };
        for (address, workers, expected) in [
            ("127.0.0.1:0", 1, "accepted"),
            ("[::1]:9001", 64, "accepted"),
            ("127.0.0.1:0", 0, "events.listen.workers: expected 1 to 64, found 0"),
            ("127.0.0.1:0", 65, "events.listen.workers: expected 1 to 64, found 65"),
            ("nowhere", 2, "events.listen.address: expected host:port, found nowhere"),
        ] {
            assert_eq!(refusal(address, workers), expected);
        }
    }
}
