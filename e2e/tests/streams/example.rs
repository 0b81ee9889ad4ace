//! `quintet demo` and `examples/usage`: three days of notifications become usage streams with verdicts. What must come
//! out follows from the notifications alone.

use crate::{all, get, text};
use e2e::{Home, Product};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The first ten characters of an instant.
fn date(instant: &str) -> String {
    instant.chars().take(10).collect()
}

/// The day that each notification about an instance counts for, and the instance, by message id: the trigger
/// `daily_usage` written down once more.
fn expected() -> BTreeMap<String, (String, String)> {
    let file = std::fs::File::open(repository().join("e2e/fixtures/notifications.ndjson.gz")).unwrap();
    let mut expected = BTreeMap::new();
    for line in BufReader::new(GzDecoder::new(file)).lines() {
        let notification: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let (kind, payload) = (text(&notification, "event_type"), &notification["payload"]);
        let is_report = kind.starts_with("compute.instance.exists.");
        if !kind.starts_with("compute.instance.") || is_report {
            continue;
        }
        let paths = [
            payload.get("instance_uuid"),
            payload.get("instance_id"),
            notification.pointer("/exception/kwargs/uuid"),
            notification.pointer("/instance/uuid"),
        ];
        let instance = paths.into_iter().flatten().find_map(Value::as_str);
        let time = match kind {
            "compute.instance.exists" => payload["audit_period_beginning"].as_str(),
            _ => notification["timestamp"].as_str(),
        };
        if let (Some(instance), Some(time)) = (instance, time) {
            let id = text(&notification, "message_id").to_owned();
            expected.insert(id, (instance.to_owned(), date(time)));
        }
    }
    expected
}

/// Every event is in exactly one stream, that of its instance and day, and every exists of a completed stream has
/// exactly one verdict.
async fn check_usage(url: &str) {
    let (mut expected, mut judged) = (expected(), BTreeSet::new());
    let streams = all(url, "/v1/streams?trigger_name=daily_usage&details=true").await;
    for stream in &streams {
        let traits = &stream["distinguishing_traits"];
        let (instance, day) = (text(traits, "instance_id"), date(text(&traits["timestamp"], "begin")));
        for event in stream["events"].as_array().unwrap() {
            let (id, kind) = (text(event, "message_id"), text(event, "event_type"));
            let wanted = expected
                .remove(id)
                .unwrap_or_else(|| panic!("{id} is in two streams, or in none of its own"));
            assert_eq!(wanted, (instance.to_owned(), day.clone()), "{id}");
            if kind == "compute.instance.exists" && stream["state"] == "completed" {
                judged.insert(id.to_owned());
            }
        }
    }
    assert!(expected.is_empty(), "{} events are in no stream: {expected:?}", expected.len());
    let mut verdicts = Vec::new();
    for verdict in ["verified", "failed"] {
        verdicts.extend(all(url, &format!("/v1/events?event_name=compute.instance.exists.{verdict}")).await);
    }
    // The sample has verdicts of its own, which name no stream.
    let ours = verdicts.iter().filter(|event| event.get("stream_id").is_some());
    let mut of_exists: Vec<&str> = ours.filter_map(|event| event["original_message_id"].as_str()).collect();
    of_exists.sort_unstable();
    assert!(judged.len() > 100, "{}", judged.len());
    assert_eq!(of_exists, judged.iter().map(String::as_str).collect::<Vec<_>>());
}

fn quintet(home: &Home, url: &str, words: &[&str]) -> (bool, String) {
    let output = home.command().unwrap().args(words).env("QUINTET_URL", url).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), printed)
}

fn json_of(home: &Home, url: &str, words: &[&str]) -> Value {
    let (is_good, printed) = quintet(home, url, words);
    assert!(is_good, "{words:?}: {printed}");
    serde_json::from_str(&printed).unwrap()
}

/// Waits until no stream of a trigger changes any more.
async fn settled(url: &str) {
    let mut before = Value::Null;
    for _ in 0..200 {
        let now = get(&format!("{url}/v1/streams/count?state=completed")).await;
        let busy = get(&format!("{url}/v1/streams/count?state=firing")).await;
        if now == before && busy == json!([{ "count": 0 }]) && now != json!([{ "count": 0 }]) {
            return;
        }
        before = now;
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    }
    panic!("streams do not come to rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_fills_every_list_and_its_streams_are_right() {
    let home = Home::sqlite().unwrap();
    let product = home.start_as("demo", &["demo"], &[("QUINTET_STREAMS__RETRY_LIMIT", "0")]).unwrap();
    let url = product.url.as_str();
    // The samples are being loaded.
    for path in ["/annotation/query?StartDate=2015-02-27T00:00:00Z&EndDate=2015-03-02T00:00:00Z", "/dtrace"] {
        let mut tries = 0;
        while get(&format!("{url}{path}")).await.as_array().unwrap().is_empty() {
            assert!(tries < 300, "{path} stays empty");
            tries += 1;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }
    settled(url).await;
    check_usage(url).await;
    for path in ["/v1/events", "/v2/events?q.field=all_tenants&q.value=true", "/v2/event_types"] {
        assert!(!get(&format!("{url}{path}")).await.as_array().unwrap().is_empty(), "{path}");
    }
    // What there is to see is not buried in what triggers count.
    let log = std::fs::read_to_string(home.path().join("demo")).unwrap();
    assert!(log.lines().count() < 10, "{log}");
    // The example is there to be changed.
    assert!(home.path().join("demo-data/example/triggers.yaml").exists());
    commands(&home, &product).await;
    product.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_in_the_secure_mode_logs_itself_in() {
    let home = Home::sqlite().unwrap();
    let product = home.start_as("demo", &["demo"], &[("QUINTET_AUTH__MODE", "secure")]).unwrap();
    let token = std::fs::read_to_string(home.path().join("demo-data/secrets/admin_token")).unwrap();
    let http = reqwest::Client::new();
    let mut scripts = json!([]);
    while scripts == json!([]) {
        let list = http.get(format!("{}/dtrace", product.url)).bearer_auth(token.trim());
        scripts = list.send().await.unwrap().json().await.unwrap();
    }
    assert_eq!(http.get(format!("{}/dtrace", product.url)).send().await.unwrap().status(), 401);
    product.terminate().await.unwrap();
}

#[test]
fn a_demo_keeps_to_itself() {
    for (name, key) in [
        ("QUINTET_DATABASE_URL", "database_url"),
        ("QUINTET_DATABASE_URL_FILE", "database_url_file"),
        ("QUINTET_GATEWAY__UPSTREAMS__DTRACE", "gateway.upstreams"),
        ("QUINTET_STREAMS__EVENTS_URL", "streams.events_url"),
    ] {
        let home = Home::sqlite().unwrap();
        let demo = home.command().unwrap().arg("demo").env(name, "http://127.0.0.1:1").output().unwrap();
        assert!(!demo.status.success(), "{name}");
        let words = String::from_utf8(demo.stderr).unwrap();
        assert!(words.contains(&format!("{key} is set, and a demo keeps to itself")), "{words}");
    }
}

/// The command line on the streams of the demo.
async fn commands(home: &Home, product: &Product) {
    let url = product.url.as_str();
    let listed =
        json_of(home, url, &["streams", "list", "--state", "completed", "--limit", "3", "-o", "json"]);
    assert_eq!(listed, get(&format!("{url}/v1/streams?state=completed&limit=3")).await);
    let stream = &listed[0];
    let id = stream["id"].to_string();
    let shown = json_of(home, url, &["streams", "show", &id, "-o", "json"]);
    assert_eq!(shown["stream"], get(&format!("{url}/v1/streams/{id}?details=1")).await[0]);
    let states: Vec<&str> =
        shown["history"].as_array().unwrap().iter().map(|change| text(change, "state")).collect();
    assert_eq!(states.first(), Some(&"active"));
    assert_eq!(states.last(), Some(&"completed"));
    let member = text(&shown["stream"]["events"][0], "message_id");
    let tried = json_of(home, url, &["streams", "match", "--event", member, "-o", "json"]);
    let taken = tried.as_array().unwrap().iter().find(|one| one["trigger"] == stream["name"]).unwrap();
    assert_eq!(taken["distinguishing_traits"], stream["distinguishing_traits"]);

    // Nothing has failed: a reset leaves the stream as it is.
    let unchanged = format!("stream {id}: not reset, since it is completed\n");
    assert_eq!(quintet(home, url, &["streams", "reset", &id]), (true, unchanged));
    let unchanged = json!([{ "id": stream["id"], "state": "completed", "reset": false }]);
    assert_eq!(json_of(home, url, &["streams", "reset", &id, "-o", "json"]), unchanged);
    assert_eq!(
        quintet(home, url, &["streams", "reset", "--all"]),
        (true, "no stream has failed\n".to_owned())
    );
    assert_eq!(quintet(home, url, &["streams", "delete", &id]), (true, format!("stream {id}: deleted\n")));
    let (is_good, said) = quintet(home, url, &["streams", "delete", &id]);
    assert!(!is_good && said.contains(&format!("stream {id} not found")), "{said}");
    let (is_good, said) = quintet(home, url, &["streams", "list", "--state", "bored"]);
    assert!(!is_good && said.contains("bored") && said.contains("active, firing, expiring"), "{said}");
    let gone = json_of(home, url, &["streams", "show", &id, "-o", "json"]);
    assert_eq!((&gone["stream"], &gone["history"][states.len()]["state"]), (&Value::Null, &json!("deleted")));
    assert!(!quintet(home, url, &["streams", "show", "999999999"]).0);

    let counters = get(&format!("{url}/v1/streams/debug")).await["counters"]["daily_usage"].clone();
    let count = |pointer: &str| counters.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    assert!(count("/match/checks") > count("/match/passed") && count("/match/passed") > 0, "{counters}");
    let total = u64::try_from(expected().len()).unwrap();
    assert_eq!(count("/counters/Added events"), total, "{counters}");
    assert!(count("/counters/New stream") >= count("/counters/Streams fired"), "{counters}");
    assert!(count("/counters/Streams fired") > 0, "{counters}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_commands_verify_usage() {
    let home = match Home::postgres().unwrap() {
        Some(home) => home,
        None => Home::sqlite().unwrap(),
    };
    let example = repository().join("examples/usage/winchester.yaml");
    let product = home.start(&[("QUINTET_WINCHESTER_CONFIG", example.to_str().unwrap())]).unwrap();
    let url = product.url.as_str();
    let sample = repository().join("e2e/fixtures/notifications.ndjson.gz");
    let words = ["events", "import", sample.to_str().unwrap(), "-o", "json"];
    assert_eq!(json_of(&home, url, &words)["saved"], 7180);
    let waited = reqwest::Client::new().post(format!("{url}/v1/notifications")).header("prefer", "wait=60");
    let waited = waited.json(&json!([])).send().await.unwrap();
    assert_eq!(waited.headers()["preference-applied"], "wait=60");
    settled(url).await;
    check_usage(url).await;
    let verified = ["events", "list", "--type", "compute.instance.exists.verified", "-o", "json"];
    assert!(!json_of(&home, url, &verified).as_array().unwrap().is_empty());
    product.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn prefer_wait_answers_when_the_stream_is_there() {
    let home = Home::sqlite().unwrap();
    let example = repository().join("examples/usage/winchester.yaml");
    let settings =
        [("QUINTET_WINCHESTER_CONFIG", example.to_str().unwrap()), ("QUINTET_STREAMS__MAX_PAGE", "7")];
    let product = home.start(&settings).unwrap();
    let url = product.url.as_str();
    for number in 1..=20 {
        let notification = json!({
            "message_id": format!("00000000-0000-4000-8000-{number:012}"),
            "event_type": "compute.instance.update", "publisher_id": "compute.host-1",
            "timestamp": "2015-02-27 15:27:18.603932", "payload": {"instance_id": format!("i{number}")},
        });
        let request = reqwest::Client::new().post(format!("{url}/v1/notifications")).json(&notification);
        let answer = request.header("Prefer", "wait=20").send().await.unwrap();
        assert_eq!(answer.status(), 202);
        assert_eq!(answer.headers()["preference-applied"], "wait=20");
        assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("x-quintet")));
        // At once, without another look.
        assert_eq!(get(&format!("{url}/v1/streams/count")).await, json!([{ "count": number }]));
    }
    // A server's bound on one answer is none on what the command line lists.
    let listed = json_of(&home, url, &["streams", "list", "--limit", "15", "-o", "json"]);
    let ids: Vec<u64> =
        listed.as_array().unwrap().iter().map(|stream| stream["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (6..=20).rev().collect::<Vec<_>>());
    product.terminate().await.unwrap();
}
