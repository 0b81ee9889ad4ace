//! `POST /internal/events`: events of other services.

use crate::common::Fixture;
use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::io::Write;

fn time(text: &str) -> Value {
    json!({ "__type__": "datetime", "datetime": text })
}

fn verdict() -> Value {
    json!({
        "message_id": "v1", "event_type": "compute.instance.exists.verified", "timestamp": time("2015-02-28T00:27:18"),
        "stream_id": 7, "load": 2.0, "error": "None", "launched_at": time("2015-02-27T15:31:24.5"), "gone": null,
    })
}

#[actix_web::test]
async fn event_is_stored_once_with_the_types_of_its_traits() {
    let fixture = Fixture::new();
    let post = |list: Value| fixture.send(TestRequest::post().uri("/internal/events").set_json(list));
    let first = post(json!([verdict(), { "message_id": "v2" }, 5])).await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.json(), json!({ "received": 3, "saved": 1, "duplicate": 0, "invalid": 2 }));
    let again = post(json!([verdict()])).await;
    assert_eq!(again.json(), json!({ "received": 1, "saved": 0, "duplicate": 1, "invalid": 0 }));

    let mut expected = verdict();
    expected.as_object_mut().unwrap().remove("gone");
    expected["launched_at"] = time("2015-02-27T15:31:24.500000");
    assert_eq!(fixture.get("/v1/events/v1").await.json(), json!([expected]));
    assert_eq!(fixture.get("/v1/events?traits=stream_id:7").await.json().as_array().unwrap().len(), 1);
    assert_eq!(post(json!({})).await.status, StatusCode::BAD_REQUEST);
}

/// It is read as every other body is, within the bound of all of them together.
#[actix_web::test]
async fn bodies_of_other_services_are_read_as_all_others() {
    let fixture = Fixture::new();
    let post = |encoding: &str, body: Vec<u8>| {
        let encoding = ("content-encoding", encoding);
        fixture.send(TestRequest::post().uri("/internal/events").insert_header(encoding).set_payload(body))
    };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(json!([verdict()]).to_string().as_bytes()).unwrap();
    assert_eq!(post("gzip", encoder.finish().unwrap()).await.json()["saved"], 1);
    let unknown = post("zstd", b"[]".to_vec()).await;
    assert_eq!(unknown.json()["description"], "content encoding zstd is not supported");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&vec![b' '; (64 << 20) + 1]).unwrap();
    assert_eq!(post("gzip", encoder.finish().unwrap()).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[actix_web::test]
async fn feed_tells_which_events_other_services_have_made() {
    let fixture = Fixture::new();
    let notification = json!({ "message_id": "n1", "event_type": "a.b", "publisher_id": "p", "payload": {} });
    fixture.send(TestRequest::post().uri("/v1/notifications").set_json(notification)).await;
    fixture.send(TestRequest::post().uri("/internal/events").set_json(json!([verdict()]))).await;
    let mut marks = Vec::new();
    let mut cursor = "0-0".to_owned();
    while marks.len() < 2 {
        let feed = fixture.get(&format!("/internal/feed?after={cursor}&wait_ms=20000")).await.json();
        let events = feed["events"].as_array().unwrap();
        assert!(!events.is_empty(), "only {marks:?} came");
        marks.extend(
            events.iter().map(|entry| (entry["event"]["message_id"].clone(), entry.get("emitted").cloned())),
        );
        cursor = feed["cursor"].as_str().unwrap().to_owned();
    }
    assert_eq!(marks, [(json!("n1"), None), (json!("v1"), Some(json!(true)))]);
}

#[actix_web::test]
async fn answer_to_notifications_names_the_place_behind_their_events() {
    let fixture = Fixture::new();
    let notification = json!({ "message_id": "n1", "event_type": "a.b", "publisher_id": "p", "payload": {} });
    let answer = fixture.send(TestRequest::post().uri("/v1/notifications").set_json(notification)).await;
    let named = answer.headers.get("x-quintet-feed-cursor").unwrap().to_str().unwrap().to_owned();
    let feed = fixture.get("/internal/feed?wait_ms=5000").await.json();
    assert_eq!(feed["cursor"], named.as_str());
    let behind = fixture.get(&format!("/internal/feed?after={named}")).await.json();
    assert_eq!(behind["events"], json!([]));
}
