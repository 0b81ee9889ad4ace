//! Queries of the annotation store, as ratios to a primary-key lookup over the same connection.
//!
//! `cargo bench -p annotate-svc --bench queries -- [--rows 1000000]`; SQLite always, PostgreSQL when
//! `QUINTET_TEST_POSTGRES_URL` is set (`--only postgres` leaves SQLite out). Figure to reach: p99 of a day with one
//! filter under 20 times the lookup.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a benchmark program with data that another shares"
)]
#![allow(clippy::all, clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark program")]
#![allow(clippy::as_conversions, clippy::indexing_slicing, reason = "a benchmark program")]

mod data;

use annotate_svc::model::{Condition, Conditions, Field, Filter, Verb, Window, Words};
use annotate_svc::store::{self, Order, Search, StoreError};
use data::{BASE, DAY, DAYS, Engine, annotations, create, mixed, open};
use shared::db::DbConn;
use std::time::Instant;

type Query = Box<dyn Fn(&mut DbConn, usize) -> usize>;

fn main() {
    let rows = data::number("--rows", 1_000_000);
    let only = std::env::args().skip_while(|argument| argument != "--only").nth(1);
    for engine in data::engines() {
        if only.as_deref() == Some("postgres") && matches!(engine, Engine::Sqlite) {
            continue;
        }
        measure(&engine, rows);
    }
}

fn measure(engine: &Engine, rows: usize) {
    let store = open(engine);
    let started = Instant::now();
    let loaded = store.db.write_blocking(|conn| {
        for start in (0..rows).step_by(2000) {
            let batch = annotations(start..(start + 2000).min(rows), rows);
            store::apply(conn, &[create(batch)], 0)?;
        }
        data::analyze(conn);
        Ok::<_, StoreError>(started.elapsed().as_secs_f64())
    });
    println!("\n{engine:?}: {rows} annotations loaded at {:.0}/s", rows as f64 / loaded.unwrap());
    println!(
        "{:44} {:>8} {:>8} {:>8} {:>10} {:>10}",
        "query", "rows", "p50 µs", "p99 µs", "p50/lookup", "p99/lookup"
    );
    let mut lookup = 0.0;
    for (name, query) in queries(rows) {
        let (found, p50, p99) =
            store.db.write_blocking(|conn| Ok::<_, StoreError>(percentiles(conn, &query))).unwrap();
        if lookup == 0.0 {
            lookup = p50;
        }
        println!("{name:44} {found:8.1} {p50:8.0} {p99:8.0} {:10.1} {:10.1}", p50 / lookup, p99 / lookup);
    }
}

/// Mean of the rows, median and 99th percentile of 400 runs, each with another argument, in microseconds.
fn percentiles(conn: &mut DbConn, query: &Query) -> (f64, f64, f64) {
    for warm in 0..20 {
        query(conn, mixed(warm + 1_000_000));
    }
    let mut rows = 0;
    let mut times: Vec<f64> = (0..400)
        .map(|run| {
            let started = Instant::now();
            rows += query(conn, mixed(run));
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (rows as f64 / 400.0, times[200], times[396])
}

/// A window of some days at a place that depends on the run.
fn window(days: i64, run: usize) -> Window {
    let start = BASE + (run as i64 % (DAYS - days)) * DAY;
    Window { start: start * 1_000_000, end: (start + days * DAY) * 1_000_000 }
}

fn condition(field: Field, verb: Verb, value: String) -> Condition {
    Condition { field, verb, value }
}

fn list(search: Search, most: usize) -> impl Fn(&mut DbConn) -> usize {
    move |conn| {
        let (mut found, mut after) = (0, None);
        loop {
            let page = store::list_annotations(conn, &search, after, most).unwrap();
            found += page.found.len();
            after = page.next;
            if after.is_none() || most < 1000 {
                return found;
            }
        }
    }
}

fn day_with(fields: impl Fn(usize) -> Vec<Condition> + 'static, days: i64) -> Query {
    Box::new(move |conn, run| {
        let conditions = Conditions { fields: fields(run), ..Conditions::default() };
        list(Search { window: window(days, run), conditions, ..Search::default() }, 1000)(conn)
    })
}

fn queries(rows: usize) -> Vec<(&'static str, Query)> {
    let owner = |run: usize| condition(Field::Owner, Verb::Is, format!("team{}", run % 20));
    let host = |run: usize| condition(Field::Host, Verb::Is, format!("host{:04}", run % 1000));
    let category = |run: usize| condition(Field::Category, Verb::Is, format!("category{}", run % 10));
    let not_owner = |run: usize| condition(Field::Owner, Verb::IsNot, format!("team{}", run % 20));
    let words = |text: String, days, newest: bool| -> Box<dyn Fn(usize) -> Search> {
        Box::new(move |run| Search {
            window: window(days, run),
            conditions: Conditions { words: Some(Words::parse(&text).unwrap()), ..Conditions::default() },
            order: if newest { Order::Newest } else { Order::Oldest },
            ..Search::default()
        })
    };
    let (rare, common) = (words("word4990 word1".into(), DAYS - 1, false), words("word1".into(), 30, false));
    let newest = words("word12".into(), DAYS - 1, true);
    vec![
        (
            "primary key",
            Box::new(move |conn, run| {
                store::find_annotation(conn, data::id(run % rows)).unwrap().map_or(0, |_| 1)
            }),
        ),
        ("a day, an owner", day_with(move |run| vec![owner(run)], 1)),
        ("a day, a host", day_with(move |run| vec![host(run)], 1)),
        ("a day, a category", day_with(move |run| vec![category(run)], 1)),
        ("a day, empty user", day_with(|_| vec![condition(Field::CreationUser, Verb::Is, String::new())], 1)),
        ("a day, not an owner", day_with(move |run| vec![not_owner(run)], 1)),
        ("a day, owner and category", day_with(move |run| vec![owner(run), category(run)], 1)),
        ("a day", day_with(|_| vec![], 1)),
        ("30 days, a host", day_with(move |run| vec![host(run)], 30)),
        (
            "five years, owner, 100 newest",
            Box::new(move |conn, run| {
                let conditions = Conditions { fields: vec![owner(run)], ..Conditions::default() };
                let window = window(DAYS - 1, run);
                list(Search { window, conditions, order: Order::Newest, ..Search::default() }, 100)(conn)
            }),
        ),
        (
            "a day, filter owner:TEAM1*",
            Box::new(|conn, run| {
                let filter = Filter::parse("owner:TEAM1*").unwrap();
                list(Search { window: window(1, run), filter, ..Search::default() }, 1000)(conn)
            }),
        ),
        (
            "a day, filter owner:TEAM7",
            Box::new(|conn, run| {
                let filter = Filter::parse("owner:TEAM7").unwrap();
                list(Search { window: window(1, run), filter, ..Search::default() }, 1000)(conn)
            }),
        ),
        ("five years, two words", Box::new(move |conn, run| list(rare(run), 1000)(conn))),
        ("30 days, a word of many messages", Box::new(move |conn, run| list(common(run), 1000)(conn))),
        ("five years, a word, 100 newest", Box::new(move |conn, run| list(newest(run), 100)(conn))),
        (
            "values of Owner",
            Box::new(|conn, _| store::list_values(conn, Field::Owner, 100_000).unwrap().len()),
        ),
        ("values of Host", Box::new(|conn, _| store::list_values(conn, Field::Host, 100_000).unwrap().len())),
    ]
}
