//! `POST /v1/notifications` (streams-events-v1.md, section 8).

use crate::common::{Answer, Fixture};
use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::io::Write;

fn notification(id: &str) -> Value {
    json!({"message_id": id, "event_type": "compute.instance.update", "publisher_id": "compute.h1",
        "timestamp": "2015-02-27 10:00:00.5", "payload": {"tenant_id": "t1"}})
}

async fn post(fixture: &Fixture, body: impl Into<actix_web::web::Bytes>) -> Answer {
    fixture.send(TestRequest::post().uri("/v1/notifications").set_payload(body)).await
}

fn counts(received: u8, saved: u8, duplicate: u8, dropped: u8, invalid: u8) -> Value {
    json!({"received": received, "saved": saved, "duplicate": duplicate, "dropped": dropped, "invalid": invalid})
}

#[actix_web::test]
async fn one_notification_becomes_an_event() {
    let fixture = Fixture::new();
    let answer = post(&fixture, notification("n1").to_string()).await;
    assert_eq!((answer.status, answer.json()), (StatusCode::ACCEPTED, counts(1, 1, 0, 0, 0)));
    let event = &fixture.get("/v1/events/n1").await.json()[0];
    assert_eq!(event["timestamp"]["datetime"], "2015-02-27T10:00:00.500000");
    assert_eq!((&event["service"], &event["tenant_id"]), (&json!("compute.h1"), &json!("t1")));
}

#[actix_web::test]
async fn a_repeat_is_dropped_in_silence() {
    let fixture = Fixture::new();
    let twice = json!([notification("n1"), notification("n1"), notification("n2")]);
    assert_eq!(post(&fixture, twice.to_string()).await.json(), counts(3, 2, 1, 0, 0));
    assert_eq!(post(&fixture, twice.to_string()).await.json(), counts(3, 0, 3, 0, 0));
    assert_eq!(fixture.get("/v1/events/count").await.json(), json!([{"count": 2}]));
}

#[actix_web::test]
async fn one_bad_notification_spoils_nothing_and_becomes_a_dead_letter() {
    let fixture = Fixture::new();
    let mut nul = notification("n3");
    nul["payload"]["tenant_id"] = json!("a\0b");
    let list = json!([notification("n1"), 7, {"event_type": "x"}, notification("n2")]);
    assert_eq!(post(&fixture, list.to_string()).await.json(), counts(4, 2, 0, 0, 2));
    let letters = fixture.get("/internal/dead-letters").await.json();
    assert_eq!(letters["total"], 2);
    assert_eq!(letters["dead_letters"][0]["body"]["text"], "7");
}

#[actix_web::test]
async fn the_oslo_envelope_is_unwrapped() {
    let fixture = Fixture::new();
    let wrapped = json!({"oslo.version": "2.0", "oslo.message": notification("n1").to_string()});
    assert_eq!(post(&fixture, wrapped.to_string()).await.json(), counts(1, 1, 0, 0, 0));
}

#[actix_web::test]
async fn ndjson_and_gzip_are_taken() {
    let fixture = Fixture::new();
    let lines = format!("{}\n\n{}\nbroken\n", notification("n1"), notification("n2"));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(lines.as_bytes()).unwrap();
    let request = TestRequest::post()
        .uri("/v1/notifications")
        .insert_header(("content-type", "application/x-ndjson"))
        .insert_header(("content-encoding", "gzip"))
        .set_payload(encoder.finish().unwrap());
    assert_eq!(fixture.send(request).await.json(), counts(3, 2, 0, 0, 1));
}

#[actix_web::test]
async fn a_body_that_is_no_notification_is_refused() {
    let fixture = Fixture::new();
    for body in ["", "7", "\"x\"", "null", "{", "[1,", "nonsense", "{} {}"] {
        let answer = post(&fixture, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer.json()["title"], "Bad Request");
    }
    let bad_gzip = TestRequest::post()
        .uri("/v1/notifications")
        .insert_header(("content-encoding", "gzip"))
        .set_payload("not gzip");
    assert_eq!(fixture.send(bad_gzip).await.status, StatusCode::BAD_REQUEST);
}

#[actix_web::test]
async fn hostile_json_never_fails_the_service() {
    let fixture = Fixture::new();
    let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    let huge =
        r#"[{"message_id":"h","event_type":"t","payload":{"n":1e400,"m":123456789012345678901234567890}}]"#;
    let doubled = r#"[{"message_id":"a","message_id":"b","event_type":"t","publisher_id":"p"}]"#;
    let surrogate = r#"[{"message_id":"\ud800","event_type":"t"}]"#;
    for body in [deep.as_str(), huge, doubled, surrogate] {
        let status = post(&fixture, body.to_owned()).await.status;
        assert!(!status.is_server_error(), "{status}: {:.60}", body);
    }
}

#[actix_web::test]
async fn ten_thousand_in_one_list_are_stored_together() {
    let fixture = Fixture::new();
    let list: Vec<Value> = (0..10_000).map(|n| notification(&format!("n{n}"))).collect();
    let answer = post(&fixture, Value::from(list).to_string()).await.json();
    assert_eq!((&answer["received"], &answer["saved"]), (&json!(10_000), &json!(10_000)));
    assert_eq!(fixture.get("/v1/events/count").await.json(), json!([{"count": 10_000}]));
}

#[actix_web::test]
async fn more_notifications_than_are_taken_at_once_are_refused_as_a_whole() {
    let fixture = Fixture::new();
    let list = |count: usize| format!("[{}]", vec!["0"; count].join(","));
    let answer = post(&fixture, list(50_001)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let said = "more than 50000 notifications at once: send them in parts";
    assert_eq!(answer.json(), json!({"title": "Payload Too Large", "description": said}));
    let lines = TestRequest::post()
        .uri("/v1/notifications")
        .insert_header(("content-type", "application/x-ndjson"))
        .set_payload("0\n".repeat(50_001));
    assert_eq!(fixture.send(lines).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(fixture.get("/internal/dead-letters").await.json()["total"], 0);
    let most = post(&fixture, list(50_000)).await;
    assert_eq!((most.status, &most.json()["invalid"]), (StatusCode::ACCEPTED, &json!(50_000)));
}
