//! The product as a whole: start, identity, stop, deployment files.

use e2e::Home;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_and_ends_with_success() {
    let product = Home::sqlite().unwrap().start(&[]).unwrap();
    product.terminate().await.unwrap();
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
    // Through the gateway a forged header gains nothing, and hurts nothing.
    let count = client.get(format!("{}/v1/events/count", product.url)).header("x-quintet-identity", &forged);
    let count: Value = count.send().await.unwrap().json().await.unwrap();
    assert_eq!(count[0]["count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_stops_the_start_and_is_named_with_its_file() {
    let home = Home::sqlite().unwrap();
    std::fs::write(home.path().join("quintet.toml"), "[gateway]\nlissten = \"x\"\n").unwrap();
    let output = home.command().unwrap().args(["config", "check"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("lissten") && text.contains("quintet.toml"), "{text}");
}

/// The names in the deployment files must be names the product knows.
#[test]
fn every_variable_of_the_compose_file_is_a_setting() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let reference = std::fs::read_to_string(root.join("docs/configuration.md")).unwrap();
    let keys: BTreeSet<&str> = reference.split('`').collect();
    for file in ["docker-compose.yml", "deploy/Dockerfile"] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let variables = text
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter_map(|word| word.strip_prefix("QUINTET_"));
        for variable in variables {
            let key = variable.to_ascii_lowercase().replace("__", ".");
            assert!(keys.contains(key.as_str()), "{file}: QUINTET_{variable} is no setting");
        }
    }
}
