//! Grafana's data sources, and its own annotation API as an import path (section 11 of the contract).

use crate::rig::Rig;
use annotate_svc::config::Config;
use serde_json::{Value, json};

fn range() -> Value {
    json!({"from": "1970-01-01T00:00:10.000Z", "to": "1970-01-01T00:01:40.500Z"})
}

#[actix_web::test]
async fn data_source_lists_annotations() {
    let rig = Rig::new();
    rig.create(json!({"Owner": "sre", "Host": "web01", "Category": "outage", "Message": "down",
        "StartDate": "1970-01-01T00:00:20.250Z", "EndDate": "1970-01-01T00:00:30Z"}))
        .await;
    rig.create(json!({"Owner": "ops", "Source": "ci", "Message": "deployed", "StartDate": 40})).await;
    let annotation = json!({"name": "n", "datasource": "d", "iconColor": "red", "enable": true, "query": ""});
    let body =
        json!({"range": range(), "rangeRaw": {"from": "now-1h", "to": "now"}, "annotation": annotation});
    assert_eq!(
        rig.post("/annotations", body.to_string()).await.ok(),
        json!([
            {"annotation": annotation, "time": 40000, "timeEnd": 40000, "isRegion": false, "title": "", "tags": ["ops", "ci"], "text": "deployed"},
            {"annotation": annotation, "time": 20250, "timeEnd": 30000, "isRegion": true, "title": "outage", "tags": ["sre", "web01"], "text": "down"},
        ])
    );
    let mut filtered = body.clone();
    filtered["annotation"]["query"] = json!("owner:sre AND category:out*");
    let found = rig.post("/annotations", filtered.to_string()).await.ok();
    assert_eq!((found.as_array().unwrap().len(), &found[0]["text"]), (1, &json!("down")));
    filtered["annotation"]["query"] = json!("nonsense");
    assert_eq!(
        rig.post("/annotations", filtered.to_string()).await.error(400),
        "bad filter, filter must be in k:v format, got nonsense"
    );
    for bad in ["", "[]", "{}", "{\"range\":{\"from\":\"x\",\"to\":\"y\"}}", "{\"range\":7}"] {
        rig.post("/annotations", bad).await.error(400);
    }
}

#[actix_web::test]
async fn data_source_names_fields_and_values() {
    let rig = Rig::new();
    rig.create(json!({"Owner": "sre"})).await;
    let names = ["Source", "Host", "CreationUser", "Owner", "Category", "Url"];
    assert_eq!(rig.post("/search", "{\"target\":\"\"}").await.ok(), json!(names));
    assert_eq!(
        rig.post("/tag-keys", "").await.ok(),
        json!(names.map(|name| json!({"type": "string", "text": name})))
    );
    assert_eq!(rig.post("/tag-values", "{\"key\":\"Owner\"}").await.ok(), json!([{"text": "sre"}]));
    assert_eq!(rig.post("/tag-values", "{\"key\":\"Sizource\"}").await.error(400), "invalid field Sizource");
}

#[actix_web::test]
async fn data_source_queries_tables_and_counts() {
    let rig = Rig::new();
    for (owner, at) in [("sre", 5), ("sre", 10), ("sre", 19), ("ops", 50), ("", 99)] {
        rig.create(json!({"Owner": owner, "StartDate": at, "EndDate": 99})).await;
    }
    let query = |target: Value| {
        json!({"range": range(), "intervalMs": 45_250, "maxDataPoints": 100, "targets": [target]}).to_string()
    };
    // 90.5 seconds in intervals of 45.25: one point each at 10, 55.25 and 100.5 seconds. What began before is not counted.
    let counts =
        rig.post("/query", query(json!({"target": "", "refId": "A", "type": "timeserie"}))).await.ok();
    assert_eq!(
        counts,
        json!([{"target": "annotations", "refId": "A", "datapoints": [[3, 10000], [1, 55250], [0, 100500]]}])
    );
    let owners = rig.post("/query", query(json!({"target": "Owner", "refId": "A"}))).await.ok();
    assert_eq!(
        owners,
        json!([{"target": "ops", "refId": "A", "datapoints": [[1, 10000], [0, 55250], [0, 100500]]},
        {"target": "sre", "refId": "A", "datapoints": [[2, 10000], [0, 55250], [0, 100500]]}])
    );
    let table =
        rig.post("/query", query(json!({"target": "owner:ops", "refId": "B", "type": "table"}))).await.ok();
    assert_eq!(
        (&table[0]["type"], &table[0]["rows"][0][0], &table[0]["rows"][0][7]),
        (&json!("table"), &json!(50000), &json!("ops"))
    );
    assert_eq!(table[0]["columns"][0], json!({"text": "StartDate", "type": "time"}));
    let adhoc = json!({"range": range(), "targets": [{"target": "", "type": "table"}],
        "adhocFilters": [{"key": "Owner", "operator": "!=", "value": "sre"}]});
    assert_eq!(rig.post("/query", adhoc.to_string()).await.ok()[0]["rows"].as_array().unwrap().len(), 2);
    let unknown = json!({"range": range(), "targets": [{"target": ""}], "adhocFilters": [{"key": "Foo", "operator": "=", "value": ""}]});
    assert_eq!(rig.post("/query", unknown.to_string()).await.error(400), "filter Foo = cannot be used");
    // What goes back with each annotation is small.
    let echoed =
        |bytes: usize| json!({"range": range(), "annotation": {"name": "x".repeat(bytes)}}).to_string();
    assert_eq!(rig.post("/annotations", echoed(4096 - 11)).await.status, 200);
    assert_eq!(
        rig.post("/annotations", echoed(4096 - 10)).await.error(400),
        "annotation: at most 4096 bytes"
    );
    // A panel cannot ask for more points than one answer holds.
    let fine = json!({"range": {"from": "2000-01-01T00:00:00Z", "to": "2020-01-01T00:00:00Z"}, "intervalMs": 1, "targets": [{}]});
    let points = rig.post("/query", fine.to_string()).await.ok()[0]["datapoints"].as_array().unwrap().len();
    assert!((10_000..=11_001).contains(&points), "{points}");
}

#[actix_web::test]
async fn tables_of_one_answer_have_a_bound_together() {
    let rig = Rig::with(Config { max_rows: 3, ..Config::default() });
    for _ in 0..2 {
        rig.create(json!({"StartDate": 50})).await;
    }
    let query = |kinds: &[&str]| {
        let targets: Vec<Value> = kinds.iter().map(|kind| json!({"target": "", "type": kind})).collect();
        json!({"range": range(), "targets": targets}).to_string()
    };
    for fitting in [&["table"][..], &["table", "timeserie", "timeserie"]] {
        assert_eq!(rig.post("/query", query(fitting)).await.status, 200, "{fitting:?}");
    }
    assert_eq!(
        rig.post("/query", query(&["table", "table"])).await.error(400),
        "more than 3 annotations match: narrow the window or the filter"
    );
}

#[actix_web::test]
async fn grafanas_own_annotations_can_be_imported() {
    let rig = Rig::new();
    let body = json!({"dashboardUID": "x", "panelId": 2, "time": 1_507_037_197_339_i64, "timeEnd": 1_507_180_805_056_i64,
        "tags": ["deploy", "owner:sre", "build:7"], "text": "Annotation Description"});
    let added = rig.post("/api/annotations", body.to_string()).await.ok();
    let id = added["id"].as_i64().unwrap();
    assert_eq!(added, json!({"message": "Annotation added", "id": id}));
    let found = rig.get(&format!("/api/annotations/{id}")).await.ok();
    for (name, expected) in [
        ("id", json!(id)),
        ("time", json!(1_507_037_197_339_i64)),
        ("timeEnd", json!(1_507_180_805_056_i64)),
        ("text", json!("Annotation Description")),
        ("tags", json!(["deploy", "owner:sre", "build:7"])),
    ] {
        assert_eq!(found[name], expected, "{name}");
    }
    // The same annotation in this service's own form.
    let own = rig.get("/annotation/query?StartDate=1507037000&EndDate=1507037200").await.ok();
    assert_eq!(
        (&own[0]["Owner"], &own[0]["Category"], &own[0]["Source"]),
        (&json!("sre"), &json!("deploy"), &json!("grafana"))
    );
    assert_eq!(own[0]["StartDate"], json!("2017-10-03T13:26:37Z"));

    let patched = rig
        .request("PATCH", &format!("/api/annotations/{id}"), json!({"text": "New"}).to_string())
        .send()
        .await;
    assert_eq!(patched.ok(), json!({"message": "Annotation patched"}));
    let updated = rig
        .put(
            &format!("/api/annotations/{id}"),
            json!({"text": "Newer", "tags": [], "time": 1000}).to_string(),
        )
        .await;
    assert_eq!(updated.ok(), json!({"message": "Annotation updated"}));
    let found = rig.get(&format!("/api/annotations/{id}")).await.ok();
    assert_eq!(
        (&found["text"], &found["time"], &found["timeEnd"]),
        (&json!("Newer"), &json!(1000), &json!(1000))
    );
    assert_eq!(
        rig.delete(&format!("/api/annotations/{id}")).await.ok(),
        json!({"message": "Annotation deleted"})
    );
    let gone = rig.get(&format!("/api/annotations/{id}")).await;
    assert_eq!(
        (gone.status.as_u16(), gone.json()),
        (404, json!({"message": "Failed to find annotation", "error": "not found"}))
    );
}

#[actix_web::test]
async fn grafanas_own_annotations_are_listed_by_time_and_tags() {
    let rig = Rig::new();
    for n in 1..=5_i64 {
        let tags = if n % 2 == 0 { json!(["even", "all"]) } else { json!(["odd", "all"]) };
        rig.post(
            "/api/annotations",
            json!({"time": n * 1000, "tags": tags, "text": n.to_string()}).to_string(),
        )
        .await
        .ok();
    }
    rig.create(json!({"Message": "own", "Owner": "even", "StartDate": 3})).await;
    let rig = &rig;
    let list = |query: &'static str| async move {
        let list = rig.get(&format!("/api/annotations{query}")).await.ok();
        list.as_array()
            .unwrap()
            .iter()
            .map(|one| one["text"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(list("?tags=odd").await, ["5", "3", "1"]);
    assert_eq!(list("?tags=even&tags=all").await, ["4", "2"]);
    assert_eq!(list("?tags=even&from=3000&to=4000").await.len(), 2);
    assert!(list("?tags=even&tags=odd").await.is_empty());
    assert_eq!(list("?tags=even&tags=odd&matchAny=true").await.len(), 6);
    assert_eq!(list("?from=4000&to=4999&limit=10&type=annotation").await, ["4"]);
    assert_eq!(list("?limit=2").await, ["5", "4"]);
    let answer = rig.get("/api/annotations?from=x").await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["message"].clone()),
        (400, json!("Failed to get annotations"))
    );
}

#[actix_web::test]
async fn wrong_imports_are_refused_in_grafanas_form() {
    let rig = Rig::new();
    for (uri, body, message, error) in [
        (
            "/api/annotations",
            "{\"text\":\"\"}",
            "Failed to save annotation",
            "text field should not be empty",
        ),
        (
            "/api/annotations",
            "{\"text\":\"a\\u0000\"}",
            "Failed to save annotation",
            "a text contains the character U+0000",
        ),
        (
            "/api/annotations",
            "{\"text\":\"a\",\"time\":9223372036854775807}",
            "Failed to save annotation",
            "time is out of range",
        ),
        (
            "/api/annotations",
            "{\"text\":\"a\",\"time\":2000,\"timeEnd\":1000}",
            "Failed to save annotation",
            "EndDate is before StartDate",
        ),
        (
            "/api/annotations/graphite",
            "{}",
            "Failed to save Graphite annotation",
            "what field should not be empty",
        ),
    ] {
        let answer = rig.post(uri, body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (400, json!({"message": message, "error": error})),
            "{body}"
        );
    }
    for body in ["", "[]", "{\"text\":7}", "{\"tags\":{}}"] {
        assert_eq!(rig.post("/api/annotations", body).await.status.as_u16(), 400, "{body}");
    }
    for (uri, status) in [
        ("/api/annotations/x", 400),
        ("/api/annotations/99", 404),
        ("/api/annotations/99999999999999999999", 400),
    ] {
        assert_eq!(rig.get(uri).await.status.as_u16(), status);
        assert_eq!(rig.delete(uri).await.status.as_u16(), status);
        assert_eq!(rig.put(uri, "{\"text\":\"x\"}").await.status.as_u16(), status);
    }
}

#[actix_web::test]
async fn graphite_events_go_in_and_out() {
    let rig = Rig::new();
    let event = json!({"what": "Event - deploy", "tags": ["deploy", "production"], "when": 1_456_369_700, "data": "deploy of master"});
    let added = rig.post("/api/annotations/graphite", event.to_string()).await.ok();
    let id = added["id"].as_i64().unwrap();
    assert_eq!(added, json!({"message": "Graphite annotation added", "id": id}));
    // Older Graphite has tags in one text.
    rig.post("/api/annotations/graphite", json!({"what": "other", "tags": "a b"}).to_string()).await.ok();
    let events = rig.get("/events/get_data?tags=deploy&from=-24h&until=now").await.ok();
    assert_eq!(
        events,
        json!([{"id": id, "what": "Event - deploy", "when": 1_456_369_700, "tags": ["deploy", "production"],
        "data": "deploy of master"}])
    );
    assert_eq!(rig.get("/events/get_data?tags=a+b").await.ok().as_array().unwrap().len(), 1);
    // It is 03:08:41 on 25 February 2016.
    for (from, expected) in [
        ("1456369699", 2),
        ("1456369701", 1),
        ("03:08_20160225", 2),
        ("20160225", 2),
        ("-1min", 2),
        ("-10s", 1),
    ] {
        let events = rig.get(&format!("/events/get_data?from={from}&until=1456370000")).await.ok();
        assert_eq!(events.as_array().unwrap().len(), expected, "{from}");
    }
    for bad in ["from=yesterday", "from=-1x", "until=25:00_20160225", "from=-99999999999999999h"] {
        rig.get(&format!("/events/get_data?{bad}")).await.error(400);
    }
}
