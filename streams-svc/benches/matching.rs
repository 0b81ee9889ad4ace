//! How many events a second one core sorts by twelve triggers, without a database.
//!
//! `cargo bench -p streams-svc --bench matching`. Takes the distilled sample of the tests, over and over for
//! some seconds; prints rates, asserts nothing.

#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::error::Error;
use std::io::Read;
use std::time::{Duration, Instant};

use streams_svc::model::Event;
use streams_svc::triggers::{FireCounts, Matcher, Triggers, parse};

const EVENTS: &[u8] = include_bytes!("../tests/fixtures/events.jsonl.gz");
const TRIGGER: &str = include_str!("../tests/fixtures/triggers.yaml");
const TRIGGERS: usize = 12;
const TIME: Duration = Duration::from_secs(3);

/// The trigger of the worked example and eleven that differ: three more that take nearly every event, four
/// that take few, four that take none but have to look at traits.
fn triggers() -> Result<Triggers, shared::yaml::Error> {
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
    parse("triggers.yaml", &text)
}

/// Runs `work` over all events until the time is up; prints and returns events a second.
fn measure(name: &str, events: &[Event], mut work: impl FnMut(&Event) -> usize) {
    let (started, mut rounds, mut found) = (Instant::now(), 0_u32, 0_usize);
    while started.elapsed() < TIME {
        found = events.iter().map(&mut work).sum();
        rounds += 1;
    }
    let done = f64::from(rounds) * f64::from(u32::try_from(events.len()).unwrap_or(u32::MAX));
    let rate = done / started.elapsed().as_secs_f64();
    println!("{name:<28} {rate:>12.0} events/s   {found} matches in {} events", events.len());
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(EVENTS).read_to_string(&mut text)?;
    let read =
        |line: &str| -> Result<Event, Box<dyn Error>> { Ok(Event::from_json(serde_json::from_str(line)?)?) };
    let events = text.lines().map(read).collect::<Result<Vec<_>, _>>()?;
    let mut matcher = Matcher::new(triggers()?);
    measure("match, 12 triggers", &events, |event| matcher.match_event(event).len());
    measure("match, key, count, expire", &events, |event| {
        let matches = matcher.match_event(event);
        for found in &matches {
            let mut counts = FireCounts::new(&found.trigger);
            let mut uncounted = streams_svc::counters::Group::default();
            counts.count(&found.trigger, event, &mut uncounted);
            std::hint::black_box((
                counts.are_met(&found.trigger, &mut uncounted),
                found.distinguishing.key(),
            ));
            let at = event.timestamp;
            let _ = std::hint::black_box(found.trigger.expire_timestamp(at, at, at));
        }
        matches.len()
    });
    Ok(())
}
