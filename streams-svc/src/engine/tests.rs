use chrono::{NaiveDateTime, TimeDelta};
use proptest::prelude::*;
use serde_json::json;
use shared::datetime;

use super::*;
use crate::counters::{Counter, TriggerCounters};
use crate::model::Event;
use crate::pipeline::{self, Handlers};
use crate::triggers::{self, Matcher, Triggers};

fn at(text: &str) -> NaiveDateTime {
    datetime::parse(text).unwrap()
}

fn triggers(expiration: &str) -> Triggers {
    let text = format!(
        "- name: t\n  debug_level: 2\n  expiration: {expiration}\n  fire_pipeline: p\n  fire_delay: 60\n  \
         match_criteria: [{{}}]\n  fire_criteria: [{{event_type: end}}]\n"
    );
    triggers::parse("t", &text).unwrap()
}

fn event(event_type: &str, timestamp: &str) -> Event {
    let json = json!({ "message_id": "m", "event_type": event_type, "timestamp": timestamp });
    Event::from_json(json).unwrap()
}

/// Joins events, each given with its time and the time of the clock; returns what each made.
fn join(expiration: &str, events: &[(&str, &str, &str)]) -> Vec<Option<Joined>> {
    let mut matcher = Matcher::new(triggers(expiration));
    let mut counters = TriggerCounters::new(2);
    let mut current = None;
    let one = |(event_type, timestamp, now): &(&str, &str, &str)| {
        let event = event(event_type, timestamp);
        let found = matcher.match_event(&event).remove(0);
        let joined = Stream::join(current.clone(), &found, &event, at(now), &mut counters).ok();
        if let Some(joined) = &joined {
            current = Some(joined.stream.clone());
        }
        joined
    };
    events.iter().map(one).collect()
}

#[test]
fn numbers_and_words_are_those_of_the_contract() {
    let expected = [
        (1, "active"),
        (2, "firing"),
        (3, "expiring"),
        (4, "error"),
        (5, "expire_error"),
        (6, "completed"),
        (7, "retry_fire"),
        (8, "retry_expire"),
    ];
    assert_eq!(State::ALL.map(|state| (state.number(), state.word())), expected);
    for (number, word) in expected {
        assert_eq!(State::from_number(number), State::from_word(word));
        assert_eq!(State::from_word(&word.to_uppercase()), State::from_word(word));
        assert_eq!(State::from_number(number).unwrap().to_string(), word);
    }
    assert_eq!((State::from_number(0), State::from_number(9), State::from_word("done")), (None, None, None));
}

#[test]
fn reset_frees_errors_and_lost_leases_alone() {
    for state in State::ALL {
        let (held, lost) = match state {
            State::Error => (Some(State::RetryFire), Some(State::RetryFire)),
            State::ExpireError => (Some(State::RetryExpire), Some(State::RetryExpire)),
            State::Firing => (None, Some(State::RetryFire)),
            State::Expiring => (None, Some(State::RetryExpire)),
            State::Active | State::Completed | State::RetryFire | State::RetryExpire => (None, None),
        };
        assert_eq!((state.after_reset(false), state.after_reset(true)), (held, lost), "{state}");
    }
}

#[test]
fn first_and_last_span_the_events_in_any_order() {
    let now = "2015-02-27";
    let joined = join(
        "$first + 1d",
        &[
            ("a", "2015-02-27T12:00:00", now),
            ("a", "2015-02-27T10:00:00", now),
            ("a", "2015-02-27T13:00:00", now),
        ],
    );
    let last = &joined[2].as_ref().unwrap().stream;
    assert_eq!((last.first_event, last.last_event), (at("2015-02-27T10:00:00"), at("2015-02-27T13:00:00")));
    // Computed from $first at every event, so it moved backwards.
    assert_eq!(joined[0].as_ref().unwrap().stream.expire_timestamp, at("2015-02-28T12:00:00"));
    assert_eq!(last.expire_timestamp, at("2015-02-28T10:00:00"));
}

#[test]
fn stream_fires_a_delay_after_its_criteria_are_first_met() {
    let joined = join(
        "$last + 1d",
        &[
            ("a", "2015-02-27", "2015-02-27T01:00:00"),
            ("end", "2015-02-27", "2015-02-27T02:00:00"),
            ("end", "2015-02-27", "2015-02-27T03:00:00"),
        ],
    );
    let ready: Vec<_> = joined.iter().flatten().map(|joined| joined.became_ready).collect();
    assert_eq!(ready, [false, true, false]);
    let last = &joined[2].as_ref().unwrap().stream;
    assert_eq!(last.fire_timestamp, Some(at("2015-02-27T02:01:00")));
}

#[test]
fn expired_stream_takes_no_more_events_even_if_no_worker_came() {
    let joined = join(
        "$last + 1h",
        &[
            ("a", "2015-02-27T00:00:00", "2015-02-27T00:30:00"),
            ("a", "2015-02-27T00:10:00", "2015-02-27T00:59:59"),
            ("a", "2015-02-27T00:20:00", "2015-02-27T01:10:00"),
        ],
    );
    let new: Vec<_> = joined.iter().flatten().map(|joined| joined.is_new).collect();
    assert_eq!(new, [true, false, true]);
}

#[test]
fn replayed_events_open_a_stream_each() {
    let now = "2020-01-01";
    let joined = join("$last + 1h", &[("a", "2015-02-27", now), ("a", "2015-02-27", now)]);
    assert!(joined.iter().flatten().all(|joined| joined.is_new));
}

#[test]
fn event_whose_stream_could_not_expire_joins_nothing() {
    let now = "9999-12-30";
    let joined =
        join("$last + 1d", &[("a", "9999-12-30", now), ("a", "9999-12-31", now), ("a", "9999-12-30", now)]);
    assert_eq!(joined[1], None);
    assert_eq!(joined[2].as_ref().unwrap().stream.last_event, at("9999-12-30"));
    assert!(!joined[2].as_ref().unwrap().is_new);
}

/// What there is to do, in one word.
fn plan(task: Task, with_trigger: bool, pipelines: &str) -> String {
    let triggers = triggers("$last + 1d");
    let trigger = triggers.get("t").filter(|_| with_trigger);
    let pipelines = pipeline::parse("p", pipelines, &Handlers::default()).unwrap();
    match task.plan("t", trigger.map(|trigger| &**trigger), &pipelines) {
        Plan::Run(definition) => definition.name().to_owned(),
        Plan::Nothing => "nothing".to_owned(),
        Plan::Impossible(why) => why.to_string(),
    }
}

#[test]
fn plan_follows_trigger_and_pipelines() {
    assert_eq!(plan(Task::Fire, true, "p: [logger]"), "p");
    assert_eq!(plan(Task::Expire, true, "p: [logger]"), "nothing");
    assert_eq!(plan(Task::Fire, true, "q: [logger]"), "Unknown pipeline 'p'");
    assert_eq!(plan(Task::Fire, false, "p: [logger]"), "Unknown trigger def 't'");
    assert_eq!(Task::Expire.no_pipeline("t"), Counter::NoExpirePipeline("t"));
    assert_eq!(Task::Fire.success().to_string(), "Streams fired");
}

#[test]
fn retries_wait_twice_as_long_each_time_and_end() {
    let now = at("2015-02-27");
    let retry = Retry { limit: 4, first_wait: TimeDelta::seconds(10), longest_wait: TimeDelta::seconds(35) };
    let waits: Vec<_> =
        (1..=5).map(|failures| retry.next(failures, now).map(|next| (next - now).num_seconds())).collect();
    assert_eq!(waits, [Some(10), Some(20), Some(35), Some(35), None]);
    assert_eq!(Retry::default().next(1, now), None);
    let endless = Retry { limit: u32::MAX, ..Retry::default() };
    assert_eq!(endless.next(1_000_000, now), Some(now + TimeDelta::minutes(10)));
}

proptest! {
    /// The counts kept event by event equal a count over all events, as the original makes it.
    #[test]
    fn readiness_is_that_of_all_events(types in prop::collection::vec("[abc]", 1..12), a in 0_u32..4, b in 0_u32..4) {
        let text = format!(
            "- name: t\n  expiration: $last + 1d\n  fire_pipeline: p\n  match_criteria: [{{}}]\n  fire_criteria: \
             [{{event_type: a, number: {a}}}, {{event_type: b, number: {b}}}]\n"
        );
        let mut matcher = Matcher::new(triggers::parse("t", &text).unwrap());
        let mut counters = TriggerCounters::default();
        let mut current: Option<Stream> = None;
        for end in 1..=types.len() {
            let event = event(&types[end - 1], "2015-02-27");
            let found = matcher.match_event(&event).remove(0);
            let joined = Stream::join(current, &found, &event, at("2015-02-27"), &mut counters).unwrap();
            let count = |name: &str| u32::try_from(types[..end].iter().filter(|own| *own == name).count()).unwrap();
            prop_assert_eq!(joined.stream.fire_timestamp.is_some(), count("a") >= a && count("b") >= b);
            current = Some(joined.stream);
        }
    }
}
