//! How many events a second come from the feed to their committed streams: read, sorted by twelve triggers, joined,
//! cursor moved, in the pages and transactions of the running service.
//!
//! `cargo bench -p streams-svc --bench joining`, on PostgreSQL with `QUINTET_TEST_POSTGRES_URL`. The original engine
//! reached 25 events a second with one trigger.
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

use streams_svc::drive::Follower;
use streams_svc::store::{self, StreamFilter};

/// Times that the sample is played in one measurement, and measurements.
const ROUNDS: i64 = 3;
const MEASUREMENTS: usize = 3;

/// What the original engine reached.
const ORIGINAL: f64 = 25.0;

#[tokio::main]
async fn main() {
    let feed = common::feed(ROUNDS);
    let count = f64::from(u32::try_from(feed.len()).unwrap());
    let mut rates = Vec::new();
    for _ in 0..MEASUREMENTS {
        let (state, database) = common::state(common::triggers(), feed.clone());
        let mut follower = Follower::new(state);
        let started = Instant::now();
        while follower.step(Duration::ZERO).await.unwrap() > 0 {}
        let rate = count / started.elapsed().as_secs_f64();
        let filter = StreamFilter {
            older_than: None,
            younger_than: None,
            state: None,
            trigger_name: None,
            traits: Vec::new(),
            mark: None,
            direction: shared::db::Direction::Ascending,
            limit: 0,
        };
        let streams = database.db.read(move |conn| store::count_streams(conn, &filter)).await.unwrap();
        println!("{:<12} {rate:>8.0} events/s   {count} events, {streams} streams", common::engine());
        rates.push(rate);
    }
    rates.sort_by(f64::total_cmp);
    let median = rates.get(rates.len() / 2).copied().unwrap_or_default();
    println!(
        "{:<12} {median:>8.0} events/s   median, {:.0} times the original",
        common::engine(),
        median / ORIGINAL
    );
}
