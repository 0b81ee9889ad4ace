//! What the benchmarks share: the distilled sample of the tests, twelve triggers, and a service over a database of its
//! own.

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::Value as Json;
use shared::clock::SystemClock;
use shared::db::Place;
use shared::testing::TestDb;
use streams_svc::State;
use streams_svc::config::Config;
use streams_svc::definitions::Definitions;
use streams_svc::drive::{Entry, EventService, Fault};
use streams_svc::store;
use streams_svc::triggers::{Triggers, parse};
use streams_svc::winchester::StreamsPart;

const EVENTS: &[u8] = include_bytes!("../../tests/fixtures/events.jsonl.gz");
const TRIGGER: &str = include_str!("../../tests/fixtures/triggers.yaml");
const TRIGGERS: usize = 12;

/// Days that the sample covers.
const DAYS: i64 = 3;

/// The sample's events, as `/v1/events` shows them.
pub fn sample() -> Vec<Json> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(EVENTS).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The trigger of the worked example and eleven that differ: three more that take nearly every event, four
/// that take few, four that take none but have to look at traits.
pub fn triggers() -> Triggers {
    let mut text = TRIGGER.replace("debug_level: 2", "debug_level: 0");
    for number in 1..TRIGGERS {
        let criteria = match number % 3 {
            0 => "{event_type: ['compute.*', '!*.exists']}, {event_type: '*.exists', timestamp: month}",
            1 => "{event_type: compute.instance.resize.*}, {event_type: '*.error'}",
            _ => "{traits: {memory_mb: {int: '> 1000000'}}}, {traits: {state: nowhere, os_distro: none}}",
        };
        text.push_str(&format!(
            "- name: trigger_{number}\n  distinguished_by: [instance_id, {{timestamp: day}}]\n  expiration: $last + 1h\n  \
             fire_pipeline: p\n  match_criteria: [{criteria}]\n  fire_criteria: [{{event_type: '*.end', number: 2}}]\n"
        ));
    }
    parse("triggers.yaml", &text).unwrap()
}

/// The sample `rounds` times, one after the other in time, with ids of its own in each round.
pub fn feed(rounds: i64) -> Vec<Entry> {
    let sample = sample();
    let mut entries = Vec::new();
    for round in 0..rounds {
        for event in &sample {
            let mut event = event.clone();
            let id = event["message_id"].as_str().unwrap().to_owned();
            event["message_id"] = format!("{id}-{round}").into();
            event.as_object_mut().unwrap().values_mut().for_each(|value| shift(value, round * DAYS));
            let place = Place { xid: 0, id: i64::try_from(entries.len()).unwrap() + 1 };
            entries.push(Entry {
                place,
                body: serde_json::value::to_raw_value(&event).unwrap(),
                is_emitted: false,
            });
        }
    }
    entries
}

fn shift(value: &mut Json, days: i64) {
    if let Some(at) = value.get("datetime").and_then(Json::as_str).and_then(shared::datetime::parse) {
        *value = streams_svc::model::datetime_json(at + TimeDelta::days(days));
    }
}

/// A feed that is there from the start.
pub struct Listed(pub Mutex<Vec<Entry>>);

impl EventService for Listed {
    fn read(&self, after: Place, _: Duration) -> BoxFuture<'_, Result<Vec<Entry>, Fault>> {
        let skip = usize::try_from(after.id).unwrap();
        let entries = self.0.lock().unwrap().iter().skip(skip).take(1000).cloned().collect();
        async move { Ok(entries) }.boxed()
    }

    fn store(&self, _: Vec<String>) -> BoxFuture<'_, Result<(), Fault>> {
        async { Ok(()) }.boxed()
    }
}

/// The service with these triggers over a feed, on the engine that the environment chooses; the time is that of the
/// events. Must be called inside a tokio runtime.
pub fn state(triggers: Triggers, feed: Vec<Entry>) -> (State, TestDb) {
    let part =
        StreamsPart { triggers, time_sync_endpoint: Some("internal".to_owned()), ..StreamsPart::default() };
    let config = Config::default();
    let database = TestDb::new(store::MIGRATIONS);
    let definitions = Definitions::fixed(part, &config);
    let service = Arc::new(Listed(Mutex::new(feed)));
    let state = State::new(config, database.db.clone(), Arc::new(SystemClock), definitions, service).unwrap();
    (state, database)
}

/// The engine that is measured.
pub fn engine() -> &'static str {
    if std::env::var_os("QUINTET_TEST_POSTGRES_URL").is_some() { "PostgreSQL" } else { "SQLite" }
}
