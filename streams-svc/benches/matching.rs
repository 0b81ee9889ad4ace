//! How many events a second one core sorts by twelve triggers, without a database.
//!
//! `cargo bench -p streams-svc --bench matching`. Takes the distilled sample of the tests, over and over for
//! some seconds; prints rates, asserts nothing.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark program"
)]

#[allow(dead_code, reason = "other benchmarks use the rest")]
mod common;

use std::time::{Duration, Instant};

use streams_svc::model::Event;
use streams_svc::triggers::{FireCounts, Matcher};

const TIME: Duration = Duration::from_secs(3);

/// Runs `work` over all events until the time is up; prints events a second.
fn measure(name: &str, events: &[Event], mut work: impl FnMut(&Event) -> usize) {
    let (started, mut rounds, mut found) = (Instant::now(), 0_u32, 0_usize);
    while started.elapsed() < TIME {
        found = events.iter().map(&mut work).sum();
        rounds += 1;
    }
    let done = f64::from(rounds) * f64::from(u32::try_from(events.len()).unwrap());
    let rate = done / started.elapsed().as_secs_f64();
    println!("{name:<28} {rate:>12.0} events/s   {found} matches in {} events", events.len());
}

fn main() {
    let events: Vec<Event> =
        common::sample().into_iter().map(|event| Event::from_json(event).unwrap()).collect();
    let mut matcher = Matcher::new(common::triggers());
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
}
