//! Web pages of named origins may read answers; for events v2 as oslo.middleware does it.

use crate::support::{Automatic, Gateway, Service, Setup, answer, request};

const VALID: &str = "http://valid.example.com";

async fn with_origins(origins: &[&str]) -> (Gateway, Automatic) {
    let service = Service::new().await.automatic(|request| {
        let own = if request.first_line.contains("/annotation") {
            "access-control-allow-origin: *\r\n"
        } else {
            ""
        };
        answer("200 OK", own, "")
    });
    let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
    let setup = Setup::default().service("events", &service.url).service("annotate", &service.url);
    (setup.with(|config| config.cors_origins = origins).start().await, service)
}

fn preflight(path: &str, origin: &str) -> String {
    let headers = format!(
        "origin: {origin}\r\naccess-control-request-method: GET\r\naccess-control-request-headers: x-roles\r\n"
    );
    request("OPTIONS", path, &headers, "")
}

#[tokio::test]
async fn a_preflight_of_events_v2_is_answered_200_and_names_known_origins_alone() {
    let (gateway, _service) = with_origins(&[VALID]).await;
    let known = gateway.ask(&preflight("/v2/events", VALID)).await;
    assert_eq!((known.status(), known.text()), (200, ""));
    for (name, value) in [
        ("access-control-allow-origin", VALID),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "3600"),
        ("access-control-allow-methods", "GET"),
        ("access-control-allow-headers", "x-roles"),
        ("vary", "Origin"),
    ] {
        assert_eq!(known.header(name), Some(value), "{name}");
    }
    let unknown = gateway.ask(&preflight("/v2/events", "http://invalid.example.com")).await;
    assert_eq!((unknown.status(), unknown.header("access-control-allow-origin")), (200, None));
}

#[tokio::test]
async fn answers_to_known_origins_may_be_read() {
    let (gateway, _service) = with_origins(&[VALID]).await;
    let ask = async |path: &str, origin: &str| {
        gateway.ask(&request("GET", path, &format!("origin: {origin}\r\n"), "")).await
    };
    let v2 = ask("/v2/events", VALID).await;
    assert_eq!(v2.header("access-control-allow-origin"), Some(VALID));
    let exposed = "X-Auth-Token, X-Subject-Token, X-Service-Token, X-Openstack-Request-Id";
    assert_eq!(v2.header("access-control-expose-headers"), Some(exposed));
    assert_eq!(ask("/v1/events", VALID).await.header("access-control-allow-origin"), Some(VALID));
    assert_eq!(ask("/v2/zork", VALID).await.header("access-control-allow-origin"), Some(VALID), "errors too");
    assert_eq!(ask("/v1/events", "http://x.example").await.header("access-control-allow-origin"), None);
    let own = ask("/annotation/query", VALID).await;
    assert_eq!(own.header("access-control-allow-origin"), Some("*"), "the service has rules of its own");
}

#[tokio::test]
async fn what_the_gateway_refuses_about_scripts_may_be_read_as_the_services_answers() {
    let setup = Setup::secure().with(|config| config.cors_origins = vec![VALID.to_owned()]);
    let gateway = setup.start().await;
    for (method, path, status) in [
        ("GET", "/dtrace", 401),
        ("PUT", "/api/3/dtrace/u", 401),
        ("PATCH", "/v1/dtrace/u", 405),
        ("GET", "/dtrace/u/x/y", 404),
    ] {
        for (headers, origin) in [
            ("", "*"),
            ("origin: http://x.example\r\n", "*"),
            ("origin: http://valid.example.com\r\n", VALID),
        ] {
            let answer = gateway.ask(&request(method, path, headers, "")).await;
            assert_eq!(answer.status(), status, "{method} {path}");
            let sent = "Authorization, content-type, x-snarl-token, x-full-list, x-full-list-fields";
            let read = "x-snarl-token, x-full-list, x-full-list-fields";
            for (name, value) in [
                ("access-control-allow-origin", origin),
                ("access-control-allow-credentials", "true"),
                ("access-control-allow-headers", sent),
                ("access-control-expose-headers", read),
            ] {
                assert_eq!(answer.header(name), Some(value), "{method} {path} {headers}{name}");
            }
            let vary: Vec<&str> = answer
                .headers
                .iter()
                .filter(|(name, _)| name == "vary")
                .map(|(_, value)| value.as_str())
                .collect();
            let expected: &[&str] = if origin == "*" { &["accept"] } else { &["accept", "origin"] };
            assert_eq!(vary, expected);
        }
    }
    let headers = "origin: http://valid.example.com\r\n";
    let private = gateway.ask(&request("GET", "/v1/users", headers, "")).await;
    assert_eq!(
        (private.status(), private.header("access-control-allow-origin")),
        (401, None),
        "logins are not"
    );
}

#[tokio::test]
async fn a_preflight_of_pankos_root_is_answered_with_the_version_document() {
    let service = Service::new().await.automatic(|request| answer("200 OK", "", &request.first_line));
    let setup = Setup::default().service("events", &service.url).with(|config| {
        config.cors_origins = vec![VALID.to_owned()];
        config.compat.panko = Some("127.0.0.1:0".into());
    });
    let gateway = setup.start().await;
    let known = gateway.ask_at("panko", &preflight("/", VALID)).await;
    assert_eq!((known.status(), known.text()), (200, "GET / HTTP/1.1"));
    assert_eq!(known.header("access-control-allow-origin"), Some(VALID));
    assert_eq!(known.header("access-control-allow-methods"), Some("GET"));
}

#[tokio::test]
async fn without_origins_there_is_no_cors() {
    let (gateway, _service) = with_origins(&[]).await;
    assert_eq!(gateway.ask(&preflight("/v2/events", VALID)).await.status(), 405);
    let v1 = gateway.ask(&preflight("/v1/events", VALID)).await;
    assert_eq!((v1.status(), v1.header("allow")), (204, Some("GET, HEAD, OPTIONS")));
    assert_eq!(v1.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn other_apis_answer_a_preflight_with_their_methods() {
    let (gateway, _service) = with_origins(&["*"]).await;
    let answer = gateway.ask(&preflight("/v1/streams/7", "http://any.example")).await;
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, HEAD, OPTIONS"), "reading alone");
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://any.example"));
}

#[tokio::test]
async fn everybody_may_read_but_nobody_with_the_users_login() {
    let (gateway, _service) = with_origins(&["*", VALID]).await;
    for (origin, credentials) in [("http://any.example", None), ("null", None), (VALID, Some("true"))] {
        for asked in [
            preflight("/v2/events", origin),
            request("GET", "/v2/events", &format!("origin: {origin}\r\n"), ""),
        ] {
            let answer = gateway.ask(&asked).await;
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
            assert_eq!(answer.header("access-control-allow-credentials"), credentials, "{origin}");
        }
    }
}

#[tokio::test]
async fn pages_that_may_write_are_told_so() {
    let service = Service::new().await.automatic(|_| answer("200 OK", "", ""));
    let setup = Setup::default().service("events", &service.url).service("streams", &service.url);
    let setup = setup.with(|config| {
        config.cors_origins = vec!["http://reader.example".to_owned()];
        config.cors_write_origins = vec![VALID.to_owned()];
    });
    let gateway = setup.start().await;
    let methods = async |path: &str, origin: &str, asked: &str| {
        let headers = format!("origin: {origin}\r\naccess-control-request-method: {asked}\r\n");
        let answer = gateway.ask(&request("OPTIONS", path, &headers, "")).await;
        answer.header("access-control-allow-methods").map(str::to_owned)
    };
    let all = Some("GET, HEAD, PUT, DELETE, OPTIONS".to_owned());
    assert_eq!(methods("/v1/streams/7", VALID, "DELETE").await, all);
    assert_eq!(
        methods("/v1/streams/7", "http://reader.example", "DELETE").await,
        Some("GET, HEAD, OPTIONS".into())
    );
    assert_eq!(methods("/v2/events", VALID, "POST").await, Some("POST".into()));
    assert_eq!(methods("/v2/events", "http://reader.example", "POST").await, None);
    let headers = format!("origin: {VALID}\r\n");
    for (method, path) in [("POST", "/v2/events"), ("DELETE", "/v1/streams/7"), ("GET", "/v1/events")] {
        let answer = gateway.ask(&request(method, path, &headers, "")).await;
        assert_eq!(
            (answer.status(), answer.header("access-control-allow-origin")),
            (200, Some(VALID)),
            "{path}"
        );
    }
}
