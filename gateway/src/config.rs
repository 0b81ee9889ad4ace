//! Settings of the gateway: the section `gateway` of the product's settings.

mod bounds;
mod cidr;

pub(crate) use cidr::Cidr;

use crate::model::text::check_name;
use crate::upstream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::config::{AuthMode, Common, ConfigError, is_origin, list_or_commas, without_login};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// Base URLs of the services of this process, by service name (`events`, `streams`, `tasks`, …).
pub type Upstreams = BTreeMap<String, Vec<String>>;

/// The section `gateway`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address of the main listener; port 0 takes a free one. In the secure mode a websocket to run scripts cannot log in by
    /// a message then, unless `dtrace.identity_url` is set.
    pub listen: String,
    /// Threads that serve requests, 1 to 64.
    pub workers: usize,
    /// Listeners that each belong to one API, for original clients.
    pub compat: Compat,
    /// Replicas of the services.
    pub upstreams: UpstreamLists,
    /// Origins of web pages that may read answers (`https://grafana.example.com`, in small letters as browsers send them),
    /// or `*`. Empty: none. Reading is all they may.
    #[serde(deserialize_with = "list_or_commas")]
    pub cors_origins: Vec<String>,
    /// Origins of web pages that may also change things and open websockets, with the user's login; `*` is not taken.
    /// Users, tokens and `/admin` are closed to them too.
    #[serde(deserialize_with = "list_or_commas")]
    pub cors_write_origins: Vec<String>,
    /// Networks (`10.1.0.0/16`) of proxies whose `X-User-Id`, `X-Project-Id`, `X-Roles` and `X-Forwarded-*`
    /// headers are believed in secure mode.
    #[serde(deserialize_with = "list_or_commas")]
    pub trusted_proxies: Vec<String>,
    /// Host names, besides loopback and this machine's own, under which the open mode may be reached; without scheme and
    /// port.
    #[serde(deserialize_with = "list_or_commas")]
    pub hosts: Vec<String>,
    /// Whether `/metrics` and `/readyz?verbose` answer without login in secure mode.
    pub public_metrics: bool,
    /// Whether every request is logged. Off: only faults are.
    pub access_log: bool,
    /// Seconds between two look-ups of the replicas' host names, 1 to 3600.
    pub dns_refresh_secs: u64,
    /// What a caller may ask for at once.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            workers: 2,
            compat: Compat::default(),
            upstreams: UpstreamLists::default(),
            cors_origins: Vec::new(),
            cors_write_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            hosts: Vec::new(),
            public_metrics: false,
            access_log: false,
            dns_refresh_secs: 5,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// Addresses of the compat listeners; unset ones are off. `--compat` turns all of them on, on loopback alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Compat {
    /// `StackTach` v3: streams, events and notifications. Original port 8000; `--compat`: `127.0.0.1:8000`.
    pub stacktach: Option<String>,
    /// Panko: events v2. Original port 8977; `--compat`: `127.0.0.1:8977`.
    pub panko: Option<String>,
    /// Snap: plugins, metrics, tasks and tribe. Original port 8181; `--compat`: `127.0.0.1:8181`.
    pub snap: Option<String>,
    /// annotate: annotations and their page. Original port 8070; `--compat`: `127.0.0.1:8070`.
    pub annotate: Option<String>,
    /// Project-FiFo: `DTrace` scripts. The original had no port of its own; `--compat`: `127.0.0.1:8087`.
    pub fifo: Option<String>,
}

impl Compat {
    /// Every listener on its original port on loopback, as `--compat` asks for; set ones stay.
    #[must_use]
    pub fn on_original_ports(self) -> Self {
        let at = |port: u16| Some(format!("127.0.0.1:{port}"));
        Self {
            stacktach: self.stacktach.or_else(|| at(8000)),
            panko: self.panko.or_else(|| at(8977)),
            snap: self.snap.or_else(|| at(8181)),
            annotate: self.annotate.or_else(|| at(8070)),
            fifo: self.fifo.or_else(|| at(8087)),
        }
    }
}

/// Replicas of each service as base URLs, `http://host:port`. A host name may stand for many addresses.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamLists {
    /// Replicas of events-svc: `http://host:port`, several with commas. Empty: the service of this process.
    #[serde(deserialize_with = "list_or_commas")]
    pub events: Vec<String>,
    /// Replicas of streams-svc: `http://host:port`, several with commas. Empty: the service of this process.
    #[serde(deserialize_with = "list_or_commas")]
    pub streams: Vec<String>,
    /// Replicas of tasks-svc: `http://host:port`, several with commas. Empty: the service of this process.
    #[serde(deserialize_with = "list_or_commas")]
    pub tasks: Vec<String>,
    /// Replicas of tribe-svc: `http://host:port`, several with commas. Empty: the service of this process.
    #[serde(deserialize_with = "list_or_commas")]
    pub tribe: Vec<String>,
    /// Replicas of annotate-svc: `http://host:port`, several with commas. Empty: the service of this process.
    #[serde(deserialize_with = "list_or_commas")]
    pub annotate: Vec<String>,
    /// Replicas of dtrace-svc: `http://host:port`, several with commas. Empty: the service of this process.
    #[serde(deserialize_with = "list_or_commas")]
    pub dtrace: Vec<String>,
}

impl UpstreamLists {
    /// The lists by service name.
    #[must_use]
    pub fn by_name(&self) -> [(&'static str, &[String]); 6] {
        [
            ("events", self.events.as_slice()),
            ("streams", self.streams.as_slice()),
            ("tasks", self.tasks.as_slice()),
            ("tribe", self.tribe.as_slice()),
            ("annotate", self.annotate.as_slice()),
            ("dtrace", self.dtrace.as_slice()),
        ]
    }
}

/// What callers may ask for at once. Over a body limit: 413; over the others: 429 or 503 with `Retry-After`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Client connections held open at most, 1 to 1 000 000; further ones wait unaccepted.
    pub max_connections: usize,
    /// Bytes of all headers of a request together, 8192 to 1 048 576.
    pub max_header_bytes: usize,
    /// Bytes of a request body.
    pub max_body_bytes: u64,
    /// Bytes of a body that brings notifications or events.
    pub max_ingest_bytes: u64,
    /// Bytes of a plugin upload.
    pub max_upload_bytes: u64,
    /// Requests of one area that are answered at once. One client address may hold half of them with bodies that are
    /// not complete; the same holds for uploads and streams.
    pub max_in_flight: usize,
    /// Plugin uploads that are under way at once.
    pub max_uploads: usize,
    /// Watch streams and websockets of one area that are open at once. Websockets that came without credentials may hold
    /// half of them, those of one client address a sixteenth.
    pub max_streams: usize,
    /// Requests one client address may make in a second, on average over ten; 0 sets no limit. `/livez` and `/readyz`
    /// do not count.
    pub requests_per_sec: u32,
    /// Bytes of a request body that must arrive in a second on average, beyond the time of `timeouts.client_secs`; 0
    /// asks for none.
    pub min_body_bytes_per_sec: u64,
    /// Wrong passwords and tokens that one client address may send in a minute; 0 sets no limit.
    pub login_failures_per_min: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_header_bytes: 65_536,
            max_body_bytes: 16 << 20,
            max_ingest_bytes: 64 << 20,
            max_upload_bytes: 256 << 20,
            max_in_flight: 1024,
            max_uploads: 16,
            max_streams: 1024,
            requests_per_sec: 0,
            min_body_bytes_per_sec: 1024,
            login_failures_per_min: 20,
        }
    }
}

/// How long things may take. Past a service's time: 504.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Milliseconds for a connection to a replica, 1 to 60 000.
    pub connect_millis: u64,
    /// Seconds from the end of a request to the head of its answer, 1 to 86 400, as are all that follow.
    pub answer_secs: u64,
    /// The same for bodies that bring notifications or events; `Prefer: wait=N` adds N.
    pub ingest_secs: u64,
    /// The same for plugin uploads.
    pub upload_secs: u64,
    /// Seconds without a byte in the middle of an answer from a service.
    pub idle_secs: u64,
    /// Seconds a client may take for the head of a request, or pause in the middle of its body or of our answer.
    pub client_secs: u64,
    /// Seconds an idle client connection is kept open.
    pub keep_alive_secs: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect_millis: 2000,
            answer_secs: 30,
            ingest_secs: 120,
            upload_secs: 180,
            idle_secs: 60,
            client_secs: 30,
            keep_alive_secs: 75,
        }
    }
}

impl Config {
    /// Refuses what cannot work, or would open the house to strangers.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] naming the key.
    pub fn validate(&self, common: &Common) -> Result<(), ConfigError> {
        for (key, address) in self.listeners() {
            check(resolve(address).is_some(), &format!("{key}: expected host:port, found {address}"))?;
        }
        self.check_clashes()?;
        self.mode(common)?;
        let is_user = common.auth.admin_user.as_ref().is_none_or(|name| check_name(name).is_ok());
        let expected = "auth.admin_user: expected 1 to 255 characters, no colon, and no space at its ends";
        check(is_user, expected)?;
        check((1..=64).contains(&self.workers), "gateway.workers: expected 1 to 64")?;
        check((1..=3600).contains(&self.dns_refresh_secs), "gateway.dns_refresh_secs: expected 1 to 3600")?;
        bounds::check_limits(&self.limits)?;
        bounds::check_timeouts(&self.timeouts)?;
        for (name, urls) in self.upstreams.by_name() {
            let bad = upstream::bad_url(urls);
            let text = format!(
                "gateway.upstreams.{name}: expected http://host:port, found {}",
                bad.map_or(String::new(), |url| without_login(url))
            );
            check(bad.is_none(), &text)?;
        }
        for network in &self.trusted_proxies {
            check(
                Cidr::parse(network).is_some(),
                &format!("gateway.trusted_proxies: no network: {network}"),
            )?;
        }
        for host in &self.hosts {
            check(is_host(host), &format!("gateway.hosts: expected a host name alone, found {host}"))?;
        }
        for origin in &self.cors_origins {
            let is_known = origin == "*" || is_origin(origin);
            check(is_known, &format!("gateway.cors_origins: no origin: {origin}"))?;
        }
        for origin in &self.cors_write_origins {
            check(is_origin(origin), &format!("gateway.cors_write_origins: no origin: {origin}"))?;
        }
        Ok(())
    }

    /// Open or secure: as set; unset is open when nobody but this machine can reach the gateway.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] when it is unset and a listener is open to others.
    pub fn mode(&self, common: &Common) -> Result<AuthMode, ConfigError> {
        if let Some(mode) = common.auth.mode {
            return Ok(mode);
        }
        let is_local =
            |address: &str| resolve(address).is_some_and(|found| found.iter().all(|ip| ip.is_loopback()));
        match self.listeners().find(|(_, address)| !is_local(address)) {
            None => Ok(AuthMode::Open),
            Some((key, address)) => Err(ConfigError::Conflict(format!(
                "auth.mode: not set, but {key} = {address} can be reached from other machines: set it to secure, or \
                 to open if everybody who reaches it may do everything"
            ))),
        }
    }

    /// The trusted networks; call after [`Config::validate`], which refuses malformed ones.
    #[must_use]
    pub fn trusted_networks(&self) -> Vec<Cidr> {
        self.trusted_proxies.iter().filter_map(|text| Cidr::parse(text)).collect()
    }

    /// Refuses two listeners at one address; a port of 0 is another one each time.
    fn check_clashes(&self) -> Result<(), ConfigError> {
        let found = |address: &str| address.to_socket_addrs().into_iter().flatten().collect::<Vec<_>>();
        let listeners: Vec<_> =
            self.listeners().map(|(key, address)| (key, address, found(address))).collect();
        for (place, (key, address, found)) in listeners.iter().enumerate() {
            let is_taken = |(_, _, other): &&(_, _, Vec<SocketAddr>)| {
                found.iter().any(|one| other.iter().any(|other| clash(*one, *other)))
            };
            let earlier = listeners.iter().take(place).find(is_taken).map_or("", |(earlier, _, _)| *earlier);
            check(earlier.is_empty(), &format!("{key}: {earlier} listens on {address} already"))?;
        }
        Ok(())
    }

    /// Every listener that is on, with the key that set it.
    fn listeners(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let compat = &self.compat;
        [
            ("gateway.listen", Some(&self.listen)),
            ("gateway.compat.stacktach", compat.stacktach.as_ref()),
            ("gateway.compat.panko", compat.panko.as_ref()),
            ("gateway.compat.snap", compat.snap.as_ref()),
            ("gateway.compat.annotate", compat.annotate.as_ref()),
            ("gateway.compat.fifo", compat.fifo.as_ref()),
        ]
        .into_iter()
        .filter_map(|(key, address)| Some((key, address?.as_str())))
    }
}

fn check(holds: bool, otherwise: &str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::Conflict(otherwise.to_owned())) }
}

/// The addresses behind `host:port`; names are looked up.
fn resolve(address: &str) -> Option<Vec<IpAddr>> {
    let found: Vec<IpAddr> =
        address.to_socket_addrs().ok()?.map(|address: SocketAddr| address.ip()).collect();
    (!found.is_empty()).then_some(found)
}

/// Whether two listeners cannot be at these addresses together.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let is_shared = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && is_shared
}

/// A host name as `Host` has it, without a port.
fn is_host(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !text.is_empty() && text.split('.').all(|word| !word.is_empty() && word.chars().all(is_word))
}

#[cfg(test)]
mod tests;
