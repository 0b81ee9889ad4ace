//! What the API documents promise is what the real binary answers: every described answer is caused once and compared
//! with its schema.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod documents;

use documents::{Documents, examples, faults};
use e2e::{Home, Product};
use reqwest::RequestBuilder;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::Duration;

/// Larger than every body that the product takes here.
const LONG_BODY: usize = 70_000;

/// One stream a day and instance, that neither fires nor expires while the test runs.
const TRIGGERS: &str = r#"
- name: daily
  debug_level: 2
  distinguished_by: [instance_id, timestamp: day]
  expiration: "$last + 30000d"
  fire_pipeline: quiet
  match_criteria: [{event_type: compute.instance.*}]
  fire_criteria: [{event_type: compute.instance.delete.end}]
"#;

/// Headers of everybody who asks.
fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect()
}

fn admin() -> HeaderMap {
    headers(&[("x-user-id", "u"), ("x-project-id", "p"), ("x-roles", "admin")])
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The product with small bodies and a trigger, Panko's own listener at `panko`, and a file that takes it out.
fn start(home: &Home, panko: &str) -> Product {
    let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
    write("triggers.yaml", TRIGGERS);
    write("pipelines.yaml", "quiet: []");
    write("winchester.yaml", "trigger_definitions: triggers.yaml\npipeline_config: pipelines.yaml\n");
    let most = (LONG_BODY / 2).to_string();
    home.start(&[
        ("QUINTET_WINCHESTER_CONFIG", "winchester.yaml"),
        ("QUINTET_EVENTS__MAX_BODY_BYTES", &most),
        ("QUINTET_EVENTS__DISABLE_BY_FILE_PATH", "disabled"),
        ("QUINTET_STREAMS__MAX_BODY_BYTES", &most),
        ("QUINTET_GATEWAY__COMPAT__PANKO", panko),
    ])
    .unwrap()
}

/// Events with a trait of every type: integer, float, text, time, and one name with two types.
fn typed_events() -> Value {
    let event = |id: &str, kind: &str, second: &str| {
        json!({
            "message_id": id, "event_type": kind, "generated": format!("2024-03-01T12:00:{second}"),
            "traits": [
                ["instance_id", 1, "i-1"], ["memory_mb", 2, 512], ["load", 3, 0.5],
                ["launched_at", 4, "2024-03-01T11:00:00.000001"], ["memory_mb", 1, "512 MB"],
            ],
            "raw": {"payload": [null, 1.5]},
        })
    };
    json!([event("m-1", "compute.instance.update", "00"), event("m-2", "compute.instance.exists", "01.5")])
}

async fn notifications(documents: &mut Documents) {
    let post = "events-v1 POST /v1/notifications";
    let notification = json!({"message_id": "n-1", "event_type": "image.upload", "publisher_id": "glance"});
    let counts = documents.post(post, "/v1/notifications", json!([notification]), 202).await;
    assert_eq!(counts, json!({"received": 1, "saved": 1, "duplicate": 0, "dropped": 0, "invalid": 0}));
    documents.post(post, "/v1/notifications", json!("no notification"), 400).await;
    documents.post(post, "/v1/notifications", json!({"payload": "x".repeat(LONG_BODY)}), 413).await;
}

async fn posted_events(documents: &mut Documents) {
    let post = "events-v2 POST /v2/events";
    let counts = documents.post(post, "/v2/events", typed_events(), 202).await;
    assert_eq!(counts, json!({"received": 2, "saved": 2, "duplicate": 0, "invalid": 0, "problems": []}));
    documents.post(post, "/v2/events", json!(7), 400).await;
    let long =
        json!({"message_id": "x".repeat(LONG_BODY), "event_type": "t", "generated": "2024-03-01T12:00:00"});
    documents.post(post, "/v2/events", long, 413).await;
}

async fn events_v1(documents: &mut Documents) {
    let ids = |list: Value| -> Vec<String> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|event| event["message_id"].as_str().unwrap().to_owned())
            .collect()
    };
    let list = "events-v1 GET /v1/events";
    for (query, expected) in [
        ("", vec!["m-2", "m-1", "n-1"]),
        ("?mark=%2B", vec!["n-1", "m-1", "m-2"]),
        ("?limit=1&to_datetime=2024-03-01T12:00", vec!["m-1"]),
        ("?traits=memory_mb:512;load:0.5&event_name=compute.instance.exists", vec!["m-2"]),
    ] {
        assert_eq!(ids(documents.ask(list, &format!("/v1/events{query}"), 200).await), expected, "{query}");
    }
    documents.ask(list, "/v1/events?from_datetime=yesterday", 400).await;
    let count = "events-v1 GET /v1/events/count";
    let counted = documents.ask(count, "/v1/events/count?traits=load:0.5", 200).await;
    assert_eq!(counted, json!([{"count": 2}]));
    documents.ask(count, "/v1/events/count?mark=xyz", 400).await;
    let find = "events-v1 GET /v1/events/{message_id}";
    assert_eq!(ids(documents.ask(find, "/v1/events/M-1", 200).await), ["m-1"]);
    documents.ask(find, "/v1/events/m-3", 404).await;
}

/// Asks for a path of events v2 as JSON and as XML, and in the ways that every path refuses.
async fn in_every_language(documents: &mut Documents, operation: &str, target: &str) -> Value {
    let accept = |wanted: &'static str| move |request: RequestBuilder| request.header(ACCEPT, wanted);
    documents.send(operation, target, 200, accept("application/xml")).await;
    documents.send(operation, target, 406, accept("image/png")).await;
    for wanted in ["application/json", "application/xml", "*/*"] {
        documents.send(operation, &format!("{target}?zork=1"), 400, accept(wanted)).await;
    }
    documents.ask(operation, target, 200).await
}

async fn events_v2(documents: &mut Documents) {
    let list = "events-v2 GET /v2/events";
    let own = in_every_language(documents, list, "/v2/events").await;
    assert_eq!(own.as_array().unwrap().len(), 3, "events of no project are shown to admins");
    let query = "q.field=memory_mb&q.op=ge&q.type=integer&q.value=512&sort=generated:desc&limit=1";
    let newest = documents.ask(list, &format!("/v2/events?{query}"), 200).await;
    assert_eq!(newest[0]["generated"], "2024-03-01T12:00:01.500000");
    documents.send(list, "/v2/events", 415, |request| request.body("q")).await;
    let find = "events-v2 GET /v2/events/{message_id}";
    let event = in_every_language(documents, find, "/v2/events/m-1").await;
    let names: Vec<_> =
        event["traits"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["instance_id", "launched_at", "load", "memory_mb", "memory_mb"]);
    documents.ask(find, "/v2/events/m-3", 404).await;
    for wanted in ["application/json", "application/xml", "*/*"] {
        let stranger = |request: RequestBuilder| request.header(ACCEPT, wanted).header("X-User-Id", "");
        documents.send(list, "/v2/events", 403, stranger).await;
        documents.send(find, "/v2/events/m-1", 403, stranger).await;
    }
}

async fn event_types(documents: &mut Documents) {
    let (types, one) = ("events-v2 GET /v2/event_types", "events-v2 GET /v2/event_types/{event_type}");
    let traits = "events-v2 GET /v2/event_types/{event_type}/traits";
    let values = "events-v2 GET /v2/event_types/{event_type}/traits/{trait_name}";
    let exists = "/v2/event_types/compute.instance.exists";
    let names = in_every_language(documents, types, "/v2/event_types").await;
    assert_eq!(names, json!(["compute.instance.exists", "compute.instance.update", "image.upload"]));
    let described = in_every_language(documents, traits, &format!("{exists}/traits")).await;
    assert_eq!(described.as_array().unwrap().len(), 5);
    let both = in_every_language(documents, values, &format!("{exists}/traits/memory_mb")).await;
    let both: Vec<_> =
        both.as_array().unwrap().iter().map(|value| value["value"].as_str().unwrap()).collect();
    assert_eq!(both, ["512 MB", "512"]);
    documents.ask(one, exists, 404).await;
    documents.ask(one, &format!("{exists}?zork=1"), 400).await;
    documents.send(one, exists, 406, |request| request.header(ACCEPT, "image/png")).await;
    for (operation, target) in [
        (types, "/v2/event_types".to_owned()),
        (one, exists.to_owned()),
        (traits, format!("{exists}/traits")),
        (values, format!("{exists}/traits/memory_mb")),
    ] {
        documents.send(operation, &target, 401, |request| request.header("X-Roles", "member")).await;
    }
}

/// What Panko's own listener has besides, until a file takes the instance out.
async fn panko_root(documents: &mut Documents, home: &Home, panko: &str) {
    let root = "events-v2 GET /";
    let versions = documents.ask(root, &format!("http://{panko}/"), 200).await;
    assert_eq!(versions["versions"]["values"][0]["links"][0]["href"], format!("http://{panko}/v2"));
    documents
        .send(root, &format!("http://{panko}/"), 406, |request| request.header(ACCEPT, "text/xml"))
        .await;
    documents.ask("events-v2 HEAD /", &format!("http://{panko}/"), 200).await;
    let health = format!("http://{panko}/healthcheck");
    for (status, word) in [(200, "OK"), (503, "DISABLED BY FILE")] {
        assert_eq!(documents.ask("events-v2 GET /healthcheck", &health, status).await, word);
        let as_json = |request: RequestBuilder| request.header(ACCEPT, "application/json");
        let body = documents.send("events-v2 GET /healthcheck", &health, status, as_json).await;
        assert_eq!(body["reasons"], json!([word]));
        documents.ask("events-v2 HEAD /healthcheck", &health, status).await;
        std::fs::write(home.path().join("disabled"), "").unwrap();
    }
}

async fn streams(documents: &mut Documents) {
    let (list, find) = ("streams GET /v1/streams", "streams GET /v1/streams/{id}");
    let mut id = None;
    // The events were posted before; streams follow within a fraction of a second.
    for _ in 0..100 {
        let streams = documents.ask(list, "/v1/streams?distinguishing_traits=instance_id:i-1", 200).await;
        id = streams[0]["id"].as_i64();
        if id.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let one = format!("/v1/streams/{}", id.unwrap());
    documents.ask(list, "/v1/streams?state=bored", 400).await;
    let count = "streams GET /v1/streams/count";
    assert_eq!(documents.ask(count, "/v1/streams/count?state=error", 200).await, json!([{"count": 0}]));
    documents.ask(count, "/v1/streams/count?older_than=x", 400).await;
    assert_eq!(documents.ask(find, &format!("{one}?details=1"), 200).await[0]["name"], "daily");
    documents.ask(find, "/v1/streams/x", 400).await;
    let history = "streams GET /v1/streams/{id}/history";
    let changes = documents.ask(history, &format!("{one}/history"), 200).await;
    assert_eq!((&changes[0]["state"], &changes[0]["name"]), (&json!("active"), &json!("daily")));
    documents.ask(history, "/v1/streams/77777/history", 404).await;
    documents.ask(history, "/v1/streams/x/history", 400).await;
    let debug = documents.ask("streams GET /v1/streams/debug", "/v1/streams/debug", 200).await;
    assert_eq!((&debug["triggers"], &debug["pipelines"]), (&json!(["daily"]), &json!(["quiet"])));
    let tail = "streams GET /v1/streams/tail";
    documents.send(tail, "/v1/streams/tail", 400, |request| request.header("Last-Event-ID", "x")).await;
}

async fn triggers(documents: &mut Documents) {
    let ask = "streams POST /v1/streams/match";
    let found = documents.post(ask, "/v1/streams/match", json!({"event_type": "image.upload"}), 200).await;
    assert_eq!(found[0]["matches"], false);
    let event = json!({"event_type": "compute.instance.update", "instance_id": "i-9"});
    let found = documents.post(ask, "/v1/streams/match", event, 200).await;
    assert_eq!((&found[0]["matches"], &found[0]["stream"]), (&json!(true), &Value::Null));
    documents.post(ask, "/v1/streams/match", json!({"event_type": 5}), 400).await;
    documents.post(ask, "/v1/streams/match", json!({"event_type": "x".repeat(LONG_BODY)}), 413).await;
    let reload = "streams POST /v1/streams/reload";
    assert_eq!(documents.ask(reload, "/v1/streams/reload", 200).await["generation"], 1);
}

/// Reset and delete, when nothing else looks at the streams any more.
async fn changed_streams(documents: &mut Documents) {
    let streams = documents.ask("streams GET /v1/streams", "/v1/streams?mark=%2B", 200).await;
    let id = streams[0]["id"].as_i64().unwrap();
    for method in ["PUT", "DELETE"] {
        let operation = format!("streams {method} /v1/streams/{{id}}");
        documents.ask(&operation, "/v1/streams/77777", 404).await;
        documents.ask(&operation, "/v1/streams/x", 400).await;
        documents.ask(&operation, &format!("/v1/streams/{id}"), 200).await;
    }
}

async fn answers_are_as_described(home: &Home) {
    let panko = free_address();
    let product = start(home, &panko);
    let mut documents = Documents::read(&product.url, admin()).await;
    notifications(&mut documents).await;
    posted_events(&mut documents).await;
    events_v1(&mut documents).await;
    events_v2(&mut documents).await;
    event_types(&mut documents).await;
    in_every_language(&mut documents, "events-v2 GET /v2/capabilities", "/v2/capabilities").await;
    panko_root(&mut documents, home, &panko).await;
    streams(&mut documents).await;
    triggers(&mut documents).await;
    std::fs::write(home.path().join("triggers.yaml"), "- name: 7").unwrap();
    documents.ask("streams POST /v1/streams/reload", "/v1/streams/reload", 400).await;
    changed_streams(&mut documents).await;
    // An answer without end, a second replica, and a race that nobody can cause at will.
    let beyond = [
        "streams GET /v1/streams/tail 200",
        "streams POST /v1/streams/reload 202",
        "streams PUT /v1/streams/{id} 409",
    ];
    let mut unseen = documents.unseen(&["events-v1", "events-v2", "streams"]);
    unseen.sort();
    assert_eq!(unseen, beyond);
    product.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_described_answer_of_events_and_streams_is_given_on_sqlite() {
    answers_are_as_described(&Home::sqlite().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_described_answer_of_events_and_streams_is_given_on_postgres() {
    if let Some(home) = Home::postgres().unwrap() {
        answers_are_as_described(&home).await;
    }
}

/// What everybody may see, also without logging in.
async fn public_pages(documents: &mut Documents) {
    let html = |request: RequestBuilder| request.header(ACCEPT, "text/html");
    assert_eq!(documents.ask("admin GET /", "/", 200).await["product"], "quintet");
    documents.send("admin GET /", "/", 200, html).await;
    documents.ask("admin GET /docs", "/docs", 200).await;
    let file = "admin GET /docs/{file}";
    for name in ["openapi", "openapi/admin.json", "openapi/admin.yaml", "page.js", "page.css"] {
        documents.ask(file, &format!("/docs/{name}"), 200).await;
    }
    documents.ask(file, "/docs/openapi/nothing.json", 404).await;
    documents.ask("admin GET /livez", "/livez", 200).await;
    documents.ask("admin GET /readyz", "/readyz", 200).await;
    assert_eq!(documents.ask("admin GET /readyz", "/readyz?verbose", 200).await["checks"]["events"], "ok");
    documents.ask("admin GET /version", "/version", 200).await;
    documents.ask("admin GET /metrics", "/metrics", 200).await;
}

/// Makes and revokes tokens; answers one that may do nothing.
async fn tokens(documents: &mut Documents) -> String {
    let list = "admin GET /admin/tokens";
    let listed = documents.ask(list, "/admin/tokens", 200).await;
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 1, "the token of the first start");
    documents.ask(list, "/admin/tokens?limit=0", 400).await;
    let (make, revoke) = ("admin POST /admin/tokens", "admin DELETE /admin/tokens/{id}");
    let made = documents.post(make, "/admin/tokens", json!({"name": "reader"}), 201).await;
    documents.post(make, "/admin/tokens", json!({"name": ""}), 400).await;
    let long = |request: RequestBuilder| request.body("x".repeat(LONG_BODY));
    documents.send(make, "/admin/tokens", 413, long).await;
    let spare = json!({"name": "spare", "expires_in_secs": 60, "project_id": "p"});
    let spare = documents.post(make, "/admin/tokens", spare, 201).await;
    documents.ask(revoke, &format!("/admin/tokens/{}", spare["id"].as_str().unwrap()), 204).await;
    documents.ask(revoke, "/admin/tokens/nobody", 404).await;
    made["token"].as_str().unwrap().to_owned()
}

async fn dead_letters(documents: &mut Documents) {
    let bad = |request: RequestBuilder| {
        request.json(&json!([{"event_type": 1}, {"event_type": 2}, {"event_type": 3}]))
    };
    let counts = documents.send("events-v1 POST /v1/notifications", "/v1/notifications", 202, bad).await;
    assert_eq!(counts["invalid"], 3);
    let all = "/admin/events/dead-letters";
    let list = "admin GET /admin/events/dead-letters";
    let listed = documents.ask(list, all, 200).await;
    assert_eq!(
        (&listed["total"], &listed["dead_letters"][0]["body"]["text"]),
        (&json!(3), &json!("{\"event_type\":1}"))
    );
    documents.ask(list, &format!("{all}?after=x"), 400).await;
    let one = format!("{all}/{}", listed["dead_letters"][0]["id"]);
    let (find, drop) =
        ("admin GET /admin/events/dead-letters/{id}", "admin DELETE /admin/events/dead-letters/{id}");
    let replay = "admin POST /admin/events/dead-letters/{id}/replay";
    documents.ask(find, &one, 200).await;
    let replayed = documents.ask(replay, &format!("{one}/replay"), 200).await;
    assert_eq!((&replayed["replayed"], &replayed["invalid"]), (&json!(1), &json!(1)));
    documents.ask(drop, &one, 204).await;
    documents.ask(find, &one, 404).await;
    documents.ask(drop, &one, 404).await;
    documents.ask(replay, &format!("{one}/replay"), 404).await;
    let many = "admin POST /admin/events/dead-letters/replay";
    let replayed = documents.ask(many, &format!("{all}/replay?limit=1"), 200).await;
    assert_eq!((&replayed["replayed"], replayed["next"].is_i64()), (&json!(1), true));
    documents.ask(many, &format!("{all}/replay?limit=x"), 400).await;
    let dropped = documents.ask("admin DELETE /admin/events/dead-letters", all, 200).await;
    assert_eq!(dropped, json!({"deleted": 2}));
}

/// Everything that not everybody may do, asked for with a wrong token and with one that may do nothing.
async fn refusals(documents: &mut Documents, powerless: &str) {
    let operations = [
        ("GET /metrics", "/metrics"),
        ("GET /admin/tokens", "/admin/tokens"),
        ("POST /admin/tokens", "/admin/tokens"),
        ("DELETE /admin/tokens/{id}", "/admin/tokens/x"),
        ("GET /admin/events/dead-letters", "/admin/events/dead-letters"),
        ("DELETE /admin/events/dead-letters", "/admin/events/dead-letters"),
        ("POST /admin/events/dead-letters/replay", "/admin/events/dead-letters/replay"),
        ("GET /admin/events/dead-letters/{id}", "/admin/events/dead-letters/1"),
        ("DELETE /admin/events/dead-letters/{id}", "/admin/events/dead-letters/1"),
        ("POST /admin/events/dead-letters/{id}/replay", "/admin/events/dead-letters/1/replay"),
    ];
    for (operation, target) in operations {
        for (token, status) in [("qt_wrong", 401), (powerless, 403)] {
            let bearer = |request: RequestBuilder| request.bearer_auth(token);
            documents.send(&format!("admin {operation}"), target, status, bearer).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_described_answer_of_the_gateway_is_given() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[("QUINTET_AUTH__MODE", "secure")]).unwrap();
    let token = std::fs::read_to_string(home.path().join("data/secrets/admin_token")).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let mut documents = Documents::read(&product.url, headers(&[("authorization", &bearer)])).await;
    public_pages(&mut documents).await;
    let powerless = tokens(&mut documents).await;
    dead_letters(&mut documents).await;
    refusals(&mut documents, &powerless).await;
    assert_eq!(documents.unseen(&["admin"]), ["admin GET /readyz 503"], "nothing is broken here");
    product.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_one() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[]).unwrap();
    let documents = Documents::read(&product.url, HeaderMap::new()).await;
    for (name, document) in documents.all() {
        let examples = examples(document);
        assert!(!examples.is_empty(), "{name}");
        for (place, schema, example) in examples {
            assert_eq!(faults(document, schema, example), [""; 0], "{name}{place}: {example}");
        }
    }
}
