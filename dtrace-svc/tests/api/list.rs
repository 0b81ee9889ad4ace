//! Lists (contract `dtrace`, section 3).

use crate::harness::Server;
use serde_json::{Value, json};

async fn three(server: &Server) -> Vec<String> {
    let mut ids = Vec::new();
    for name in ["b", "a", "C"] {
        ids.push(server.create(json!({ "name": name, "script": "s", "config": {"x": 1} })).await);
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_ids_by_name_and_then_by_id() {
    let server = Server::start();
    assert_eq!(server.call("GET", "/dtrace").send().await.text(), "[]");
    let ids = three(&server).await;
    let list = server.call("GET", "/dtrace").header("accept", "application/json").send().await;
    assert_eq!((list.status.as_u16(), list.header("content-type")), (200, "application/json"));
    // By bytes: capitals first.
    assert_eq!(list.json(), json!([ids[2], ids[1], ids[0]]));
    let mut same: Vec<String> = vec![ids[0].clone()];
    for _ in 0..3 {
        same.push(server.create(json!({ "name": "b", "script": "s" })).await);
    }
    same.sort();
    let list: Vec<String> =
        serde_json::from_value(server.call("GET", "/dtrace").send().await.json()).unwrap();
    assert_eq!(list[2..], same);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_lists_come_by_header_or_query_and_the_query_wins() {
    let server = Server::start();
    let uuid = server.create(json!({ "name": "n", "script": "s" })).await;
    let ids = json!([uuid]);
    let full = json!([{ "uuid": uuid, "name": "n", "script": "s", "config": {}, "metadata": {} }]);
    let some = json!([{ "uuid": uuid, "name": "n" }]);
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a Value);
    let cases: [Case<'_>; 14] = [
        ("", &[("x-full-list", "true")], &full),
        ("", &[("x-full-list", "True")], &full),
        ("", &[("x-full-list", "false")], &ids),
        ("", &[("x-full-list", "1")], &ids),
        ("", &[("x-full-list", "true"), ("x-full-list-fields", "uuid,name")], &some),
        ("", &[("x-full-list", "true"), ("x-full-list-fields", "uuid,name,config.x,nothing")], &some),
        ("", &[("x-full-list-fields", "uuid,name")], &ids),
        ("?full-list=true", &[], &full),
        ("?full-list=true&full-list-fields=uuid,name", &[], &some),
        ("?full-list=true&full-list-fields=name%2Cuuid", &[], &some),
        ("?full-list=false", &[("x-full-list", "true")], &ids),
        ("?full-list=true&full-list-fields=uuid,name", &[("x-full-list-fields", "script")], &some),
        ("?full-list-fields=uuid,name", &[("x-full-list", "true")], &some),
        ("?full-list=false&full-list=true", &[], &full),
    ];
    for (query, headers, expected) in cases {
        let call = server.call("GET", &format!("/api/3/dtrace{query}"));
        let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value));
        assert_eq!(&call.send().await.json(), expected, "{query} {headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_scripts_that_the_caller_may_get_appear() {
    let server = Server::start();
    let ids = three(&server).await;
    let one = format!("dtraces->{}->get", ids[0]);
    let other = format!("dtrace->{}->...", ids[1]);
    for (permissions, expected) in [
        (vec!["cloud->dtrace->list"], json!([])),
        (vec!["cloud->dtraces->list", &one], json!([ids[0]])),
        (vec!["cloud->...", &one, &other], json!([ids[1], ids[0]])),
        (vec!["cloud->dtrace->_", "dtrace->_->get"], json!([ids[2], ids[1], ids[0]])),
        (vec!["cloud->dtrace->list", "dtrace->_->edit"], json!([])),
    ] {
        let list = server.call_as(&permissions, "GET", "/dtrace").send().await;
        assert_eq!(list.json(), expected, "{permissions:?}");
        let full =
            server.call_as(&permissions, "GET", "/dtrace?full-list=true&full-list-fields=uuid").send().await;
        let uuids: Vec<Value> =
            full.json().as_array().unwrap().iter().map(|one| one["uuid"].clone()).collect();
        assert_eq!(Value::from(uuids), expected, "{permissions:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_longer_than_a_page_are_whole_in_both_forms() {
    use diesel::RunQueryDsl;
    let server = Server::start();
    // More rows than a page has, and more bytes.
    let fill = "INSERT INTO scripts (uuid, name, script, config, metadata, revision, bytes) VALUES ";
    let large = "x".repeat(3000);
    for chunk in 0..5 {
        let rows: Vec<String> = (0..500)
            .map(|row| {
                let id = format!("00000000-0000-4000-8000-{:012}", chunk * 500 + row);
                format!("('{id}', 'n{}', '{large}', '{{}}', '{{}}', 1, 3010)", row % 7)
            })
            .collect();
        let sql = format!("{fill}{}", rows.join(","));
        let insert = move |conn: &mut shared::db::DbConn| Ok(diesel::sql_query(sql).execute(conn)?);
        server.db.db.write::<_, shared::db::DbError, _>(insert).await.unwrap();
    }
    let ids = server.call("GET", "/dtrace").send().await.json();
    assert_eq!(ids.as_array().unwrap().len(), 2500);
    let full = server.call("GET", "/dtrace").header("x-full-list", "true").send().await.json();
    let uuids: Vec<Value> = full.as_array().unwrap().iter().map(|one| one["uuid"].clone()).collect();
    assert_eq!(Value::from(uuids), ids);
    let packed = server.call("GET", "/dtrace").header("accept", "application/x-msgpack").send().await;
    assert_eq!(packed.body[..5], [0xdd, 0, 0, 0x09, 0xc4]);
    assert_eq!(dtrace_svc::wire::from_msgpack(&packed.body).unwrap(), ids);
    let packed = server.call("GET", "/dtrace?full-list=true").header("accept", "application/x-msgpack");
    assert_eq!(dtrace_svc::wire::from_msgpack(&packed.send().await.body).unwrap(), full);
}
