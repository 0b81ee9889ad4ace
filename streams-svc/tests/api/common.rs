//! What all tests need.

use actix_web::App;
use actix_web::dev::ServiceResponse;
use actix_web::http::{StatusCode, header::HeaderMap};
use actix_web::test as http;
use chrono::{DateTime, NaiveDateTime, Utc};
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::{Value as Json, json};
use shared::clock::ManualClock;
use shared::db::Place;
use shared::testing::TestDb;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use streams_svc::State;
use streams_svc::config::Config;
use streams_svc::definitions::Definitions;
use streams_svc::drive::{Entry, EventService, Fault, Follower, Sender, Worker};
use streams_svc::pipeline::{self, Handlers};
use streams_svc::store::{self, Due, Room};
use streams_svc::triggers;
use streams_svc::winchester::StreamsPart;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) const TRIGGERS: &str = include_str!("../fixtures/triggers.yaml");
pub(crate) const PIPELINES: &str = include_str!("../fixtures/pipelines.yaml");

/// The event service as a list: ids count from 1, and a known message id is dropped.
#[derive(Default)]
pub(crate) struct ListedEvents {
    /// Each with whether a service has made it.
    entries: Mutex<Vec<(Json, bool)>>,
    /// Most events of a page.
    pub(crate) page: Mutex<Option<usize>>,
}

impl ListedEvents {
    pub(crate) fn push(&self, event: Json) {
        self.put(event, false);
    }

    fn put(&self, event: Json, is_emitted: bool) {
        let mut entries = self.entries.lock().unwrap();
        if !entries.iter().any(|(known, _)| known["message_id"] == event["message_id"]) {
            entries.push((event, is_emitted));
        }
    }

    /// Many that are known to be new.
    pub(crate) fn extend(&self, events: impl IntoIterator<Item = Json>) {
        self.entries.lock().unwrap().extend(events.into_iter().map(|event| (event, false)));
    }

    pub(crate) fn all(&self) -> Vec<Json> {
        self.entries.lock().unwrap().iter().map(|(event, _)| event.clone()).collect()
    }
}

impl EventService for ListedEvents {
    fn read(&self, after: Place, _: Duration) -> BoxFuture<'_, Result<Vec<Entry>, Fault>> {
        let page = self.page.lock().unwrap().unwrap_or(1000);
        let entries = self.entries.lock().unwrap();
        let skip = usize::try_from(after.id).unwrap();
        let entry = |(index, (event, is_emitted)): (usize, &(Json, bool))| Entry {
            place: Place { xid: 0, id: i64::try_from(index).unwrap() + 1 },
            body: serde_json::value::to_raw_value(event).unwrap(),
            is_emitted: *is_emitted,
        };
        let page = entries.iter().enumerate().skip(skip).take(page).map(entry).collect();
        async move { Ok(page) }.boxed()
    }

    fn store(&self, events: Vec<String>) -> BoxFuture<'_, Result<(), Fault>> {
        events.iter().for_each(|event| self.put(serde_json::from_str(event).unwrap(), true));
        async { Ok(()) }.boxed()
    }
}

/// Room for so many streams, whosever they are.
pub(crate) struct Few(pub(crate) usize);

impl Room for Few {
    fn of(&self, _due: &Due) -> usize {
        self.0
    }

    fn took(&mut self, _due: &Due, count: usize) {
        self.0 -= count;
    }
}

/// The service over a database of its own, with a clock that is moved by hand.
pub(crate) struct Fixture {
    pub(crate) state: State,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) events: Arc<ListedEvents>,
    pub(crate) database: TestDb,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).expect(&self.body)
    }
}

pub(crate) fn at(text: &str) -> NaiveDateTime {
    shared::datetime::parse(text).unwrap()
}

fn utc(text: &str) -> DateTime<Utc> {
    at(text).and_utc()
}

/// An instant as the API writes it.
pub(crate) fn time(text: &str) -> Json {
    json!({ "__type__": "datetime", "datetime": text })
}

/// Triggers and pipelines from texts, completed streams kept.
pub(crate) fn part(triggers: &str, pipelines: &str) -> StreamsPart {
    StreamsPart {
        triggers: triggers::parse("triggers.yaml", triggers).unwrap(),
        pipelines: pipeline::parse("pipelines.yaml", pipelines, &Handlers::default()).unwrap(),
        purge_completed_streams: false,
        ..StreamsPart::default()
    }
}

impl Fixture {
    /// With the triggers of the worked example; it is 2015-02-27 14:57:32.
    pub(crate) fn new() -> Self {
        Self::with(part(TRIGGERS, PIPELINES), &Config::default())
    }

    pub(crate) fn with(part: StreamsPart, config: &Config) -> Self {
        Self::defined(Definitions::fixed(part, config), config)
    }

    pub(crate) fn defined(definitions: Definitions, config: &Config) -> Self {
        let database = TestDb::new(store::MIGRATIONS);
        let clock = ManualClock::at(utc("2015-02-27T14:57:32"));
        let events = Arc::new(ListedEvents::default());
        let service = Arc::clone(&events);
        let state =
            State::new(config.clone(), database.db.clone(), clock.clone(), definitions, service).unwrap();
        Self { state, clock, events, database }
    }

    pub(crate) fn set_clock(&self, text: &str) {
        self.clock.set(utc(text));
    }

    /// Follows the feed to its end.
    pub(crate) async fn follow(&self) {
        let mut follower = Follower::new(self.state.clone());
        while follower.step(Duration::ZERO).await.unwrap() > 0 {}
    }

    /// Adds an event and follows the feed.
    pub(crate) async fn add(&self, event: Json) {
        self.events.push(event);
        self.follow().await;
    }

    /// In a replay, lets it be this time; no trigger takes the event that says so.
    pub(crate) async fn tick(&self, time: &str) {
        self.events.extend([event("tick", &uuid::Uuid::new_v4().to_string(), time, json!({}))]);
        self.follow().await;
    }

    /// One round of a worker; how many streams it took. New events go out.
    pub(crate) async fn work(&self) -> usize {
        let count = Worker::new(self.state.clone()).round().await.unwrap();
        let sender = Sender::new(self.state.clone());
        while sender.step().await.unwrap() > 0 {}
        count
    }

    pub(crate) async fn send(&self, request: http::TestRequest) -> Answer {
        send_to(&self.state, request).await
    }

    /// Another process on the same database, with the same clock and feed.
    pub(crate) fn replica(&self, definitions: Definitions) -> State {
        let (db, clock) = (self.database.db.clone(), self.clock.clone());
        let events: Arc<dyn EventService> = self.events.clone();
        State::new(Config::default(), db, clock, definitions, events).unwrap()
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        self.send(http::TestRequest::get().uri(uri)).await
    }

    /// A list; ids of its streams.
    pub(crate) async fn ids(&self, uri: &str) -> Vec<i64> {
        let answer = self.get(uri).await;
        assert_eq!(answer.status, StatusCode::OK, "{uri}: {}", answer.body);
        answer.json().as_array().unwrap().iter().map(|stream| stream["id"].as_i64().unwrap()).collect()
    }

    /// The only element of a list.
    pub(crate) async fn one(&self, uri: &str) -> Json {
        let answer = self.get(uri).await;
        assert_eq!(answer.status, StatusCode::OK, "{uri}: {}", answer.body);
        let list = answer.json();
        assert_eq!(list.as_array().unwrap().len(), 1, "{uri}: {list}");
        list[0].clone()
    }

    /// States of a stream so far, by its history.
    pub(crate) async fn states(&self, id: i64) -> Vec<String> {
        let history = self.get(&format!("/v1/streams/{id}/history")).await.json();
        let word = |change: &Json| change["state"].as_str().unwrap().to_owned();
        history.as_array().unwrap().iter().map(word).collect()
    }
}

/// The answer of one process to a request.
pub(crate) async fn send_to(state: &State, request: http::TestRequest) -> Answer {
    let state = state.clone();
    let app = http::init_service(App::new().configure(move |cfg| state.configure(cfg))).await;
    let answer: ServiceResponse<_> = http::call_service(&app, request.to_request()).await;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = String::from_utf8(http::read_body(answer).await.to_vec()).unwrap();
    Answer { status, headers, body }
}

/// An event of a type with an id, a time and more members.
pub(crate) fn event(event_type: &str, message_id: &str, timestamp: &str, more: Json) -> Json {
    let mut json = json!({
        "event_type": event_type,
        "message_id": message_id,
        "timestamp": time(timestamp),
    });
    json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json
}

/// A receiver of webhooks that takes one request.
pub(crate) struct Receiver(tokio::net::TcpListener);

impl Receiver {
    pub(crate) fn new() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(tokio::net::TcpListener::from_std(listener).unwrap())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// Takes a request and answers it; its text.
    pub(crate) async fn take(&self) -> String {
        let mut socket = self.0.accept().await.unwrap().0;
        let mut request = Vec::new();
        while !String::from_utf8_lossy(&request).ends_with("}]}") {
            assert_ne!(socket.read_buf(&mut request).await.unwrap(), 0);
        }
        socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        String::from_utf8(request).unwrap()
    }

    /// Waits until somebody has connected, who gets no answer until the connection that is returned is dropped.
    pub(crate) async fn keep_waiting(&self) -> tokio::net::TcpStream {
        self.0.accept().await.unwrap().0
    }
}
