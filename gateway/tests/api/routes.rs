//! Every route of the contracts reaches its service; nothing else reaches any.

use crate::support::{Automatic, Gateway, Service, Setup, answer, request};

/// Method, path, service.
const ROUTES: &[(&str, &str, &str)] = &[
    // streams-events-v1, sections 1 and 5 to 8
    ("GET", "/v1/streams", "streams"),
    ("GET", "/v1/streams/", "streams"),
    ("GET", "/v1/streams/count", "streams"),
    ("GET", "/v1/streams/COUNT", "streams"),
    ("GET", "/v1/streams/640", "streams"),
    ("DELETE", "/v1/streams/640", "streams"),
    ("PUT", "/v1/streams/640", "streams"),
    ("HEAD", "/v1/streams/640", "streams"),
    ("GET", "/v1/streams/640/history", "streams"),
    ("GET", "/v1/streams/tail", "streams"),
    ("POST", "/v1/streams/match", "streams"),
    ("GET", "/v1/streams/debug", "streams"),
    ("POST", "/v1/streams/reload", "streams"),
    ("GET", "/v1/events", "events"),
    ("GET", "/v1/events/count", "events"),
    ("GET", "/v1/events/dead-beef", "events"),
    ("POST", "/v1/notifications", "events"),
    // events-v2, section 1
    ("GET", "/v2/events", "events"),
    ("GET", "/v2/events/", "events"),
    ("POST", "/v2/events", "events"),
    ("GET", "/v2/events/dead-beef", "events"),
    ("GET", "/v2/event_types", "events"),
    ("GET", "/v2/event_types/", "events"),
    ("GET", "/v2/event_types/a.b", "events"),
    ("GET", "/v2/event_types/a.b/traits", "events"),
    ("GET", "/v2/event_types/a.b/traits/", "events"),
    ("GET", "/v2/event_types/a.b/traits/c", "events"),
    ("GET", "/v2/capabilities", "events"),
    ("GET", "/v2/capabilities/", "events"),
    // snap-plugins, sections 1.2 and 2
    ("GET", "/v1/plugins", "tasks"),
    ("POST", "/v1/plugins", "tasks"),
    ("GET", "/v1/plugins/collector", "tasks"),
    ("GET", "/v1/plugins/collector/rand", "tasks"),
    ("GET", "/v1/plugins/collector/rand/1", "tasks"),
    ("DELETE", "/v1/plugins/collector/rand/1", "tasks"),
    ("GET", "/v1/plugins/collector/rand/1/config", "tasks"),
    ("PUT", "/v1/plugins/publisher//0/config", "tasks"),
    ("DELETE", "/v1/plugins///0/config", "tasks"),
    ("GET", "/v1/metrics", "tasks"),
    ("GET", "/v1/metrics/", "tasks"),
    ("GET", "/v1/metrics/a/b/*", "tasks"),
    ("GET", "/v2/plugins", "tasks"),
    ("POST", "/v2/plugins", "tasks"),
    ("GET", "/v2/plugins/collector/rand/1", "tasks"),
    ("DELETE", "/v2/plugins/collector/rand/1", "tasks"),
    ("PUT", "/v2/plugins/collector/rand/1/config", "tasks"),
    ("GET", "/v2/metrics", "tasks"),
    // snap-tasks, sections 1.1 and 5
    ("GET", "/v1/tasks", "tasks"),
    ("POST", "/v1/tasks", "tasks"),
    ("GET", "/v1/tasks/x", "tasks"),
    ("GET", "/v1/tasks/x/watch", "tasks"),
    ("PUT", "/v1/tasks/x/start", "tasks"),
    ("PUT", "/v1/tasks/x/stop", "tasks"),
    ("PUT", "/v1/tasks/x/enable", "tasks"),
    ("DELETE", "/v1/tasks/x", "tasks"),
    ("GET", "/v2/tasks", "tasks"),
    ("POST", "/v2/tasks", "tasks"),
    ("GET", "/v2/tasks/x", "tasks"),
    ("PUT", "/v2/tasks/x?action=start", "tasks"),
    ("DELETE", "/v2/tasks/x", "tasks"),
    ("GET", "/v2/tasks/x/watch", "tasks"),
    // snap-tribe, section 1
    ("GET", "/v1/tribe/agreements", "tribe"),
    ("POST", "/v1/tribe/agreements", "tribe"),
    ("GET", "/v1/tribe/agreements/a", "tribe"),
    ("DELETE", "/v1/tribe/agreements/a", "tribe"),
    ("PUT", "/v1/tribe/agreements/a/join", "tribe"),
    ("DELETE", "/v1/tribe/agreements/a/leave", "tribe"),
    ("GET", "/v1/tribe/members", "tribe"),
    ("GET", "/v1/tribe/member/n1", "tribe"),
    // dtrace, section 2: bare, versioned, and under /v1
    ("GET", "/dtrace", "dtrace"),
    ("HEAD", "/dtrace", "dtrace"),
    ("OPTIONS", "/dtrace", "dtrace"),
    ("POST", "/dtrace", "dtrace"),
    ("GET", "/dtrace/", "dtrace"),
    ("GET", "/api/3/dtrace/u", "dtrace"),
    ("PUT", "/api/0.1.0/dtrace/u", "dtrace"),
    ("DELETE", "/v1/dtrace/u", "dtrace"),
    ("OPTIONS", "/v1/dtrace/u", "dtrace"),
    ("PUT", "/api/0.2.0/dtrace/u/metadata", "dtrace"),
    ("PUT", "/dtrace/u/metadata/a/b", "dtrace"),
    ("DELETE", "/dtrace/u/metadata/a/b", "dtrace"),
    ("GET", "/dtrace/u/stream", "dtrace"),
    ("GET", "/api/3/dtrace/catalogue", "dtrace"),
    ("POST", "/dtrace/u/runs", "dtrace"),
    ("GET", "/dtrace/u/runs/7/events", "dtrace"),
    // annotate, section 3, and its Grafana import path
    ("POST", "/annotation", "annotate"),
    ("PUT", "/api/annotation", "annotate"),
    ("PUT", "/v1/annotation/i", "annotate"),
    ("GET", "/annotation/i?Epoch=1", "annotate"),
    ("DELETE", "/api/annotation/i", "annotate"),
    ("GET", "/annotation/query?Owner%3A%3AEmpty=x", "annotate"),
    ("GET", "/v1/annotation/values/Owner", "annotate"),
    ("OPTIONS", "/annotation/query", "annotate"),
    ("GET", "/api/annotate", "annotate"),
    ("POST", "/annotation/i/restore", "annotate"),
    ("GET", "/annotation/changes", "annotate"),
    ("POST", "/api/annotations", "annotate"),
    ("GET", "/api/annotations?from=1", "annotate"),
    ("PATCH", "/api/annotations/7", "annotate"),
    ("POST", "/api/annotations/graphite", "annotate"),
];

/// A gateway in front of six services that answer with their names and the target they were asked for.
async fn all_services() -> (Gateway, Vec<Automatic>) {
    let mut setup = Setup::default();
    let mut services = Vec::new();
    for name in ["events", "streams", "tasks", "tribe", "annotate", "dtrace"] {
        let service = Service::new().await.automatic(move |request| {
            let target = request.first_line.split(' ').nth(1).unwrap_or_default();
            let body = if request.first_line.starts_with("HEAD ") { "" } else { name };
            answer("200 OK", &format!("x-service: {name}\r\nx-target: {target}\r\n"), body)
        });
        setup = setup.service(name, &service.url);
        services.push(service);
    }
    (setup.start().await, services)
}

#[tokio::test]
async fn every_route_of_the_contracts_reaches_its_service_unchanged() {
    let (gateway, _services) = all_services().await;
    let mut client = gateway.connect().await;
    for (method, path, service) in ROUTES {
        let text = request(method, path, "", "");
        client.send(&text).await;
        let answer = client.answer_to(&text).await;
        assert_eq!(answer.header("x-service"), Some(*service), "{method} {path}: {answer:?}");
        assert_eq!(answer.header("x-target"), Some(*path), "{method} {path}");
    }
}

#[tokio::test]
async fn a_stream_is_reset_by_post_with_an_override_alone() {
    let (gateway, _services) = all_services().await;
    for (method, status) in
        [("PUT", 200), ("put", 200), ("DELETE", 200), ("PATCH", 405), ("GET", 405), ("x", 405)]
    {
        let text = request("POST", "/v1/streams/7", &format!("x-http-method-override: {method}\r\n"), "");
        let answer = gateway.ask(&text).await;
        assert_eq!(answer.status(), status, "{method}");
    }
    assert_eq!(gateway.ask(&request("POST", "/v1/streams/7", "", "")).await.status(), 405);
    let elsewhere = request("POST", "/v1/tasks/7", "x-http-method-override: DELETE\r\n", "");
    assert_eq!(gateway.ask(&elsewhere).await.status(), 405, "no other API knows the header");
}

#[tokio::test]
async fn dead_letters_are_reached_through_the_admin_area_alone() {
    let (gateway, _services) = all_services().await;
    for (method, path, target) in [
        ("GET", "/admin/events/dead-letters", "/internal/dead-letters"),
        ("GET", "/admin/events/dead-letters?limit=5", "/internal/dead-letters?limit=5"),
        ("GET", "/admin/events/dead-letters/7", "/internal/dead-letters/7"),
        ("POST", "/admin/events/dead-letters/7/replay", "/internal/dead-letters/7/replay"),
        ("DELETE", "/admin/events/dead-letters/7", "/internal/dead-letters/7"),
        ("DELETE", "/admin/events/dead-letters", "/internal/dead-letters"),
        ("POST", "/admin/events/dead-letters/replay", "/internal/dead-letters/replay"),
    ] {
        let answer = gateway.ask(&request(method, path, "", "")).await;
        assert_eq!(answer.header("x-target"), Some(target), "{method} {path}");
    }
    for path in [
        "/internal/dead-letters",
        "/internal/feed",
        "/v1/../internal/feed",
        "/v1/metrics/../../internal/feed",
        "/v1/metrics/%2e%2e/%2e%2e/internal/feed",
        "/admin/events/dead-letters/../feed",
        "/admin/events/dead-letters/7/replay/x",
        "//internal/feed",
    ] {
        let answer = gateway.ask(&request("GET", path, "", "")).await;
        assert_eq!((answer.status(), answer.header("x-service")), (404, None), "{path}");
    }
}

#[tokio::test]
async fn snap_sends_misspelt_paths_on() {
    let (gateway, _services) = all_services().await;
    let answer = gateway.ask(&request("GET", "/v1/plugins/?details", "", "")).await;
    assert_eq!((answer.status(), answer.header("location")), (301, Some("/v1/plugins?details")));
    assert_eq!(answer.text(), "<a href=\"/v1/plugins?details\">Moved Permanently</a>.\n\n");
    let answer = gateway.ask(&request("POST", "/v1/tasks/", "", "{}")).await;
    assert_eq!((answer.status(), answer.header("location")), (307, Some("/v1/tasks")));
    let answer = gateway.ask(&request("PUT", "/V1/tasks/Ab/START", "", "")).await;
    assert_eq!((answer.status(), answer.header("location")), (307, Some("/v1/tasks/Ab/start")));
    assert_eq!(gateway.ask(&request("DELETE", "/v1/plugins/", "", "")).await.status(), 404);
}
