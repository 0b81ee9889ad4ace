//! Which replicas a service has: the addresses behind its base URLs, looked up again and again.

use super::replica::Replica;
use crate::config::{Config, Upstreams};
use crate::routes::Service;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use shared::logging::Seldom;
use shared::stop::Stop;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Longest wait for the addresses of a name.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Names of one service that are looked up at once: each takes a thread.
const LOOKUPS: usize = 4;

/// The replicas of one service at one time.
pub(crate) type Replicas = Arc<[Arc<Replica>]>;

/// A service as the gateway knows it.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    /// Which service.
    pub(crate) service: Service,
    /// `host:port` of each base URL; empty when the service is not part of this installation.
    hosts: Arc<[String]>,
    /// What each of them was found to be when it could last be looked up.
    known: Arc<Mutex<BTreeMap<String, Vec<SocketAddr>>>>,
    replicas: watch::Sender<Replicas>,
    unknown: Arc<Seldom>,
}

impl Upstream {
    fn new(service: Service, urls: &[String]) -> Self {
        let hosts = urls.iter().filter_map(|url| host(url)).collect();
        let replicas = watch::Sender::new(Replicas::default());
        Self { service, hosts, known: Arc::default(), replicas, unknown: Arc::default() }
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

    /// Looks the names up again.
    pub(crate) async fn refresh(&self) {
        let lookups: Vec<_> = self.hosts.iter().cloned().map(look_up).collect();
        self.learn(stream::iter(lookups).buffered(LOOKUPS).collect().await);
    }

    /// Known addresses keep what is known about them; a name that cannot be looked up keeps its last addresses.
    fn learn(&self, lookups: Vec<Lookup>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (host, outcome) in lookups {
            match outcome {
                Ok(addresses) => drop(known.insert(host, addresses)),
                Err(cause) => {
                    let service = self.service.name();
                    self.unknown
                        .say(|held_back| log::warn!(held_back; "no address for {host} ({service}): {cause}"));
                }
            }
        }
        let mut found: Vec<SocketAddr> = known.values().flatten().copied().collect();
        drop(known);
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

/// A name with its addresses, never none, or why they are unknown.
type Lookup = (String, io::Result<Vec<SocketAddr>>);

async fn look_up(host: String) -> Lookup {
    let outcome = match tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host(&host)).await {
        Ok(found) => found.map(Vec::from_iter),
        Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
    };
    let is_none = outcome.as_ref().is_ok_and(Vec::is_empty);
    (host, if is_none { Err(io::ErrorKind::NotFound.into()) } else { outcome })
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
        repeat(period, &stop, || self.refresh()).await;
    }

    async fn refresh(&self) {
        join_all(self.0.iter().map(Upstream::refresh)).await;
    }
}

/// Works every `period` until `stop`, which also ends work that is under way.
async fn repeat<F: Future<Output = ()>>(period: Duration, stop: &Stop, mut work: impl FnMut() -> F) {
    let repeated = async {
        loop {
            tokio::time::sleep(period).await;
            work().await;
        }
    };
    tokio::select! {
        () = stop.stopped() => (),
        () = repeated => (),
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

    #[test]
    fn a_name_that_cannot_be_looked_up_keeps_its_replicas() {
        let upstream = Upstream::new(Service::Events, &[]);
        let address = |text: &str| vec![text.parse().unwrap()];
        let addresses = || -> Vec<_> {
            upstream.replicas().iter().map(|replica| replica.address().to_string()).collect()
        };
        upstream.learn(vec![
            ("a:1".into(), Ok(address("10.0.0.1:1"))),
            ("b:1".into(), Ok(address("10.0.0.2:1"))),
        ]);
        let before = upstream.replicas();
        upstream.learn(vec![
            ("a:1".into(), Err(io::ErrorKind::TimedOut.into())),
            ("b:1".into(), Ok(address("10.0.0.3:1"))),
        ]);
        assert_eq!(addresses(), ["10.0.0.1:1", "10.0.0.3:1"]);
        assert!(Arc::ptr_eq(&before[0], &upstream.replicas()[0]));
        upstream.learn(vec![("a:1".into(), Ok(address("10.0.0.4:1")))]);
        assert_eq!(addresses(), ["10.0.0.3:1", "10.0.0.4:1"]);
    }

    #[tokio::test]
    async fn a_stop_does_not_wait_for_a_lookup_that_hangs() {
        let (stop, hanging) = (Stop::default(), tokio::sync::Notify::new());
        let lookup = || async {
            hanging.notify_one();
            std::future::pending::<()>().await;
        };
        tokio::join!(repeat(Duration::ZERO, &stop, lookup), async {
            hanging.notified().await;
            stop.stop();
        });
    }
}
