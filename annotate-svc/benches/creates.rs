//! Durable creates over HTTP against the same SQL without it, eight clients each.
//!
//! `cargo bench -p annotate-svc --bench creates -- [--seconds 5]`; SQLite always, PostgreSQL when
//! `QUINTET_TEST_POSTGRES_URL` is set. Figure to reach: 0.5.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a benchmark program with data that another shares"
)]
#![allow(clippy::all, clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark program")]
#![allow(clippy::as_conversions, clippy::indexing_slicing, reason = "a benchmark program")]

mod data;

use annotate_svc::store::{self, DbError};
use data::{Engine, annotations, create, open};
use shared::clock::{Clock, SystemClock};
use shared::config::{Common, Secret};
use shared::identity::{self, IdentityKey, Principal};
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const CLIENTS: usize = 8;

fn main() {
    let seconds = data::number("--seconds", 5) as u64;
    for engine in data::engines() {
        let direct = without_http(&engine, seconds);
        let served = over_http(&engine, seconds);
        println!(
            "{engine:?}: {served:.0} creates/s over HTTP, {direct:.0} without, ratio {:.2}",
            served / direct
        );
    }
}

/// Runs `work` in eight threads for so long; answers how often it ran a second.
fn rate(seconds: u64, work: impl Fn(usize) -> Box<dyn FnMut(usize)> + Sync) -> f64 {
    let (done, started) = (AtomicUsize::new(0), Instant::now());
    let end = started + Duration::from_secs(seconds);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (work, done) = (&work, &done);
            scope.spawn(move || {
                let mut work = work(client);
                let mut run = 0;
                while Instant::now() < end {
                    work(client * 1_000_000 + run);
                    run += 1;
                }
                done.fetch_add(run, Ordering::Relaxed);
            });
        }
    });
    done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

/// The same transaction, one create each, on connections of the same pool; counters in shards of their own.
fn without_http(engine: &Engine, seconds: u64) -> f64 {
    let store = open(engine);
    rate(seconds, |client| {
        let db = store.db.clone();
        Box::new(move |place| {
            let write = create(annotations(place..place + 1, 8_000_000));
            db.write_blocking(|conn| store::apply(conn, &[write], client as i16))
                .map_err(|cause: DbError| cause)
                .unwrap();
        })
    })
}

fn over_http(engine: &Engine, seconds: u64) -> f64 {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut common = Common { data_dir: folder.path().to_owned(), ..Common::default() };
    // The service's schema has a fixed name: it gets a database of its own.
    let database = format!("bench_{}", uuid::Uuid::new_v4().simple());
    if let Engine::Postgres(url) = engine {
        execute(url, &format!("CREATE DATABASE {database}"));
        let (server, _) = url.rsplit_once('/').unwrap();
        common.database_url = Some(Secret::new(format!("{server}/{database}")));
    }
    let key = IdentityKey::new(b"bench");
    let clock = Arc::new(SystemClock);
    let running = {
        let _inside = runtime.enter();
        annotate_svc::start(annotate_svc::config::Config::default(), &common, key.clone(), clock.clone())
            .unwrap()
    };
    let address = running.url().replace("http://", "");
    let principal = Principal { subject: "bench".into(), ..Principal::default() };
    let rate = rate(seconds, |_client| {
        let mut stream = BufReader::new(TcpStream::connect(&address).unwrap());
        stream.get_ref().set_nodelay(true).unwrap();
        let (key, principal, clock) = (key.clone(), principal.clone(), clock.clone());
        Box::new(move |place| {
            let one = annotations(place..place + 1, 8_000_000).remove(0);
            let mut document = serde_json::to_value(one.wire(Default::default())).unwrap();
            document["Id"] = "".into();
            let body = document.to_string();
            let head = format!(
                "POST /annotation HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{}: {}\r\n\r\n",
                body.len(),
                identity::HEADER,
                key.sign(&principal, clock.now())
            );
            stream.get_mut().write_all((head + &body).as_bytes()).unwrap();
            read_answer(&mut stream);
        })
    });
    runtime.block_on(running.stop());
    if let Engine::Postgres(url) = engine {
        execute(url, &format!("DROP DATABASE {database} WITH (FORCE)"));
    }
    rate
}

fn execute(url: &str, sql: &str) {
    use diesel::{Connection, connection::SimpleConnection};
    diesel::PgConnection::establish(url).unwrap().batch_execute(sql).unwrap();
}

fn read_answer(stream: &mut BufReader<TcpStream>) {
    let (mut line, mut length) = (String::new(), 0);
    stream.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).unwrap();
        if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = number.trim().parse().unwrap();
        }
    }
    std::io::copy(&mut stream.by_ref().take(length), &mut std::io::sink()).unwrap();
}
