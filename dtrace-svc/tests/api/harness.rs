//! A running service with a database of its own, and short ways to call it.

use dtrace_svc::config::Config;
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use shared::clock::{Clock, SystemClock};
use shared::identity::{HEADER, IdentityKey, Principal};
use shared::server::Running;
use shared::testing::TestDb;
use std::sync::Arc;
use std::time::Duration;

/// The seed's own script.
pub(crate) const ERLANG: &str = include_str!("../fixtures/erlang.json");

/// A service that answers, with a caller who may do everything unless a call says otherwise.
pub(crate) struct Server {
    pub(crate) db: TestDb,
    pub(crate) url: String,
    client: reqwest::Client,
    key: IdentityKey,
    _running: Running,
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
        let (db, key) = (TestDb::new(dtrace_svc::store::MIGRATIONS), IdentityKey::new(b"test"));
        let wait = Duration::from_secs(1);
        let running =
            dtrace_svc::start_on(db.db.clone(), config, key.clone(), Arc::new(SystemClock), wait).unwrap();
        let client =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
        Self { db, url: running.url(), client: client.unwrap(), key, _running: running }
    }

    /// The identity header of a caller with these permissions.
    pub(crate) fn identity(&self, permissions: &[&str]) -> String {
        let permissions = permissions.iter().map(|pattern| (*pattern).to_owned()).collect();
        let principal = Principal { subject: "user:ada".into(), permissions, ..Principal::default() };
        self.key.sign(&principal, SystemClock.now())
    }

    /// A call by a caller who may do everything.
    pub(crate) fn call(&self, method: &str, path: &str) -> Call {
        self.call_as(&["..."], method, path)
    }

    /// A call by a caller with these permissions.
    pub(crate) fn call_as(&self, permissions: &[&str], method: &str, path: &str) -> Call {
        let method: Method = method.parse().unwrap();
        let request = self.client.request(method, format!("{}{path}", self.url));
        Call(request.header(HEADER, self.identity(permissions)))
    }

    /// Stores a script and gives its id.
    pub(crate) async fn create(&self, body: Value) -> String {
        let answer = self.call("POST", "/dtrace").json(&body).send().await;
        assert_eq!(answer.status, 303, "{answer:?}");
        answer.header("location").rsplit('/').next().unwrap().to_owned()
    }
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
