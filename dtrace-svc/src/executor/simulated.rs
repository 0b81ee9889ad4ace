//! Figures made from a seed: the same script gives the same figures at every tick, whenever it runs. For tests, for
//! demonstrations, and for machines that may not trace.
//!
//! Time comes from the clock alone, so a clock that is moved by hand drives it.

use super::{Bucket, Capability, Diagnostic, EVENTS, Event, Executor, Job, Reading, Sample, Tracer, Tracing};
use crate::script::{Aggregation, Kind, scan};
use futures_util::future::{BoxFuture, FutureExt};
use shared::clock::SharedClock;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How often the clock is read.
const LOOK: Duration = Duration::from_millis(5);

/// Key combinations of each aggregation that has keys.
const COMBINATIONS: u64 = 3;

/// Buckets of each histogram.
const BUCKETS: u64 = 4;

/// An executor that traces nothing.
pub struct Simulated {
    clock: SharedClock,
    seed: u64,
}

impl Simulated {
    /// Figures from `seed`, a tick for each interval of `clock`.
    #[must_use]
    pub fn new(clock: SharedClock, seed: u64) -> Self {
        Self { clock, seed }
    }
}

impl Tracer for Simulated {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn probe(&self) -> BoxFuture<'_, Capability> {
        let capability = Capability { tracer: self.name(), version: String::new(), hindrance: None };
        std::future::ready(capability).boxed()
    }

    /// Braces that do not close are all that it refuses.
    fn check<'a>(&'a self, script: &'a str) -> BoxFuture<'a, Result<(), Diagnostic>> {
        let (open, close) = (script.matches('{').count(), script.matches('}').count());
        let verdict = match open == close {
            true => Ok(()),
            false => Err(Diagnostic::new(format!("syntax error: {open} opening and {close} closing braces"))),
        };
        std::future::ready(verdict).boxed()
    }
}

impl Executor for Simulated {
    fn start(&self, job: Job) -> BoxFuture<'_, Result<Tracing, Diagnostic>> {
        async move {
            self.check(&job.script).await?;
            let (sender, receiver) = mpsc::channel(EVENTS);
            let stop = CancellationToken::new();
            let interval = i64::try_from(job.interval_millis).unwrap_or(1000).max(1);
            let interval = chrono::Duration::milliseconds(interval);
            let run = Run {
                aggregations: scan(&job.script, job.dialect)?.aggregations,
                seed: self.seed ^ hash(&job.script),
                next: self.clock.now() + interval,
                clock: self.clock.clone(),
                interval,
            };
            let stopped = stop.clone();
            tokio::spawn(async move {
                tokio::select! { () = stopped.cancelled() => (), () = run.tick(sender) => () }
            });
            Ok(Tracing::new(receiver, stop.drop_guard()))
        }
        .boxed()
    }
}

struct Run {
    aggregations: Vec<Aggregation>,
    seed: u64,
    clock: SharedClock,
    next: chrono::DateTime<chrono::Utc>,
    interval: chrono::Duration,
}

impl Run {
    /// Sends a tick for each interval that passes, until nobody takes it.
    async fn tick(mut self, sender: mpsc::Sender<Event>) {
        let mut number = 0;
        while !sender.is_closed() {
            if self.clock.now() < self.next {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            for event in figures(&self.aggregations, self.seed, number).chain([Event::Tick]) {
                if sender.send(event).await.is_err() {
                    return;
                }
            }
            (number, self.next) = (number + 1, self.next + self.interval);
        }
    }
}

/// The figures of one tick.
fn figures(aggregations: &[Aggregation], seed: u64, tick: u64) -> impl Iterator<Item = Event> {
    aggregations.iter().enumerate().flat_map(move |(place, aggregation)| {
        let place = u64::try_from(place).unwrap_or(0);
        let combinations = if aggregation.keys == 0 { 1 } else { COMBINATIONS };
        (0..combinations).map(move |combination| {
            let dice = Dice(mix(seed ^ mix(tick) ^ mix(place << 32 | combination)));
            let keys = (0..aggregation.keys).map(|key| format!("key{key}-{combination}")).collect();
            Event::Sample(Sample {
                name: aggregation.name.clone(),
                keys,
                reading: dice.reading(aggregation.kind),
            })
        })
    })
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn reading(mut self, kind: Kind) -> Reading {
        match kind {
            Kind::Histogram => {
                let rows = (0..BUCKETS).map(|row| {
                    let low = 1_i64 << row;
                    Bucket { low, high: 2 * low - 1, count: self.roll(100) }
                });
                Reading::Buckets(rows.filter(|bucket| bucket.count > 0).collect())
            }
            Kind::Stats => {
                let count = self.roll_signed(100);
                Reading::Stats(count, count * self.roll_signed(1000))
            }
            Kind::Last => Reading::Word(format!("word{}", self.roll(10))),
            Kind::Sum | Kind::Min | Kind::Max | Kind::Mean => Reading::Number(kind, self.roll_signed(1000)),
        }
    }

    /// 0 up to, not including, `most`.
    fn roll(&mut self, most: u64) -> u64 {
        self.0 = mix(self.0);
        self.0 % most
    }

    fn roll_signed(&mut self, most: u64) -> i64 {
        i64::try_from(self.roll(most)).unwrap_or(0)
    }
}

/// One step of `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Dialect;
    use shared::clock::ManualClock;

    fn job(script: &str) -> Job {
        Job { script: script.into(), dialect: Dialect::Bpftrace, interval_millis: 1000, subject: "t".into() }
    }

    async fn tick(tracing: &mut Tracing) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = tracing.next().await {
            if event == Event::Tick {
                break;
            }
            events.push(event);
        }
        events
    }

    #[tokio::test]
    async fn ticks_come_when_the_clock_moves_and_are_the_same_each_time() {
        let script = "BEGIN { @h[comm] = hist(1); @n = count(); @s = stats(1); }";
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        let executor = Simulated::new(clock.clone(), 7);
        let mut first = executor.start(job(script)).await.unwrap();
        let mut second = executor.start(job(script)).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(50), first.next()).await.is_err());
        clock.advance(chrono::Duration::seconds(2));
        let ticks = [tick(&mut first).await, tick(&mut first).await];
        assert_eq!([tick(&mut second).await, tick(&mut second).await], ticks);
        assert_ne!(ticks[0], ticks[1]);
        // Three keys of the histogram, one count, one stats.
        assert_eq!(ticks[0].len(), 5);
        assert!(tokio::time::timeout(Duration::from_millis(50), first.next()).await.is_err());
        let other = Simulated::new(clock.clone(), 8);
        let mut third = other.start(job(script)).await.unwrap();
        clock.advance(chrono::Duration::seconds(1));
        assert_ne!(tick(&mut third).await, ticks[0]);
    }

    #[tokio::test]
    async fn a_script_whose_braces_do_not_close_is_refused() {
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        let refused = Simulated::new(clock, 7).start(job("BEGIN { {}")).await.unwrap_err();
        assert_eq!(refused.text, "syntax error: 2 opening and 1 closing braces");
    }
}
