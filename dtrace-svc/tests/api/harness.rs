//! A running service with a database of its own, and short ways to call it.

use dtrace_svc::config::{Config, RunLimits, Setting};
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use shared::clock::{Clock, SharedClock, SystemClock};
use shared::identity::{HEADER, IdentityKey, Principal};
use shared::server::Running;
use shared::testing::TestDb;
use std::sync::Arc;
use std::time::Duration;

/// The installation's internal key.
pub(crate) const KEY: &[u8] = b"only for these tests";

/// The seed's own script.
pub(crate) const ERLANG: &str = include_str!("../fixtures/erlang.json");

/// A service that answers, with a caller who may do everything unless a call says otherwise.
pub(crate) struct Server {
    pub(crate) db: TestDb,
    pub(crate) url: String,
    client: reqwest::Client,
    running: Option<Running>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        Self::at(config, Arc::new(SystemClock))
    }

    /// With a clock of the test's own; callers' identities are still signed by the machine's.
    pub(crate) fn at(config: Config, clock: SharedClock) -> Self {
        config.validate().unwrap();
        let (db, key) = (TestDb::new(dtrace_svc::store::MIGRATIONS), IdentityKey::new(KEY));
        let wait = Duration::from_secs(1);
        let (running, _) = dtrace_svc::start_with(db.db.clone(), config, key.clone(), clock, wait).unwrap();
        let client =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
        Self { db, url: running.url(), client: client.unwrap(), running: Some(running) }
    }

    /// With figures that are made up, a tick every 100 ms.
    pub(crate) fn simulated() -> Self {
        Self::with(Config { executor: Setting::Simulated, ..fast() })
    }

    /// With a program in bpftrace's place that does what a script's `//sh` lines say.
    pub(crate) fn faked() -> Self {
        Self::with(faked())
    }

    /// Stops the service as a signal would.
    pub(crate) async fn stop(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    /// The identity header of a caller with these permissions.
    pub(crate) fn identity(&self, permissions: &[&str]) -> String {
        self.identity_of("user:ada", permissions)
    }

    /// The identity header of a named caller with these permissions.
    pub(crate) fn identity_of(&self, subject: &str, permissions: &[&str]) -> String {
        signed(subject, permissions)
    }

    /// A call by a caller who may do everything.
    pub(crate) fn call(&self, method: &str, path: &str) -> Call {
        self.call_as(&["..."], method, path)
    }

    /// A call by a caller with these permissions.
    pub(crate) fn call_as(&self, permissions: &[&str], method: &str, path: &str) -> Call {
        self.call_with(&self.identity(permissions), method, path)
    }

    /// A call with this identity header.
    pub(crate) fn call_with(&self, identity: &str, method: &str, path: &str) -> Call {
        let method: Method = method.parse().unwrap();
        Call(self.client.request(method, format!("{}{path}", self.url)).header(HEADER, identity))
    }

    /// Stores a script and gives its id.
    pub(crate) async fn create(&self, body: Value) -> String {
        let answer = self.call("POST", "/dtrace").json(&body).send().await;
        assert_eq!(answer.status, 303, "{answer:?}");
        answer.header("location").rsplit('/').next().unwrap().to_owned()
    }
}

/// The identity header of a named caller with these permissions, for every service of these tests.
pub(crate) fn signed(subject: &str, permissions: &[&str]) -> String {
    let permissions = permissions.iter().map(|pattern| (*pattern).to_owned()).collect();
    let principal = Principal { subject: subject.into(), permissions, ..Principal::default() };
    IdentityKey::new(KEY).sign(&principal, SystemClock.now())
}

/// Settings with a tick every 100 ms.
pub(crate) fn fast() -> Config {
    Config { runs: RunLimits { interval_millis: 100, ..RunLimits::default() }, ..Config::default() }
}

/// Settings with a stand-in for bpftrace.
pub(crate) fn faked() -> Config {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/bpftrace");
    Config { executor: Setting::Bpftrace, bpftrace_path: program.into(), ..fast() }
}

/// Whether a process is there and is no zombie.
pub(crate) fn is_alive(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// Waits until something holds; fails after a while.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    unreachable!("never: {what}");
}

/// A request in the making.
pub(crate) struct Call(RequestBuilder);

impl Call {
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        Self(self.0.header(name, value))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub(crate) fn body(self, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.body(body))
    }

    /// The answer's head has come; its body has not.
    pub(crate) async fn begin(self) -> reqwest::Response {
        self.0.send().await.unwrap()
    }

    pub(crate) async fn send(self) -> Answer {
        let answer = self.0.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        Answer { status, headers, body: answer.bytes().await.unwrap().to_vec() }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let read = serde_json::from_slice(&self.body);
        assert!(read.is_ok(), "{read:?}: {self:?}");
        read.unwrap()
    }
}
