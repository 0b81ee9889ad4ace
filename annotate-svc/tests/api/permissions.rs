//! Two callers with different permissions: what one may not see or change answers as the contract says, on every way
//! to an annotation. The gateway checks ids in paths; here are those that it cannot see.

use crate::rig::{Answer, Rig};
use serde_json::{Value, json};

/// Asks as a caller with these permissions.
async fn ask(rig: &Rig, held: &str, method: &str, uri: &str, body: Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    rig.request(method, uri, body).header("test-permissions", held).send().await
}

#[actix_web::test]
async fn an_id_in_a_body_needs_the_permission_that_an_id_in_a_path_needs() {
    let rig = Rig::new();
    let (own, other) = (rig.create(json!({"Message": "a"})).await, rig.create(json!({"Message": "b"})).await);
    let held = format!("cloud->annotations->create annotations->{own}->edit");
    for method in ["POST", "PUT"] {
        let body = json!({"Id": own, "Message": "mine"});
        assert_eq!(ask(&rig, &held, method, "/annotation", body).await.ok()["Message"], "mine");
        let refused = ask(&rig, &held, method, "/annotation", json!({"Id": other, "Message": "taken"})).await;
        assert_eq!(refused.error(403), format!("not permitted: annotations->{other}->edit"));
        // Whether there is such an annotation is not told either.
        let unknown = "b2ffcb2b-f6bb-4fab-9a41-3ee34dbd1bb4";
        let refused = ask(&rig, &held, method, "/annotation", json!({"Id": unknown})).await;
        assert_eq!(refused.error(403), format!("not permitted: annotations->{unknown}->edit"));
    }
    assert_eq!(rig.get(&format!("/annotation/{other}")).await.ok()["Message"], "b");
    // A new annotation has no id that could be refused.
    assert_eq!(
        ask(&rig, &held, "POST", "/annotation", json!({"Message": "new"})).await.ok()["Message"],
        "new"
    );
}

#[actix_web::test]
async fn a_number_is_what_the_id_behind_it_is() {
    let rig = Rig::new();
    let mut numbers = Vec::new();
    for text in ["a", "b"] {
        let made = rig.post("/api/annotations", json!({"text": text, "time": 1}).to_string()).await.ok();
        numbers.push(made["id"].as_i64().unwrap());
    }
    let list = rig.get("/annotation/query?StartDate=0&EndDate=1").await.ok();
    let id = |text: &str| {
        let found = list.as_array().unwrap().iter().find(|found| found["Message"] == text);
        found.unwrap()["Id"].as_str().unwrap().to_owned()
    };
    let (a, b) = (id("a"), id("b"));
    let path = |number: usize| format!("/api/annotations/{}", numbers[number]);

    // Ada reads a, and nothing else.
    let reads = format!("annotations->{a}->get");
    assert_eq!(ask(&rig, &reads, "GET", &path(0), Value::Null).await.ok()["text"], "a");
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let body = if method == "GET" { Value::Null } else { json!({"text": "taken"}) };
        let hidden = ask(&rig, &reads, method, &path(1), body.clone()).await;
        assert_eq!((hidden.status.as_u16(), &hidden.json()["error"]), (404, &json!("not found")), "{method}");
        if method != "GET" {
            let refused = ask(&rig, &reads, method, &path(0), body).await;
            let action = if method == "DELETE" { "delete" } else { "edit" };
            let text = format!("not permitted: annotations->{a}->{action}");
            assert_eq!((refused.status.as_u16(), &refused.json()["error"]), (403, &json!(text)), "{method}");
        }
    }
    assert_eq!([&rig.get(&path(0)).await.ok()["text"], &rig.get(&path(1)).await.ok()["text"]], ["a", "b"]);

    // Bob may do everything with b.
    let all = format!("annotations->{b}->...");
    assert_eq!(ask(&rig, &all, "PATCH", &path(1), json!({"text": "c"})).await.status, 200);
    assert_eq!(ask(&rig, &all, "DELETE", &path(1), Value::Null).await.status, 200);
    assert_eq!(ask(&rig, &all, "DELETE", &path(0), Value::Null).await.status, 404);
}

#[actix_web::test]
async fn every_list_shows_only_what_the_caller_may_read() {
    let rig = Rig::new();
    let (mut ids, mut expected) = (Vec::new(), Vec::new());
    for (message, owner) in [("disk full", "sre"), ("disk replaced", "ops"), ("disk fine", "dev")] {
        ids.push(rig.create(json!({"Message": message, "Owner": owner, "StartDate": 100})).await);
        expected.push(message);
    }
    let few = format!("annotations->{}->get annotations->{}->_", ids[0], ids[2]);
    // So many that they are not looked up one by one.
    let others = (0..1000).map(|id| format!(" annotations->{}->get", uuid::Uuid::from_u128(id)));
    let many = others.fold(few.clone(), |all, held| all + &held);
    let window = "StartDate=0&EndDate=200";
    for held in [few, many] {
        for uri in [
            format!("/annotation/query?{window}"),
            format!("/annotation/query?{window}&Message=disk"),
            format!("/annotation/query?{window}&Message=disk&order=relevance"),
            format!("/annotation/query?{window}&filter=message:disk*&limit=10"),
        ] {
            let list = ask(&rig, &held, "GET", &uri, Value::Null).await.ok();
            let mut found: Vec<&str> =
                list.as_array().unwrap().iter().map(|found| found["Message"].as_str().unwrap()).collect();
            found.sort_unstable();
            assert_eq!(found, ["disk fine", "disk full"], "{uri}");
        }
        let values = |query: &'static str| format!("/annotation/values/Owner{query}");
        for uri in [values(""), values("?StartDate=0&EndDate=200")] {
            assert_eq!(ask(&rig, &held, "GET", &uri, Value::Null).await.ok(), json!(["dev", "sre"]), "{uri}");
        }
        let stats = ask(&rig, &held, "GET", &format!("/annotation/stats?{window}"), Value::Null).await.ok();
        assert_eq!(stats["Count"], 2);
        let uri = format!("/annotation/table?{window}&columns=owner");
        let table = ask(&rig, &held, "GET", &uri, Value::Null).await.ok();
        assert_eq!(table["Rows"].as_array().unwrap().len(), 2);
        let grafana = ask(&rig, &held, "GET", "/api/annotations?from=0&to=200000", Value::Null).await.ok();
        assert_eq!(grafana.as_array().unwrap().len(), 2);
        let graphite = ask(&rig, &held, "GET", "/events/get_data?from=0&until=200", Value::Null).await.ok();
        assert_eq!(graphite.as_array().unwrap().len(), 2);
        let range = json!({"from": "1970-01-01T00:00:00.000Z", "to": "1970-01-01T00:10:00.000Z"});
        let asked = json!({"range": range, "annotation": {"name": "n", "query": ""}});
        let shown = ask(&rig, &held, "POST", "/annotations", asked).await.ok();
        assert_eq!(shown.as_array().unwrap().len(), 2);
        let page = |cursor: String| format!("/annotation/query?{window}&limit=1&order=newest{cursor}");
        let first = ask(&rig, &held, "GET", &page(String::new()), Value::Null).await;
        let next = first.header("x-next-cursor").unwrap();
        let second = ask(&rig, &held, "GET", &page(format!("&cursor={next}")), Value::Null).await;
        assert_eq!(second.header("x-next-cursor"), None);
        let mut pages = [first.ok(), second.ok()].map(|page| page[0]["Message"].as_str().unwrap().to_owned());
        pages.sort_unstable();
        assert_eq!(pages, ["disk fine", "disk full"]);
    }
    // Nothing held, nothing shown, and no error.
    let uri = format!("/annotation/query?{window}");
    assert_eq!(ask(&rig, "cloud->annotations->list", "GET", &uri, Value::Null).await.ok(), json!([]));
}
