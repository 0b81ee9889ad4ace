//! What the tests of every resource need.

use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::test as http;
use actix_web::{App, HttpMessage};
use chrono::{DateTime, Utc};
use events_svc::State;
use events_svc::config::Config;
use events_svc::distill::Distiller;
use events_svc::model::{Event, Trait, TraitValue};
use serde_json::Value;
use shared::clock::ManualClock;
use shared::identity::Principal;
use shared::testing::TestDb;
use std::sync::Arc;

/// The service over a database of its own.
pub(crate) struct Fixture {
    pub(crate) database: TestDb,
    pub(crate) state: State,
    pub(crate) clock: Arc<ManualClock>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: actix_web::http::header::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|cause| panic!("{cause}: {}", self.body))
    }
}

/// Noon of the day on which the clock of every test stands.
pub(crate) fn noon() -> DateTime<Utc> {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(Config::default(), Distiller::builtin().unwrap())
    }

    pub(crate) fn with(config: Config, distiller: Distiller) -> Self {
        let database = TestDb::new(events_svc::store::MIGRATIONS);
        let clock = ManualClock::at(noon());
        let state = State::new(config, database.db.clone(), distiller, clock.clone()).unwrap();
        Self { database, state, clock }
    }

    /// Sends a request as the gateway would, with the caller's identity verified.
    pub(crate) async fn send_as(&self, caller: Principal, request: http::TestRequest) -> Answer {
        let state = self.state.clone();
        let app = http::init_service(App::new().configure(move |cfg| state.configure(cfg)).wrap_fn(
            move |req, next| {
                req.extensions_mut().insert(caller.clone());
                next.call(req)
            },
        ));
        let answer: ServiceResponse<_> = http::call_service(&app.await, request.to_request()).await;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = String::from_utf8(http::read_body(answer).await.to_vec()).unwrap();
        Answer { status, headers, body }
    }

    /// Sends a request as a caller without user, project and roles.
    pub(crate) async fn send(&self, request: http::TestRequest) -> Answer {
        self.send_as(Principal::default(), request).await
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        self.send(http::TestRequest::get().uri(uri)).await
    }

    /// Stores events past the routes.
    pub(crate) async fn store(&self, events: &[Event]) {
        let events: Vec<_> = events.iter().map(|event| events_svc::store::prepare(event).unwrap()).collect();
        let put = move |conn: &mut shared::db::DbConn| events_svc::store::put_events(conn, &events, 0);
        self.database.db.write(put).await.unwrap();
    }
}

/// An event of `generated` (ISO 8601) with these traits.
pub(crate) fn event(id: &str, event_type: &str, generated: &str, traits: &[(&str, TraitValue)]) -> Event {
    let property =
        |(name, value): &(&str, TraitValue)| Trait { name: (*name).to_owned(), value: value.clone() };
    Event {
        message_id: id.to_owned(),
        event_type: event_type.to_owned(),
        generated: generated.parse().unwrap(),
        traits: traits.iter().map(property).collect(),
        raw: None,
    }
}

pub(crate) fn text(text: &str) -> TraitValue {
    TraitValue::Text(text.to_owned())
}
