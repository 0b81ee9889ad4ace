//! What the gateway answers itself.

use crate::support::{Service, Setup, answer, get, request};
use serde_json::json;

#[tokio::test]
async fn liveness_version_and_index_need_no_service() {
    let gateway = Setup::default().start().await;
    assert_eq!(gateway.ask(&get("/livez")).await.text(), "ok");
    assert_eq!(gateway.ask(&request("HEAD", "/livez", "", "")).await.status(), 200);
    let version = gateway.ask(&get("/version")).await.json();
    assert_eq!(version, json!({ "service": "gateway", "version": env!("CARGO_PKG_VERSION") }));
    let index = gateway.ask(&get("/")).await;
    assert_eq!(index.header("content-type"), Some("application/json"));
    let paths: Vec<String> = index.json()["apis"]
        .as_array()
        .unwrap()
        .iter()
        .map(|api| api["path"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        paths.contains(&"/v2/capabilities".to_owned()) && paths.contains(&"/v1/tasks".to_owned()),
        "{paths:?}"
    );
    let page = gateway.ask(&request("GET", "/", "accept: text/html,*/*;q=0.8\r\n", "")).await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    for path in paths {
        assert!(page.text().contains(&format!("<a href=\"{path}\">")), "{path}");
        assert_ne!(gateway.ask(&get(&path)).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn readiness_names_every_service_and_replica() {
    const TOLD: &str =
        r#"{"service": "events", "ready": true, "checks": {"database": "ok", "amqp": "b1: away"}}"#;
    let well = Service::new().await.automatic(|request| {
        let is_signed = request.header("x-quintet-identity").is_some_and(|signed| signed.starts_with("v1."));
        let is_asked = is_signed && request.first_line.starts_with("GET /readyz?verbose ");
        answer(if is_asked { "200 OK" } else { "500 Oops" }, "", TOLD)
    });
    let sick = Service::new().await.automatic(|_| answer("503 Service Unavailable", "", "not ready"));
    let gone = Service::new().await.url;
    let setup = Setup::default().service("tasks", &sick.url).service("tribe", &gone);
    let gateway = setup.service("events", &well.url).service("events", &gone).start().await;
    let plain = gateway.ask(&get("/readyz")).await;
    assert_eq!(
        (plain.status(), plain.text()),
        (200, "ok"),
        "one service away does not make the gateway useless"
    );
    let verbose = gateway.ask(&get("/readyz?verbose")).await;
    assert_eq!(verbose.status(), 503);
    let address = |url: &str| url.strip_prefix("http://").unwrap().to_owned();
    let expected = json!({ "service": "gateway", "ready": false, "checks": {
        "database": "ok",
        "events": format!("ok, but {} not reachable", address(&gone)),
        "tasks": format!("failed: {} not ready", address(&sick.url)),
        "tribe": format!("failed: {} not reachable", address(&gone)),
    }, "replicas": {
        "events": { address(&well.url): { "database": "ok", "amqp": "b1: away" }, address(&gone): null },
        "tasks": { address(&sick.url): null },
        "tribe": { address(&gone): null },
    }});
    assert_eq!(verbose.json(), expected);
}

#[tokio::test]
async fn figures_count_requests_by_template_and_replicas_by_address() {
    let service = Service::new().await.automatic(|_| answer("200 OK", "", ""));
    let gone = Service::new().await.url;
    let setup = Setup::default().service("streams", &service.url).service("tasks", &gone);
    let gateway = setup.start().await;
    for path in ["/v1/streams/1", "/v1/streams/2", "/v1/streams/1/2/3", "/nowhere"] {
        gateway.ask(&get(path)).await;
    }
    gateway.ask(&request("BREW", "/v1/streams/1", "", "")).await;
    gateway.ask(&request("POST", "/v1/tasks", "", "{}")).await;
    let text = gateway.ask(&get("/metrics")).await;
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4"));
    let duration = "quintet_http_request_duration_seconds_count";
    let replica = service.url.strip_prefix("http://").unwrap();
    for line in [
        format!(
            "{duration}{{method=\"GET\",route=\"/v1/streams/{{id}}\",service=\"gateway\",status=\"200\"}} 2"
        ),
        format!("{duration}{{method=\"GET\",route=\"unmatched\",service=\"gateway\",status=\"404\"}} 2"),
        format!(
            "{duration}{{method=\"OTHER\",route=\"/v1/streams/{{id}}\",service=\"gateway\",status=\"405\"}} 1"
        ),
        format!(
            "quintet_gateway_replica_answers_total{{replica=\"{replica}\",service=\"gateway\",upstream=\"streams\"}} 2"
        ),
        "quintet_gateway_replicas{service=\"gateway\",upstream=\"streams\"} 1".to_owned(),
        "quintet_gateway_retries_total{service=\"gateway\",upstream=\"tasks\"} 2".to_owned(),
        "quintet_gateway_faults_total{service=\"gateway\",status=\"502\"} 1".to_owned(),
        "quintet_http_requests_in_flight{service=\"gateway\"} 1".to_owned(),
    ] {
        assert!(text.text().lines().any(|own| sorted(own) == sorted(&line)), "{line}\n{}", text.text());
    }
}

#[tokio::test]
async fn figures_of_the_services_in_this_process_are_shown_too() {
    use prometheus::IntCounter;
    use shared::metrics::Metrics;
    let gateway = Setup::default().start().await;
    let services = ["events", "streams"].map(|name| {
        let metrics = Metrics::new(name).unwrap();
        metrics.request_duration("GET", "/x", "200").observe(0.1);
        metrics.connection_waits("read").observe(0.1);
        let counter = IntCounter::new("quintet_test_ingested_total", "Events taken.").unwrap();
        metrics.register(counter).unwrap().inc_by(7);
        metrics
    });
    gateway.running.show_metrics_of(services.into());
    gateway.ask(&get("/livez")).await;
    let text = gateway.ask(&get("/metrics")).await.text().to_owned();
    for service in ["events", "streams"] {
        let line = format!("quintet_test_ingested_total{{service=\"{service}\"}} 7");
        assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        assert!(text.contains(&format!("kind=\"read\",service=\"{service}\"")), "{text}");
    }
    let is_own = |line: &str| line.contains("route=\"/livez\"") && line.contains("service=\"gateway\"");
    assert!(text.lines().any(is_own), "{text}");
    // The text form allows each name's type once, and all its samples together.
    let mut types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    let count = types.len();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), count, "{text}");
}

#[tokio::test]
async fn figures_tell_how_long_the_gateway_waits_for_its_database() {
    let gateway = Setup::secure().start().await;
    let token = format!("authorization: Bearer {}\r\n", gateway.secret("admin_token"));
    let text = gateway.ask(&request("GET", "/metrics", &token, "")).await.text().to_owned();
    for kind in ["read", "write"] {
        let line =
            format!("quintet_db_connection_wait_seconds_count{{kind=\"{kind}\",service=\"gateway\"}} ");
        let count = text.lines().find_map(|own| own.strip_prefix(&line)).map(str::parse);
        assert!(count.is_some_and(|count| count != Ok(0)), "{line}\n{text}");
    }
}

#[tokio::test]
async fn readiness_in_detail_is_for_those_who_may_see_figures() {
    let gone = Service::new().await.url;
    let address = gone.strip_prefix("http://").unwrap();
    for (is_public, status) in [(false, 401), (true, 503)] {
        let setup = Setup::secure().service("events", &gone).with(|config| config.public_metrics = is_public);
        let gateway = setup.start().await;
        for query in ["verbose", "verbose=1", "x&verbose"] {
            let answer = gateway.ask(&get(&format!("/readyz?{query}"))).await;
            assert_eq!(answer.status(), status, "{query}");
            assert_eq!(answer.text().contains(address), is_public, "{query}");
        }
        for path in ["/readyz", "/readyz?x"] {
            let plain = gateway.ask(&get(path)).await;
            assert_eq!((plain.status(), plain.text()), (200, "ok"));
        }
        let token = format!("authorization: Bearer {}\r\n", gateway.secret("admin_token"));
        let answer = gateway.ask(&request("GET", "/readyz?verbose", &token, "")).await;
        assert_eq!((answer.status(), &answer.json()["checks"]["database"]), (503, &json!("ok")));
    }
}

/// The labels of a line say the same in every order.
fn sorted(line: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = line.split(['{', '}', ',']).collect();
    parts.sort_unstable();
    parts
}

#[tokio::test]
async fn the_documents_page_loads_nothing_from_elsewhere() {
    let gateway = Setup::secure().start().await;
    let page = gateway.ask(&get("/docs")).await;
    assert_eq!((page.status(), page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(
        page.header("content-security-policy").unwrap().starts_with("default-src 'none'; script-src 'self';")
    );
    for (path, content_type) in
        [("/docs/page.js", "text/javascript; charset=utf-8"), ("/docs/page.css", "text/css; charset=utf-8")]
    {
        let file = gateway.ask(&get(path)).await;
        assert_eq!((file.status(), file.header("content-type")), (200, Some(content_type)), "{path}");
        assert!(page.text().contains(path), "{path}");
        assert!(!file.text().contains("://"), "{path} names another site");
    }
    assert!(!page.text().contains("://"));
    let list = gateway.ask(&get("/docs/openapi")).await.json();
    for document in list.as_array().unwrap() {
        let url = document["url"].as_str().unwrap();
        assert!(gateway.ask(&get(url)).await.json()["paths"].is_object(), "{url}");
        assert_eq!(gateway.ask(&get(&url.replace(".json", ".yaml"))).await.status(), 200, "{url}");
    }
    for path in ["/docs/x", "/docs/openapi/x.json", "/docs/openapi/", "/docs/../Cargo.toml"] {
        assert_eq!(gateway.ask(&get(path)).await.status(), 404, "{path}");
    }
}
