//! Queries of the event store at two sizes, as ratios to a primary-key lookup over the same connection: once the
//! connection of the service to its database, once a client's HTTP connection to the service.
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
mod http;

use actix_web::dev::Service;
use actix_web::{App, HttpMessage, HttpServer};
use chrono::NaiveDateTime;
use data::{BASE, events, open};
use events_svc::State;
use events_svc::config::Config;
use events_svc::distill::Distiller;
use events_svc::model::{EventFilter, FlatFilter, Operator, Order, TraitFilter, TraitValue, Visibility};
use events_svc::store;
use http::Client;
use shared::clock::SystemClock;
use shared::db::{Db, DbConn, Direction};
use shared::identity::Principal;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Instant;

const NEWEST: Order = Order::Generated(Direction::Descending, Direction::Ascending);

type Rows = Box<dyn Fn(&mut DbConn, usize) -> usize>;

/// A query, and how a client asks for it: target and caller.
struct Query {
    name: &'static str,
    rows: Rows,
    target: Box<dyn Fn(usize) -> (String, String)>,
}

fn main() {
    let number = |name: &str, default: usize| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name);
        arguments.nth(1).map_or(default, |text| text.parse().unwrap())
    };
    let sizes = [number("--small", 100_000), number("--large", 1_000_000)];
    for engine in data::engines() {
        let [small, large] = sizes.map(|size| measure(&engine, size));
        for (place, connection) in ["database", "HTTP"].into_iter().enumerate() {
            let name = if let data::Engine::Sqlite = engine { "SQLite" } else { "PostgreSQL" };
            println!("\n{name}, {connection} connection: p50 in µs at {} and {} events", sizes[0], sizes[1]);
            println!("{:34} {:>9} {:>9} {:>10} {:>8}", "query", "small", "large", "x lookup", "growth");
            let lookup = large[0].1[place];
            for ((name, small), (_, large)) in small.iter().zip(&large) {
                let (small, large) = (small[place], large[place]);
                println!("{name:34} {small:9.0} {large:9.0} {:10.1} {:8.2}", large / lookup, large / small);
            }
        }
    }
}

/// For each query its p50 over the database's connection and over HTTP.
fn measure(engine: &data::Engine, size: usize) -> Vec<(&'static str, [f64; 2])> {
    let store = open(engine);
    let started = Instant::now();
    let loaded = store.db.write_blocking(|conn| {
        for (place, start) in (0..size).step_by(1000).enumerate() {
            store::put_events(conn, &events(start..(start + 1000).min(size)), 0)?;
            if place == 20 {
                data::analyze(conn);
            }
        }
        data::analyze(conn);
        Ok::<_, store::StoreError>(())
    });
    loaded.unwrap();
    println!("loaded {size} events, {:.0}/s", size as f64 / started.elapsed().as_secs_f64());
    let mut client = Client::connect(serve(&store.db));
    let mut measured = Vec::new();
    for query in queries(size) {
        let read = |conn: &mut DbConn| Ok::<_, store::StoreError>(p50(|run| (query.rows)(conn, run)));
        let direct = store.db.write_blocking(read).unwrap();
        let asked = p50(|run| {
            let (target, caller) = (query.target)(run);
            client.get(&target, &caller).len().saturating_sub("[]".len())
        });
        measured.push((query.name, [direct, asked]));
    }
    measured
}

/// Median of 200 runs, each with another argument, in microseconds.
fn p50(mut query: impl FnMut(usize) -> usize) -> f64 {
    for warm in 0..20 {
        query(warm * 7);
    }
    let mut times: Vec<f64> = (0..200)
        .map(|run| {
            let started = Instant::now();
            let rows = query(run * 31);
            assert!(rows > 0, "a query found nothing");
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[100]
}

/// The service's routes over the store, from a thread of their own, for as long as the process lives. The header
/// `caller` stands for the identity that the gateway would sign: role, project, user.
fn serve(db: &Db) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let distiller = Distiller::builtin().unwrap();
    let state = State::new(Config::default(), db.clone(), distiller, Arc::new(SystemClock)).unwrap();
    std::thread::spawn(move || {
        let app = move || {
            let state = state.clone();
            App::new().configure(move |cfg| state.configure(cfg)).wrap_fn(|req, next| {
                let header = req.headers().get("caller").unwrap().to_str().unwrap().to_owned();
                let mut words = header.split(' ').map(str::to_owned);
                let principal = Principal {
                    roles: words.next().into_iter().collect(),
                    project_id: words.next(),
                    user_id: words.next(),
                    ..Principal::default()
                };
                req.extensions_mut().insert(principal);
                next.call(req)
            })
        };
        let server = HttpServer::new(app).workers(1).listen(listener).unwrap().run();
        actix_web::rt::System::new().block_on(server).unwrap();
    });
    address
}

/// A v2 list: as the store is asked, and as a client asks for it.
fn list(
    name: &'static str,
    visibility: fn(usize) -> Visibility,
    filter: impl Fn(usize) -> EventFilter + Clone + 'static,
) -> Query {
    let asked = filter.clone();
    Query {
        name,
        rows: Box::new(move |conn, run| {
            store::list_events(conn, &visibility(run), &filter(run)).unwrap().rows.len()
        }),
        target: Box::new(move |run| {
            let (caller, all) = match visibility(run) {
                Visibility::All => ("admin p u".to_owned(), true),
                Visibility::Project(project) => (format!("admin {project} u"), false),
                Visibility::Member { project, user } => (format!("member {project} {user}"), false),
            };
            (v2_target(&asked(run), all), caller)
        }),
    }
}

fn v2_target(filter: &EventFilter, all: bool) -> String {
    let mut conditions = Vec::new();
    if all {
        conditions.push(("all_tenants", "eq", "true".to_owned(), "string"));
    }
    if let Some(event_type) = &filter.event_type {
        conditions.push(("event_type", "eq", event_type.clone(), "string"));
    }
    if let Some(start) = filter.start {
        conditions.push(("start_timestamp", "ge", start.format("%FT%T%.f").to_string(), "datetime"));
    }
    if let Some(end) = filter.end {
        conditions.push(("end_timestamp", "le", end.format("%FT%T%.f").to_string(), "datetime"));
    }
    for condition in &filter.traits {
        let operator = match condition.operator {
            Operator::Eq => "eq",
            Operator::Ge => "ge",
            Operator::Lt => "lt",
            Operator::Le | Operator::Gt | Operator::Ne => unreachable!("no query has it"),
        };
        let (value, kind) = match &condition.value {
            TraitValue::Text(text) => (text.clone(), "string"),
            TraitValue::Integer(number) => (number.to_string(), "integer"),
            TraitValue::Float(_) | TraitValue::Datetime(_) => unreachable!("no query has it"),
        };
        conditions.push((condition.name.as_str(), operator, value, kind));
    }
    let mut target = format!("/v2/events?limit={}", filter.limit);
    for (field, op, value, kind) in conditions {
        target += &format!("&q.field={field}&q.op={op}&q.value={value}&q.type={kind}");
    }
    if filter.order == NEWEST {
        target += "&sort=generated:desc&sort=message_id:asc";
    }
    target
}

/// A v1 list, answered by age of storage, newest first.
fn v1(
    name: &'static str,
    filter: impl Fn(usize) -> FlatFilter + 'static,
    target: impl Fn(usize) -> String + 'static,
) -> Query {
    Query {
        name,
        rows: Box::new(move |conn, run| store::list_flat_events(conn, &filter(run)).unwrap().rows.len()),
        target: Box::new(move |run| (format!("/v1/events?limit=100{}", target(run)), "admin p u".into())),
    }
}

fn queries(size: usize) -> Vec<Query> {
    let newest = || EventFilter { order: NEWEST, ..EventFilter::default() };
    let condition = |name: &str, operator, value| TraitFilter { name: name.into(), operator, value };
    let at = move |n: usize| -> NaiveDateTime { BASE.parse::<NaiveDateTime>().unwrap() + data::age(n) };
    let admin = || "admin p u".to_owned();
    let id = move |run: usize| data::message_id(run * 7919 % size);
    let with = move |traits| EventFilter { traits, ..EventFilter::default() };
    let request = move |run: usize| data::request_id(run * 7919 % size);
    let flat = || FlatFilter { limit: 100, ..FlatFilter::default() };
    let everyone = |_run: usize| Visibility::All;
    vec![
        Query {
            name: "primary key",
            rows: Box::new(move |conn, run| {
                store::find_by_id(conn, i64::try_from(1 + run * 7919 % size).unwrap()).unwrap().iter().count()
            }),
            // The cheapest event that a client can ask for.
            target: Box::new(move |run| (format!("/v1/events/{}", id(run)), admin())),
        },
        list("newest page", everyone, move |_| newest()),
        list("event type + time", everyone, move |run| EventFilter {
            event_type: Some(data::event_type(run)),
            start: Some(at(size / 4)),
            end: Some(at(size / 2)),
            ..newest()
        }),
        list("time range", everyone, move |run| EventFilter {
            start: Some(at(run * 97 % (size / 2))),
            end: Some(at(run * 97 % (size / 2) + size / 4)),
            ..EventFilter::default()
        }),
        list("selective trait", everyone, move |run| {
            with(vec![condition("request_id", Operator::Eq, request(run))])
        }),
        list("medium trait, newest first", everyone, move |run| EventFilter {
            traits: vec![condition("host", Operator::Eq, data::host(run))],
            ..newest()
        }),
        list("integer range, selective", everyone, move |run| {
            let from = i64::try_from(run * 7919 % (size - 200)).unwrap();
            EventFilter {
                traits: vec![
                    condition("sequence", Operator::Ge, TraitValue::Integer(from)),
                    condition("sequence", Operator::Lt, TraitValue::Integer(from + 100)),
                ],
                ..newest()
            }
        }),
        list("integer range, one in two", everyone, move |_| EventFilter {
            traits: vec![condition("memory_mb", Operator::Ge, TraitValue::Integer(2048))],
            ..newest()
        }),
        list(
            "non-admin project view",
            |run| {
                let (project, user) = data::owner(run);
                Visibility::Member { project, user }
            },
            move |_| newest(),
        ),
        list("admin project view", |run| Visibility::Project(data::owner(run).0), move |_| newest()),
        Query {
            name: "one event by message id",
            rows: Box::new(move |conn, run| {
                store::find_event(conn, &Visibility::All, &id(run)).unwrap().iter().count()
            }),
            target: Box::new(move |run| {
                (
                    format!(
                        "/v2/events?q.field=message_id&q.value={}&q.field=all_tenants&q.value=true",
                        id(run)
                    ),
                    admin(),
                )
            }),
        },
        Query {
            name: "event types",
            rows: Box::new(|conn, _| store::list_event_types(conn).unwrap().len()),
            target: Box::new(move |_| ("/v2/event_types".into(), admin())),
        },
        Query {
            name: "traits of a type",
            rows: Box::new(|conn, run| {
                store::list_trait_descriptions(conn, &data::event_type(run)).unwrap().len()
            }),
            target: Box::new(move |run| {
                (format!("/v2/event_types/{}/traits", data::event_type(run)), admin())
            }),
        },
        v1("v1 newest page", move |_| flat(), |_| String::new()),
        v1(
            "v1 selective trait",
            move |run| FlatFilter { traits: vec![("request_id".to_owned(), vec![request(run)])], ..flat() },
            move |run| match request(run) {
                TraitValue::Text(text) => format!("&traits=request_id:{text}"),
                TraitValue::Integer(_) | TraitValue::Float(_) | TraitValue::Datetime(_) => {
                    unreachable!("a request id is text")
                }
            },
        ),
        v1(
            "v1 event name",
            move |run| FlatFilter { event_type: Some(data::event_type(run)), ..flat() },
            |run| format!("&event_name={}", data::event_type(run)),
        ),
    ]
}
