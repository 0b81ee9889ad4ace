//! How fast events come in, in one run: through a running product, straight into the store with the same rows and the
//! same SQL, and one commit an event.
//!
//! `cargo bench -p events-svc --bench ingest -- --engine postgres --url http://127.0.0.1:8080 [--rounds 5]
//! [--lists 20000] [--singles 8000] [--first 10000000] [--panko RATE]`: how many events a round stores as lists and one
//! by one, the number of the first event, and what Panko's storage layer reached on this machine. The product must be
//! empty and use the same server (`QUINTET_TEST_POSTGRES_URL`) or disk. `e2e/bench/ingest` does all this.
//!
//! `--print N` writes N of the events in ceilometer's wire shape, one a line, and ends.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark program"
)]

#[path = "../data.rs"]
#[allow(dead_code, reason = "other benchmarks use the rest")]
mod data;
mod post;
mod straight;

use std::ops::Range;

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

fn number(name: &str, default: usize) -> usize {
    argument(name).map_or(default, |text| text.parse().unwrap())
}

fn main() {
    if let Some(count) = argument("--print") {
        (0..count.parse().unwrap()).for_each(|n| println!("{}", post::wire(&data::event(n))));
        return;
    }
    let engine = match argument("--engine").as_deref() {
        Some("postgres") => data::Engine::Postgres(std::env::var("QUINTET_TEST_POSTGRES_URL").unwrap()),
        _ => data::Engine::Sqlite,
    };
    let mut bench = Bench {
        store: data::open(&engine),
        url: argument("--url"),
        rounds: number("--rounds", 5),
        next: number("--first", 10_000_000), // beyond what `--print` gave to others
    };
    let (lists, singles) = (number("--lists", 20_000), number("--singles", 8_000));
    if lists > 0 {
        bench.lists(lists, argument("--panko").map(|rate| rate.parse().unwrap()));
    }
    if singles > 0 {
        bench.singles(singles);
    }
}

struct Bench {
    store: data::Store,
    url: Option<String>,
    rounds: usize,
    /// Number of the next event: none is stored twice.
    next: usize,
}

/// A way of storing events.
struct Way {
    name: &'static str,
    /// Events of a round.
    events: usize,
    /// Events stored with one call or request.
    list: usize,
    connections: usize,
    is_posted: bool,
}

impl Bench {
    fn lists(&mut self, events: usize, panko: Option<f64>) {
        println!("lists of 100 events, 12 traits each: events a second, median and range of the rounds");
        let way = |name, connections, is_posted| Way { name, events, list: 100, connections, is_posted };
        let rates = self.measure(&[
            way("straight into the store, 1 connection", 1, false),
            way("straight into the store, 2 connections", 2, false),
            way("posted through the gateway, 8 connections", 8, true),
        ]);
        let [one, two, posted] = rates[..] else { return };
        println!("  gateway / store, 1 connection: {:.2}", posted / one);
        println!("  gateway / store, 2 connections: {:.2} (figure to reach: 0.5)", posted / two);
        if let Some(panko) = panko {
            let ratio = posted / panko;
            println!(
                "  gateway / Panko's storage layer ({panko:.0} a second): {ratio:.0} (figure to reach: 50)"
            );
        }
    }

    fn singles(&mut self, events: usize) {
        println!("single events: events a second, median and range of the rounds");
        let way =
            |name, events, connections, is_posted| Way { name, events, list: 1, connections, is_posted };
        let rates = self.measure(&[
            // Fewer where each costs a commit: far less tells the rate.
            way("a commit each, 1 connection", events / 16, 1, false),
            way("a commit each, 2 connections", events / 8, 2, false),
            way("posted through the gateway, 64 connections", events, 64, true),
        ]);
        let [one, two, posted] = rates[..] else { return };
        println!("  gateway / a commit each, 1 connection: {:.1} (figure to reach: 10)", posted / one);
        println!("  gateway / a commit each, 2 connections: {:.1}", posted / two);
    }

    /// Events a second of each way, as medians. They take turns, so that whatever else the machine does falls on all;
    /// a first round warms up. Nothing is posted without a product.
    fn measure(&mut self, ways: &[Way]) -> Vec<f64> {
        let ways: Vec<&Way> = ways.iter().filter(|way| !way.is_posted || self.url.is_some()).collect();
        let mut rates = vec![Vec::new(); ways.len()];
        for round in 0..=self.rounds {
            for (rates, way) in rates.iter_mut().zip(&ways) {
                let rate = self.rate(way);
                if round > 0 {
                    rates.push(rate);
                }
            }
        }
        let median = |(way, mut rates): (&Way, Vec<f64>)| {
            rates.sort_by(f64::total_cmp);
            let median = rates[rates.len() / 2];
            println!("  {:44} {median:8.0}   {:.0} to {:.0}", way.name, rates[0], rates[rates.len() - 1]);
            median
        };
        ways.into_iter().zip(rates).map(median).collect()
    }

    fn rate(&mut self, way: &Way) -> f64 {
        let events: Range<usize> = self.next..self.next + way.events;
        self.next = events.end;
        let seconds = match &self.url {
            Some(url) if way.is_posted => post::post(url, events, way.list, way.connections),
            _ => straight::put(&self.store.db, events, way.list, way.connections),
        };
        way.events as f64 / seconds.as_secs_f64()
    }
}
