//! Queries of the annotation store, as ratios to a primary-key lookup over the same connection: the service's to its
//! database, and for what clients ask most a client's HTTP connection to the service.
//!
//! `cargo bench -p annotate-svc --bench queries -- [--rows 1000000] [--only sqlite|postgres] [--schema NAME]`; PostgreSQL
//! when `QUINTET_TEST_POSTGRES_URL` is set. A schema that is named is kept, and loaded only once.
//! Figure to reach: p99 of a day with one filter under 20 times the lookup.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a benchmark program with data that another shares"
)]
#![allow(clippy::all, clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark program")]
#![allow(clippy::as_conversions, clippy::indexing_slicing, reason = "a benchmark program")]

mod data;
#[path = "../../events-svc/benches/http.rs"]
mod http;

use actix_web::dev::Service;
use actix_web::{App, HttpMessage, HttpServer};
use annotate_svc::State;
use annotate_svc::config::Config;
use annotate_svc::model::{Condition, Conditions, Field, Filter, Verb, Window, Words};
use annotate_svc::store::{self, DbError, Order, Search};
use data::{BASE, DAY, DAYS, Engine, annotations, create, mixed, open};
use http::Client;
use shared::clock::SystemClock;
use shared::db::{Db, DbConn};
use shared::identity::Principal;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Query = Box<dyn Fn(&mut DbConn, usize) -> usize>;

/// What a client asks for, by the number of the run.
type Target = Box<dyn Fn(usize) -> String>;

/// Runs of a query, each with another argument; fewer of a slow one.
const RUNS: usize = 2000;
const LONGEST: Duration = Duration::from_secs(20);

fn main() {
    let rows = data::number("--rows", 1_000_000);
    let only = std::env::args().skip_while(|argument| argument != "--only").nth(1);
    for engine in data::engines() {
        let name = if let Engine::Sqlite = engine { "sqlite" } else { "postgres" };
        if only.as_deref().is_none_or(|only| only == name) {
            measure(&engine, rows);
        }
    }
}

fn measure(engine: &Engine, rows: usize) {
    let store = open(engine);
    let started = Instant::now();
    let loaded = store.db.write_blocking(|conn| {
        let is_loaded = store::find_annotation(conn, data::id(rows - 1))?.is_some();
        for start in (0..rows).step_by(2000).filter(|_| !is_loaded) {
            let batch = annotations(start..(start + 2000).min(rows), rows);
            store::apply(conn, &[create(batch)], 0)?;
        }
        data::analyze(conn);
        Ok::<_, DbError>(started.elapsed().as_secs_f64())
    });
    println!("\n{engine:?}: {rows} annotations loaded at {:.0}/s", rows as f64 / loaded.unwrap());
    println!("over the database's own connection");
    let mut table = Table::default();
    for (name, query) in queries(rows) {
        let times = store.db.write_blocking(|conn| Ok::<_, DbError>(times(|run| query(conn, run)))).unwrap();
        table.line(name, times);
    }
    println!("over HTTP");
    let (mut client, mut table) = (Client::connect(serve(&store.db)), Table::default());
    for (name, target) in targets(rows) {
        table.line(name, times(|run| client.get(&target(run), "bench").len()));
    }
}

/// Lines of figures, the first of them the lookup.
#[derive(Default)]
struct Table {
    lookup: Option<f64>,
}

impl Table {
    /// Median and 99th percentile of sorted microseconds.
    fn line(&mut self, name: &str, times: Vec<f64>) {
        if self.lookup.is_none() {
            println!(
                "{:44} {:>8} {:>8} {:>10} {:>10}",
                "query", "p50 µs", "p99 µs", "p50/lookup", "p99/lookup"
            );
        }
        let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        let lookup = *self.lookup.get_or_insert(p50);
        println!("{name:44} {p50:8.0} {p99:8.0} {:10.1} {:10.1}", p50 / lookup, p99 / lookup);
    }
}

/// The times of all runs in microseconds, sorted.
fn times(mut query: impl FnMut(usize) -> usize) -> Vec<f64> {
    for warm in 0..20 {
        query(mixed(warm + 1_000_000));
    }
    let begun = Instant::now();
    let mut times: Vec<f64> = (0..RUNS)
        .take_while(|_| begun.elapsed() < LONGEST)
        .map(|run| {
            let started = Instant::now();
            query(mixed(run));
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

/// The service's routes over the store, from a thread of their own, for as long as the process lives. Everybody is let
/// in, as if the gateway had.
fn serve(db: &Db) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let state = State::new(Config::default(), db.clone(), Arc::new(SystemClock)).unwrap();
    std::thread::spawn(move || {
        let app = move || {
            let state = state.clone();
            App::new().configure(move |cfg| state.configure(cfg)).wrap_fn(|req, next| {
                let permissions = vec!["...".to_owned()];
                req.extensions_mut().insert(Principal { permissions, ..Principal::default() });
                next.call(req)
            })
        };
        let server =
            HttpServer::new(app).workers(1).tcp_nodelay(true).disable_signals().listen(listener).unwrap();
        actix_web::rt::System::new().block_on(server.run()).unwrap();
    });
    address
}

fn targets(rows: usize) -> Vec<(&'static str, Target)> {
    fn day(run: usize, filter: String) -> String {
        let Window { start, end } = window(1, run);
        format!("/annotation/query?StartDate={}&EndDate={}{filter}", start / 1_000_000, end / 1_000_000)
    }
    vec![
        ("primary key", Box::new(move |run| format!("/annotation/{}", data::id(run % rows)))),
        ("a day, an owner", Box::new(|run| day(run, format!("&Owner=team{}", run % 20)))),
        ("a day, a host", Box::new(|run| day(run, format!("&Host=host{:04}", run % 1000)))),
        ("a day, a category", Box::new(|run| day(run, format!("&Category=category{}", run % 10)))),
        ("a day, empty user", Box::new(|run| day(run, "&CreationUser:Empty".into()))),
        ("a day, not an owner", Box::new(|run| day(run, format!("&Owner:Is:Not=team{}", run % 20)))),
        ("a day", Box::new(|run| day(run, String::new()))),
        ("values of Owner", Box::new(|_| "/annotation/values/Owner".into())),
        ("values of Host", Box::new(|_| "/annotation/values/Host".into())),
    ]
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
