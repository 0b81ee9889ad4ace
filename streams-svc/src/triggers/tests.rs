use chrono::NaiveDateTime;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use shared::datetime;

use super::*;
use crate::counters::Group;
use crate::model::Event;

fn at(text: &str) -> NaiveDateTime {
    datetime::parse(text).unwrap()
}

fn event(event_type: &str, timestamp: &str, traits: Json) -> Event {
    let mut json = traits;
    json["message_id"] = "a16aa892-6e62-47fd-8aee-5183ef71d605".into();
    json["event_type"] = event_type.into();
    json["timestamp"] = json!({ "__type__": "datetime", "datetime": timestamp });
    Event::from_json(json).unwrap()
}

fn time(text: &str) -> Json {
    json!({ "__type__": "datetime", "datetime": text })
}

/// A trigger whose only match criteria is this YAML.
fn trigger_with(criteria: &str) -> Result<Triggers, String> {
    let text = format!(
        "- name: t\n  debug_level: 2\n  expiration: $last + 1d\n  fire_pipeline: p\n  fire_criteria: []\n  \
         match_criteria:\n  - {criteria}\n"
    );
    parse("triggers.yaml", &text).map_err(|error| error.to_string())
}

/// Nothing if the criteria take the event, else the reasons why not.
fn verdict(criteria: &str, event: &Event) -> Vec<String> {
    let matcher = Matcher::new(trigger_with(criteria).unwrap());
    let mut reasons = match matcher.explain(event).remove(0).outcome {
        Ok(_) => Vec::new(),
        Err(reasons) => reasons,
    };
    reasons.retain(|reason| reason != "No matching criteria");
    reasons
}

#[test]
fn criterion_compares_trait_with_constant_in_value_and_type() {
    let event = event("e", "2015-02-27T00:00:00", json!({ "n": 7, "f": 7.0, "t": "7", "s": "Active" }));
    for (criteria, reasons) in [
        ("traits: {n: 7}", vec![]),
        ("traits: {n: 7.0}", vec![]),
        ("traits: {f: 7}", vec![]),
        ("traits: {n: '7'}", vec!["== failed"]),
        ("traits: {t: 7}", vec!["== failed"]),
        ("traits: {t: '7'}", vec![]),
        ("traits: {s: Active}", vec![]),
        ("traits: {s: active}", vec!["== failed"]),
        ("traits: {s: {string: Active}}", vec![]),
        ("traits: {s: {text: active}}", vec!["== failed"]),
        ("traits: {x: 7}", vec!["not x"]),
        ("traits: {n: 7, s: active}", vec!["== failed"]),
        ("traits: {n: 7, s: Active}", vec![]),
        ("traits: {event_type: e}", vec![]),
    ] {
        assert_eq!(verdict(criteria, &event), reasons, "{criteria}");
    }
}

#[test]
fn criterion_compares_numbers() {
    let event = event("e", "2015-02-27T00:00:00", json!({ "n": 7, "f": 7.5, "t": "9" }));
    for (criteria, reasons) in [
        ("traits: {n: {int: 7}}", vec![]),
        ("traits: {n: {int: '7'}}", vec![]),
        ("traits: {n: {int: '= 7'}}", vec![]),
        ("traits: {n: {int: '= 8'}}", vec!["== failed"]),
        ("traits: {n: {int: '> 6'}}", vec![]),
        ("traits: {n: {int: '> 7'}}", vec!["> failed"]),
        ("traits: {n: {int: '< 8'}}", vec![]),
        ("traits: {n: {int: '<  7'}}", vec!["< failed"]),
        ("traits: {n: {int: '>= 7'}}", vec![]),
        ("traits: {n: {int: '>=8'}}", vec![">= failed"]),
        ("traits: {n: {int: '<=7'}}", vec![]),
        ("traits: {n: {int: '<= 6'}}", vec!["<= failed"]),
        ("traits: {n: {int: '!= 6'}}", vec![]),
        ("traits: {n: {int: '!=7'}}", vec!["!= failed"]),
        ("traits: {n: {int: '>-1'}}", vec![]),
        ("traits: {n: {int: '< 99999999999999999999'}}", vec![]),
        ("traits: {n: {int: '~ 7'}}", vec!["Criterion match() fall-thru"]),
        ("traits: {f: {float: '> 7.25'}}", vec![]),
        ("traits: {n: {float: '< 7.25'}}", vec![]),
        ("traits: {n: {numeric: '> 4096'}}", vec!["> failed"]),
        ("traits: {f: {numeric: 7.5}}", vec![]),
        ("traits: {t: {int: '> 3'}}", vec!["> failed"]),
        ("traits: {t: {int: 9}}", vec!["== failed"]),
        ("traits: {x: {int: 9}}", vec!["not x"]),
    ] {
        assert_eq!(verdict(criteria, &event), reasons, "{criteria}");
    }
}

#[test]
fn criterion_asks_for_times() {
    let event = event(
        "e",
        "2015-02-27T18:00:00",
        json!({ "begin": time("2015-02-27T00:00:00"), "end": time("2015-02-28T00:00:00"), "text": "2015-02-27" }),
    );
    for (criteria, reasons) in [
        ("traits: {end: {datetime: $begin + 1d}}", vec![]),
        ("traits: {end: {datetime: $begin + 2d}}", vec!["Not in timerange"]),
        ("traits: {begin: {datetime: day}}", vec![]),
        ("traits: {end: {datetime: day}}", vec!["Not in timerange"]),
        ("traits: {end: {datetime: $missing + 1d}}", vec!["Time: no referenced trait"]),
        ("traits: {end: {datetime: $begin @ 30d}}", vec!["Not in timerange"]),
        ("traits: {missing: {datetime: day}}", vec!["Time: not 'missing'"]),
        ("traits: {text: {datetime: day}}", vec!["Not in timerange"]),
        ("traits: {begin: 2015-02-27 00:00:00}", vec![]),
        ("traits: {end: 2015-02-27 00:00:00}", vec!["== failed"]),
        ("timestamp: day($begin)", vec![]),
        ("timestamp: $begin to $begin + 18h", vec!["Not time yet."]),
        ("timestamp: day($end)", vec!["Not time yet."]),
        ("timestamp: day($missing)", vec!["No timestamp trait"]),
        ("timestamp: $begin @ 30d", vec!["Not time yet."]),
        ("timestamp: $timestamp", vec![]),
    ] {
        assert_eq!(verdict(criteria, &event), reasons, "{criteria}");
    }
}

#[test]
fn event_types_are_globs_with_exclusions() {
    let event = event("compute.instance.exists", "2015-02-27T00:00:00", json!({}));
    for (criteria, takes) in [
        ("{}", true),
        ("event_type: compute.*", true),
        ("event_type: ['volume.*', 'compute.instance.exist?']", true),
        ("event_type: ['!volume.*']", true),
        ("event_type: ['compute.*', '!*.exists']", false),
        ("event_type: compute", false),
    ] {
        let expected = if takes { vec![] } else { vec!["Wrong event type".to_owned()] };
        assert_eq!(verdict(criteria, &event), expected, "{criteria}");
    }
}

const MAPPED: &str = "
- name: mapped
  debug_level: 2
  distinguished_by: [instance_id, {timestamp: day}]
  expiration: $last + 1d
  fire_pipeline: p
  fire_criteria: []
  match_criteria:
  - event_type: exists
    map_distinguished_by: {timestamp: audit_period_beginning}
  - event_type: '*'
- name: plain
  distinguished_by: [instance_id]
  expiration: $last + 1d
  expire_pipeline: p
  fire_criteria: []
  match_criteria: [{}]
";

#[test]
fn distinguishing_values_come_from_the_mapped_trait() {
    let mut matcher = Matcher::new(parse("t", MAPPED).unwrap());
    let exists = event(
        "exists",
        "2015-02-28T00:27:18",
        json!({ "instance_id": "i", "audit_period_beginning": time("2015-02-27T00:00:00") }),
    );
    let other = event("update", "2015-02-27T15:27:18.603932", json!({ "instance_id": "i" }));
    let day = json!({ "instance_id": "i", "timestamp":
        { "__type__": "timex.TimeRange", "begin": "2015-02-27T00:00:00", "end": "2015-02-28T00:00:00" } });
    for event in [&exists, &other] {
        let matches = matcher.match_event(event);
        assert_eq!(matches.len(), 2);
        assert_eq!(matches[0].trigger.name(), "mapped");
        assert_eq!(matches[0].distinguishing.to_json(), day);
        assert_eq!(matches[1].distinguishing.to_json(), json!({ "instance_id": "i" }));
    }
    assert_eq!(
        matcher.match_event(&exists)[0].distinguishing.key(),
        matcher.match_event(&other)[0].distinguishing.key()
    );
}

#[test]
fn event_without_the_mapped_trait_still_joins_other_triggers() {
    let mut matcher = Matcher::new(parse("t", MAPPED).unwrap());
    let names = |matches: Vec<Match>| -> Vec<String> {
        matches.into_iter().map(|found| found.trigger.name().to_owned()).collect()
    };
    let without = event("exists", "2015-02-28T00:27:18", json!({ "instance_id": "i" }));
    assert_eq!(names(matcher.match_event(&without)), ["plain"]);
    let text = json!({ "instance_id": "i", "audit_period_beginning": "2015-02-27" });
    assert_eq!(names(matcher.match_event(&event("exists", "2015-02-28T00:27:18", text))), ["plain"]);
    let last_day = event("update", "9999-12-31T12:00:00", json!({ "instance_id": "i" }));
    assert_eq!(names(matcher.match_event(&last_day)), ["plain"]);
    let nothing = event("update", "2015-02-28T00:27:18", json!({}));
    assert_eq!(names(matcher.match_event(&nothing)), Vec::<String>::new());
}

#[test]
fn of_events_that_join_no_stream_the_log_names_the_first_ten_of_a_batch() {
    let mut matcher = Matcher::new(parse("t", MAPPED).unwrap());
    let without = event("exists", "2015-02-28T00:27:18", json!({ "instance_id": "i" }));
    for (count, more) in [(12, 2), (3, 0), (11, 1)] {
        (0..count).for_each(|_| assert_eq!(matcher.match_event(&without).len(), 1));
        assert_eq!(matcher.end_batch(), more);
    }
}

#[test]
fn checks_are_counted_with_their_reasons() {
    let mut matcher = Matcher::new(parse("t", MAPPED).unwrap());
    matcher.match_event(&event("update", "2015-02-28T00:27:18", json!({ "instance_id": "i" })));
    matcher.match_event(&event("update", "2015-02-28T00:27:18", json!({})));
    let counters = matcher.take_counters();
    // First event: the first criteria fails, the second passes and so does the trigger; second: no trait.
    let lines = [
        "---- Trigger Definition: mapped ----",
        "Match Criteria: 4 checks, 2 passed",
        " - Wrong event type = 1",
        " - not 'instance_id' = 1",
        "Fire Criteria: 0 checks, 0 passed",
    ];
    assert_eq!(counters.log_lines(), lines);
    let again = matcher.take_counters().log_lines();
    assert_eq!(again[1], "Match Criteria: 0 checks, 0 passed");
}

const FIRING: &str = "
- name: t
  expiration: $last + 1d
  fire_pipeline: p
  match_criteria: [{}]
  fire_criteria:
  - {event_type: a, number: 2}
  - {event_type: b, traits: {state: done}}
";

#[test]
fn fire_criteria_are_met_when_each_has_its_number_of_events() {
    let triggers = parse("t", FIRING).unwrap();
    let trigger = triggers.get("t").unwrap();
    let mut group = Group::new(2);
    let mut counts = FireCounts::new(trigger);
    let event = |event_type, state| event(event_type, "2015-02-27T00:00:00", json!({ "state": state }));
    let steps = [
        (event("a", "done"), "1,0", false),
        (event("b", "new"), "1,0", false),
        (event("b", "done"), "1,1", false),
        (event("c", "done"), "1,1", false),
        (event("a", "new"), "2,1", true),
        (event("a", "new"), "2,1", true),
    ];
    for (event, stored, met) in &steps {
        counts.count(trigger, event, &mut group);
        assert_eq!(counts.to_string().split_once(':').unwrap().1, *stored);
        assert_eq!(counts.are_met(trigger, &mut group), *met);
        counts = FireCounts::parse(&counts.to_string(), trigger).unwrap();
    }
    assert_eq!(group.reasons()["Not enough matching criteria"], 4);
    assert_eq!(FireCounts::recount(trigger, steps.iter().map(|(event, ..)| event)), counts);
}

#[test]
fn counts_of_other_criteria_are_not_believed() {
    let before = parse("t", FIRING).unwrap();
    let after = parse("t", &FIRING.replace("number: 2", "number: 3")).unwrap();
    let stored = FireCounts::new(before.get("t").unwrap()).to_string();
    assert!(FireCounts::parse(&stored, before.get("t").unwrap()).is_some());
    assert_eq!(FireCounts::parse(&stored, after.get("t").unwrap()), None);
    for wrong in
        ["", ":", "1,2", &format!("{stored},0"), &stored.replace('0', "x"), &stored.replace('0', "-1")]
    {
        assert_eq!(FireCounts::parse(wrong, before.get("t").unwrap()), None, "{wrong}");
    }
}

#[test]
fn no_fire_criteria_are_met_by_the_first_event() {
    let triggers = parse("t", MAPPED).unwrap();
    let trigger = triggers.get("plain").unwrap();
    assert!(FireCounts::new(trigger).are_met(trigger, &mut Group::default()));
    let stored = FireCounts::new(trigger).to_string();
    assert!(FireCounts::parse(&stored, trigger).is_some());
}

#[test]
fn expiration_sees_first_last_and_now() {
    let expire = |expiration: &str| {
        let text = FIRING.replace("$last + 1d", expiration);
        let triggers = parse("t", &text).unwrap();
        let trigger = triggers.get("t").unwrap();
        trigger.expire_timestamp(at("2015-02-27"), at("2015-02-28"), at("2020-01-01")).ok()
    };
    assert_eq!(expire("$last + 2d"), Some(at("2015-03-02")));
    assert_eq!(expire("$first + 2d"), Some(at("2015-03-01")));
    assert_eq!(expire("$timestamp + 1h"), Some(at("2020-01-01T01:00")));
    assert_eq!(expire("month($last)"), Some(at("2015-02-01")));
    assert_eq!(expire("$middle"), None);
}

#[test]
fn fire_delay_is_in_seconds_with_fractions() {
    let text = FIRING.replace("fire_pipeline: p", "fire_pipeline: p\n  fire_delay: 1.5");
    let triggers = parse("t", &text).unwrap();
    let fire = triggers.get("t").unwrap().fire_timestamp(at("2015-02-27"));
    assert_eq!(fire, at("2015-02-27T00:00:01.5"));
}

#[test]
fn wrong_definitions_are_refused_with_line_trigger_and_key() {
    let refusal = |text: &str| parse("triggers.yaml", text).unwrap_err().to_string();
    let long = format!("name: {}", "é".repeat(256));
    for (wrong, right, message) in [
        ("name: t", "nome: t", "triggers.yaml:2: trigger 1: name: required, and missing"),
        (
            "name: t",
            "name: \"a\\0b\"",
            "triggers.yaml:2: trigger 1: name: a text without control characters is needed",
        ),
        (
            "name: t",
            "name: ' '",
            "triggers.yaml:2: trigger 1: name: a text without control characters is needed",
        ),
        ("name: t", &long, "triggers.yaml:2: trigger 1: name: longer than 255 characters"),
        ("expiration: $last + 1d", "x: y", "triggers.yaml:2: trigger 't': expiration: required, and missing"),
        (
            "$last + 1d",
            "$last + 1",
            "triggers.yaml:3: trigger 't': expiration: '$last + 1' is no time expression: \
             a number needs a unit here at character 9",
        ),
        (
            "fire_pipeline: p",
            "x: p",
            "triggers.yaml:2: trigger 't': fire_pipeline or expire_pipeline: required",
        ),
        (
            "match_criteria: [{}]",
            "x: y",
            "triggers.yaml:2: trigger 't': match_criteria: required, and missing",
        ),
        ("fire_criteria:", "x:", "triggers.yaml:2: trigger 't': fire_criteria: required, and missing"),
        (
            "match_criteria: [{}]",
            "match_criteria: 5",
            "triggers.yaml:5: trigger 't': match_criteria: a list is needed, not an integer",
        ),
        (
            "match_criteria: [{}]",
            "match_criteria: [x]",
            "triggers.yaml:5: trigger 't': match_criteria[0]: a mapping is needed, not a text",
        ),
        (
            "number: 2",
            "number: two",
            "triggers.yaml:7: trigger 't': fire_criteria[0].number: a number of events is needed, not a text",
        ),
        (
            "state: done",
            "state: {int: x}",
            "triggers.yaml:8: trigger 't': fire_criteria[1].traits.state.int: 'x' compares with no number",
        ),
        (
            "state: done",
            "state: {int: '> 3.5'}",
            "triggers.yaml:8: trigger 't': fire_criteria[1].traits.state.int: '> 3.5' compares with no number",
        ),
        (
            "state: done",
            "state: {float: .nan}",
            "triggers.yaml:8: trigger 't': fire_criteria[1].traits.state.float: a finite number is needed",
        ),
        (
            "state: done",
            "state: {numeric: '> 1e999'}",
            "triggers.yaml:8: trigger 't': fire_criteria[1].traits.state.numeric: '> 1e999' compares with no number",
        ),
        (
            "state: done",
            "state: {int: 1, float: 1}",
            "triggers.yaml:8: trigger 't': fire_criteria[1].traits.state: exactly one kind of comparison is needed",
        ),
        (
            "state: done",
            "state: {regex: x}",
            "triggers.yaml:8: trigger 't': fire_criteria[1].traits.state.regex: unknown kind of comparison (int, \
             float, numeric, datetime, string, text)",
        ),
        (
            "match_criteria: [{}]",
            "match_criteria: [{timestamp: today}]",
            "triggers.yaml:5: trigger 't': match_criteria[0].timestamp: 'today' is no time expression: unknown \
             function 'today' at character 1",
        ),
        (
            "match_criteria: [{}]",
            "match_criteria: [{}]\n  distinguished_by: [{a: day, b: day}]",
            "triggers.yaml:6: trigger 't': distinguished_by[0]: exactly one trait with its time expression is needed",
        ),
        (
            "match_criteria: [{}]",
            "match_criteria: [{}]\n  load_criteria: [{event_type: 5}]",
            "triggers.yaml:6: trigger 't': load_criteria[0].event_type: a list is needed, not an integer",
        ),
        (
            "match_criteria: [{}]",
            "match_criteria: [{}]\n  debug_level: much",
            "triggers.yaml:6: trigger 't': debug_level: 0, 1 or 2 is needed, not a text",
        ),
        (
            "match_criteria: [{}]",
            "match_criteria: [{}]\n  fire_delay: 1.0e+300",
            "triggers.yaml:6: trigger 't': fire_delay: longer than a hundred years",
        ),
    ] {
        assert_eq!(refusal(&FIRING.replacen(wrong, right, 1)), message);
    }
    assert_eq!(refusal("5"), "triggers.yaml:1: a list of triggers is needed, not an integer");
    assert_eq!(refusal("- 5"), "triggers.yaml:1: trigger 1: a mapping is needed, not an integer");
    let twice = format!("{FIRING}{FIRING}");
    assert_eq!(refusal(&twice), "triggers.yaml:10: trigger 't': name: given twice");
}

#[test]
fn unknown_and_empty_keys_are_no_fault() {
    let text = FIRING
        .replace("match_criteria: [{}]", "match_criteria: [{map_distingushed_by: {a: b}}]\n  load_criteria:");
    assert!(parse("t", &text).is_ok());
    assert!(parse("t", "").unwrap().is_empty());
}

proptest! {
    #[test]
    fn any_text_loads_or_is_refused(text in ".{0,300}") {
        let _ = parse("t", &text);
    }

    #[test]
    fn any_change_of_a_definition_loads_or_is_refused(place in 0_usize..200, with in "[-a-z{}\\[\\]:&*!'\" \n>0-9.]{0,6}") {
        let mut text: Vec<char> = FIRING.chars().collect();
        let place = place.min(text.len() - 1);
        text.splice(place..=place, with.chars());
        let text: String = text.into_iter().collect();
        if let Ok(triggers) = parse("t", &text) {
            let taken = event("a", "2015-02-27T00:00:00", json!({ "state": "done" }));
            let _ = Matcher::new(triggers).match_event(&taken);
        }
    }
}
