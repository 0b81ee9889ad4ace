//! The service's real routes over a real database, with a clock that stands still.

use actix_web::dev::{Service, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header::HeaderMap};
use actix_web::test::{TestRequest, init_service, read_body};
use actix_web::{App, HttpMessage};
use annotate_svc::{State, config::Config, store::MIGRATIONS};
use serde_json::Value;
use shared::clock::ManualClock;
use shared::identity::Principal;
use shared::testing::TestDb;
use std::sync::Arc;

/// The routes as one caller sees them.
pub(crate) fn app(
    state: State,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse,
        Error = actix_web::Error,
        InitError = (),
    > + use<>,
> {
    App::new().configure(|cfg| state.configure(cfg)).wrap_fn(|req, next| {
        // Ada may do everything unless a test says what she may.
        let held = req.headers().get("test-permissions").and_then(|held| held.to_str().ok()).unwrap_or("...");
        let permissions = held.split(' ').map(str::to_owned).collect();
        req.extensions_mut().insert(Principal {
            subject: "user:ada".into(),
            permissions,
            ..Principal::default()
        });
        next.call(req)
    })
}

/// The service under test.
pub(crate) struct Rig {
    pub(crate) state: State,
    pub(crate) clock: Arc<ManualClock>,
    /// Kept so that it is removed at the end.
    pub(crate) db: TestDb,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|cause| panic!("{cause}: {self:?}"))
    }

    /// The text of an error, after checking its status and form.
    #[track_caller]
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert!(self.text.ends_with("}\n"), "{self:?}");
        let body = self.json();
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{self:?}");
        body["error"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        self.json()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A request in the making.
pub(crate) struct Request<'r> {
    rig: &'r Rig,
    request: TestRequest,
}

impl Request<'_> {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request = self.request.insert_header((name, value));
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let app = init_service(app(self.rig.state.clone())).await;
        let answer = app.call(self.request.to_request()).await;
        let answer = answer.unwrap_or_else(|cause| panic!("no answer: {cause}"));
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = String::from_utf8_lossy(&read_body(answer).await).into_owned();
        Answer { status, headers, text }
    }
}

impl Rig {
    /// An empty store; it is 2016-02-25 03:08:41 UTC.
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        let db = TestDb::new(MIGRATIONS);
        let clock = ManualClock::at("2016-02-25T03:08:41.5Z".parse().unwrap());
        let state = State::new(config, db.db.clone(), clock.clone()).unwrap();
        Self { state, clock, db }
    }

    pub(crate) fn request(&self, method: &str, uri: &str, body: impl Into<String>) -> Request<'_> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Request { rig: self, request: TestRequest::with_uri(uri).method(method).set_payload(body.into()) }
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        self.request("GET", uri, "").send().await
    }

    pub(crate) async fn post(&self, uri: &str, body: impl Into<String>) -> Answer {
        self.request("POST", uri, body).send().await
    }

    pub(crate) async fn put(&self, uri: &str, body: impl Into<String>) -> Answer {
        self.request("PUT", uri, body).send().await
    }

    pub(crate) async fn delete(&self, uri: &str) -> Answer {
        self.request("DELETE", uri, "").send().await
    }

    /// Creates an annotation and answers its id.
    pub(crate) async fn create(&self, body: Value) -> String {
        let created = self.post("/annotation", body.to_string()).await.ok();
        created["Id"].as_str().unwrap().to_owned()
    }
}
