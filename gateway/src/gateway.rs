//! What all workers share.

use crate::config::{Cidr, Config};
use crate::limits::{Places, RateLimit};
use crate::metrics::GatewayMetrics;
use crate::upstream::{Backend, Directory};
use shared::clock::SharedClock;
use shared::config::AuthMode;
use shared::identity::{IdentityKey, Principal};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The gateway, but for its sockets and threads. Nothing here changes after the start but counters.
pub struct Gateway {
    /// The settings.
    pub config: Config,
    /// Whether callers must log in.
    pub mode: AuthMode,
    /// Who everybody is in the open mode.
    pub everybody: Arc<Principal>,
    /// Signs identities for the services.
    pub key: IdentityKey,
    /// Tells the time.
    pub clock: SharedClock,
    /// The services.
    pub directory: Directory,
    /// Limits on what is under way.
    pub places: Places,
    /// Limit on requests of one address, if there is one.
    pub request_rate: Option<RateLimit>,
    /// Figures.
    pub metrics: GatewayMetrics,
    /// Proxies that are believed.
    pub trusted: Vec<Cidr>,
    /// Names under which the open mode may be reached.
    pub hosts: Vec<String>,
    /// How long open requests may go on after a stop.
    pub grace: Duration,
}

impl Gateway {
    /// The services as one worker sees them.
    #[must_use]
    pub fn backends(&self, worker: usize) -> Vec<Backend> {
        let connect_timeout = Duration::from_millis(self.config.timeouts.connect_millis);
        let seed = u32::try_from(worker).unwrap_or(0).wrapping_mul(0x9E37_79B9);
        let backend = |upstream| Backend::new(upstream, connect_timeout, self.clock.clone(), seed);
        self.directory.all().iter().map(backend).collect()
    }

    /// Whether `address` is a proxy that is believed.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }
}
