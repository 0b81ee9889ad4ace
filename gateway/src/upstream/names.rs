//! Which replicas a service has: the addresses behind its base URLs, looked up again and again.

use super::replica::Replica;
use crate::config::{Config, Upstreams};
use crate::routes::Service;
use shared::logging::Seldom;
use shared::stop::Stop;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The replicas of one service at one time.
pub(crate) type Replicas = Arc<[Arc<Replica>]>;

/// A service as the gateway knows it.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    /// Which service.
    pub(crate) service: Service,
    /// `host:port` of each base URL; empty when the service is not part of this installation.
    hosts: Arc<[String]>,
    replicas: watch::Sender<Replicas>,
    unknown: Arc<Seldom>,
}

impl Upstream {
    fn new(service: Service, urls: &[String]) -> Self {
        let hosts = urls.iter().filter_map(|url| host(url)).collect();
        let replicas = watch::Sender::new(Replicas::default());
        Self { service, hosts, replicas, unknown: Arc::default() }
    }

    /// Whether any base URL is known.
    #[must_use]
    pub(crate) fn is_installed(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// The replicas, and news of them.
    #[must_use]
    pub(crate) fn watch(&self) -> watch::Receiver<Replicas> {
        self.replicas.subscribe()
    }

    /// The replicas now.
    #[must_use]
    pub(crate) fn replicas(&self) -> Replicas {
        self.replicas.borrow().clone()
    }

    /// Looks the names up again. Known addresses keep what is known about them; when no name can be looked up, the
    /// last addresses stay.
    pub(crate) async fn refresh(&self) {
        let mut found: Vec<SocketAddr> = Vec::new();
        for host in self.hosts.iter() {
            match tokio::net::lookup_host(host).await {
                Ok(addresses) => found.extend(addresses),
                Err(cause) => {
                    let service = self.service.name();
                    self.unknown
                        .say(|held_back| log::warn!(held_back; "no address for {host} ({service}): {cause}"));
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        self.replicas.send_if_modified(|known| {
            let is_same = known.iter().map(|replica| replica.address()).eq(found.iter().copied());
            if is_same || found.is_empty() {
                return false;
            }
            let kept =
                |address: &SocketAddr| known.iter().find(|replica| replica.address() == *address).cloned();
            let fresh = |address: &SocketAddr| Arc::new(Replica::new(self.service, *address));
            *known = found.iter().map(|address| kept(address).unwrap_or_else(|| fresh(address))).collect();
            true
        });
    }
}

/// All services.
#[derive(Debug, Clone)]
pub(crate) struct Directory(Arc<[Upstream]>);

impl Directory {
    /// Knows the services by the settings, else by what runs in this process.
    pub(crate) async fn open(config: &Config, in_process: &Upstreams) -> Self {
        let lists = config.upstreams.by_name();
        let urls = |service: Service| {
            let set = lists.iter().find(|(name, urls)| *name == service.name() && !urls.is_empty());
            let own = in_process.get(service.name()).map_or(Default::default(), Vec::as_slice);
            set.map_or(own, |(_, urls)| *urls)
        };
        let directory =
            Self(Service::ALL.iter().map(|service| Upstream::new(*service, urls(*service))).collect());
        directory.refresh().await;
        directory
    }

    /// Every service, in the order of [`Service::ALL`].
    #[must_use]
    pub(crate) fn all(&self) -> &[Upstream] {
        &self.0
    }

    /// Looks all names up again every `period` until `stop`.
    pub(crate) async fn keep_fresh(self, period: Duration, stop: Stop) {
        loop {
            tokio::select! {
                () = stop.stopped() => return,
                () = tokio::time::sleep(period) => self.refresh().await,
            }
        }
    }

    async fn refresh(&self) {
        for upstream in self.0.iter() {
            upstream.refresh().await;
        }
    }
}

/// The first base URL that cannot be used, in the settings or among those of this process.
#[must_use]
pub(crate) fn bad_url<'u>(urls: impl IntoIterator<Item = &'u String>) -> Option<&'u String> {
    urls.into_iter().find(|url| host(url).is_none())
}

/// `host:port` of `http://host:port`; port 80 when none is given.
fn host(url: &str) -> Option<String> {
    let uri: hyper::Uri = url.parse().ok()?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"))?;
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.as_str().contains('@') {
        return None;
    }
    let is_named = !authority.host().is_empty();
    is_named.then(|| format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_base_urls_are_taken() {
        assert_eq!(host("http://events:9000"), Some("events:9000".into()));
        assert_eq!(host("http://[::1]:9000/"), Some("[::1]:9000".into()));
        assert_eq!(host("http://events"), Some("events:80".into()));
        for bad in [
            "events:9000",
            "https://events",
            "http://",
            "http://a/b",
            "http://a/?b",
            "http://u@a",
            "",
            "unix:/x",
        ] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn known_replicas_keep_their_state_when_the_list_changes() {
        let mut upstream = Upstream::new(Service::Events, &["http://127.0.0.1:1".into()]);
        upstream.refresh().await;
        let before = upstream.replicas();
        upstream.hosts = ["127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned()].into();
        upstream.refresh().await;
        let after = upstream.replicas();
        assert_eq!((before.len(), after.len()), (1, 2));
        assert!(Arc::ptr_eq(&before[0], &after[0]));
        upstream.hosts = ["no such host:x".to_owned()].into();
        upstream.refresh().await;
        assert_eq!(upstream.replicas().len(), 2, "the last addresses stay");
    }
}
