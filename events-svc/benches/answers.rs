//! Lists of 200 events, joined from stored text as the service does it, against the same list parsed and encoded anew:
//! the encoding alone, and requests a second with the page's query and HTTP around it.
//!
//! `cargo bench -p events-svc --bench answers -- [--rounds 5] [--seconds 2]`; SQLite always, PostgreSQL when
//! `QUINTET_TEST_POSTGRES_URL` is set. Figure to reach: 4 times the requests a second.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark program"
)]

#[allow(dead_code, reason = "other benchmarks use the rest")]
mod data;
mod http;

use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer};
use events_svc::model::{EventFilter, Order, Visibility};
use events_svc::store::{self, StoreError, StoredEvent};
use events_svc::wire::v2::push_event;
use http::Client;
use serde_json::Value;
use shared::db::{Db, DbConn, Direction};
use std::hint::black_box;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

const PAGE: usize = 200;
const STORED: usize = 5000;
const CLIENTS: usize = 8;
const ENCODING: Duration = Duration::from_millis(300);

fn main() {
    let number = |name: &str, default: usize| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name);
        arguments.nth(1).map_or(default, |text| text.parse().unwrap())
    };
    let (rounds, seconds) = (number("--rounds", 5), number("--seconds", 2));
    for engine in data::engines() {
        let store = data::open(&engine);
        store.db.write_blocking(load).unwrap();
        let page = store.db.write_blocking(newest).unwrap();
        println!("\n{engine:?}: {PAGE} events, {} KiB", join(&page).len() >> 10);
        compare("encoding alone, times a second", rounds, |way| {
            let until = Instant::now() + ENCODING;
            let mut count = 0;
            while Instant::now() < until {
                black_box((way.encode)(black_box(&page)));
                count += 1;
            }
            f64::from(count) / ENCODING.as_secs_f64()
        });
        let address = serve(&store.db);
        let duration = Duration::from_secs(u64::try_from(seconds).unwrap());
        compare("requests a second", rounds, |way| requests(address, way.path, duration));
    }
}

/// A way to make a list out of stored events.
struct Way {
    path: &'static str,
    encode: fn(&[StoredEvent]) -> String,
}

const JOINED: Way = Way { path: "/joined", encode: join };
const ENCODED: Way = Way { path: "/encoded", encode: parse_and_encode };

fn join(events: &[StoredEvent]) -> String {
    let mut list = String::from("[");
    for (place, event) in events.iter().enumerate() {
        if place > 0 {
            list.push(',');
        }
        push_event(&mut list, &event.head, &event.raw);
    }
    list.push(']');
    list
}

fn parse_and_encode(events: &[StoredEvent]) -> String {
    let parse = |event: &StoredEvent| -> Value {
        let mut text = String::new();
        push_event(&mut text, &event.head, &event.raw);
        serde_json::from_str(&text).unwrap()
    };
    Value::Array(events.iter().map(parse).collect()).to_string()
}

/// Both ways in turns, so that whatever else the machine does falls on each; prints the medians and their ratio.
fn compare(name: &str, rounds: usize, rate: impl Fn(&Way) -> f64) {
    let (mut joined, mut encoded) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        joined.push(rate(&JOINED));
        encoded.push(rate(&ENCODED));
    }
    for rates in [&mut joined, &mut encoded] {
        rates.sort_by(f64::total_cmp);
    }
    let (joined, encoded) = (joined[rounds / 2], encoded[rounds / 2]);
    println!(
        "  {name:32} joined {joined:8.0}   parsed and encoded {encoded:8.0}   ratio {:.1}",
        joined / encoded
    );
}

fn load(conn: &mut DbConn) -> Result<(), StoreError> {
    for start in (0..STORED).step_by(1000) {
        store::put_events(conn, &data::events(start..start + 1000), 0)?;
    }
    data::analyze(conn);
    Ok(())
}

fn newest(conn: &mut DbConn) -> Result<Vec<StoredEvent>, StoreError> {
    let order = Order::Generated(Direction::Descending, Direction::Ascending);
    let filter = EventFilter { order, limit: PAGE, ..EventFilter::default() };
    Ok(store::list_events(conn, &Visibility::All, &filter)?.rows)
}

async fn answer(db: &Db, way: Way) -> HttpResponse {
    let page = db.read(move |conn| Ok::<_, StoreError>((way.encode)(&newest(conn)?))).await.unwrap();
    HttpResponse::Ok().content_type("application/json").body(page)
}

/// Serves both ways from a thread of its own, for as long as the process lives.
fn serve(db: &Db) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, db) = (listener.local_addr().unwrap(), Data::new(db.clone()));
    std::thread::spawn(move || {
        let app = move || {
            App::new()
                .app_data(Data::clone(&db))
                .route(JOINED.path, web::get().to(|db: Data<Db>| async move { answer(&db, JOINED).await }))
                .route(ENCODED.path, web::get().to(|db: Data<Db>| async move { answer(&db, ENCODED).await }))
        };
        let server = HttpServer::new(app).workers(2).listen(listener).unwrap().run();
        actix_web::rt::System::new().block_on(server).unwrap();
    });
    address
}

fn requests(address: SocketAddr, path: &str, duration: Duration) -> f64 {
    let until = Instant::now() + duration;
    let counts = std::thread::scope(|scope| {
        let client = || {
            let mut client = Client::connect(address);
            let mut count = 0;
            while Instant::now() < until {
                client.get(path, "");
                count += 1;
            }
            count
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum::<u32>()
    });
    f64::from(counts) / duration.as_secs_f64()
}
