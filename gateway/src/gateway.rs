//! What all workers share.

use crate::config::{Cidr, Config};
use crate::identity::{Accounts, Caller};
use crate::limits::{Places, RateLimit};
use crate::metrics::GatewayMetrics;
use crate::upstream::{Backend, Directory};
use crate::watch::Watch;
use shared::clock::SharedClock;
use shared::config::AuthMode;
use shared::identity::IdentityKey;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The gateway, but for its sockets and threads. Nothing here changes after the start but counters.
pub(crate) struct Gateway {
    /// The settings.
    pub(crate) config: Config,
    /// Whether callers must log in.
    pub(crate) mode: AuthMode,
    /// Users and tokens.
    pub(crate) accounts: Accounts,
    /// Who everybody is in the open mode.
    pub(crate) everybody: Arc<Caller>,
    /// Whoever asks for what everybody may have, in the secure mode.
    pub(crate) nobody: Arc<Caller>,
    /// Signs identities for the services.
    pub(crate) key: IdentityKey,
    /// Tells the time.
    pub(crate) clock: SharedClock,
    /// The services.
    pub(crate) directory: Directory,
    /// Whoever has a stream open.
    pub(crate) watch: Arc<Watch>,
    /// Limits on what is under way.
    pub(crate) places: Places,
    /// Limit on requests of one address, if there is one.
    pub(crate) request_rate: Option<RateLimit>,
    /// Figures.
    pub(crate) metrics: GatewayMetrics,
    /// Proxies that are believed.
    pub(crate) trusted: Vec<Cidr>,
    /// Names under which the open mode may be reached.
    pub(crate) hosts: Vec<String>,
    /// How long open requests may go on after a stop.
    pub(crate) grace: Duration,
}

impl Gateway {
    /// The services as one worker sees them.
    #[must_use]
    pub(crate) fn backends(&self, worker: usize) -> Vec<Backend> {
        let connect_timeout = Duration::from_millis(self.config.timeouts.connect_millis);
        let seed = u32::try_from(worker).unwrap_or(0).wrapping_mul(0x9E37_79B9);
        let backend = |upstream| Backend::new(upstream, connect_timeout, self.clock.clone(), seed);
        self.directory.all().iter().map(backend).collect()
    }

    /// Whether `address` is a proxy that is believed.
    #[must_use]
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }
}
