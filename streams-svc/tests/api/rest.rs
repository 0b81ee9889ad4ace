//! Single streams, methods and paths (streams-events-v1.md, sections 1 and 5).

use crate::common::{Fixture, PIPELINES, TRIGGERS, event, part};
use actix_web::http::{Method, StatusCode};
use actix_web::test::TestRequest;
use diesel::RunQueryDsl;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value as Json, json};
use shared::db::{DbConn, DbError, Sql};
use shared::on_backend;
use std::io::Write;
use streams_svc::config::Config;

/// A stream with one event and id 1.
async fn one() -> Fixture {
    let fixture = Fixture::new();
    fixture
        .add(event("compute.instance.update", "m1", "2015-02-27T15:00:00", json!({ "instance_id": "i" })))
        .await;
    fixture
}

fn request(method: &Method, uri: &str) -> TestRequest {
    TestRequest::with_uri(uri).method(method.clone())
}

#[actix_web::test]
async fn unknown_stream_is_an_empty_list_to_read_and_404_to_change() {
    let fixture = one().await;
    let answer = fixture.get("/v1/streams/77").await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "[]"));
    assert_eq!(answer.headers.get("content-type").unwrap(), "application/json; charset=utf-8");
    for method in [Method::PUT, Method::DELETE] {
        let answer = fixture.send(request(&method, "/v1/streams/77")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.json(), json!({ "title": "Not Found", "description": "stream 77 not found" }));
    }
    assert_eq!(fixture.get("/v1/streams/77/history").await.status, StatusCode::NOT_FOUND);
    assert_eq!(fixture.get("/v1/streams/99999999999999999999").await.body, "[]");
    for id in ["x", "-1", "1.0", "%00"] {
        assert_eq!(fixture.get(&format!("/v1/streams/{id}")).await.status, StatusCode::BAD_REQUEST, "{id}");
    }
}

#[actix_web::test]
async fn delete_removes_the_stream_and_its_links_whatever_its_state() {
    let fixture = one().await;
    let answer = fixture.send(request(&Method::DELETE, "/v1/streams/1/")).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ""));
    assert_eq!(fixture.get("/v1/streams/1").await.body, "[]");
    assert_eq!(fixture.states(1).await, ["active", "deleted"]);
    assert_eq!(fixture.events.all().len(), 1, "events stay");
    let left = fixture.database.db.read(|conn| streams_svc::store::list_events(conn, 1)).await.unwrap();
    assert_eq!(left, [""; 0]);
    // Its place is free, and its id is not used again.
    fixture
        .add(event("compute.instance.update", "m2", "2015-02-27T15:01:00", json!({ "instance_id": "i" })))
        .await;
    assert_eq!(fixture.ids("/v1/streams").await, [2]);
}

#[actix_web::test]
async fn post_is_the_method_that_its_header_names() {
    let fixture = one().await;
    let post = |named: &'static str| {
        request(&Method::POST, "/v1/streams/1").insert_header(("X-HTTP-Method-Override", named))
    };
    assert_eq!(fixture.send(post("put")).await.status, StatusCode::OK);
    assert_eq!(fixture.states(1).await, ["active"], "a reset leaves an active stream alone");
    assert_eq!(fixture.send(post("PATCH")).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(
        fixture.send(request(&Method::POST, "/v1/streams/1")).await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(fixture.send(post("Delete")).await.status, StatusCode::OK);
    assert_eq!(fixture.get("/v1/streams").await.body, "[]");
}

#[actix_web::test]
async fn other_methods_are_refused_with_what_is_allowed() {
    let fixture = one().await;
    for (path, allow) in [
        ("/v1/streams", "GET, HEAD, OPTIONS"),
        ("/v1/streams/", "GET, HEAD, OPTIONS"),
        ("/v1/streams/count", "GET, HEAD, OPTIONS"),
        ("/v1/streams/COUNT/", "GET, HEAD, OPTIONS"),
        ("/v1/streams/1", "GET, HEAD, PUT, DELETE, OPTIONS"),
        ("/v1/streams/1/history", "GET, HEAD, OPTIONS"),
        ("/v1/streams/match", "POST, OPTIONS"),
        ("/v1/streams/reload", "POST, OPTIONS"),
        ("/v1/streams/tail", "GET, OPTIONS"),
        ("/v1/streams/debug", "GET, OPTIONS"),
    ] {
        let refused = fixture.send(request(&Method::PATCH, path)).await;
        assert_eq!((refused.status, refused.body.as_str()), (StatusCode::METHOD_NOT_ALLOWED, ""), "{path}");
        assert_eq!(refused.headers.get("allow").unwrap(), allow, "{path}");
        let options = fixture.send(request(&Method::OPTIONS, path)).await;
        assert_eq!((options.status, options.body.as_str()), (StatusCode::NO_CONTENT, ""), "{path}");
        assert_eq!(options.headers.get("allow").unwrap(), allow, "{path}");
    }
    for method in [Method::PUT, Method::DELETE, Method::POST] {
        let refused = fixture.send(request(&method, "/v1/streams/Count")).await;
        assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED, "{method}: count is no id");
    }
    let head = fixture.send(request(&Method::HEAD, "/v1/streams/1")).await;
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(fixture.get("/v1/streams/1/2/3").await.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn dry_run_says_which_trigger_takes_an_event_and_why_not() {
    let fixture = one().await;
    let dry_run = async |event: Json| {
        let answer = fixture.send(TestRequest::post().uri("/v1/streams/match").set_json(event)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.json()
    };
    let day = json!({ "__type__": "timex.TimeRange", "begin": "2015-02-27T00:00:00", "end": "2015-02-28T00:00:00" });
    let found = |instance: &str, stream: Json| {
        json!([{
            "trigger": "test_trigger", "matches": true,
            "distinguishing_traits": { "instance_id": instance, "timestamp": day }, "stream": stream,
        }])
    };
    let update = |instance: &str| json!({ "event_type": "compute.instance.update", "instance_id": instance });
    assert_eq!(dry_run(update("i")).await, found("i", json!(1)));
    assert_eq!(dry_run(update("j")).await, found("j", Json::Null));
    assert_eq!(
        dry_run(json!({ "event_type": "compute.instance.update" })).await,
        json!([{ "trigger": "test_trigger", "matches": false, "reasons": ["not 'instance_id'"] }])
    );
    assert_eq!(fixture.ids("/v1/streams").await, [1], "nothing was stored");
    for body in ["", "[]", "{}", "{\"event_type\": 5}"] {
        let answer = fixture.send(TestRequest::post().uri("/v1/streams/match").set_payload(body)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(update("i").to_string().as_bytes()).unwrap();
    let packed = TestRequest::post().uri("/v1/streams/match").insert_header(("Content-Encoding", "gzip"));
    let packed = fixture.send(packed.set_payload(gzip.finish().unwrap())).await;
    assert_eq!((packed.status, packed.json()), (StatusCode::OK, found("i", json!(1))));
    let long = fixture
        .send(TestRequest::post().uri("/v1/streams/match").set_payload(vec![b' '; (1 << 20) + 1]))
        .await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
}

/// What a dry run says of an update of instance `i` on the day of [`one`].
async fn asked(fixture: &Fixture) -> Json {
    let event = event("compute.instance.update", "m3", "2015-02-27T16:00:00", json!({ "instance_id": "i" }));
    let answer = fixture.send(TestRequest::post().uri("/v1/streams/match").set_json(event)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.json()[0].clone()
}

#[actix_web::test]
async fn dry_run_names_no_stream_whose_time_is_over() {
    let fixture = one().await;
    fixture.set_clock("2015-03-01T14:59:59");
    assert_eq!(asked(&fixture).await["stream"], 1);
    // The stream expires two days after its event of 15:00, whether a worker has come by or not.
    fixture.set_clock("2015-03-01T15:00:00");
    let asked = asked(&fixture).await;
    assert_eq!((&asked["matches"], &asked["stream"]), (&json!(true), &Json::Null));
}

#[actix_web::test]
async fn dry_run_refuses_what_would_have_no_expiration() {
    let triggers = TRIGGERS.replace("$last + 2d", "$last + 9000y");
    assert_ne!(triggers, TRIGGERS);
    let fixture = Fixture::with(part(&triggers, PIPELINES), &Config::default());
    let reason = "expiration: the result is no date of the years 1 to 9999";
    assert_eq!(
        asked(&fixture).await,
        json!({ "trigger": "test_trigger", "matches": false, "reasons": [reason] })
    );
    fixture
        .add(event("compute.instance.update", "m1", "2015-02-27T15:00:00", json!({ "instance_id": "i" })))
        .await;
    assert_eq!(fixture.get("/v1/streams").await.body, "[]", "the engine agrees");
}

#[actix_web::test]
async fn history_that_is_forgotten_is_empty_as_long_as_the_stream_is_there() {
    let fixture = one().await;
    let forget = |conn: &mut DbConn| streams_svc::store::delete_history_before(conn, i64::MAX, 10);
    assert_eq!(fixture.database.db.write(forget).await.unwrap(), 1);
    let answer = fixture.get("/v1/streams/1/history").await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "[]"));
    assert_eq!(fixture.get("/v1/streams/2/history").await.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn details_that_are_too_many_are_refused() {
    let fixture = one().await;
    fixture
        .add(event("compute.instance.update", "m2", "2015-02-27T15:01:00", json!({ "instance_id": "j" })))
        .await;
    // 64 MiB beside the event of the stream.
    let large = |conn: &mut DbConn| {
        let mut sql =
            Sql::new("INSERT INTO members (stream_id, event_id, timestamp, body) VALUES (1, 99, 0, ");
        sql.bind(format!("\"{}\"", "x".repeat((64 << 20) - 2))).push(")");
        on_backend!(conn, c => sql.execute(c)).map_err(DbError::from)
    };
    assert_eq!(fixture.database.db.write(large).await.unwrap(), 1);
    for (uri, text) in [
        (
            "/v1/streams/1?details=true",
            "the events of stream 1 are too many for one answer: ask /v1/events for them",
        ),
        ("/v1/streams?details=true", "the events are too many for one answer: use a smaller limit"),
    ] {
        let answer = fixture.get(uri).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{uri}");
        assert_eq!(answer.json()["description"], text);
    }
    assert_eq!(fixture.one("/v1/streams/2?details=true").await["events"][0]["message_id"], "m2");
    assert_eq!(fixture.ids("/v1/streams").await, [2, 1]);
}

#[actix_web::test]
async fn processed_is_true_once_every_partition_has_passed_the_place() {
    let fixture = one().await;
    let processed = async |query: &str| fixture.get(&format!("/internal/processed?{query}")).await.json();
    assert_eq!(processed("after=0-1").await, json!({ "processed": true }));
    assert_eq!(processed("after=0-2&wait_ms=20").await, json!({ "processed": false }));
    let waiting = processed("after=0-2&wait_ms=10000");
    let adding = fixture.add(event("other", "m2", "2015-02-27T15:01:00", json!({})));
    assert_eq!(tokio::join!(waiting, adding).0, json!({ "processed": true }));
    assert_eq!(fixture.get("/internal/processed?after=x").await.status, StatusCode::BAD_REQUEST);
}
