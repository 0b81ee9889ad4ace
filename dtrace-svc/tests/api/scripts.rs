//! `/dtrace` and `/dtrace/{uuid}` (contract `dtrace`, sections 1 and 2; the seed's examples word for word).

use crate::harness::{ERLANG, Server};
use serde_json::{Value, json};

const UNKNOWN: &str = "b7c658e0-2ddb-46dd-8973-4a59ffc9957e";

fn simple() -> Value {
    json!({ "name": "zfs reads", "script": "/*some dtrace here/*", "config": {"start": 0, "end": 64, "step": 2} })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seeds_script_is_created_with_303_and_comes_back_as_it_was_sent() {
    let server = Server::start();
    let call = server.call("POST", "/api/0.1.0/dtrace").header("accept", "application/json");
    let created = call.header("content-type", "application/json").body(ERLANG).send().await;
    assert_eq!((created.status.as_u16(), created.text()), (303, ""));
    let location = created.header("location").to_owned();
    let uuid = location.strip_prefix("/api/0.1.0/dtrace/").unwrap();
    let parsed = uuid::Uuid::parse_str(uuid).unwrap();
    assert_eq!((parsed.get_version_num(), parsed.to_string().as_str()), (4, uuid));

    let found = server.call("GET", &location).header("accept", "application/json").send().await;
    assert_eq!((found.status.as_u16(), found.header("content-type")), (200, "application/json"));
    let sent: Value = serde_json::from_str(ERLANG).unwrap();
    let expected = json!({ "uuid": uuid, "name": sent["name"], "script": sent["script"],
        "config": {"start": 127, "end": 0, "step": 4}, "metadata": {} });
    assert_eq!(found.json(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_prefix_names_the_same_scripts_and_a_bare_request_is_told_version_0_1_0() {
    let server = Server::start();
    for (path, location) in [
        ("/dtrace", "/api/0.1.0/dtrace/"),
        ("/dtrace/", "/api/0.1.0/dtrace/"),
        ("/api/0.2.0/dtrace", "/api/0.2.0/dtrace/"),
        ("/api/2/dtrace", "/api/2/dtrace/"),
        ("/api/3/dtrace/", "/api/3/dtrace/"),
        ("/v1/dtrace", "/v1/dtrace/"),
    ] {
        let created = server.call("POST", path).json(&simple()).send().await;
        assert_eq!(created.status, 303, "{path}");
        let uuid = created.header("location").strip_prefix(location).unwrap();
        for prefix in ["/dtrace", "/v1/dtrace", "/api/3/dtrace", "/api/anything/dtrace"] {
            for slash in ["", "/"] {
                let found = server.call("GET", &format!("{prefix}/{uuid}{slash}")).send().await;
                assert_eq!(
                    (found.status.as_u16(), &found.json()["uuid"]),
                    (200, &json!(uuid)),
                    "{prefix}{slash}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_in_config_keep_their_types() {
    let server = Server::start();
    let config = r#"{"n":null,"t":true,"i":1,"f":1.5,"z":1.0,"big":123456789012345678901234567890,"l":[],"o":{},
        "deep":{"a":[{"b":[1,[2]]}]},"ü\"":"\u00e4\u0000\ud83d\ude00"}"#;
    let body = format!(r#"{{"name":"","script":"","config":{config}}}"#);
    let call = server.call("POST", "/dtrace").header("content-type", "application/json;charset=UTF-8");
    let created = call.body(body).send().await;
    let found = server.call("GET", created.header("location")).send().await;
    assert!(found.text().contains(r#""big":123456789012345678901234567890"#), "{}", found.text());
    assert!(found.text().contains(r#""z":1.0"#), "{}", found.text());
    assert_eq!(found.json()["config"], serde_json::from_str::<Value>(config).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_and_nothing_is_stored() {
    let server = Server::start();
    let long = json!({ "name": "x".repeat(1025), "script": "s" }).to_string();
    let cases: Vec<(u16, &str, &[u8])> = vec![
        (400, "application/json", b""),
        (400, "application/json", b"{"),
        (400, "application/json", b"[]"),
        (400, "application/json", b"null"),
        (400, "application/json", b"{\"script\":\"s\"}"),
        (400, "application/json", b"{\"name\":\"n\"}"),
        (400, "application/json", b"{\"name\":1,\"script\":\"s\"}"),
        (400, "application/json", b"{\"name\":\"n\",\"script\":[]}"),
        (400, "application/json", b"{\"name\":\"n\",\"script\":\"s\",\"config\":1}"),
        (400, "application/json", b"{\"name\":\"n\",\"script\":\"s\",\"config\":null}"),
        (400, "application/json", b"{\"name\":\"n\\u0000\",\"script\":\"s\"}"),
        (400, "application/json", b"{\"name\":\"n\",\"script\":\"\xff\"}"),
        (400, "application/json", long.as_bytes()),
        (400, "application/x-msgpack", b"\x81"),
        (400, "application/x-msgpack", b"\xdd\xff\xff\xff\xff"),
        (415, "text/plain", b"{\"name\":\"n\",\"script\":\"s\"}"),
        (415, "application/x-www-form-urlencoded", b"name=n"),
        (415, "", b"{\"name\":\"n\",\"script\":\"s\"}"),
    ];
    for (status, content_type, body) in cases {
        let call = server.call("POST", "/dtrace").header("content-type", content_type);
        let answer = call.body(body.to_vec()).send().await;
        assert_eq!(answer.status, status, "{content_type} {}", String::from_utf8_lossy(body));
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(server.call("GET", "/dtrace").send().await.json(), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_over_the_limit_and_zip_bombs_are_413() {
    let server = Server::start();
    let script = "x".repeat(10 << 20);
    let large = server.call("POST", "/dtrace").json(&json!({ "name": "n", "script": script })).send().await;
    assert_eq!(large.status, 413);
    let bomb = {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![b' '; 64 << 20]).unwrap();
        encoder.finish().unwrap()
    };
    let call = server.call("POST", "/dtrace").header("content-type", "application/json");
    assert_eq!(call.header("content-encoding", "gzip").body(bomb).send().await.status, 413);
    let call = server.call("POST", "/dtrace").header("content-type", "application/json");
    assert_eq!(call.header("content-encoding", "gzip").body("no gzip").send().await.status, 400);
    let call = server.call("POST", "/dtrace").header("content-type", "application/json");
    assert_eq!(call.header("content-encoding", "br").body(ERLANG).send().await.status, 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gzip_body_is_taken() {
    use std::io::Write;
    let server = Server::start();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(ERLANG.as_bytes()).unwrap();
    let call = server.call("POST", "/dtrace").header("content-type", "application/json");
    let created = call.header("content-encoding", "gzip").body(encoder.finish().unwrap()).send().await;
    assert_eq!(created.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_ids_are_404_for_every_method() {
    let server = Server::start();
    for id in [UNKNOWN, "not-a-uuid", "B7C658E0-2DDB-46DD-8973-4A59FFC9957E", "%C3%A4", "..", "%2e%2e%2f"] {
        for method in ["GET", "PUT", "DELETE"] {
            let path = format!("/api/0.1.0/dtrace/{id}");
            if id == ".." {
                continue; // clients take it out of the path themselves
            }
            let answer = server.call(method, &path).json(&json!({})).send().await;
            assert_eq!(answer.status, 404, "{method} {id}");
        }
    }
    assert_eq!(server.call("GET", "/dtrace/%ff").send().await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_script_is_gone() {
    let server = Server::start();
    let uuid = server.create(simple()).await;
    let path = format!("/dtrace/{uuid}");
    let deleted = server.call("DELETE", &path).send().await;
    assert_eq!((deleted.status.as_u16(), deleted.text()), (204, ""));
    assert_eq!(server.call("GET", &path).send().await.status, 404);
    assert_eq!(server.call("DELETE", &path).send().await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_changes_what_it_names_and_nothing_else() {
    let server = Server::start();
    let uuid = server.create(simple()).await;
    let path = format!("/dtrace/{uuid}");
    let edited = server.call("PUT", &path).json(&json!({ "name": "new", "uuid": "x", "metadata": {"x": 1} }));
    assert_eq!(edited.send().await.status, 204);
    let expected = json!({ "uuid": uuid, "name": "new", "script": "/*some dtrace here/*",
        "config": {"start": 0, "end": 64, "step": 2}, "metadata": {} });
    assert_eq!(server.call("GET", &path).send().await.json(), expected);
    let refused = server.call("PUT", &path).json(&json!({ "script": 1 })).send().await;
    assert_eq!(refused.status, 400);
    assert_eq!(server.call("GET", &path).send().await.json(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_etag_changes_with_the_script_and_with_its_metadata() {
    let server = Server::start();
    let uuid = server.create(simple()).await;
    let path = format!("/dtrace/{uuid}");
    let mut seen = Vec::new();
    for change in
        [None, Some((&path, json!({"name": "b"}))), Some((&format!("{path}/metadata"), json!({"a": 1})))]
    {
        if let Some((path, body)) = change {
            assert_eq!(server.call("PUT", path).json(&body).send().await.status, 204);
        }
        let etag = server.call("GET", &path).send().await.header("etag").to_owned();
        assert!(etag.starts_with('"') && !seen.contains(&etag), "{etag} {seen:?}");
        let again = server.call("GET", &path).header("if-none-match", &format!("\"x\", {etag}")).send().await;
        assert_eq!((again.status.as_u16(), again.text(), again.header("etag")), (304, "", etag.as_str()));
        let other = server.call("GET", &path).header("accept", "application/x-msgpack");
        assert_eq!(
            other.header("if-none-match", &etag).send().await.status,
            200,
            "another form, other bytes"
        );
        seen.push(etag);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_guards_edit_metadata_and_delete() {
    let server = Server::start();
    let uuid = server.create(simple()).await;
    let (path, metadata) = (format!("/dtrace/{uuid}"), format!("/dtrace/{uuid}/metadata"));
    let etag = server.call("GET", &path).send().await.header("etag").to_owned();
    assert_eq!(server.call("PUT", &metadata).json(&json!({"a": 1})).send().await.status, 204);
    for (method, path) in
        [("PUT", &path), ("PUT", &metadata), ("DELETE", &format!("{metadata}/a")), ("DELETE", &path)]
    {
        let stale =
            server.call(method, path).header("if-match", &etag).json(&json!({"name": "x"})).send().await;
        assert_eq!(stale.status, 412, "{method} {path}");
    }
    let etag = server.call("GET", &path).send().await.header("etag").to_owned();
    let fresh =
        server.call("PUT", &path).header("if-match", &format!("\"7\",{etag}")).json(&json!({"name": "x"}));
    assert_eq!(fresh.send().await.status, 204);
    assert_eq!(server.call("DELETE", &path).header("if-match", "*").send().await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_edits_at_once_none_is_lost() {
    let server = std::sync::Arc::new(Server::start());
    let uuid = server.create(simple()).await;
    let tasks: Vec<_> = (0..24)
        .map(|number| {
            let (server, path) = (server.clone(), format!("/dtrace/{uuid}/metadata"));
            let body = json!({ format!("k{number}"): number });
            tokio::spawn(async move { server.call("PUT", &path).json(&body).send().await.status })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 204);
    }
    let metadata = server.call("GET", &format!("/dtrace/{uuid}/metadata")).send().await.json();
    assert_eq!(metadata.as_object().unwrap().len(), 24);
}

#[tokio::test(flavor = "multi_thread")]
async fn msgpack_goes_both_ways() {
    let server = Server::start();
    // {"name": "n", "script": "s", "config": {"a": 1.5}} by the msgpack specification.
    let body = b"\x83\xa4name\xa1n\xa6script\xa1s\xa6config\x81\xa1a\xcb\x3f\xf8\0\0\0\0\0\0";
    let call = server.call("POST", "/dtrace").header("content-type", "application/x-msgpack");
    let location = call.body(body.to_vec()).send().await.header("location").to_owned();
    let uuid = location.rsplit('/').next().unwrap().to_owned();
    let found = server.call("GET", &location).header("accept", "application/x-msgpack").send().await;
    assert_eq!(found.header("content-type"), "application/x-msgpack");
    let head =
        [b"\x85\xa4uuid\xd9\x24".as_slice(), uuid.as_bytes(), b"\xa4name\xa1n\xa6script\xa1s"].concat();
    let tail = b"\xa6config\x81\xa1a\xcb\x3f\xf8\0\0\0\0\0\0\xa8metadata\x80";
    assert_eq!(found.body, [head.as_slice(), tail].concat());
    assert_eq!(server.call("GET", &location).send().await.json()["config"], json!({"a": 1.5}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_of_the_answer_is_negotiated_before_the_script_is_looked_up() {
    let server = Server::start();
    let uuid = server.create(simple()).await;
    for (method, path) in [("GET", "/dtrace"), ("GET", &format!("/dtrace/{UNKNOWN}")), ("POST", "/dtrace")] {
        let answer = server.call(method, path).header("accept", "text/html").body("x").send().await;
        assert_eq!(answer.status, 406, "{method} {path}");
    }
    let any = server.call("GET", &format!("/dtrace/{uuid}")).header("accept", "*/*").send().await;
    assert_eq!(any.header("content-type"), "application/json");
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_come_in_the_order_of_the_original() {
    let server = Server::start();
    let path = format!("/dtrace/{UNKNOWN}");
    // 405 before 403, 403 before 406 and 404, 406 before 404, 404 before 415.
    assert_eq!(server.call_as(&[], "PATCH", &path).send().await.status, 405);
    assert_eq!(server.call_as(&[], "GET", &path).header("accept", "text/html").send().await.status, 403);
    assert_eq!(server.call("GET", &path).header("accept", "text/html").send().await.status, 406);
    assert_eq!(
        server.call("PUT", &path).header("content-type", "text/html").body("x").send().await.status,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_a_path_does_not_have_are_405_with_allow() {
    let server = Server::start();
    for (path, methods, wrong) in [
        ("/dtrace", "HEAD, OPTIONS, GET, POST", ["PUT", "DELETE", "PATCH"]),
        ("/api/2/dtrace/x", "HEAD, OPTIONS, GET, PUT, DELETE", ["POST", "PATCH", "TRACE"]),
        ("/dtrace/x/metadata", "HEAD, OPTIONS, GET, PUT", ["POST", "DELETE", "PATCH"]),
        ("/dtrace/x/metadata/a/b/", "HEAD, OPTIONS, GET, PUT, DELETE", ["POST", "PATCH", "TRACE"]),
    ] {
        for method in wrong {
            let answer = server.call(method, path).send().await;
            assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, methods), "{method} {path}");
        }
        let options = server.call_as(&[], "OPTIONS", path).send().await;
        assert_eq!(options.status, 200);
        assert_eq!(options.header("access-control-allow-methods"), methods);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_answers_like_get_without_a_body() {
    let server = Server::start();
    let uuid = server.create(simple()).await;
    for path in ["/dtrace".to_owned(), format!("/dtrace/{uuid}"), format!("/dtrace/{uuid}/metadata")] {
        let head = server.call("HEAD", &path).send().await;
        assert_eq!((head.status.as_u16(), head.header("content-type")), (200, "application/json"), "{path}");
        assert_eq!(head.body, b"");
    }
    assert_eq!(server.call("HEAD", &format!("/dtrace/{UNKNOWN}")).send().await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_the_headers_of_the_original() {
    let server = Server::start();
    let uuid = server.create(simple()).await;
    let calls = [
        ("GET", "/dtrace".to_owned()),
        ("GET", format!("/dtrace/{uuid}")),
        ("OPTIONS", "/dtrace".to_owned()),
        ("GET", format!("/dtrace/{UNKNOWN}")),
        ("PATCH", "/dtrace".to_owned()),
        ("POST", "/dtrace".to_owned()),
        ("DELETE", format!("/dtrace/{uuid}")),
    ];
    for (method, path) in calls {
        let answer = server.call(method, &path).send().await;
        assert_eq!(answer.header("vary"), "accept", "{method} {path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert_eq!(
            answer.header("access-control-allow-headers"),
            "Authorization, content-type, x-snarl-token, x-full-list, x-full-list-fields"
        );
        assert_eq!(
            answer.header("access-control-expose-headers"),
            "x-snarl-token, x-full-list, x-full-list-fields"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_of_the_settings_is_echoed() {
    let origins = vec!["https://ui.example.com".to_owned()];
    let server = Server::with(dtrace_svc::config::Config { cors_origins: origins, ..Default::default() });
    let known = server.call("GET", "/dtrace").header("origin", "https://ui.example.com").send().await;
    assert_eq!(known.header("access-control-allow-origin"), "https://ui.example.com");
    let other = server.call("GET", "/dtrace").header("origin", "https://evil.example.com").send().await;
    assert_eq!(other.header("access-control-allow-origin"), "*");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_asks_for_its_permission_in_either_spelling() {
    let server = Server::start();
    let uuid = server.create(simple()).await;
    let path = format!("/dtrace/{uuid}");
    let metadata = format!("{path}/metadata/a");
    for kind in ["dtrace", "dtraces"] {
        let routes: [(&str, &str, String, u16); 8] = [
            ("GET", "/dtrace", format!("cloud->{kind}->list"), 200),
            ("POST", "/dtrace", format!("cloud->{kind}->create"), 303),
            ("GET", &path, format!("{kind}->{uuid}->get"), 200),
            ("GET", &format!("{path}/metadata"), format!("{kind}->_->get"), 200),
            ("PUT", &metadata, format!("{kind}->...->edit"), 204),
            ("DELETE", &metadata, format!("{kind}->{uuid}->..."), 204),
            ("PUT", &path, format!("{kind}->{uuid}->edit"), 204),
            ("DELETE", &format!("/dtrace/{UNKNOWN}"), format!("{kind}->_->delete"), 404),
        ];
        for (method, path, permission, status) in routes {
            let body = json!({ "name": "n", "script": "s" });
            let wrong = [format!("{kind}->{UNKNOWN}->_"), "cloud->_".to_owned(), "vms->...".to_owned()];
            let wrong: Vec<&str> = wrong.iter().map(String::as_str).filter(|_| status != 404).collect();
            let refused = server.call_as(&wrong, method, path).json(&body).send().await;
            assert_eq!(refused.status, 403, "{method} {path} by {wrong:?}");
            let allowed = server.call_as(&[&permission], method, path).json(&body).send().await;
            assert_eq!(allowed.status, status, "{method} {path} by {permission}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_a_signed_identity_is_refused() {
    let server = Server::start();
    let answer = reqwest::get(format!("{}/dtrace", server.url)).await.unwrap();
    assert_eq!(answer.status(), 401);
}
