//! Queries of the event store at two sizes, as ratios to a primary-key lookup over the same connection.
//!
//! `cargo bench -p events-svc --bench queries -- [--small 100000] [--large 1000000]`; SQLite always, PostgreSQL when
//! `QUINTET_TEST_POSTGRES_URL` is set. Prints p50 in microseconds, the ratio to the lookup (figure to reach: 20) and
//! the ratio of the large store to the small one (figure to reach: 1.5).
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark program"
)]

mod data;

use chrono::NaiveDateTime;
use data::{BASE, events, open};
use events_svc::model::{
    Direction, EventFilter, FlatFilter, Operator, Order, TraitFilter, TraitValue, Visibility,
};
use events_svc::store;
use shared::db::DbConn;
use std::time::Instant;

const NEWEST: Order = Order::Generated(Direction::Descending, Direction::Ascending);

type Query = Box<dyn Fn(&mut DbConn, usize) -> usize>;

fn main() {
    let number = |name: &str, default: usize| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name);
        arguments.nth(1).map_or(default, |text| text.parse().unwrap())
    };
    let sizes = [number("--small", 100_000), number("--large", 1_000_000)];
    for engine in data::engines() {
        let results = sizes.map(|size| measure(&engine, size));
        println!("\n{engine:?}: p50 in µs at {} and {} events", sizes[0], sizes[1]);
        println!("{:34} {:>9} {:>9} {:>10} {:>8}", "query", "small", "large", "x lookup", "growth");
        let lookup = results[1][0].1;
        for ((name, small), (_, large)) in results[0].iter().zip(&results[1]) {
            println!("{name:34} {small:9.0} {large:9.0} {:10.1} {:8.2}", large / lookup, large / small);
        }
    }
}

fn measure(engine: &data::Engine, size: usize) -> Vec<(&'static str, f64)> {
    let store = open(engine);
    let started = Instant::now();
    store
        .db
        .write_blocking(|conn| {
            for (place, start) in (0..size).step_by(1000).enumerate() {
                let batch = &events(start..(start + 1000).min(size));
                store::put_events(conn, batch, 0).unwrap();
                if place == 20 {
                    data::analyze(conn);
                }
            }
            data::analyze(conn);
            Ok::<_, store::StoreError>(())
        })
        .unwrap();
    println!("{engine:?}: loaded {size} events, {:.0}/s", size as f64 / started.elapsed().as_secs_f64());
    store
        .db
        .write_blocking(|conn| {
            let results = queries(size).into_iter().map(|(name, query)| (name, p50(conn, &query))).collect();
            Ok::<_, store::StoreError>(results)
        })
        .unwrap()
}

/// Median of 200 runs, each with another argument, in microseconds.
fn p50(conn: &mut DbConn, query: &Query) -> f64 {
    for warm in 0..20 {
        query(conn, warm * 7);
    }
    let mut times: Vec<f64> = (0..200)
        .map(|run| {
            let started = Instant::now();
            let rows = query(conn, run * 31);
            assert!(rows > 0, "a query found nothing");
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[100]
}

fn queries(size: usize) -> Vec<(&'static str, Query)> {
    let list = |visibility: Visibility, make: Box<dyn Fn(usize) -> EventFilter>| -> Query {
        Box::new(move |conn, run| store::list_events(conn, &visibility, &make(run)).unwrap().len())
    };
    let newest = || EventFilter { order: NEWEST, ..EventFilter::default() };
    let condition = |name: &str, operator, value| TraitFilter { name: name.into(), operator, value };
    let at = move |n: usize| -> NaiveDateTime { BASE.parse::<NaiveDateTime>().unwrap() + data::age(n) };
    vec![
        (
            "primary key",
            Box::new(move |conn, run| {
                store::find_by_id(conn, i64::try_from(1 + run * 7919 % size).unwrap()).unwrap().iter().count()
            }),
        ),
        ("newest page", list(Visibility::All, Box::new(move |_| newest()))),
        (
            "event type + time",
            list(
                Visibility::All,
                Box::new(move |run| EventFilter {
                    event_type: Some(data::event_type(run)),
                    start: Some(at(size / 4)),
                    end: Some(at(size / 2)),
                    ..newest()
                }),
            ),
        ),
        (
            "time range",
            list(
                Visibility::All,
                Box::new(move |run| EventFilter {
                    start: Some(at(run * 97 % (size / 2))),
                    end: Some(at(run * 97 % (size / 2) + size / 4)),
                    ..EventFilter::default()
                }),
            ),
        ),
        (
            "selective trait",
            list(
                Visibility::All,
                Box::new(move |run| EventFilter {
                    traits: vec![condition("request_id", Operator::Eq, data::request_id(run * 7919 % size))],
                    ..EventFilter::default()
                }),
            ),
        ),
        (
            "medium trait, newest first",
            list(
                Visibility::All,
                Box::new(move |run| EventFilter {
                    traits: vec![condition("host", Operator::Eq, data::host(run))],
                    ..newest()
                }),
            ),
        ),
        (
            "integer range, selective",
            list(
                Visibility::All,
                Box::new(move |run| {
                    let from = i64::try_from(run * 7919 % (size - 200)).unwrap();
                    EventFilter {
                        traits: vec![
                            condition("sequence", Operator::Ge, TraitValue::Integer(from)),
                            condition("sequence", Operator::Lt, TraitValue::Integer(from + 100)),
                        ],
                        ..newest()
                    }
                }),
            ),
        ),
        (
            "integer range, one in two",
            list(
                Visibility::All,
                Box::new(move |_| EventFilter {
                    traits: vec![condition("memory_mb", Operator::Ge, TraitValue::Integer(2048))],
                    ..newest()
                }),
            ),
        ),
        (
            "non-admin project view",
            Box::new(move |conn, run| {
                let (project, user) = data::owner(run);
                let visibility = Visibility::Member { project, user };
                store::list_events(conn, &visibility, &newest()).unwrap().len()
            }),
        ),
        (
            "admin project view",
            Box::new(move |conn, run| {
                let visibility = Visibility::Project(data::owner(run).0);
                store::list_events(conn, &visibility, &newest()).unwrap().len()
            }),
        ),
        (
            "one event by message id",
            Box::new(move |conn, run| {
                let id = data::message_id(run * 7919 % size);
                store::find_event(conn, &Visibility::All, &id).unwrap().iter().count()
            }),
        ),
        ("event types", Box::new(|conn, _| store::list_event_types(conn).unwrap().len())),
        (
            "traits of a type",
            Box::new(|conn, run| store::list_trait_descriptions(conn, &data::event_type(run)).unwrap().len()),
        ),
        (
            "v1 newest page",
            Box::new(|conn, _| {
                let filter = FlatFilter { limit: 100, ..FlatFilter::default() };
                store::list_flat_events(conn, &filter).unwrap().len()
            }),
        ),
        (
            "v1 selective trait",
            Box::new(move |conn, run| {
                let traits = vec![("request_id".to_owned(), vec![data::request_id(run * 7919 % size)])];
                let filter = FlatFilter { traits, limit: 100, ..FlatFilter::default() };
                store::list_flat_events(conn, &filter).unwrap().len()
            }),
        ),
        (
            "v1 event name",
            Box::new(move |conn, run| {
                let filter = FlatFilter {
                    event_type: Some(data::event_type(run)),
                    limit: 100,
                    ..FlatFilter::default()
                };
                store::list_flat_events(conn, &filter).unwrap().len()
            }),
        ),
    ]
}
