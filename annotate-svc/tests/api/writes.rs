//! What the original does not have: bulk create, idempotency keys, entity tags, patch, history, restore
//! (section 11 of the contract), and bodies that cannot be taken.

use crate::rig::Rig;
use annotate_svc::config::Config;
use serde_json::{Value, json};

#[actix_web::test]
async fn list_creates_all_or_nothing() {
    let rig = Rig::new();
    let body =
        json!([{"Message": "a", "StartDate": 5}, {"Message": "b", "StartDate": "2016-02-25T03:08:41Z"}]);
    let created = rig.post("/annotation", body.to_string()).await.ok();
    // Each in the form it came in.
    assert_eq!(
        (&created[0]["StartDate"], &created[1]["StartDate"]),
        (&json!(5), &json!("2016-02-25T03:08:41Z"))
    );
    for one in created.as_array().unwrap() {
        rig.get(&format!("/annotation/{}", one["Id"].as_str().unwrap())).await.ok();
    }
    let bad = json!([{"Owner": "bulk"}, {"Owner": "bulk", "StartDate": 2, "EndDate": 1}]);
    let answer = rig.post("/annotation", bad.to_string()).await;
    assert_eq!(answer.error(500), "annotation 1: EndDate is before StartDate");
    let bad = json!([{"Owner": "bulk"}, {"Owner": "bulk", "Id": created[0]["Id"]}]);
    assert_eq!(
        rig.post("/annotation", bad.to_string()).await.error(400),
        "annotation 1: Id cannot be set in a list"
    );
    let text = rig.post("/annotation", "[{\"Owner\":\"bulk\"},7]").await.error(500);
    assert!(text.starts_with("annotation 1: Could not unmarhsal json"), "{text}");
    assert_eq!(rig.get("/annotation/values/Owner").await.ok(), json!([]));
    let uri = format!("/annotation/{}", created[0]["Id"].as_str().unwrap());
    assert_eq!(rig.put(&uri, "[{}]").await.error(400), "a list cannot replace one annotation");
}

#[actix_web::test]
async fn bodies_and_lists_have_a_bound() {
    let rig = Rig::with(Config { max_body_bytes: 1000, max_bulk: 2, ..Config::default() });
    let long = json!({"Message": "x".repeat(1000)}).to_string();
    assert_eq!(rig.post("/annotation", long).await.error(413), "the body is larger than 1000 bytes");
    assert_eq!(
        rig.post("/annotation", "[{},{},{}]").await.error(400),
        "a list may hold at most 2 annotations"
    );
    let answer = rig.request("POST", "/annotation", "{}").header("content-encoding", "br").send().await;
    assert_eq!(answer.error(415), "content encoding br is not supported");
    for name in ["Message", "Owner"] {
        let answer = rig.post("/annotation", format!("{{\"{name}\":\"a\\u0000b\"}}")).await;
        assert_eq!(answer.error(400), format!("{name} contains the character U+0000"));
    }
}

#[actix_web::test]
async fn long_and_strange_texts_come_back_as_they_went() {
    let rig = Rig::new();
    let texts = [
        "x".repeat(1_500_000),
        (0..60_000).map(|n| format!("w{n} ")).collect(),
        "\u{1F600}\u{202e}'; DROP TABLE annotations; --".into(),
        "日本語 ".repeat(30_000),
        "\u{1}\u{7f}\\\"\n\t</script>".into(),
    ];
    for text in texts {
        let document = json!({"Message": text, "Owner": text, "Url": text});
        let id = rig.create(document).await;
        let read = rig.get(&format!("/annotation/{id}")).await.ok();
        assert!(read["Message"] == json!(text) && read["Owner"] == json!(text) && read["Url"] == json!(text));
        assert_eq!(rig.delete(&format!("/annotation/{id}")).await.status.as_u16(), 200);
    }
}

#[actix_web::test]
async fn same_key_writes_once() {
    let rig = Rig::new();
    let send = |body: Value| {
        rig.request("POST", "/annotation", body.to_string()).header("idempotency-key", "k1").send()
    };
    let first = send(json!({"Message": "m"})).await;
    assert_eq!(first.header("idempotent-replayed"), None);
    let second = send(json!({"Message": "m"})).await;
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    assert_eq!(second.text, first.text);
    assert_eq!(rig.get("/annotation/query").await.ok().as_array().unwrap().len(), 1);
    let other = send(json!({"Message": "other"})).await;
    assert_eq!(other.error(422), "this Idempotency-Key was used for another request");
    // The answer is that of then, whatever became of the annotation.
    let id = first.json()["Id"].as_str().unwrap().to_owned();
    rig.delete(&format!("/annotation/{id}")).await;
    assert_eq!(send(json!({"Message": "m"})).await.text, first.text);
    // A refused write may be sent again under its key.
    let uri = "/annotation/78a59f94-76ed-42d2-9ed0-9c7b282c4e83";
    for _ in 0..2 {
        let answer = rig.request("PUT", uri, "{}").header("idempotency-key", "k2").send().await;
        assert_eq!(answer.header("idempotent-replayed"), None);
        answer.error(500);
    }
    let answer = rig.request("POST", "/annotation", "{}").header("idempotency-key", "").send().await;
    assert_eq!(answer.error(400), "Idempotency-Key: expected 1 to 255 printable ASCII characters");
}

#[actix_web::test]
async fn same_key_at_the_same_time_writes_once() {
    let rig = Rig::new();
    let send =
        || rig.request("POST", "/annotation", "{\"Owner\":\"once\"}").header("idempotency-key", "k").send();
    let answers = futures_util::future::join_all((0..12).map(|_| send())).await;
    let first = answers[0].json();
    assert!(answers.iter().all(|answer| answer.status.as_u16() == 200 && answer.json() == first));
    let counted = rig.get("/annotation/values/Owner?counts=1").await.ok();
    assert_eq!(counted, json!([{"Value": "once", "Count": 1}]));
}

#[actix_web::test]
async fn entity_tags_guard_changes() {
    let rig = Rig::new();
    let created = rig.post("/annotation", "{\"Message\":\"1\"}").await;
    assert_eq!(created.header("etag"), Some("\"1\""));
    let uri = format!("/annotation/{}", created.json()["Id"].as_str().unwrap());
    let put = |tag: &'static str, message: &str| {
        rig.request("PUT", &uri, json!({"Message": message}).to_string()).header("if-match", tag).send()
    };
    assert_eq!(put("\"1\"", "2").await.header("etag"), Some("\"2\""));
    let stale = put("\"1\"", "3").await;
    assert_eq!(stale.error(412), "the annotation has changed: its version is 2");
    // Weak and foreign tags match nothing; a list and * do.
    put("W/\"2\"", "3").await.error(412);
    put("\"abc\"", "3").await.error(412);
    assert_eq!(put("\"9\", \"2\"", "3").await.header("etag"), Some("\"3\""));
    assert_eq!(put("*", "4").await.header("etag"), Some("\"4\""));
    let delete = rig.request("DELETE", &uri, "").header("if-match", "\"3\"").send().await;
    delete.error(412);
    let fresh = rig.request("GET", &uri, "").header("if-none-match", "\"4\"").send().await;
    assert_eq!((fresh.status.as_u16(), fresh.text.as_str(), fresh.header("etag")), (304, "", Some("\"4\"")));
    let changed = rig.request("GET", &uri, "").header("if-none-match", "\"3\"").send().await;
    assert_eq!(changed.ok()["Message"], json!("4"));
}

#[actix_web::test]
async fn of_many_guarded_changes_one_wins() {
    let rig = Rig::new();
    let id = rig.create(json!({})).await;
    let uri = format!("/annotation/{id}");
    let put = |n: usize| {
        rig.request("PUT", &uri, json!({"Message": n.to_string()}).to_string())
            .header("if-match", "\"1\"")
            .send()
    };
    let answers = futures_util::future::join_all((0..8).map(put)).await;
    let won: Vec<_> = answers.iter().filter(|answer| answer.status.as_u16() == 200).collect();
    assert_eq!(won.len(), 1);
    assert!(answers.iter().all(|answer| [200, 412].contains(&answer.status.as_u16())));
    assert_eq!(rig.get(&uri).await.ok(), won[0].json());
}

#[actix_web::test]
async fn patch_changes_what_it_names() {
    let rig = Rig::new();
    let id =
        rig.create(json!({"Message": "m", "Owner": "sre", "StartDate": "2016-01-01T00:00:00+01:00"})).await;
    let uri = format!("/annotation/{id}");
    let patched =
        rig.request("PATCH", &uri, json!({"owner": "ops", "EndDate": "2016-01-01T00:00:10Z"}).to_string());
    let patched = patched.send().await.ok();
    assert_eq!(
        patched,
        json!({"Id": id, "Message": "m", "CreationUser": "", "Url": "", "Source": "", "Host": "",
        "Owner": "ops", "Category": "", "StartDate": "2016-01-01T00:00:00+01:00", "EndDate": "2016-01-01T00:00:10Z"})
    );
    assert_eq!(rig.get(&uri).await.ok(), patched);
    assert_eq!(rig.get("/annotation/values/Owner").await.ok(), json!(["ops"]));
    let early = rig.request("PATCH", &uri, json!({"EndDate": 0}).to_string()).send().await;
    assert_eq!(early.error(500), "EndDate is before StartDate");
    let unknown = "/annotation/78a59f94-76ed-42d2-9ed0-9c7b282c4e83";
    assert_eq!(rig.request("PATCH", unknown, "{}").send().await.error(404), "not found");
    let other = rig.request("PATCH", &uri, json!({"Id": "x"}).to_string()).send().await;
    assert_eq!(other.error(500), format!("conflicting ids in request: url id {id}, body id x"));
}

#[actix_web::test]
async fn history_shows_every_version_and_restore_brings_back_the_last() {
    let rig = Rig::new();
    let id = rig.create(json!({"Message": "one", "Owner": "sre"})).await;
    let uri = format!("/annotation/{id}");
    rig.clock.set("2016-02-25T04:00:00Z".parse().unwrap());
    rig.put(&uri, json!({"Message": "two", "Owner": "ops"}).to_string()).await.ok();
    rig.delete(&uri).await;
    let history = rig.get(&format!("{uri}/history")).await.ok();
    let shown: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|version| {
            (
                version["Version"].as_i64().unwrap(),
                version["Action"].as_str().unwrap(),
                version["Annotation"]["Message"].as_str().unwrap(),
                version["ChangedBy"].as_str().unwrap(),
                version["ChangedAt"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (3, "delete", "two", "user:ada", "2016-02-25T04:00:00Z"),
            (2, "update", "two", "user:ada", "2016-02-25T04:00:00Z"),
            (1, "create", "one", "user:ada", "2016-02-25T03:08:41Z")
        ]
    );
    let page = rig.get(&format!("{uri}/history?limit=1&before=3&Epoch=1")).await.ok();
    assert_eq!((page.as_array().unwrap().len(), &page[0]["Version"]), (1, &json!(2)));
    assert_eq!(page[0]["ChangedAt"], json!(1456372800));

    let restored = rig.post(&format!("{uri}/restore"), "").await;
    assert_eq!((restored.status.as_u16(), restored.header("etag")), (200, Some("\"4\"")));
    assert_eq!(restored.json()["Message"], json!("two"));
    assert_eq!(rig.get(&uri).await.ok(), restored.json());
    assert_eq!(rig.get("/annotation/values/Owner").await.ok(), json!(["ops"]));
    let again = rig.post(&format!("{uri}/restore"), "").await;
    assert_eq!(again.error(409), format!("annotation {id} is not deleted"));
    let unknown = "/annotation/78a59f94-76ed-42d2-9ed0-9c7b282c4e83";
    assert_eq!(rig.post(&format!("{unknown}/restore"), "").await.error(404), "not found");
    assert_eq!(rig.get(&format!("{unknown}/history")).await.error(404), "not found");
}

#[actix_web::test]
async fn other_methods_are_refused_with_what_is_allowed() {
    let rig = Rig::new();
    for (method, uri, allow) in [
        ("DELETE", "/annotation", "POST, PUT, OPTIONS"),
        ("GET", "/annotation", "POST, PUT, OPTIONS"),
        ("POST", "/annotation/query", "GET, OPTIONS"),
        ("POST", "/annotation/x", "GET, PUT, PATCH, DELETE, OPTIONS"),
        ("PUT", "/annotation/values/Owner", "GET, OPTIONS"),
    ] {
        let answer = rig.request(method, uri, "{}").send().await;
        assert_eq!(answer.header("allow"), Some(allow), "{method} {uri}");
        assert_eq!(answer.error(405), "method not allowed");
    }
    assert_eq!(rig.get("/api/annotate").await.ok(), json!(true));
    assert_eq!(rig.post("/unknown", "").await.error(404), "not found");
}
