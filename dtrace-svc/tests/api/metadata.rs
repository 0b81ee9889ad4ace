//! `/dtrace/{uuid}/metadata` (contract `dtrace`, section 2).

use crate::harness::Server;
use serde_json::{Value, json};

async fn script(server: &Server) -> String {
    let uuid = server.create(json!({ "name": "n", "script": "s" })).await;
    format!("/api/0.1.0/dtrace/{uuid}")
}

async fn put(server: &Server, path: &str, body: Value) -> u16 {
    let call = server.call("PUT", path).header("accept", "application/json").json(&body);
    call.send().await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seeds_example_stores_the_notes_below_the_key() {
    let server = Server::start();
    let path = script(&server).await;
    let body = json!({"notes": [{"text": "yap", "created_at": "2014-09-13T01:34:03.379Z"}]});
    let call = server.call("PUT", &format!("{path}/metadata/jingles")).header("accept", "application/json");
    let answer = call.json(&body).send().await;
    assert_eq!((answer.status.as_u16(), answer.text(), answer.header("vary")), (204, "", "accept"));
    assert_eq!(server.call("GET", &path).send().await.json()["metadata"], json!({ "jingles": body }));
}

#[tokio::test(flavor = "multi_thread")]
async fn depth_grows_as_needed_and_scalars_in_the_way_are_replaced() {
    let server = Server::start();
    let path = format!("{}/metadata", script(&server).await);
    assert_eq!(put(&server, &path, json!({"a": 1, "b": null})).await, 204);
    assert_eq!(put(&server, &format!("{path}/a/x/y/"), json!({"z": [], "w": {}})).await, 204);
    assert_eq!(put(&server, &format!("{path}/c.d"), json!({"e.f": 1.5})).await, 204);
    assert_eq!(put(&server, &format!("{path}/%C3%A4%2Fb/%20"), json!({"": true})).await, 204);
    let expected = json!({ "a": {"x": {"y": {"z": [], "w": {}}}}, "b": null, "c.d": {"e.f": 1.5},
        "ä/b": {" ": {"": true}} });
    assert_eq!(server.call("GET", &path).send().await.json(), expected);
    assert_eq!(server.call("GET", &format!("{path}/a/x")).send().await.json(), expected["a"]["x"]);
    assert_eq!(server.call("GET", &format!("{path}/b")).send().await.text(), "null");
    assert_eq!(server.call("GET", &format!("{path}/b/c")).send().await.status, 404);
    let packed =
        server.call("GET", &format!("{path}/c.d")).header("accept", "application/x-msgpack").send().await;
    assert_eq!(packed.body, b"\x81\xa3e.f\xcb\x3f\xf8\0\0\0\0\0\0");
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_takes_leaf_or_subtree_and_a_missing_key_is_404() {
    let server = Server::start();
    let path = format!("{}/metadata", script(&server).await);
    assert_eq!(put(&server, &format!("{path}/a/b"), json!({"c": 1, "d": 2})).await, 204);
    for (key, status, rest) in [
        ("a/b/c", 204, json!({"a": {"b": {"d": 2}}})),
        ("a/b/c", 404, json!({"a": {"b": {"d": 2}}})),
        ("a/b/d/e", 404, json!({"a": {"b": {"d": 2}}})),
        ("x", 404, json!({"a": {"b": {"d": 2}}})),
        ("a/b", 204, json!({"a": {}})),
        ("a", 204, json!({})),
    ] {
        let answer = server.call("DELETE", &format!("{path}/{key}")).send().await;
        assert_eq!((answer.status.as_u16(), key), (status, key));
        assert_eq!(server.call("GET", &path).send().await.json(), rest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_object_and_hostile_paths_are_refused() {
    let server = Server::start();
    let path = format!("{}/metadata", script(&server).await);
    for body in ["", "1", "[]", "\"x\"", "{", "{\"a\":}"] {
        let call = server.call("PUT", &path).header("content-type", "application/json");
        assert_eq!(call.body(body).send().await.status, 400, "{body}");
    }
    assert_eq!(
        server.call("PUT", &path).header("content-type", "text/plain").body("{}").send().await.status,
        415
    );
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    let call = server.call("PUT", &path).header("content-type", "application/json");
    assert_eq!(call.body(deep).send().await.status, 400);
    for keys in ["a//b", "%ff", "%", &"a/".repeat(1000)] {
        let status = put(&server, &format!("{path}/{keys}"), json!({"x": 1})).await;
        assert!(status == 400 || status == 414, "{keys}: {status}");
    }
    // A key is data, whatever it looks like.
    for key in ["__proto__", "%00", "'; DROP TABLE scripts; --", "$filter$", "\u{202e}"] {
        assert_eq!(put(&server, &format!("{path}/{key}"), json!({"x": 1})).await, 204, "{key}");
    }
    let found = server.call("GET", &path).send().await.json();
    let keys: Vec<&str> = found.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["__proto__", "\0", "'; DROP TABLE scripts; --", "$filter$", "\u{202e}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_cannot_grow_past_the_limit_of_a_script() {
    let server = Server::start();
    let path = format!("{}/metadata", script(&server).await);
    let statuses: Vec<u16> = {
        let mut statuses = Vec::new();
        for number in 0..6 {
            let large = "x".repeat(1_000_000);
            statuses.push(put(&server, &path, json!({ format!("k{number}"): large })).await);
        }
        statuses
    };
    assert_eq!(statuses, [204, 204, 204, 204, 413, 413]);
}
