//! The worked example of the contract (section 17), step by step on the pure parts: a clock moved by
//! hand, a map in place of the database.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDateTime;
use serde_json::{Value as Json, json};
use streams_svc::counters::TriggerCounters;
use streams_svc::engine::{Ending, Joined, Plan, State, Stream, Task};
use streams_svc::model::Event;
use streams_svc::pipeline::{
    Answer, Env, Events, HandlerError, Handlers, Message, Outlet, Pipelines, Post, Run, World,
};
use streams_svc::triggers::{Matcher, Triggers};
use streams_svc::{pipeline, triggers};
use uuid::Uuid;

const TRIGGERS: &str = include_str!("fixtures/triggers.yaml");
const PIPELINES: &str = include_str!("fixtures/pipelines.yaml");

const INSTANCE: &str = "86def971-f2a2-4b1d-b379-fca1b0ddf0d7";
const EXISTS: &str = "a16aa892-6e62-47fd-8aee-5183ef71d605";

fn at(text: &str) -> NaiveDateTime {
    shared::datetime::parse(text).unwrap()
}

fn time(text: &str) -> Json {
    json!({ "__type__": "datetime", "datetime": text })
}

/// An event of the instance of the example.
fn event(event_type: &str, message_id: &str, timestamp: &str, more: Json) -> Event {
    let mut json = json!({
        "event_type": event_type,
        "message_id": message_id,
        "timestamp": time(timestamp),
        "instance_id": INSTANCE,
        "tenant_id": "408577",
        "memory_mb": 512,
    });
    json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Event::from_json(json).unwrap()
}

fn update() -> Event {
    event(
        "compute.instance.update",
        "936a849a-6eb3-4750-a431-7ca1aec9d611",
        "2015-02-27T15:27:18.603932",
        json!({}),
    )
}

fn create_start() -> Event {
    let id = "d359a6db-a488-4522-8b94-2ad17fb7ac38";
    event("compute.instance.create.start", id, "2015-02-27T15:33:22", json!({}))
}

fn create_end() -> Event {
    let launched = json!({ "launched_at": time("2015-02-27T15:31:24") });
    let id = "0b3fe8c5-52e6-44cd-ae8e-5fb05777d1e0";
    event("compute.instance.create.end", id, "2015-02-27T15:33:56", launched)
}

fn exists() -> Event {
    let traits = json!({
        "audit_period_beginning": time("2015-02-27T00:00:00"),
        "audit_period_ending": time("2015-02-28T00:00:00"),
        "launched_at": time("2015-02-27T15:31:24"),
        "state": "active",
    });
    event("compute.instance.exists", EXISTS, "2015-02-28T00:27:18.603932", traits)
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

/// The engine over a map from trigger and key to its current stream with its events.
struct Engine {
    now: NaiveDateTime,
    triggers: Triggers,
    pipelines: Pipelines,
    matcher: Matcher,
    counters: TriggerCounters,
    streams: HashMap<(String, String), (Stream, Events)>,
    stored: Events,
}

impl Engine {
    fn new() -> Self {
        let triggers = triggers::parse("triggers.yaml", TRIGGERS).unwrap();
        Self {
            now: at("2015-02-27T14:57:32"),
            pipelines: pipeline::parse("pipelines.yaml", PIPELINES, &Handlers::default()).unwrap(),
            matcher: Matcher::new(triggers.clone()),
            triggers,
            counters: TriggerCounters::new(2),
            streams: HashMap::new(),
            stored: Vec::new(),
        }
    }

    fn add(&mut self, event: Event) -> Vec<Joined> {
        let event = Arc::new(event);
        self.stored.push(Arc::clone(&event));
        let mut all = Vec::new();
        for found in self.matcher.match_event(&event) {
            let key = (found.trigger.name().to_owned(), found.distinguishing.key());
            let (current, mut events) = self.streams.remove(&key).unzip();
            let joined = Stream::join(current, &found, &event, self.now, &mut self.counters).unwrap();
            events.get_or_insert_default().push(Arc::clone(&event));
            self.streams.insert(key, (joined.stream.clone(), events.unwrap_or_default()));
            all.push(joined);
        }
        all
    }

    /// One round of a worker. Returns the states that the only stream went through.
    fn work(&mut self, task: Task) -> Vec<State> {
        let world = World {
            new_id: Arc::new(|| Uuid::from_u128(1)),
            now: Arc::new(|| at("2015-03-01")),
            outlet: Arc::new(Closed),
        };
        let key = self.streams.keys().next().unwrap().clone();
        let (stream, events) = self.streams.get_mut(&key).unwrap();
        let Some(taken) = task.take(stream, self.now) else { return Vec::new() };
        let trigger = self.triggers.get(&stream.name).unwrap();
        let Plan::Run(definition) = task.plan(&stream.name, Some(trigger), &self.pipelines) else {
            return Vec::new();
        };
        let mut in_time_order = events.clone();
        in_time_order.sort_by_key(|event| event.timestamp);
        let mut run = Run::build(definition, &world).unwrap();
        let new = run.handle(in_time_order, &mut Env::new(1, &stream.name), &mut self.counters).unwrap();
        assert_eq!(run.commit(&mut self.counters), []);
        let Ending::Become(end) = task.ending(true, false) else { return vec![taken.to] };
        (stream.state, stream.serial) = (end, taken.serial + 2);
        for event in new {
            assert!(self.add(Event::clone(&event)).is_empty(), "a verdict joins no stream");
        }
        vec![taken.to, end]
    }

    fn stream(&self) -> (&Stream, &Events) {
        assert_eq!(self.streams.len(), 1);
        let (stream, events) = self.streams.values().next().unwrap();
        (stream, events)
    }
}

#[test]
fn exists_fires_the_stream_and_is_verified() {
    let mut engine = Engine::new();

    let first = engine.add(update()).remove(0);
    assert!(first.is_new && !first.became_ready);
    let stream = first.stream;
    assert_eq!((stream.name.as_str(), stream.state, stream.serial), ("test_trigger", State::Active, 0));
    let day = json!({ "__type__": "timex.TimeRange", "begin": "2015-02-27T00:00:00", "end": "2015-02-28T00:00:00" });
    assert_eq!(stream.distinguishing.to_json(), json!({ "instance_id": INSTANCE, "timestamp": day }));
    assert_eq!(
        (stream.first_event, stream.last_event),
        (at("2015-02-27T15:27:18.603932"), stream.first_event)
    );
    assert_eq!((stream.expire_timestamp, stream.fire_timestamp), (at("2015-03-01T15:27:18.603932"), None));

    engine.add(create_start());
    let third = engine.add(create_end()).remove(0);
    assert!(!third.is_new && !third.became_ready);
    assert_eq!(third.stream.first_event, at("2015-02-27T15:27:18.603932"));
    assert_eq!(third.stream.last_event, at("2015-02-27T15:33:56"));
    assert_eq!(third.stream.expire_timestamp, at("2015-03-01T15:33:56"));
    assert_eq!(engine.counters.firing.reasons()["Wrong event type"], 3);

    engine.now = at("2015-02-28T00:30:00");
    let fourth = engine.add(exists()).remove(0);
    assert!(!fourth.is_new && fourth.became_ready);
    assert_eq!(fourth.stream.last_event, at("2015-02-28T00:27:18.603932"));
    assert_eq!(fourth.stream.expire_timestamp, at("2015-03-02T00:27:18.603932"));
    assert_eq!(fourth.stream.fire_timestamp, Some(engine.now));
    assert_eq!(fourth.stream.state, State::Active);

    engine.now = at("2015-02-28T00:30:10");
    assert_eq!(engine.work(Task::Expire), []);
    assert_eq!(engine.work(Task::Fire), [State::Firing, State::Completed]);
    let (stream, events) = engine.stream();
    assert_eq!((stream.state, stream.serial, events.len()), (State::Completed, 2, 4));
    assert_eq!(engine.stored.len(), 5);
    let verdict = engine.stored[4].to_json();
    assert_eq!(verdict["event_type"], "compute.instance.exists.verified");
    assert_eq!(verdict["error"], "None");
    assert_eq!(verdict["original_message_id"], EXISTS);
    let id = Uuid::new_v5(&Uuid::parse_str(EXISTS).unwrap(), b"compute.instance.exists.verified");
    assert_eq!(verdict["message_id"], id.to_string());
    assert_eq!(engine.work(Task::Fire), []);
}

#[test]
fn stream_without_exists_expires_and_fails_with_u0() {
    let mut engine = Engine::new();
    for event in [update(), create_start(), create_end()] {
        engine.add(event);
    }
    engine.now = at("2015-03-01T15:33:56");
    assert_eq!(engine.work(Task::Expire), []);
    engine.now = at("2015-03-01T15:33:56.000001");
    assert_eq!(engine.work(Task::Fire), []);
    assert_eq!(engine.work(Task::Expire), [State::Expiring, State::Completed]);
    let (stream, _) = engine.stream();
    assert_eq!((stream.state, stream.fire_timestamp), (State::Completed, None));
    let verdict = engine.stored[3].to_json();
    assert_eq!(verdict["event_type"], "compute.instance.exists.failed");
    assert_eq!((&verdict["error_code"], &verdict["instance_id"]), (&json!("U0"), &json!(INSTANCE)));
    assert_eq!(verdict["timestamp"], time("2015-02-27T15:27:18.603932"));
}

#[test]
fn event_after_completion_opens_a_new_stream() {
    let mut engine = Engine::new();
    for event in [update(), exists()] {
        engine.add(event);
    }
    engine.now = at("2015-02-28T00:30:10");
    assert_eq!(engine.work(Task::Fire), [State::Firing, State::Completed]);
    assert!(engine.add(create_end()).remove(0).is_new);
}
