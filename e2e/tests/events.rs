//! Real notifications through the front door, on both engines.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use e2e::Home;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// OpenStack-like notifications of three days.
fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/notifications.ndjson.gz")
}

/// How many notifications of each type the file holds.
fn types() -> BTreeMap<String, u64> {
    let file = std::fs::File::open(sample()).unwrap();
    let mut types = BTreeMap::new();
    for line in BufReader::new(GzDecoder::new(file)).lines() {
        let notification: Value = serde_json::from_str(&line.unwrap()).unwrap();
        *types.entry(notification["event_type"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    types
}

async fn get(url: &str) -> Value {
    let request = reqwest::Client::new().get(url);
    let headers = [("X-User-Id", "u"), ("X-Project-Id", "p"), ("X-Roles", "admin")];
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.unwrap().json().await.unwrap()
}

fn import(home: &Home, url: &str) -> Value {
    let output = home
        .command()
        .unwrap()
        .args(["events", "import", "--output", "json", "--url", url])
        .arg(sample())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn import_twice_and_read_back(home: &Home) {
    let product = home.start(&[]).unwrap();
    let (types, url) = (types(), product.url.as_str());
    let total: u64 = types.values().sum();
    let first = import(home, url);
    assert_eq!(first, json!({"received": total, "saved": total, "duplicate": 0, "dropped": 0, "invalid": 0}));
    let second = import(home, url);
    assert_eq!(
        second,
        json!({"received": total, "saved": 0, "duplicate": total, "dropped": 0, "invalid": 0})
    );
    assert_eq!(get(&format!("{url}/v1/events/count")).await, json!([{ "count": total }]));
    for (name, count) in &types {
        let counted = get(&format!("{url}/v1/events/count?event_name={name}")).await;
        assert_eq!(counted, json!([{ "count": count }]), "{name}");
    }
    let listed: Vec<&String> = types.keys().collect();
    assert_eq!(get(&format!("{url}/v2/event_types")).await, json!(listed));
    let all = get(&format!("{url}/v2/events?limit=10000&q.field=all_tenants&q.value=true")).await;
    let mut in_v2: BTreeMap<String, u64> = BTreeMap::new();
    for event in all.as_array().unwrap() {
        *in_v2.entry(event["event_type"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(in_v2, types);
    product.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_notification_is_stored_once_on_sqlite() {
    import_twice_and_read_back(&Home::sqlite().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_notification_is_stored_once_on_postgres() {
    if let Some(home) = Home::postgres().unwrap() {
        import_twice_and_read_back(&home).await;
    }
}
