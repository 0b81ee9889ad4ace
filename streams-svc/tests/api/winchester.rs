//! The whole service against what the original winchester 0.56 made of the same notifications. The records hold the
//! steps of the clock, every stream at the end and every report of the usage handler; `fixtures/make-winchester.py` made
//! them and describes their form. The clock is that of the events.

use crate::common::{Fixture, PIPELINES, part};
use serde_json::{Map, Value as Json, json};
use shared::db::{DbConn, DbError};
use std::collections::BTreeMap;
use std::io::Read;
use streams_svc::config::Config;
use streams_svc::engine::State;
use streams_svc::store;
use streams_svc::triggers::Triggers;

const EVENTS: &[u8] = include_bytes!("../fixtures/events.jsonl.gz");

fn lines(packed: &[u8]) -> Vec<Json> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn play(fixture: &Fixture, steps: &[Json]) {
    let mut events = lines(EVENTS).into_iter();
    for step in steps {
        if let Some(left_out) = step.as_i64().filter(|number| *number < 0) {
            events.by_ref().take(usize::try_from(-left_out).unwrap()).for_each(drop);
        } else if let Some(count) = step.as_u64() {
            fixture.events.extend(events.by_ref().take(usize::try_from(count).unwrap()));
            fixture.follow().await;
        } else if let Some(time) = step.as_str().unwrap().strip_prefix('+') {
            fixture.tick(time).await;
        } else {
            fixture.tick(step.as_str().unwrap()).await;
            let mut worker = streams_svc::drive::Worker::new(fixture.state.clone());
            while worker.round().await.unwrap() > 0 {}
        }
    }
}

/// A time of the API as the record has it.
fn plain(time: &Json) -> Json {
    time["datetime"].clone()
}

fn typed(value: &Json) -> Json {
    let (kind, value) = match value {
        Json::String(_) => ("text", value.clone()),
        Json::Number(number) if number.is_i64() => ("int", value.clone()),
        Json::Number(_) => ("float", value.clone()),
        range if range["__type__"] == "timex.TimeRange" => ("range", json!([range["begin"], range["end"]])),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => ("datetime", plain(value)),
    };
    json!({ "t": kind, "v": value })
}

/// A stream of the API as the record has it, without its number.
fn shown(stream: &Json, numbers: &BTreeMap<String, usize>) -> String {
    let number = |event: &Json| numbers[event["message_id"].as_str().unwrap()];
    let mut events: Vec<usize> = stream["events"].as_array().unwrap().iter().map(number).collect();
    events.sort_unstable();
    let traits = stream["distinguishing_traits"].as_object().unwrap();
    let traits: BTreeMap<_, _> = traits.iter().map(|(name, value)| (name.clone(), typed(value))).collect();
    content(&json!({
        "name": stream["name"],
        "state": stream["state"],
        "distinguishing_traits": traits,
        "first_event": plain(&stream["first_event"]),
        "last_event": plain(&stream["last_event"]),
        "expire_timestamp": plain(&stream["expire_timestamp"]),
        "fire_timestamp": plain(&stream["fire_timestamp"]),
        "events": events,
    }))
}

/// A text of all that makes a stream of the record, without its number, in a fixed order.
fn content(stream: &Json) -> String {
    let mut events: Vec<u64> =
        stream["events"].as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect();
    events.sort_unstable();
    let traits = stream["distinguishing_traits"].as_object().unwrap();
    let traits: BTreeMap<_, _> =
        traits.iter().map(|(name, value)| (name, json!([value["t"], value["v"]]))).collect();
    let times = ["first_event", "last_event", "expire_timestamp", "fire_timestamp"].map(|name| &stream[name]);
    json!([stream["name"], stream["state"], traits, times, events]).to_string()
}

/// What the record keeps of reports; of several warnings of a stream the text of the last.
fn kept(reports: &[Json]) -> Vec<Json> {
    let mut kept: Vec<Json> = Vec::new();
    for report in reports {
        let mut members = Map::new();
        members.insert("event_type".to_owned(), report["event_type"].clone());
        members.insert("timestamp".to_owned(), plain(&report["timestamp"]));
        for name in ["error", "error_code", "original_message_id", "warnings"] {
            if let Some(value) = report.get(name) {
                members.insert(name.to_owned(), value.clone());
            }
        }
        kept.push(Json::Object(members));
    }
    let warnings = kept.iter_mut().filter_map(Json::as_object_mut);
    for earlier in warnings.filter(|report| report.contains_key("warnings")).rev().skip(1) {
        earlier.remove("warnings");
    }
    kept
}

/// Which pipelines ran for streams, by id: of the states that a stream went through one says it.
async fn pipelines(fixture: &Fixture, triggers: Triggers, streams: &Json) -> BTreeMap<i64, String> {
    let id = |stream: &Json| (stream["id"].as_i64().unwrap(), stream["name"].as_str().unwrap().to_owned());
    let streams: Vec<(i64, String)> = streams.as_array().unwrap().iter().map(id).collect();
    let read = move |conn: &mut DbConn| {
        let mut pipelines = BTreeMap::new();
        for (id, name) in streams {
            let trigger = triggers.get(&name).unwrap();
            let history = store::list_history(conn, id)?;
            let was = |state| history.iter().any(|change| change.state == Some(state));
            assert_ne!(was(State::Firing), was(State::Expiring), "stream {id}");
            let fired = was(State::Firing);
            let pipeline = if fired { trigger.fire_pipeline() } else { trigger.expire_pipeline() };
            pipelines.insert(id, pipeline.unwrap_or_default().to_owned());
        }
        Ok::<_, DbError>(pipelines)
    };
    fixture.database.db.read(read).await.unwrap()
}

async fn compare(triggers: &str, record: &[u8]) {
    let record = lines(record);
    let mut part = part(triggers, PIPELINES);
    part.time_sync_endpoint = Some("internal".to_owned());
    let triggers = part.triggers.clone();
    let fixture = Fixture::with(part, &Config::default());
    play(&fixture, record[0]["steps"].as_array().unwrap()).await;

    let numbers: BTreeMap<String, usize> = lines(EVENTS)
        .iter()
        .enumerate()
        .map(|(number, event)| (event["message_id"].as_str().unwrap().to_owned(), number))
        .collect();
    let outgoing = fixture.database.db.read(|conn| store::list_outgoing(conn, 1_000_000)).await.unwrap();
    let mut reports: BTreeMap<i64, Vec<Json>> = BTreeMap::new();
    for outgoing in outgoing {
        let report: Json = serde_json::from_str(&outgoing.body).unwrap();
        reports.entry(report["stream_id"].as_i64().unwrap()).or_default().push(report);
    }
    let streams = fixture.get("/v1/streams?details=1&limit=10000").await.json();
    let pipelines = pipelines(&fixture, triggers, &streams).await;
    let ours: BTreeMap<String, (String, Vec<Json>)> = streams
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| {
            let id = stream["id"].as_i64().unwrap();
            let reports = reports.get(&id).map(|reports| kept(reports)).unwrap_or_default();
            (shown(stream, &numbers), (pipelines[&id].clone(), reports))
        })
        .collect();

    let runs: BTreeMap<u64, (String, Vec<Json>)> = record[1..]
        .iter()
        .filter_map(|line| {
            let (pipeline, reports) = (line["pipeline"].as_str()?, line["reports"].as_array()?);
            Some((line.get("run")?.as_u64()?, (pipeline.to_owned(), reports.clone())))
        })
        .collect();
    let theirs: BTreeMap<String, (String, Vec<Json>)> = record[1..]
        .iter()
        .filter_map(|line| Some((line.get("stream")?.as_u64()?, line)))
        .map(|(number, line)| (content(line), runs.get(&number).cloned().unwrap_or_default()))
        .collect();
    assert_eq!(ours.len(), streams.as_array().unwrap().len(), "no two streams are the same");
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
}

#[actix_web::test]
async fn trigger_of_the_worked_example_sorts_and_verifies_as_the_original() {
    compare(include_str!("../fixtures/triggers.yaml"), include_bytes!("../fixtures/winchester.jsonl.gz"))
        .await;
}

#[actix_web::test]
async fn criteria_of_every_kind_sort_and_fire_as_the_original() {
    compare(include_str!("../fixtures/criteria.yaml"), include_bytes!("../fixtures/criteria.jsonl.gz")).await;
}
