//! What is acknowledged survives SIGKILL, exactly once and whole (issue: 50 kills on each engine).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use e2e::Home;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const KILLS: usize = 50;
const CLIENTS: usize = 8;

/// Batches by name: how many events each has, and whether it was acknowledged.
type Sent = Arc<Mutex<HashMap<String, (usize, bool)>>>;

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_events_survive_sigkill_on_sqlite() {
    kill_and_check(&Home::sqlite().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_events_survive_sigkill_on_postgres() {
    if let Some(home) = Home::postgres().unwrap() {
        kill_and_check(&home).await;
    }
}

async fn kill_and_check(home: &Home) {
    let (sent, number) = (Sent::default(), Arc::new(AtomicU64::new(0)));
    let mut seen = Reader { mark: "+".to_owned(), found: HashMap::new() };
    for round in 0..KILLS {
        let product = home.start(&[]).unwrap();
        seen.check(&product.url, &sent).await;
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| tokio::spawn(post(product.url.clone(), sent.clone(), number.clone(), stop.clone())))
            .collect();
        let before = acknowledged(&sent);
        // Killed after a number of acknowledged batches that differs from round to round.
        while acknowledged(&sent) < before + 5 + round % 40 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        product.kill().unwrap();
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.unwrap();
        }
    }
    let product = home.start(&[]).unwrap();
    seen.check(&product.url, &sent).await;
    assert!(acknowledged(&sent) >= KILLS * 5);
    product.terminate().await.unwrap();
}

fn acknowledged(sent: &Sent) -> usize {
    sent.lock().unwrap().values().filter(|(_, is_acknowledged)| *is_acknowledged).count()
}

/// Posts batches of one to ten numbered events, to both versions in turn, until told to stop.
async fn post(url: String, sent: Sent, number: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    let client = reqwest::Client::new();
    while !stop.load(Ordering::Relaxed) {
        let batch = number.fetch_add(1, Ordering::Relaxed);
        let size = usize::try_from(1 + batch % 10).unwrap();
        let name = format!("b{batch}");
        sent.lock().unwrap().insert(name.clone(), (size, false));
        let events: Vec<Value> = (0..size)
            .map(|event| {
                let id = format!("{name}-e{event}");
                if batch.is_multiple_of(2) {
                    json!({"message_id": id, "event_type": "crash.test", "publisher_id": name, "payload": {}})
                } else {
                    json!({"message_id": id, "event_type": "crash.test", "generated": "2026-01-01T00:00:00",
                        "traits": [["service", 1, name]]})
                }
            })
            .collect();
        let path = if batch.is_multiple_of(2) { "/v1/notifications" } else { "/v2/events" };
        let answer = client.post(format!("{url}{path}")).json(&events).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success())
            && let Some(entry) = sent.lock().unwrap().get_mut(&name)
        {
            entry.1 = true;
        }
    }
}

/// Reads every event once, in the order of storage.
struct Reader {
    mark: String,
    found: HashMap<String, Vec<String>>,
}

impl Reader {
    async fn check(&mut self, url: &str, sent: &Sent) {
        let client = reqwest::Client::new();
        loop {
            let query = [("mark", self.mark.as_str()), ("limit", "5000")];
            let page: Value = client
                .get(format!("{url}/v1/events"))
                .query(&query)
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            let events = page.as_array().unwrap();
            let Some(last) = events.last() else { break };
            self.mark = last["_mark"].as_str().unwrap().to_owned();
            for event in events {
                let id = event["message_id"].as_str().unwrap().to_owned();
                self.found.entry(event["service"].as_str().unwrap().to_owned()).or_default().push(id);
            }
        }
        for (name, (size, is_acknowledged)) in sent.lock().unwrap().iter() {
            let found = self.found.get(name).map_or(0, Vec::len);
            assert!(found == *size || found == 0 && !is_acknowledged, "{name}: {found} of {size} events");
            let mut ids = self.found.get(name).cloned().unwrap_or_default();
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), found, "{name}: an event is there twice");
        }
    }
}
