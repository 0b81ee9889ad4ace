//! A compat listener belongs to one API: an original client needs only the host name.

use crate::support::{Automatic, Gateway, Service, Setup, answer, get, request};

async fn all_listeners(setup: Setup) -> (Gateway, Vec<Automatic>) {
    let mut setup = setup.with(|config| {
        let any = || Some("127.0.0.1:0".to_owned());
        let compat = &mut config.compat;
        for place in [
            &mut compat.stacktach,
            &mut compat.panko,
            &mut compat.snap,
            &mut compat.annotate,
            &mut compat.fifo,
        ] {
            *place = any();
        }
    });
    let mut services = Vec::new();
    for name in ["events", "streams", "tasks", "tribe", "annotate", "dtrace"] {
        let service = Service::new().await.automatic(move |_| answer("200 OK", "", name));
        setup = setup.service(name, &service.url);
        services.push(service);
    }
    (setup.start().await, services)
}

#[tokio::test]
async fn each_listener_owns_its_root() {
    let (gateway, _services) = all_listeners(Setup::default()).await;
    for (listener, status, text) in [
        ("stacktach", 404, ""),
        ("panko", 200, "events"),
        ("snap", 404, "404 page not found\n"),
        ("annotate", 200, "annotate"),
    ] {
        let answer = gateway.ask_at(listener, &get("/")).await;
        assert_eq!((answer.status(), answer.text()), (status, text), "{listener}");
    }
    let answer = gateway.ask_at("fifo", &get("/")).await;
    assert_eq!((answer.status(), answer.header("vary")), (404, Some("accept")));
    assert_eq!(gateway.ask_at("panko", &get("/healthcheck")).await.text(), "events");
    assert_eq!(gateway.ask_at("annotate", &get("/list")).await.text(), "annotate");
    assert_eq!(gateway.ask_at("annotate", &get("/static/app.js")).await.text(), "annotate");
    assert_eq!(gateway.ask_at("annotate", &request("POST", "/tag-keys", "", "")).await.text(), "annotate");
}

#[tokio::test]
async fn each_listener_knows_its_own_paths_alone() {
    let (gateway, _services) = all_listeners(Setup::default()).await;
    let paths = [
        ("stacktach", ["/v1/events", "/v1/streams"]),
        ("panko", ["/v2/events", "/v2/capabilities/"]),
        ("snap", ["/v1/tasks", "/v2/plugins"]),
        ("fifo", ["/dtrace", "/api/3/dtrace"]),
    ];
    for (listener, _) in &paths {
        for (owner, own) in &paths {
            for path in own {
                let status = if listener == owner { 200 } else { 404 };
                assert_eq!(gateway.ask_at(listener, &get(path)).await.status(), status, "{listener} {path}");
            }
        }
        for path in ["/livez", "/metrics", "/docs", "/admin/tokens", "/internal/feed"] {
            assert_eq!(gateway.ask_at(listener, &get(path)).await.status(), 404, "{listener} {path}");
        }
    }
}

#[tokio::test]
async fn no_listener_shows_what_a_service_has_for_operators() {
    for setup in [Setup::default(), Setup::secure()] {
        let (gateway, _services) = all_listeners(setup).await;
        for path in [
            "/livez",
            "/readyz",
            "/readyz?verbose",
            "/metrics",
            "/version",
            "/%6Detrics",
            "/%256detrics",
            "//version",
        ] {
            let answer = gateway.ask_at("annotate", &get(path)).await;
            assert_eq!(answer.status(), 404, "{path}");
            assert_ne!(answer.text(), "annotate", "{path}");
        }
        assert_eq!(gateway.ask_at("annotate", &get("/list")).await.text(), "annotate");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_wear_the_owners_shape() {
    let (gateway, _services) = all_listeners(Setup::default()).await;
    let answer =
        gateway.ask_at("panko", &request("GET", "/nowhere", "accept: application/json\r\n", "")).await;
    assert_eq!(answer.json()["error_message"]["title"], "Not Found");
    for path in ["/healthcheck/", "//"] {
        let answer = gateway.ask_at("panko", &request("GET", path, "accept: application/json\r\n", "")).await;
        let title = answer.json()["error_message"]["title"].clone();
        assert_eq!((answer.status(), title), (404, "Not Found".into()), "{path}");
    }
    let answer = gateway.ask_at("stacktach", &get("/nowhere")).await;
    assert_eq!((answer.status(), answer.text()), (404, ""));
    let answer = gateway.ask_at("snap", &get("/nowhere")).await;
    assert_eq!(answer.text(), "404 page not found\n");
    let answer = gateway.ask_at("annotate", &request("DELETE", "/nowhere", "", "")).await;
    assert_eq!((answer.status(), answer.header("allow")), (405, Some("GET")));
}

#[tokio::test]
async fn each_listener_asks_for_credentials_in_its_own_way() {
    let (gateway, _services) = all_listeners(Setup::secure()).await;
    for (listener, path, challenge) in [
        ("stacktach", "/v1/events", Some("Basic realm=\"quintet\"")),
        ("panko", "/v2/events", Some("Basic realm=\"quintet\"")),
        ("snap", "/v1/tasks", None),
        ("snap", "/v1/nowhere", None),
        ("snap", "/", None),
        ("annotate", "/annotation/query", Some("Basic realm=\"quintet\"")),
        ("fifo", "/dtrace", Some("Bearer realm=\"quintet\"")),
    ] {
        let answer = gateway.ask_at(listener, &get(path)).await;
        assert_eq!(
            (answer.status(), answer.header("www-authenticate")),
            (401, challenge),
            "{listener} {path}"
        );
    }
    let answer = gateway.ask_at("snap", &get("/v1/tasks")).await;
    assert_eq!(answer.header("version"), Some("beta"));
    assert_eq!(answer.header("content-type"), Some("application/json; version=2; charset=utf-8"));
    let body = answer.json();
    assert_eq!(body["code"], 401);
    assert!(
        body["message"].as_str().unwrap().starts_with("Not authorized. Please specify the same password")
    );
    let open = gateway.ask_at("panko", &get("/")).await;
    assert_eq!(open.status(), 200, "the version document is for everybody");
}
