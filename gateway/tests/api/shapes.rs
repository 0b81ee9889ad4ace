//! Errors made by the gateway look as the API that owns the path makes them.

use crate::support::{Gateway, Message, Setup, get, request};
use serde_json::{Value, json};

/// A gateway without any service.
async fn bare() -> Gateway {
    Setup::default().start().await
}

async fn asked(gateway: &Gateway, method: &str, path: &str, headers: &str) -> Message {
    gateway.ask(&request(method, path, headers, "")).await
}

#[tokio::test]
async fn stacktach_says_nothing_about_unknown_paths_and_methods() {
    let gateway = bare().await;
    for (method, path, status, allow) in [
        ("GET", "/v1/streams/1/2", 404, None),
        ("GET", "/v1/events/a/b", 404, None),
        ("DELETE", "/v1/events", 405, Some("GET, HEAD, OPTIONS")),
        ("HEAD", "/v1/notifications", 405, Some("POST, OPTIONS")),
        ("GET", "/v1/notifications", 405, Some("POST, OPTIONS")),
        ("PATCH", "/v1/streams/7", 405, Some("GET, HEAD, PUT, DELETE, OPTIONS")),
        ("OPTIONS", "/v1/streams/7", 204, Some("GET, HEAD, PUT, DELETE, OPTIONS")),
        ("OPTIONS", "/v1/notifications", 204, Some("POST, OPTIONS")),
    ] {
        let answer = asked(&gateway, method, path, "").await;
        assert_eq!((answer.status(), answer.header("allow")), (status, allow), "{method} {path}");
        assert_eq!(answer.text(), "", "{method} {path}");
    }
}

#[tokio::test]
async fn stacktach_describes_other_faults_in_title_and_description() {
    let answer = asked(&bare().await, "GET", "/v1/streams", "").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    let expected = json!({ "title": "Service Unavailable",
        "description": "The streams service is not part of this installation." });
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn panko_routing_faults_follow_accept() {
    let gateway = bare().await;
    for accept in ["application/json", "application/*", "text/html;q=0.5, application/json"] {
        let answer = asked(&gateway, "GET", "/v2/capabilities/x", &format!("accept: {accept}\r\n")).await;
        assert_eq!(
            (answer.status(), answer.header("content-type")),
            (404, Some("application/json")),
            "{accept}"
        );
        let expected = json!({ "error_message": { "code": 404, "title": "Not Found", "description": null } });
        assert_eq!(answer.json(), expected, "{accept}");
    }
    for accept in ["*/*", "text/html"] {
        let answer = asked(&gateway, "GET", "/v2", &format!("accept: {accept}\r\n")).await;
        let message = answer.json()["error_message"].as_str().unwrap().to_owned();
        assert!(message.contains("<title>404 Not Found</title>"), "{message}");
        assert!(message.contains("<h1>404 Not Found</h1>"), "{message}");
    }
    for accept in ["", "accept: image/png\r\n"] {
        let answer = asked(&gateway, "DELETE", "/v2/events", accept).await;
        assert_eq!((answer.status(), answer.header("allow")), (405, Some("GET, POST")));
        let message = answer.json()["error_message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("405 Method Not Allowed\n\n"), "{message}");
    }
    let answer = asked(&gateway, "GET", "/v2/zork", "accept: application/xml\r\n").await;
    assert_eq!(answer.text(), "<error_message>404</error_message>");
    assert!(answer.header("content-type").unwrap().starts_with("application/xml"));
    let mixed = "accept: application/xml;q=0.5, application/json;q=0.9\r\n";
    assert!(asked(&gateway, "GET", "/v2/zork", mixed).await.json().is_object());
}

/// Right: what `WebOb` 1.8.7 and pecan 1.4.2 choose for the header, as for the service behind the gateway.
#[tokio::test]
async fn panko_faults_choose_their_form_as_the_original_does() {
    let gateway = bare().await;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8";
    for (accept, is_xml, start) in [
        ("application/xml, */*", true, "<error_message><html>"),
        ("*/*, application/xml", true, "<error_message><html>"),
        (browser, true, "<error_message><html>"),
        ("application/xml", true, "<error_message>404</error_message>"),
        ("nonsense", false, "<html>"),
        ("text/xml", false, "404 Not Found\n"),
        ("text/html, application/json;q=0.5", false, "<html>"),
        ("application/json;q=0", false, "404 Not Found\n"),
        ("text/html;q=0.5\r\naccept: application/xml", true, "<error_message><html>"),
    ] {
        let answer = asked(&gateway, "GET", "/v2/zork", &format!("accept: {accept}\r\n")).await;
        let text = match answer.header("content-type").unwrap() {
            "application/xml" if is_xml => answer.text().to_owned(),
            "application/json" if !is_xml => answer.json()["error_message"].as_str().unwrap().to_owned(),
            other => unreachable!("{accept}: {other}"),
        };
        assert!(text.starts_with(start), "{accept}: {text}");
    }
    let fault = "<error><faultcode>Server</faultcode>";
    for (accept, is_xml) in [("application/xml, */*", true), (browser, true), ("nonsense", false)] {
        let answer = asked(&gateway, "GET", "/v2/events", &format!("accept: {accept}\r\n")).await;
        let text = if is_xml {
            answer.text().strip_prefix("<error_message>").unwrap().to_owned()
        } else {
            answer.json()["error_message"].as_str().unwrap().to_owned()
        };
        assert!(text.starts_with(fault), "{accept}: {text}");
    }
}

#[tokio::test]
async fn panko_answers_carry_an_openstack_request_id() {
    let gateway = bare().await;
    let (one, two) =
        (asked(&gateway, "GET", "/v2", "").await, asked(&gateway, "HEAD", "/v2/events", "").await);
    assert_eq!(two.status(), 405);
    let ids = [&one, &two].map(|answer| answer.header("x-openstack-request-id").unwrap().to_owned());
    for id in &ids {
        let uuid: uuid::Uuid = id.strip_prefix("req-").unwrap().parse().unwrap();
        assert_eq!(uuid.get_version_num(), 4);
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn panko_server_faults_are_fault_objects() {
    let gateway = bare().await;
    let words = "The events service is not part of this installation.";
    let answer = asked(&gateway, "GET", "/v2/events", "").await;
    let fault = json!({ "faultcode": "Server", "faultstring": words, "debuginfo": null });
    assert_eq!((answer.status(), answer.json()), (503, json!({ "error_message": fault })));
    let answer = asked(&gateway, "GET", "/v2/events", "accept: application/xml\r\n").await;
    let expected = format!(
        "<error_message><error><faultcode>Server</faultcode><faultstring>{words}</faultstring><debuginfo/></error></error_message>"
    );
    assert_eq!(answer.text(), expected);
}

#[tokio::test]
async fn snap_router_speaks_plain_text_in_both_versions() {
    let gateway = bare().await;
    for (method, path, status, body) in [
        ("PUT", "/v1/tasks/x/foo", 404, "404 page not found\n"),
        ("GET", "/v1/tribe", 404, "404 page not found\n"),
        ("GET", "/v2/plugins/collector", 404, "404 page not found\n"),
        ("HEAD", "/v1/tasks", 405, ""),
        ("OPTIONS", "/v1/tribe/members", 405, "Method Not Allowed\n"),
        ("PATCH", "/v2/tasks", 405, "Method Not Allowed\n"),
    ] {
        let answer = asked(&gateway, method, path, "").await;
        assert_eq!((answer.status(), answer.text()), (status, body), "{method} {path}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("allow").is_some(), status == 405, "{method} {path}");
    }
}

#[tokio::test]
async fn snap_faults_are_enveloped_in_version_1_and_bare_in_version_2() {
    let gateway = bare().await;
    let words = "The tasks service is not part of this installation.";
    let answer = asked(&gateway, "GET", "/v1/tasks", "").await;
    assert_eq!((answer.status(), answer.header("deprecated")), (503, Some("true")));
    let expected = json!({
        "meta": { "code": 503, "message": words, "type": "error", "version": 1 },
        "body": { "message": words, "fields": {} },
    });
    assert_eq!(answer.json(), expected);
    assert!(answer.text().starts_with("{\n  \"meta\": {\n    \"code\": 503,\n"), "{}", answer.text());
    assert!(answer.text().ends_with('}'), "no line break at the end");
    let answer = asked(&gateway, "GET", "/v2/tasks", "").await;
    assert_eq!(answer.header("content-type"), Some("application/json; version=2; charset=utf-8"));
    assert_eq!(answer.header("version"), Some("beta"));
    assert_eq!(answer.json(), json!({ "message": words, "fields": {} }));
    assert!(answer.text().starts_with("{\n  \"") && answer.text().ends_with("}\n"));
}

#[tokio::test]
async fn annotate_wraps_a_text_and_ends_the_line() {
    let gateway = bare().await;
    let answer = asked(&gateway, "GET", "/annotation/a/b", "").await;
    assert_eq!((answer.status(), answer.text()), (404, "{\"error\":\"not found\"}\n"));
    let answer = asked(&gateway, "DELETE", "/api/annotation", "").await;
    assert_eq!((answer.status(), answer.header("allow")), (405, Some("POST, PUT, OPTIONS")));
    let answer = asked(&gateway, "GET", "/annotation/query", "").await;
    let expected = "{\"error\":\"The annotate service is not part of this installation.\"}\n";
    assert_eq!((answer.status(), answer.text()), (503, expected));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let answer = asked(&gateway, "GET", "/api/annotations", "").await;
    let words = "The annotate service is not part of this installation.";
    assert_eq!(
        (answer.status(), answer.json()),
        (503, json!({ "message": words, "error": words })),
        "Grafana's form"
    );
}

#[tokio::test]
async fn fifo_answers_by_status_and_varies_by_accept() {
    let gateway = bare().await;
    for (method, path, status) in
        [("GET", "/dtrace/u/x", 404), ("PATCH", "/api/3/dtrace", 405), ("GET", "/v1/dtrace", 503)]
    {
        let answer = asked(&gateway, method, path, "").await;
        assert_eq!((answer.status(), answer.header("vary")), (status, Some("accept")), "{method} {path}");
    }
    let answer = asked(&gateway, "PATCH", "/dtrace/u", "").await;
    assert_eq!(answer.header("allow"), Some("GET, HEAD, PUT, DELETE, OPTIONS"));
}

#[tokio::test]
async fn nobodys_paths_are_refused_by_the_gateway_itself() {
    let gateway = bare().await;
    for path in ["/nowhere", "/v1/nowhere", "/v3/events", "/healthcheck", "/internal/feed", "/livez/x"] {
        let answer = gateway.ask(&get(path)).await;
        let expected = json!({ "error": "The resource could not be found." });
        assert_eq!((answer.status(), answer.json()), (404, expected), "{path}");
    }
    let answer = asked(&gateway, "POST", "/livez", "").await;
    assert_eq!((answer.status(), answer.header("allow")), (405, Some("GET, HEAD")));
}

#[tokio::test]
async fn every_answer_carries_a_request_id() {
    let gateway = bare().await;
    for path in ["/", "/livez", "/nowhere", "/v1/tasks", "/v2/events", "/v1/streams/1/2", "/annotation"] {
        let answer = gateway.ask(&get(path)).await;
        assert!(answer.header("x-request-id").unwrap().parse::<uuid::Uuid>().is_ok(), "{path}");
        let kept = asked(&gateway, "GET", path, "x-request-id: Job-7.a_b\r\n").await;
        assert_eq!(kept.header("x-request-id"), Some("Job-7.a_b"), "{path}");
    }
    for odd in ["a b", "a\"b", "", &"x".repeat(129), "a,b"] {
        let answer = asked(&gateway, "GET", "/livez", &format!("x-request-id: {odd}\r\n")).await;
        assert!(answer.header("x-request-id").unwrap().parse::<uuid::Uuid>().is_ok(), "{odd}");
    }
}

/// Not a shape of its own, but what all share.
#[tokio::test]
async fn bodies_have_their_length_and_type() {
    let gateway = bare().await;
    for path in
        ["/v1/tasks", "/v2/tasks", "/v1/streams", "/v2/events", "/dtrace", "/annotation/query", "/nowhere"]
    {
        let answer = gateway.ask(&get(path)).await;
        let length: usize = answer.header("content-length").unwrap().parse().unwrap();
        assert_eq!(length, answer.body.len(), "{path}");
        assert!(answer.header("content-type").is_some() && answer.json() != Value::Null, "{path}");
    }
}
