//! Our engine against what the original winchester 0.56 made of the same notifications.
//!
//! The records hold the steps of the clock, every stream at the end and every report of the usage handler;
//! `fixtures/make-winchester.py` made them and describes their form. Streams live in a list here; nothing
//! else differs from the real thing.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDateTime;
use serde_json::{Map, Value as Json, json};
use streams_svc::counters::TriggerCounters;
use streams_svc::engine::{Ending, Plan, Stream, Task};
use streams_svc::model::{Event, Value};
use streams_svc::pipeline::{
    Answer, Env, Events, HandlerError, Handlers, Message, Outlet, Pipelines, Post, Run, World,
};
use streams_svc::triggers::Matcher;
use streams_svc::{pipeline, triggers};
use uuid::Uuid;

const EVENTS: &[u8] = include_bytes!("fixtures/events.jsonl.gz");
const PIPELINES: &str = include_str!("fixtures/pipelines.yaml");

fn lines(packed: &[u8]) -> Vec<Json> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn at(text: &str) -> NaiveDateTime {
    shared::datetime::parse(text).unwrap()
}

/// No way out of the process.
struct Closed;

impl Outlet for Closed {
    fn publish(&self, _: &Message) -> Result<(), HandlerError> {
        Err(HandlerError::new("closed"))
    }

    fn post(&self, _: &Post) -> Result<Answer, HandlerError> {
        Err(HandlerError::new("closed"))
    }

    fn wait(&self, _: Duration) -> Result<(), HandlerError> {
        Err(HandlerError::new("closed"))
    }
}

/// The engine over lists; a stream's id is its place counted from 1.
struct Replay {
    now: NaiveDateTime,
    events: Vec<Arc<Event>>,
    matcher: Matcher,
    pipelines: Pipelines,
    counters: TriggerCounters,
    streams: Vec<(Stream, Vec<usize>)>,
    current: HashMap<(String, String), usize>,
    reports: Vec<Json>,
}

impl Replay {
    fn new(triggers: &str) -> Self {
        Self {
            now: NaiveDateTime::MIN,
            events: lines(EVENTS).into_iter().map(|line| Arc::new(Event::from_json(line).unwrap())).collect(),
            matcher: Matcher::new(triggers::parse("triggers.yaml", triggers).unwrap()),
            pipelines: pipeline::parse("pipelines.yaml", PIPELINES, &Handlers::default()).unwrap(),
            counters: TriggerCounters::default(),
            streams: Vec::new(),
            current: HashMap::new(),
            reports: Vec::new(),
        }
    }

    fn play(&mut self, steps: &[Json]) {
        let mut next = 0;
        for step in steps {
            if let Some(left_out) = step.as_i64().filter(|number| *number < 0) {
                next += usize::try_from(-left_out).unwrap();
            } else if let Some(count) = step.as_u64() {
                let end = next + usize::try_from(count).unwrap();
                (next..end).for_each(|number| self.add(number));
                next = end;
            } else if let Some(time) = step.as_str().unwrap().strip_prefix('+') {
                self.now = self.now.max(at(time));
            } else {
                self.now = self.now.max(at(step.as_str().unwrap()));
                while self.work(Task::Fire) + self.work(Task::Expire) > 0 {}
            }
        }
    }

    fn add(&mut self, number: usize) {
        let event = Arc::clone(&self.events[number]);
        self.now = self.now.max(event.timestamp);
        for found in self.matcher.match_event(&event) {
            let key = (found.trigger.name().to_owned(), found.distinguishing.key());
            let place = self.current.get(&key).copied();
            let stream = place.map(|place| self.streams[place].0.clone());
            let joined = Stream::join(stream, &found, &event, self.now, &mut self.counters).unwrap();
            if joined.is_new {
                self.current.insert(key, self.streams.len());
                self.streams.push((joined.stream, vec![number]));
            } else {
                let (stream, events) = &mut self.streams[place.unwrap()];
                *stream = joined.stream;
                events.push(number);
            }
        }
    }

    /// One round of the worker; how many streams it took.
    fn work(&mut self, task: Task) -> usize {
        let due: Vec<_> =
            (0..self.streams.len()).filter(|place| task.is_due(&self.streams[*place].0, self.now)).collect();
        for place in &due {
            let stream = &self.streams[*place].0;
            let trigger = Arc::clone(self.matcher.triggers().get(&stream.name).unwrap());
            let name = stream.name.clone();
            let pipelines = self.pipelines.clone();
            let succeeded = match task.plan(&name, Some(&trigger), &pipelines) {
                Plan::Run(definition) => self.run(definition, *place),
                Plan::Nothing => true,
                Plan::Impossible(_) => false,
            };
            if let Ending::Become(state) = task.ending(succeeded, false) {
                self.streams[*place].0.state = state;
            }
        }
        due.len()
    }

    fn run(&mut self, definition: &pipeline::Definition, place: usize) -> bool {
        let world = World {
            new_id: Arc::new(Uuid::nil),
            now: Arc::new(|| NaiveDateTime::MIN),
            outlet: Arc::new(Closed),
        };
        let (stream, numbers) = &self.streams[place];
        let mut events: Events = numbers.iter().map(|number| Arc::clone(&self.events[*number])).collect();
        events.sort_by_key(|event| event.timestamp);
        let mut env = Env::new(i64::try_from(place).unwrap() + 1, &stream.name);
        let mut run = Run::build(definition, &world).unwrap();
        let Ok(new) = run.handle(events, &mut env, &mut self.counters) else { return false };
        let mut reports: Vec<_> = new.iter().map(|report| kept(report)).collect();
        // The original's earlier warnings show texts that came later, so the record has only the last.
        let warnings = reports.iter_mut().filter_map(|report| report.as_object_mut());
        for earlier in warnings.filter(|report| report.contains_key("warnings")).rev().skip(1) {
            earlier.remove("warnings");
        }
        self.reports.push(json!({ "run": place + 1, "pipeline": definition.name(), "reports": reports }));
        true
    }

    /// A stream as the record shows it.
    fn shown(&self, place: usize) -> Json {
        let (stream, events) = &self.streams[place];
        let time = shared::datetime::iso;
        let traits: Map<_, _> =
            stream.distinguishing.iter().map(|(name, value)| (name.to_owned(), typed(value))).collect();
        json!({
            "stream": place + 1,
            "name": stream.name,
            "state": stream.state.word(),
            "distinguishing_traits": traits,
            "first_event": time(stream.first_event),
            "last_event": time(stream.last_event),
            "expire_timestamp": time(stream.expire_timestamp),
            "fire_timestamp": stream.fire_timestamp.map(time),
            "events": sorted(events.iter().map(|number| json!(number))),
        })
    }
}

fn sorted(numbers: impl Iterator<Item = Json>) -> Vec<u64> {
    let mut numbers: Vec<_> = numbers.map(|number| number.as_u64().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

fn typed(value: &Value) -> Json {
    let time = |at: &NaiveDateTime| shared::datetime::iso(*at);
    match value {
        Value::Text(text) => json!({ "t": "text", "v": text }),
        Value::Int(int) => json!({ "t": "int", "v": int }),
        Value::Float(float) => json!({ "t": "float", "v": float }),
        Value::Datetime(at) => json!({ "t": "datetime", "v": time(at) }),
        Value::Range { begin, end } => json!({ "t": "range", "v": [time(begin), time(end)] }),
    }
}

/// The members of a report that the record keeps.
fn kept(report: &Event) -> Json {
    let mut members = Map::new();
    members.insert("event_type".to_owned(), report.event_type.as_str().into());
    members.insert("timestamp".to_owned(), shared::datetime::iso(report.timestamp).into());
    for name in ["error", "error_code", "original_message_id", "warnings"] {
        if let Some(value) = report.traits.get(name) {
            members.insert(name.to_owned(), value.to_json());
        }
    }
    Json::Object(members)
}

/// Replays a record and compares every stream and every report.
fn compare(triggers: &str, record: &[u8]) {
    let record = lines(record);
    let mut replay = Replay::new(triggers);
    replay.play(record[0]["steps"].as_array().unwrap());
    let (streams, reports): (Vec<&Json>, Vec<&Json>) =
        record[1..].iter().partition(|line| line.get("stream").is_some());
    assert_eq!(replay.streams.len(), streams.len());
    for (place, stream) in streams.into_iter().enumerate() {
        let mut expected = stream.clone();
        expected["events"] = sorted(stream["events"].as_array().unwrap().iter().cloned()).into();
        assert_eq!(replay.shown(place), expected);
    }
    assert_eq!(replay.reports.len(), reports.len());
    for (ours, theirs) in replay.reports.iter().zip(reports) {
        assert_eq!(ours, theirs);
    }
}

#[test]
fn trigger_of_the_worked_example_sorts_and_verifies_as_the_original() {
    compare(include_str!("fixtures/triggers.yaml"), include_bytes!("fixtures/winchester.jsonl.gz"));
}

#[test]
fn criteria_of_every_kind_sort_and_fire_as_the_original() {
    compare(include_str!("fixtures/criteria.yaml"), include_bytes!("fixtures/criteria.jsonl.gz"));
}
