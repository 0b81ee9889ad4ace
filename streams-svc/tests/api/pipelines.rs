//! Failures, retries, reload, tail and trimming.

use crate::common::{Fixture, PIPELINES, Receiver, TRIGGERS, at, event, part, time};
use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use serde_json::{Value as Json, json};
use std::time::Duration;
use streams_svc::config::Config;
use streams_svc::definitions::Definitions;

const TRIGGER: &str = "
- name: any
  debug_level: 2
  distinguished_by: [host]
  expiration: $last + 1h
  fire_pipeline: fire
  match_criteria: [{event_type: '*'}]
  fire_criteria: [{event_type: '*'}]
";

/// Cannot be built: it has neither exchange nor queue.
const BROKEN: &str = "fire: [logger, {name: notabene, params: {}}]";

const REASON: &str = "pipeline 'fire', handler 'notabene': no 'queue_name' given";

async fn failed(config: &Config) -> Fixture {
    let fixture = Fixture::with(part(TRIGGER, BROKEN), config);
    fixture.add(event("a", "m1", "2015-02-27T14:00:00", json!({ "host": "h" }))).await;
    fixture.set_clock("2015-02-27T14:58:00");
    assert_eq!(fixture.work().await, 1);
    fixture
}

#[actix_web::test]
async fn stream_in_error_tells_why_and_returns_to_retry_fire_on_put() {
    let fixture = failed(&Config::default()).await;
    assert_eq!(fixture.one("/v1/streams/1").await["state"], "error");
    let history = fixture.get("/v1/streams/1/history").await.json();
    assert_eq!(history[2]["reason"], REASON);
    assert_eq!(history[2]["at"], time("2015-02-27T14:58:00"));
    fixture.set_clock("2015-02-27T15:58:00");
    assert_eq!(fixture.work().await, 0, "nothing is tried again by itself");

    assert_eq!(fixture.send(TestRequest::put().uri("/v1/streams/1")).await.status, StatusCode::OK);
    assert_eq!(fixture.one("/v1/streams/1").await["state"], "retry_fire");
    assert_eq!(fixture.work().await, 1);
    let states = ["active", "firing", "error", "retry_fire", "firing", "error"];
    assert_eq!(fixture.states(1).await, states);
    let counters = fixture.get("/v1/streams/debug").await.json();
    assert_eq!(counters["triggers"], json!(["any"]));
    assert_eq!(counters["counters"]["any"]["counters"]["New stream"], 1);
    assert_eq!(counters["counters"]["any"]["match"]["passed"], 2);
}

#[actix_web::test]
async fn stream_in_error_stays_where_completed_ones_are_deleted() {
    let fixture = failed(&Config { purge_completed_streams: Some(true), ..Config::default() }).await;
    assert_eq!(fixture.one("/v1/streams/1").await["state"], "error");
}

#[actix_web::test]
async fn failed_pipeline_is_tried_again_with_doubled_waits_where_that_is_wanted() {
    let config = Config { retry_limit: 2, retry_wait_secs: 10, ..Config::default() };
    let fixture = failed(&config).await;
    assert_eq!(fixture.one("/v1/streams/1").await["state"], "retry_fire");
    for (clock, taken) in [
        ("2015-02-27T14:58:10", 0),
        ("2015-02-27T14:58:11", 1),
        ("2015-02-27T14:58:31", 0),
        ("2015-02-27T14:58:32", 1),
        ("2015-02-27T23:00:00", 0),
    ] {
        fixture.set_clock(clock);
        assert_eq!(fixture.work().await, taken, "{clock}");
    }
    let states = ["active", "firing", "retry_fire", "firing", "retry_fire", "firing", "error"];
    assert_eq!(fixture.states(1).await, states);
}

#[actix_web::test]
async fn unknown_pipeline_or_trigger_is_an_error_of_the_stream_alone() {
    let fixture = Fixture::with(part(TRIGGER, "other: [logger]"), &Config::default());
    fixture.add(event("a", "m1", "2015-02-27T14:00:00", json!({ "host": "h" }))).await;
    fixture.set_clock("2015-02-27T14:58:00");
    assert_eq!(fixture.work().await, 1);
    let history = fixture.get("/v1/streams/1/history").await.json();
    assert_eq!(
        (&history[2]["state"], &history[2]["reason"]),
        (&json!("error"), &json!("Unknown pipeline 'fire'"))
    );
}

#[actix_web::test]
async fn pipeline_that_hangs_fails_in_time_and_holds_up_nobody() {
    // Takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let config = Config { pipeline_timeout_secs: 1, pipeline_threads: 2, ..Config::default() };
    let pipelines =
        format!("fire: [{{name: webhook, params: {{url: '{url}', secret: s}}}}]\nexpire: [logger]");
    let triggers = format!(
        "{TRIGGER}{}",
        TRIGGER.replace("any", "quick").replace("fire_pipeline: fire", "fire_pipeline: expire")
    );
    let fixture = Fixture::with(part(&triggers, &pipelines), &config);
    fixture.add(event("a", "m1", "2015-02-27T14:00:00", json!({ "host": "h" }))).await;
    fixture.set_clock("2015-02-27T14:58:00");
    let started = std::time::Instant::now();
    assert_eq!(fixture.work().await, 2);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    // A commit that fails is noted; the stream is done all the same, as in the original.
    assert_eq!(fixture.get("/v1/streams/count?state=completed").await.json(), json!([{ "count": 2 }]));
    let history = async |name: &str| {
        let id = fixture.one(&format!("/v1/streams?name={name}")).await["id"].clone();
        fixture.get(&format!("/v1/streams/{id}/history")).await.json()
    };
    let reason =
        "pipeline 'fire', handler 'webhook': not delivered, attempts: 1, the last: no answer in time";
    let slow = history("any").await;
    assert_eq!((&slow[2]["state"], &slow[2]["reason"]), (&json!("completed"), &json!(reason)));
    assert_eq!(history("quick").await[2]["reason"], Json::Null);
}

#[actix_web::test]
async fn webhook_reaches_its_receiver() {
    let receiver = Receiver::new();
    let pipelines =
        format!("fire: [{{name: webhook, params: {{url: '{}/hook', secret: s}}}}]", receiver.url());
    // A replay: to the engine it is 2015, to the receiver it is not.
    let mut part = part(TRIGGER, &pipelines);
    part.time_sync_endpoint = Some("internal".to_owned());
    let fixture = Fixture::with(part, &Config::default());
    let event = event("a", "m1", "2015-02-27T14:00:00", json!({ "host": "h" }));
    fixture.add(event.clone()).await;
    fixture.tick("2015-02-27T14:58:00").await;
    fixture.set_clock("2026-02-27T14:58:00");
    let (taken, request) = tokio::join!(fixture.work(), receiver.take());
    assert_eq!(taken, 1);
    assert!(request.starts_with("POST /hook HTTP/1.1\r\n"), "{request}");
    // date -ud 2026-02-27T14:58:00 +%s
    assert!(request.to_ascii_lowercase().contains("x-quintet-timestamp: 1772204280\r\n"), "{request}");
    let body: Json = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body, json!({ "stream_id": 1, "stream_name": "any", "events": [event] }));
    assert_eq!(fixture.one("/v1/streams/1").await["state"], "completed");
}

#[actix_web::test]
async fn reload_takes_new_definitions_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("winchester.yaml", "trigger_definitions: triggers.yaml\npipeline_config: pipelines.yaml\n");
    write("triggers.yaml", TRIGGERS);
    write("pipelines.yaml", PIPELINES);
    let config = Config::default();
    let definitions = Definitions::load(Some(folder.path().join("winchester.yaml")), &config).unwrap();
    let fixture = Fixture::defined(definitions, &config);
    let reload = || TestRequest::post().uri("/v1/streams/reload");

    write("triggers.yaml", "- name: broken\n");
    let refused = fixture.send(reload()).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(
        refused.json()["description"].as_str().unwrap().contains("triggers.yaml:1: trigger 'broken'"),
        "{}",
        refused.body
    );
    let kept = fixture.get("/v1/streams/debug").await.json();
    assert_eq!((&kept["triggers"], &kept["generation"]), (&json!(["test_trigger"]), &json!(0)));

    write("triggers.yaml", TRIGGER);
    let taken = fixture.send(reload()).await.json();
    assert_eq!((&taken["triggers"], &taken["generation"]), (&json!(["any"]), &json!(1)));
    fixture.add(event("a", "m1", "2015-02-27T14:00:00", json!({ "host": "h" }))).await;
    assert_eq!(fixture.one("/v1/streams").await["name"], "any");
}

#[actix_web::test]
async fn events_counted_by_old_fire_criteria_are_counted_anew() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let wanting = |number: u32| {
        TRIGGER
            .replace("fire_criteria: [{event_type: '*'}]", &format!("fire_criteria: [{{number: {number}}}]"))
    };
    write("winchester.yaml", "trigger_definitions: triggers.yaml\n");
    write("triggers.yaml", &wanting(5));
    let config = Config::default();
    let fixture = Fixture::defined(
        Definitions::load(Some(folder.path().join("winchester.yaml")), &config).unwrap(),
        &config,
    );
    for id in ["m1", "m2"] {
        fixture.add(event("a", id, "2015-02-27T14:00:00", json!({ "host": "h" }))).await;
    }
    write("triggers.yaml", &wanting(3));
    fixture.send(TestRequest::post().uri("/v1/streams/reload")).await;
    assert_eq!(fixture.one("/v1/streams").await["fire_timestamp"], Json::Null);
    fixture.add(event("a", "m3", "2015-02-27T14:00:00", json!({ "host": "h" }))).await;
    assert_eq!(fixture.one("/v1/streams").await["fire_timestamp"], time("2015-02-27T14:57:32"));
}

#[actix_web::test]
async fn tail_goes_on_after_the_last_event_seen() {
    let fixture = Fixture::with(part(TRIGGER, "fire: [logger]"), &Config::default());
    for (id, host) in [("m1", "h1"), ("m2", "h2")] {
        fixture.add(event("a", id, "2015-02-27T14:00:00", json!({ "host": host }))).await;
    }
    let state = fixture.state.clone();
    let app = actix_web::App::new().configure(move |cfg| state.configure(cfg));
    let app = actix_web::test::init_service(app).await;
    let follow = async |last: &str| {
        let request =
            TestRequest::get().uri("/v1/streams/tail").insert_header(("Last-Event-ID", last.to_owned()));
        let answer = actix_web::test::call_service(&app, request.to_request()).await;
        assert_eq!(answer.headers().get("content-type").unwrap(), "text/event-stream");
        let mut body = Box::pin(answer.into_body());
        let mut next = async || {
            let next = std::future::poll_fn(|cx| actix_web::body::MessageBody::poll_next(body.as_mut(), cx));
            let chunk = tokio::time::timeout(Duration::from_secs(10), next).await.unwrap().unwrap();
            String::from_utf8(chunk.ok().unwrap().to_vec()).unwrap()
        };
        assert_eq!(next().await, format!("id: {last}\n\n"), "the place where it begins");
        next().await
    };
    let first = follow("0-0").await;
    assert!(
        first.contains("\nevent: stream\ndata: {\"stream_id\":1,\"name\":\"any\",\"serial\":0,"),
        "{first}"
    );
    assert!(first.ends_with("\"state\":\"active\",\"reason\":null}\n\n"), "{first}");
    let id = first.lines().next().unwrap().strip_prefix("id: ").unwrap().to_owned();
    let second = follow(&id).await;
    assert!(second.contains("data: {\"stream_id\":2,"), "{second}");
    let wrong = TestRequest::get().uri("/v1/streams/tail").insert_header(("Last-Event-ID", "x"));
    assert_eq!(fixture.send(wrong).await.status, StatusCode::BAD_REQUEST);
}

#[actix_web::test]
async fn old_events_leave_their_streams_where_that_is_wanted() {
    let fixture = Fixture::new();
    for (id, at) in
        [("m1", "2015-02-27T10:00:00"), ("m2", "2015-02-27T11:00:00"), ("m3", "2015-02-27T12:00:00")]
    {
        fixture.add(event("compute.instance.update", id, at, json!({ "instance_id": "i" }))).await;
    }
    let cutoff = shared::datetime::to_micros(at("2015-02-27T12:00:00"));
    let trim = move |conn: &mut _| streams_svc::store::delete_members_before(conn, cutoff, 1);
    let left = async || {
        let stream = fixture.one("/v1/streams/1?details=1").await;
        let ids = stream["events"].as_array().unwrap().iter().map(|event| event["message_id"].clone());
        ids.collect::<Json>()
    };
    assert_eq!(fixture.database.db.write(trim).await.unwrap(), 1);
    assert_eq!(left().await, json!(["m2", "m3"]), "the oldest first");
    assert_eq!(fixture.database.db.write(trim).await.unwrap(), 1);
    assert_eq!(fixture.database.db.write(trim).await.unwrap(), 0);
    assert_eq!(left().await, json!(["m3"]));
}
