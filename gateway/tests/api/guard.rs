//! The open mode is for programs and for its own pages; a browser on a foreign page gets nothing done.

use crate::support::{Service, Setup, answer, request};

#[tokio::test]
async fn foreign_hosts_and_pages_are_refused_before_any_service_hears_of_them() {
    let service = Service::new().await;
    let gateway = Setup::default()
        .service("tasks", &service.url)
        .service("dtrace", &service.url)
        .with(|config| {
            config.hosts = vec!["Quintet.internal".into()];
            config.cors_write_origins = vec!["https://grafana.example".into()];
        })
        .start()
        .await;
    let ask = async |method: &str, path: &str, host: &str, headers: &str| {
        let text = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n");
        gateway.ask(&text).await
    };
    for host in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example"] {
        let answer = ask("GET", "/v1/tasks", host, "").await;
        assert_eq!((answer.status(), answer.json()["meta"]["type"].as_str()), (403, Some("error")), "{host}");
    }
    let socket = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\norigin: http://evil.example\r\n";
    assert_eq!(ask("GET", "/dtrace/u/stream", "localhost", socket).await.status(), 403);
    for headers in [
        "origin: http://evil.example\r\n",
        "origin: null\r\n",
        "origin: http://localhost:9999\r\n",
        "sec-fetch-site: cross-site\r\n",
        "sec-fetch-site: same-site\r\n",
    ] {
        for (method, path) in
            [("POST", "/v1/plugins"), ("DELETE", "/v1/tasks/7"), ("PUT", "/v1/tasks/7/start")]
        {
            assert_eq!(
                ask(method, path, "localhost:8080", headers).await.status(),
                403,
                "{method} {headers}"
            );
        }
    }
    let service = service.automatic(|_| answer("200 OK", "", ""));
    for (host, headers) in [
        ("localhost:8080", ""),
        ("127.0.0.1", ""),
        ("[::1]:8080", ""),
        ("10.1.2.3:8080", ""),
        ("quintet.internal", ""),
        ("localhost:8080", "origin: http://localhost:8080\r\n"),
        ("localhost:8080", "origin: https://grafana.example\r\n"),
        ("localhost:8080", "sec-fetch-site: same-origin\r\n"),
    ] {
        assert_eq!(ask("POST", "/v1/tasks", host, headers).await.status(), 200, "{host} {headers}");
    }
    let read =
        ask("GET", "/v1/tasks", "localhost", "origin: http://evil.example\r\nsec-fetch-site: cross-site\r\n")
            .await;
    assert_eq!(read.status(), 200);
    assert_eq!(read.header("access-control-allow-origin"), None, "the browser keeps it from the page");
    drop(service);
}

#[tokio::test]
async fn the_refusal_wears_the_shape_of_the_api() {
    let gateway = Setup::default().start().await;
    let foreign = "origin: http://evil.example\r\naccept: application/json\r\n";
    let words = "Refused: the request comes from another site's page.";
    let answer = gateway.ask(&request("POST", "/v2/events", foreign, "[]")).await;
    let expected =
        serde_json::json!({ "error_message": { "code": 403, "title": "Forbidden", "description": words } });
    assert_eq!((answer.status(), answer.json()), (403, expected));
    let answer = gateway.ask(&request("POST", "/v1/notifications", foreign, "{}")).await;
    assert_eq!(answer.json(), serde_json::json!({ "title": "Forbidden", "description": words }));
    let answer = gateway.ask(&request("DELETE", "/annotation/7", foreign, "")).await;
    assert_eq!(answer.json(), serde_json::json!({ "error": words }));
}

#[tokio::test]
async fn pages_that_may_read_may_not_write() {
    let service = Service::new().await;
    let gateway = Setup::default()
        .service("tasks", &service.url)
        .service("events", &service.url)
        .service("dtrace", &service.url)
        .with(|config| config.cors_origins = vec!["*".into(), "https://reader.example".into()])
        .start()
        .await;
    // What a form or a simple fetch can send without asking first.
    for origin in ["http://evil.example", "https://reader.example"] {
        let headers = format!("origin: {origin}\r\ncontent-type: text/plain\r\n");
        for path in
            ["/admin/tokens", "/v1/users", "/oauth/token", "/v1/plugins", "/v1/notifications", "/v2/events"]
        {
            let refused = gateway.ask(&request("POST", path, &headers, "{\"name\":\"x\"}")).await;
            assert_eq!(refused.status(), 403, "{path} from {origin}");
        }
        let socket =
            format!("{headers}connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n");
        assert_eq!(gateway.ask(&request("GET", "/dtrace/u/stream", &socket, "")).await.status(), 403);
    }
}

#[tokio::test]
async fn no_origin_is_good_enough_where_rights_are_made() {
    let friend = "https://friend.example";
    let gateway = Setup::default()
        .with(|config| config.cors_write_origins = vec![friend.into()])
        .service("events", "http://127.0.0.1:9")
        .start()
        .await;
    let headers = format!("origin: {friend}\r\n");
    let read_only = format!("{headers}access-control-request-method: GET\r\n");
    for path in ["/admin/tokens", "/admin/audit", "/admin/scopes", "/v1/users", "/v1/clients", "/v1/roles"] {
        let read = gateway.ask(&request("GET", path, &headers, "")).await;
        assert_eq!((read.status(), read.header("access-control-allow-origin")), (200, None), "{path}");
        let asked = gateway.ask(&request("OPTIONS", path, &read_only, "")).await;
        assert_eq!(asked.header("access-control-allow-origin"), None, "{path}");
        assert_eq!(asked.header("access-control-allow-methods"), None, "{path}");
    }
    for path in ["/admin/tokens", "/v1/users", "/oauth/token", "/oauth/auth", "/api/0.1.0/sessions"] {
        assert_eq!(gateway.ask(&request("POST", path, &headers, "{}")).await.status(), 403, "{path}");
    }
    assert_eq!(
        gateway.ask(&request("DELETE", "/admin/events/dead-letters", &headers, "")).await.status(),
        403
    );
}
