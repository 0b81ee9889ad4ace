//! Runs and lists of the DTrace service, over its real routes.
//!
//! `cargo bench -p dtrace-svc --bench runs -- [--seconds 10] [--listeners 200] [--scripts 100000]`; on SQLite, or on
//! PostgreSQL when `QUINTET_TEST_POSTGRES_URL` is set. Figures to reach: a listener has a tracer's line within 50 ms;
//! 200 listeners share one run; a full list takes no more memory than a page.
#![allow(dead_code, reason = "shares the tests' service and socket")]
#![allow(clippy::all, clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark program")]
#![allow(clippy::as_conversions, clippy::indexing_slicing, reason = "a benchmark program")]

#[path = "../tests/api/harness.rs"]
mod harness;
#[path = "../tests/api/socket.rs"]
mod socket;

use dtrace_svc::config::{Config, RunLimits};
use dtrace_svc::model::Script;
use dtrace_svc::store;
use harness::Server;
use serde_json::json;
use socket::Socket;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A tracer that prints the time, in microseconds since 1970, ten times a second.
const CLOCK: &str = "BEGIN { @t = max(1); }\n\
    //sh started; while :; do sleep 0.1; out map \"{\\\"@t\\\": $(($(date +%s%N) / 1000))}\"; tick; done";

#[tokio::main]
async fn main() {
    let (seconds, listeners) = (number("--seconds", 10), number("--listeners", 200));
    delays(1, seconds).await;
    delays(listeners as usize, seconds).await;
    list(number("--scripts", 100_000) as usize).await;
}

/// The argument after `name`.
fn number(name: &str, default: u64) -> u64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1).map_or(default, |text| text.parse().unwrap())
}

/// Time from the tracer's print to each of some listeners, all of one run.
async fn delays(listeners: usize, seconds: u64) {
    let runs = RunLimits { interval_millis: 100, max_listeners: listeners, ..RunLimits::default() };
    let server = Server::with(Config { runs, ..harness::faked() });
    let uuid = server.create(json!({ "name": "clock", "script": CLOCK })).await;
    let mut following = Vec::new();
    let end = Instant::now() + Duration::from_secs(seconds + 2);
    for _ in 0..listeners {
        let mut socket = server.socket(&uuid).await;
        socket.send("").await;
        following.push(tokio::spawn(follow(socket, end)));
    }
    let metrics = server.call("GET", "/metrics").send().await.text().to_owned();
    let runs = metrics.lines().find(|line| line.starts_with("quintet_dtrace_runs{")).unwrap();
    let runs = runs.rsplit(' ').next().unwrap().to_owned();
    let mut all: Vec<f64> = Vec::new();
    for follower in following {
        all.extend(follower.await.unwrap());
    }
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize];
    println!(
        "{listeners} listeners, {runs} run: {} messages; from the tracer's print to the listener p50 {:.1} ms, \
         p99 {:.1} ms, longest {:.1} ms (to reach: 50)",
        all.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// The delays of the messages that one listener gets, in milliseconds.
async fn follow(mut socket: Socket, end: Instant) -> Vec<f64> {
    let mut delays = Vec::new();
    while Instant::now() < end {
        let message = socket.json().await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        if let Some(printed) = message.as_object().unwrap().values().next().and_then(|value| value.as_u64()) {
            delays.push((now.as_micros() as f64 - printed as f64) / 1000.0);
        }
    }
    delays
}

/// The list of many scripts as full objects: how fast it comes, and how much memory it takes.
async fn list(scripts: usize) {
    let server = Server::start();
    let started = Instant::now();
    let text = "fbt::zfs_read:entry { self->t = timestamp; } ".repeat(40);
    server
        .db
        .db
        .write_blocking(|conn| {
            for number in 0..scripts {
                let script = Script {
                    uuid: uuid::Uuid::new_v4().to_string(),
                    name: format!("script {number:06}"),
                    script: text.clone(),
                    config: r#"{"start":0,"end":64,"step":2}"#.into(),
                    metadata: "{}".into(),
                    revision: 1,
                };
                store::put_script(conn, &script).unwrap();
            }
            Ok::<_, store::StoreError>(())
        })
        .unwrap();
    println!("{scripts} scripts stored in {:.1} s", started.elapsed().as_secs_f64());
    for (name, header) in [("ids", "false"), ("objects", "true"), ("objects, once more", "true")] {
        // SQLite maps its file into memory; those pages are the system's to take back, and not counted.
        let (before, started) = (memory("RssAnon:"), Instant::now());
        let mut most = before;
        let mut answer = server.call("GET", "/dtrace").header("x-full-list", header).begin().await;
        assert_eq!(answer.status(), 200);
        let mut bytes = 0;
        while let Some(chunk) = answer.chunk().await.unwrap() {
            bytes += chunk.len();
            most = most.max(memory("RssAnon:"));
        }
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "list of {scripts} {name}: {:.1} MB in {seconds:.2} s, memory grew by {:.1} MB at most",
            bytes as f64 / 1e6,
            (most - before) as f64 / 1000.0
        );
    }
}

/// A size of this process, in kB.
fn memory(name: &str) -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}
