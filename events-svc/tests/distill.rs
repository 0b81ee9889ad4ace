//! The distiller against the original converters.
//!
//! `e2e/judges/distill-fixtures` made the fixtures: `notifications.ndjson.gz` is a part of the 7 180 sample
//! notifications; `stackdistiller.jsonl.gz` and `ceilometer.jsonl.gz` are the events that stackdistiller 0.12 and
//! ceilometer 27.0.0 make of them with the definitions beside them, in the form of the runners `distill` and
//! `convert`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use chrono::NaiveDateTime;
use events_svc::distill::{Dialect, Distiller, Outcome};
use events_svc::model::{Event, Trait, TraitValue};
use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};
use shared::datetime::iso;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn lines(name: &str) -> impl Iterator<Item = Value> {
    let file = File::open(fixture(name)).unwrap();
    BufReader::new(GzDecoder::new(file)).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap())
}

/// An event in the form of `distill`.
fn distilled(event: &Event) -> Value {
    let value = |own: &Trait| match &own.value {
        TraitValue::Text(text) => json!({"t": "text", "v": text}),
        TraitValue::Integer(number) => json!({"t": "int", "v": number}),
        TraitValue::Float(number) => json!({"t": "float", "v": number}),
        TraitValue::Datetime(instant) => json!({"t": "datetime", "v": iso(*instant)}),
    };
    let traits: Map<String, Value> = event.traits.iter().map(|own| (own.name.clone(), value(own))).collect();
    json!({
        "message_id": event.message_id, "event_type": event.event_type, "timestamp": iso(event.generated),
        "traits": traits,
    })
}

/// An event in the form of `convert`. A trait of type none is stored as text.
fn converted(event: &Event) -> Value {
    let row = |own: &Trait| match &own.value {
        TraitValue::Text(text) => json!([own.name, if own.name == "untyped" { 0 } else { 1 }, text]),
        TraitValue::Integer(number) => json!([own.name, 2, number]),
        TraitValue::Float(number) => json!([own.name, 3, number]),
        TraitValue::Datetime(instant) => json!([own.name, 4, iso(*instant)]),
    };
    json!({
        "message_id": event.message_id, "event_type": event.event_type, "generated": iso(event.generated),
        "traits": event.traits.iter().map(row).collect::<Vec<_>>(),
        "raw": event.raw.as_ref().map_or(json!({}), |raw| json!(raw)),
    })
}

/// Compares all notifications, the order of traits included; returns how many events, dropped and failed ones the
/// original has.
fn compare(distiller: &Distiller, form: fn(&Event) -> Value, answers: &str) -> [usize; 3] {
    let mut counts = [0; 3];
    let mut answers = lines(answers);
    for notification in lines("notifications.ndjson.gz") {
        let original = answers.next().unwrap();
        let kind = if original.is_null() { 1 } else { usize::from(original.get("error").is_some()) * 2 };
        counts[kind] += 1;
        match distiller.distill(&notification, NaiveDateTime::MIN).outcome {
            Outcome::Event(event) => assert_eq!(form(&event).to_string(), original.to_string()),
            Outcome::Dropped => assert_eq!(kind, 1, "{original}"),
            Outcome::Invalid(reason) => assert_eq!(kind, 2, "{reason}: {original}"),
        }
    }
    assert!(answers.next().is_none());
    counts
}

#[test]
fn events_are_those_of_stackdistiller() {
    let definitions = fixture("definitions_stackdistiller.yaml");
    let distiller = Distiller::load(&definitions, Dialect::Stackdistiller, false).unwrap();
    assert_eq!(compare(&distiller, distilled, "stackdistiller.jsonl.gz"), [1809, 17, 0]);
}

#[test]
fn events_are_those_of_ceilometer() {
    let definitions = fixture("definitions_ceilometer.yaml");
    let distiller = Distiller::load(&definitions, Dialect::Ceilometer, true).unwrap();
    assert_eq!(compare(&distiller, converted, "ceilometer.jsonl.gz"), [1813, 0, 13]);
}

#[test]
fn builtin_definitions_make_an_event_of_every_notification() {
    let distiller = Distiller::builtin().unwrap();
    for notification in lines("notifications.ndjson.gz") {
        let distilled = distiller.distill(&notification, NaiveDateTime::MIN);
        assert_eq!(distilled.warnings, []);
        let Outcome::Event(event) = distilled.outcome else { unreachable!("{notification}") };
        let text = |name: &str| {
            let found = event.traits.iter().find(|own| own.name == name);
            found.map(|own| if let TraitValue::Text(text) = &own.value { json!(text) } else { json!(null) })
        };
        assert_eq!(text("service").as_ref(), notification.get("publisher_id"));
        assert_eq!(text("request_id").as_ref(), notification.get("_context_request_id"));
        let payload = &notification["payload"];
        let tenant =
            [payload.get("tenant_id"), notification.get("_context_tenant")].into_iter().flatten().next();
        assert_eq!(text("tenant_id").as_ref(), tenant);
        if event.event_type.starts_with("compute.instance.") {
            assert_eq!(text("instance_id").as_ref(), payload.get("instance_id"));
        }
    }
}
