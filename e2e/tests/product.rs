//! The product as a whole: start, identity, stop, settings.

use e2e::Home;
use serde_json::{Value, json};
use std::process::Output;

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_and_ends_with_success_and_no_complaint() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[]).unwrap();
    product.terminate().await.unwrap();
    let log = std::fs::read_to_string(home.path().join("log")).unwrap();
    assert!(log.contains("stopping") && !log.contains("\"warn\"") && !log.contains("\"error\""), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_called_directly_answers_401_and_does_nothing() {
    let home = Home::sqlite().unwrap();
    let service = "127.0.0.1:39151";
    let product = home.start(&[("QUINTET_EVENTS__LISTEN__ADDRESS", service)]).unwrap();
    let client = reqwest::Client::new();
    let body = r#"{"message_id":"forged","event_type":"t","publisher_id":"p"}"#;
    let claims = "eyJzdWIiOiJ1c2VyOmV2ZSIsImV4cCI6OTk5OTk5OTk5OX0";
    let forged = format!("v1.{claims}.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    for header in [None, Some("v1.e30."), Some(forged.as_str()), Some("garbage")] {
        let mut request = client.post(format!("http://{service}/v1/notifications")).body(body);
        request = request.header("X-User-Id", "u").header("X-Project-Id", "p").header("X-Roles", "admin");
        if let Some(header) = header {
            request = request.header("x-quintet-identity", header);
        }
        assert_eq!(request.send().await.unwrap().status(), 401, "{header:?}");
    }
    // A gateway with another key learns that it cannot work with this service; whoever shows none may ask, too.
    let ready = client.get(format!("http://{service}/readyz?verbose"));
    let refused = ready.try_clone().unwrap().header("x-quintet-identity", &forged).send().await.unwrap();
    assert_eq!(refused.status(), 503);
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["checks"]["identity"], "failed: identity not valid");
    assert_eq!(ready.send().await.unwrap().status(), 200);
    // Through the gateway a forged header gains nothing, and hurts nothing.
    let count = client.get(format!("{}/v1/events/count", product.url)).header("x-quintet-identity", &forged);
    let count: Value = count.send().await.unwrap().json().await.unwrap();
    assert_eq!(count[0]["count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_a_whole_product_hear_an_event_service_that_is_elsewhere() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let key = ("QUINTET_AUTH__INTERNAL_KEY", "0123456789abcdef0123456789abcdef");
    let (there, here) = (Home::sqlite().unwrap(), Home::sqlite().unwrap());
    let listen = ("QUINTET_EVENTS__LISTEN__ADDRESS", address.as_str());
    let _events = there.start_as("log", &["serve", "--target", "events"], &[key, listen]).unwrap();
    let elsewhere = format!("http://{address}");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/usage/winchester.yaml");
    let settings = [
        key,
        ("QUINTET_GATEWAY__UPSTREAMS__EVENTS", elsewhere.as_str()),
        ("QUINTET_WINCHESTER_CONFIG", example),
    ];
    let product = here.start(&settings).unwrap();
    let post = reqwest::Client::new().post(format!("{}/v1/notifications", product.url));
    let notification = serde_json::json!({
        "message_id": "m1", "event_type": "compute.instance.update", "timestamp": "2026-01-01 12:00:00",
        "publisher_id": "compute.host1", "payload": {"instance_id": "i-1", "tenant_id": "t"},
    });
    let answer = post.header("prefer", "wait=20").json(&notification).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    assert!(answer.headers().contains_key("preference-applied"), "the streams have it: {answer:?}");
    assert!(!here.path().join("data/events.sqlite").exists(), "no second event service");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_stops_the_start_and_is_named_with_its_file() {
    let home = Home::sqlite().unwrap();
    std::fs::write(home.path().join("quintet.toml"), "[gateway]\nlissten = \"x\"\n").unwrap();
    let output = home.command().unwrap().args(["config", "check"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("lissten") && text.contains("quintet.toml"), "{text}");
}

#[test]
fn a_setting_out_of_its_range_is_named_with_where_it_is_set() {
    let home = Home::sqlite().unwrap();
    let refused = |settings: &[(&str, &str)]| {
        String::from_utf8(check(&home, settings, &[]).unwrap().stderr).unwrap().trim().to_owned()
    };
    let variable = refused(&[("QUINTET_GATEWAY__WORKERS", "0")]);
    assert_eq!(variable, "quintet: QUINTET_GATEWAY__WORKERS: gateway.workers: expected 1 to 64");
    let key = refused(&[("QUINTET_AUTH__INTERNAL_KEY", "short")]);
    let expected = "auth.internal_key: expected at least 16 characters";
    assert_eq!(key, format!("quintet: QUINTET_AUTH__INTERNAL_KEY: {expected}"));
    std::fs::write(home.path().join("quintet.toml"), "[streams]\nmax_page = 0\n").unwrap();
    let file = refused(&[]);
    assert!(file.ends_with("quintet.toml: streams.max_page: expected 1 to 100000"), "{file}");
}

fn check(home: &Home, settings: &[(&str, &str)], arguments: &[&str]) -> anyhow::Result<Output> {
    let mut command = home.command()?;
    Ok(command.args(["config", "check"]).args(arguments).envs(settings.iter().copied()).output()?)
}

#[test]
fn what_a_start_refuses_a_check_refuses_too() {
    let home = Home::sqlite().unwrap();
    for (name, value, word) in [
        ("QUINTET_AUTH__INTERNAL_KEY", "short", "auth.internal_key"),
        ("QUINTET_AUTH__ADMIN_PASSWORD", "", "auth.admin_password"),
        ("QUINTET_AUTH__SNAP_PASSWORD", "", "auth.snap_password"),
        ("QUINTET_ZORK__X", "1", "zork"),
        ("QUINTET_TASKS__ZORK", "1", "tasks.zork"),
        ("QUINTET_TRIBE__ZORK", "1", "tribe.zork"),
        ("QUINTET_EVENTS__ZORK", "1", "events.zork"),
        ("QUINTET_EVENTS__LISTEN__ADDRESS", "nowhere", "events.listen.address"),
        ("QUINTET_DTRACE__LISTEN__WORKERS", "0", "dtrace.listen.workers"),
        ("QUINTET_STREAMS__EVENTS_URL", "ftp://events", "streams.events_url"),
        ("QUINTET_GATEWAY__WORKERS", "0", "gateway.workers"),
        ("QUINTET_AUTH__ADMIN_USER", "a:b", "auth.admin_user"),
        ("QUINTET_SHUTDOWN_TIMEOUT_SECS", "18446744073709551615", "shutdown_timeout_secs"),
        ("QUINTET_ANNOTATE__MAX_LISTENERS", "2305843009213693952", "annotate.max_listeners"),
        ("QUINTET_DTRACE__IDENTITY_URL", "nonsense", "dtrace.identity_url"),
        ("QUINTET_DATABASE_URL", "postgres://h:99999/x", "database_url: database_url"),
    ] {
        let output = check(&home, &[(name, value)], &[]).unwrap();
        // A variable is named as it was written.
        let text = String::from_utf8_lossy(&output.stderr).to_ascii_lowercase();
        assert!(!output.status.success() && text.contains(word), "{name}={value}: {text}");
        let Err(error) = home.start(&[(name, value)]) else { panic!("started with {name}={value}") };
        let text = error.to_string().to_ascii_lowercase();
        assert!(text.contains(word), "{name}={value}: {text}");
    }
}

#[test]
fn good_settings_are_good_in_words_and_in_json() {
    let home = Home::sqlite().unwrap();
    let promised = [
        ("QUINTET_TASKS__PLUGIN_TRUST", "0"),
        ("QUINTET_TASKS__NODE_NAME", "node-1"),
        ("QUINTET_TRIBE__SEED", "http://seed:8080"),
        ("QUINTET_AUTH__INTERNAL_KEY", "sixteen letters."),
    ];
    let output = check(&home, &promised, &[]).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "settings are good\n");
    let output = check(&home, &promised, &["--output", "json"]).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), json!({ "valid": true }));
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "a check makes nothing");
}

#[test]
fn migrate_makes_the_tables_of_the_gateway_and_of_every_service() {
    let home = Home::sqlite().unwrap();
    let output = home.command().unwrap().args(["migrate", "-o", "json"]).output().unwrap();
    let parts = ["gateway", "events", "streams", "annotate", "dtrace"];
    let expected: Value = parts.iter().map(|part| ((*part).to_owned(), "up to date")).collect();
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), expected);
    for part in parts {
        assert!(home.path().join("data").join(format!("{part}.sqlite")).exists(), "{part}");
    }
}
