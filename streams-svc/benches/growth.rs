//! What stored streams cost: adding events to active streams, and finding those that are due, with 10 000 streams of
//! which 1000 are active and with 1 000 000 of which 100 000 are.
//!
//! `cargo bench -p streams-svc --bench growth`, on PostgreSQL with `QUINTET_TEST_POSTGRES_URL`. Prints the ratio.
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

use diesel::connection::SimpleConnection;
use serde_json::json;
use shared::datetime::to_micros;
use shared::db::Place;
use shared::db::{Db, DbError};
use streams_svc::drive::{Entry, Follower};
use streams_svc::engine::Task;
use streams_svc::store::{self, Due, Room};
use streams_svc::triggers::{Triggers, parse};

const SMALL: i64 = 10_000;
const LARGE: i64 = 1_000_000;

/// One in so many streams is active.
const ACTIVE: i64 = 10;

/// Events that are added, in pages of a thousand, and looks for streams that are due.
const EVENTS: i64 = 20_000;
const LOOKS: usize = 200;

/// Streams of one look.
const DUE: usize = 8;

fn triggers() -> Triggers {
    let text = "- name: t\n  distinguished_by: [instance_id]\n  expiration: $last + 1d\n  fire_pipeline: p\n  \
                match_criteria: [{}]\n  fire_criteria: [{event_type: never}]\n";
    parse("triggers.yaml", text).unwrap()
}

/// One event for each active stream, then events for them in an order that jumps between them.
fn feed(active: i64) -> Vec<Entry> {
    let event = |number: i64| {
        let stream = if number < active { number } else { number * 7919 % active };
        let body = json!({
            "message_id": format!("m{number}"), "event_type": "compute.instance.update",
            "timestamp": {"__type__": "datetime", "datetime": "2015-02-27T15:00:00"},
            "instance_id": format!("i{stream}"), "tenant_id": "t1", "memory_mb": 512,
        });
        let place = Place { xid: 0, id: number + 1 };
        Entry { place, body: serde_json::value::to_raw_value(&body).unwrap(), is_emitted: false }
    };
    (0..active + EVENTS).map(event).collect()
}

/// The streams that are there: the active ones are made by events, the others are copies in other states.
async fn fill(db: &Db, streams: i64) {
    let copies = ACTIVE - 1;
    let numbers = (1..=copies).map(|copy| format!("({copy})")).collect::<Vec<_>>().join(",");
    let first = streams / ACTIVE;
    let statement = format!(
        "INSERT INTO streams (id, trigger_name, distinguishing, state, serial, first_event, last_event, expire_timestamp, \
         fire_timestamp, fire_counts) SELECT id + copy.column1 * {first}, trigger_name, distinguishing, \
         CASE WHEN copy.column1 = 1 THEN 4 ELSE 6 END, 2, first_event, last_event, expire_timestamp, first_event, fire_counts \
         FROM streams CROSS JOIN (VALUES {numbers}) AS copy WHERE state = 1; \
         INSERT INTO members (stream_id, event_id, timestamp, body) SELECT stream_id + copy.column1 * {first}, event_id, \
         timestamp, body FROM members CROSS JOIN (VALUES {numbers}) AS copy WHERE stream_id <= {first}; \
         INSERT INTO stream_traits (term, stream_id) SELECT term, stream_id + copy.column1 * {first} FROM stream_traits \
         CROSS JOIN (VALUES {numbers}) AS copy WHERE stream_id <= {first}; ANALYZE"
    );
    db.write(move |conn| conn.batch_execute(&statement).map_err(DbError::from)).await.unwrap();
}

/// Room for so many streams, whosever they are.
struct Few(usize);

impl Room for Few {
    fn of(&self, _due: &Due) -> usize {
        self.0
    }

    fn took(&mut self, _due: &Due, count: usize) {
        self.0 -= count;
    }
}

/// What was written is on the disk, not on its way there, where it would hold up what is measured.
async fn settle(db: &Db) {
    let statement = match common::engine() {
        "SQLite" => "PRAGMA wal_checkpoint(TRUNCATE)",
        _ => "CHECKPOINT",
    };
    db.write(move |conn| conn.batch_execute(statement).map_err(DbError::from)).await.unwrap();
    assert!(std::process::Command::new("sync").status().unwrap().success());
}

/// Microseconds to add one event, and to take one stream that is due.
async fn measure(streams: i64) -> (f64, f64) {
    let active = streams / ACTIVE;
    let (state, database) = common::state(triggers(), feed(active));
    let db = &database.db;
    let mut follower = Follower::new(state);
    let mut left = active;
    while left > 0 {
        left -= i64::try_from(follower.step(Duration::ZERO).await.unwrap()).unwrap();
    }
    fill(db, streams).await;
    settle(db).await;
    let (started, mut added) = (Instant::now(), 0);
    loop {
        match follower.step(Duration::ZERO).await.unwrap() {
            0 => break,
            count => added += count,
        }
    }
    let per_event = started.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(added).unwrap());
    settle(db).await;
    (per_event, look(db).await)
}

/// Microseconds to find and take a stream that is due, in looks that each find some.
async fn look(db: &Db) -> f64 {
    // Every active stream expires at the end of the next day.
    let now = to_micros(shared::datetime::parse("2015-03-01T00:00:00").unwrap());
    let (started, mut taken) = (Instant::now(), 0);
    for _ in 0..LOOKS / 2 {
        let looked = db.write(move |conn| {
            assert!(store::list_due(conn, Task::Fire, now)?.is_empty());
            let due = store::list_due(conn, Task::Expire, now)?;
            store::take(conn, &due, now, (now, now), &mut Few(DUE))
        });
        taken += looked.await.unwrap().len();
    }
    assert_eq!(taken, LOOKS / 2 * DUE);
    started.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(taken).unwrap())
}

#[tokio::main]
async fn main() {
    let small = measure(SMALL).await;
    let large = measure(LARGE).await;
    println!("{}: 1 000 active of 10 000 streams, then 100 000 active of 1 000 000", common::engine());
    println!("add an event     {:>8.1} us {:>8.1} us   ratio {:.2}", small.0, large.0, large.0 / small.0);
    println!("take a due stream{:>8.1} us {:>8.1} us   ratio {:.2}", small.1, large.1, large.1 / small.1);
}
