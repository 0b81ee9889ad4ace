//! Time from an accepted notification to its stream in `GET /v1/streams`, at 500 notifications a second, through a
//! running product.
//!
//! `cargo bench -p streams-svc --bench latency -- --url http://127.0.0.1:8080 [--rate 500] [--seconds 20]`. The product
//! needs `winchester_config` = `examples/usage/winchester.yaml`; `e2e/bench/streams` starts it.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark program"
)]

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Clients that post.
const CLIENTS: u32 = 8;

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

fn number(name: &str, default: u32) -> u32 {
    argument(name).map_or(default, |text| text.parse().unwrap())
}

/// When each instance was accepted.
type Accepted = Arc<Mutex<HashMap<String, Instant>>>;

#[tokio::main]
async fn main() {
    let Some(url) = argument("--url") else {
        println!("latency: skipped, no --url of a running product");
        return;
    };
    let (rate, seconds) = (number("--rate", 500), number("--seconds", 20));
    let accepted = Accepted::default();
    let total = rate * seconds;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(post(url.clone(), client, rate, total, Arc::clone(&accepted))))
        .collect();
    let mut latencies = watch(&url, total as usize, &accepted).await;
    for client in clients {
        client.await.unwrap();
    }
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] * 1e3;
    println!(
        "{} streams at {rate}/s: accepted to visible p50 {:.0} ms, p99 {:.0} ms, slowest {:.0} ms",
        latencies.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// Posts every `CLIENTS`th notification at its time, one a request.
async fn post(url: String, client: u32, rate: u32, total: u32, accepted: Accepted) {
    let http = reqwest::Client::new();
    let started = tokio::time::Instant::now();
    for number in (client..total).step_by(CLIENTS as usize) {
        tokio::time::sleep_until(started + Duration::from_secs(1) * number / rate).await;
        let instance = format!("i{number}");
        let notification = json!({
            "message_id": uuid::Uuid::new_v4().to_string(), "event_type": "compute.instance.update",
            "publisher_id": "compute.host-1", "timestamp": "2015-02-27 15:00:00", "payload": {"instance_id": instance},
        });
        let answer = http.post(format!("{url}/v1/notifications")).json(&notification).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        accepted.lock().unwrap().insert(instance, Instant::now());
    }
}

/// Streams that are asked for once more: on PostgreSQL those of other partitions may come into sight behind them.
const OVERLAP: i64 = 500;

/// Seconds until each stream was seen, by somebody who asks for new ones every ten milliseconds.
async fn watch(url: &str, total: usize, accepted: &Accepted) -> Vec<f64> {
    let http = reqwest::Client::new();
    let (mut last, mut known, mut latencies) = (0, HashSet::new(), Vec::new());
    while latencies.len() < total {
        let mark = format!("+{:x}", (last - OVERLAP).max(0));
        let query = [("mark", mark.as_str()), ("limit", "2000"), ("trigger_name", "daily_usage")];
        let page = http.get(format!("{url}/v1/streams")).query(&query).send().await.unwrap();
        let page: Value = serde_json::from_str(&page.text().await.unwrap()).unwrap();
        let seen = Instant::now();
        for stream in page.as_array().unwrap() {
            last = last.max(stream["id"].as_i64().unwrap());
            let instance = stream["distinguishing_traits"]["instance_id"].as_str().unwrap();
            if known.insert(instance.to_owned()) {
                // Seen before its own client has read the answer: no wait at all.
                let since = accepted.lock().unwrap().get(instance).map(|at| (seen - *at).as_secs_f64());
                latencies.push(since.unwrap_or(0.0));
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    latencies
}
