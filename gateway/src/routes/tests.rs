use super::*;

fn found(router: &Router, path: &str) -> String {
    match router.find(path, &Method::GET) {
        Found::Route(route) => route.pattern.clone(),
        Found::Elsewhere(_, path) => format!("-> {path}"),
        Found::Unknown(api) => format!("{api:?}"),
    }
}

#[test]
fn paths_of_the_contracts_find_their_routes() {
    let router = Router::main();
    for (path, pattern) in [
        ("/", "/"),
        ("/v1/streams", "/v1/streams"),
        ("/v1/streams/", "/v1/streams"),
        ("/v1/streams/count", "/v1/streams/count"),
        ("/v1/streams/COUNT", "/v1/streams/count"),
        ("/v1/streams/%43ount/", "/v1/streams/count"),
        ("/v1/streams/counts", "/v1/streams/{id}"),
        ("/v1/streams/640", "/v1/streams/{id}"),
        ("/v1/streams/640/", "/v1/streams/{id}"),
        ("/v1/events/COUNT", "/v1/events/count"),
        ("/v1/%65vents", "/v1/events"),
        ("/v2/events/d-01.json", "/v2/events/{message_id}"),
        ("/v2/event_types/a/traits/b/", "/v2/event_types/{event_type}/traits/{trait_name}"),
        ("/v1/plugins///0/config", "/v1/plugins/{type}/{name}/{version}/config"),
        ("/v1/plugins/publisher//0/config", "/v1/plugins/{type}/{name}/{version}/config"),
        ("/v1/metrics/", "/v1/metrics/{*namespace}"),
        ("/v1/metrics/a/b/*", "/v1/metrics/{*namespace}"),
        ("/v1/metrics/a/b/", "/v1/metrics/{*namespace}"),
        ("/v1/tribe/member/n%2F1", "/v1/tribe/member/{name}"),
        ("/api/3/dtrace", "/api/{version}/dtrace"),
        ("/api/0.1.0/dtrace/u/metadata/a/b", "/api/{version}/dtrace/{uuid}/metadata/{*path}"),
        ("/api/annotation/dtrace", "/api/annotation/{id}"),
        ("/annotation/query", "/annotation/query"),
        ("/api/annotations/graphite", "/api/annotations/graphite"),
        ("/admin/events/dead-letters/replay", "/admin/events/dead-letters/replay"),
        ("/admin/events/dead-letters/7/replay", "/admin/events/dead-letters/{id}/replay"),
        ("/docs/openapi/events-v2.json", "/docs/{*file}"),
    ] {
        assert_eq!(found(&router, path), pattern, "{path}");
    }
}

#[test]
fn unknown_paths_belong_to_the_api_above_them() {
    let router = Router::main();
    for (path, api) in [
        ("/v1/streams/1/2/3", "StackTach"),
        ("/v1/streams//", "StackTach"),
        ("/v2", "Panko"),
        ("/v2/", "Panko"),
        ("/v2/capabilities/x", "Panko"),
        ("/v2/events/a%2Fb", "Panko"),
        ("/v2/events//", "Panko"),
        ("/v2/plugins/a/b/c/d", "SnapV2"),
        ("/v1/tasks/x/foo", "SnapV1"),
        ("/v1/tribe", "SnapV1"),
        ("/api/3/dtrace/u/x/y", "Fifo"),
        ("/annotation/", "Annotate"),
        ("/healthcheck", "Gateway"),
        ("/internal/feed", "Gateway"),
        ("/admin", "Gateway"),
        ("/v1/metrics/../../internal/feed", "SnapV1"),
        ("/v1/metrics/%2e%2E/x", "SnapV1"),
        ("//", "Gateway"),
        ("*", "Gateway"),
        ("", "Gateway"),
    ] {
        assert_eq!(found(&router, path), api, "{path}");
    }
}

#[test]
fn snap_sends_misspelt_paths_to_the_right_one_when_the_method_exists_there() {
    let router = Router::main();
    assert_eq!(found(&router, "/v1/plugins/"), "-> /v1/plugins");
    assert_eq!(found(&router, "/v1/Tasks/A-b/WATCH/"), "-> /v1/tasks/A-b/watch");
    let refused = router.find("/v1/plugins/", &Method::DELETE);
    assert!(matches!(refused, Found::Unknown(Api::SnapV1)), "{refused:?}");
    assert_eq!(found(&router, "/v1/EVENTS"), "Gateway", "other APIs do not guess");
}

#[test]
fn a_compat_listener_knows_its_own_api_alone() {
    for (api, own, foreign) in [
        (Api::StackTach, "/v1/notifications", "/v2/events"),
        (Api::Panko, "/healthcheck", "/v1/events"),
        (Api::SnapV1, "/v2/tasks", "/v1/streams"),
        (Api::Annotate, "/api/annotation/query", "/dtrace"),
        (Api::Annotate, "/api/annotations", "/v2/events"),
        (Api::Fifo, "/dtrace", "/annotation"),
    ] {
        let router = Router::pinned_to(api);
        assert_eq!(found(&router, own), own);
        let stranger = found(&router, foreign);
        let expected = if api == Api::Annotate { "/{*page}".into() } else { format!("{api:?}") };
        assert_eq!(stranger, expected, "{api:?} {foreign}");
        for page in ["/livez", "/metrics", "/admin/tokens", "/docs"] {
            assert_ne!(found(&router, page), page, "{api:?}");
        }
    }
    assert_eq!(found(&Router::pinned_to(Api::Panko), "/"), "/");
    assert_eq!(found(&Router::pinned_to(Api::Annotate), "/list"), "/{*page}");
    assert_eq!(found(&Router::pinned_to(Api::Annotate), "/"), "/{*page}");
}

#[test]
fn no_spelling_reaches_what_a_service_keeps_from_clients() {
    let router = Router::pinned_to(Api::Annotate);
    for name in ["livez", "readyz", "metrics", "version", "internal"] {
        let escaped: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let (first, rest) = name.split_at(1);
        for path in [
            format!("/{name}"),
            format!("/{name}/"),
            format!("//{name}"),
            format!("/{name}/x"),
            format!("/x/{name}"),
            format!("/{}", name.to_uppercase()),
            format!("/{escaped}"),
            format!("/{}", escaped.to_uppercase()),
            format!("/{}", escaped.replace('%', "%25")),
            format!("/{}", escaped.replace('%', "%2525")),
            // The escape of the first letter, with one of its digits escaped.
            format!("/%{:x}%{:02x}{rest}", first.as_bytes()[0] >> 4, escaped.as_bytes()[2]),
            format!("/%2f{name}"),
            format!("/x%2F{name}%2Fx"),
            format!("/x%252f%252e%252e%252f{name}"),
            format!("/%ff%2f{escaped}"),
            format!("/x%5c{name}"),
            format!("/{name};x"),
            format!("/{name}%3fverbose"),
            format!("/{name}%2523"),
        ] {
            assert_eq!(found(&router, &path), "Annotate", "{path}");
        }
        for page in [format!("/my-{name}"), format!("/{name}x"), format!("/%{name}")] {
            assert_eq!(found(&router, &page), "/{*page}", "{page}");
        }
    }
}

#[test]
fn only_the_page_of_annotate_takes_every_path() {
    let apis = [Api::StackTach, Api::Panko, Api::SnapV1, Api::Fifo, Api::Annotate];
    for router in [Router::main()].into_iter().chain(apis.map(Router::pinned_to)) {
        for route in router.routes() {
            let is_any = route.pattern.starts_with("/{");
            assert_eq!(is_any, route.pattern == "/{*page}", "{}", route.pattern);
        }
    }
}

#[test]
fn no_two_routes_share_a_path_and_every_route_finds_itself() {
    let apis = [Api::StackTach, Api::Panko, Api::SnapV1, Api::Fifo, Api::Annotate];
    for router in [Router::main()].into_iter().chain(apis.map(Router::pinned_to)) {
        for route in router.routes() {
            let path = route.pattern.replace("{*", "{");
            assert_eq!(found(&router, &path), route.pattern);
        }
    }
}

#[test]
fn permissions_name_the_parts_of_the_path() {
    let router = Router::main();
    let Found::Route(route) = router.find("/api/3/dtrace/a%20b/metadata/x/y", &Method::PUT) else {
        unreachable!("the path is in the table")
    };
    let action = route.action(&Method::PUT).unwrap();
    assert_eq!(route.permission(action, "/api/3/dtrace/a%20b/metadata/x/y"), ["dtrace", "a b", "edit"]);
}

#[test]
fn decoding_leaves_what_is_no_escape() {
    for (given, expected) in
        [("a%2Fb", "a/b"), ("100%", "100%"), ("%zz", "%zz"), ("%ff", "%ff"), ("%+f", "%+f"), ("%C3%A9", "é")]
    {
        assert_eq!(decoded(given), expected);
    }
}
