//! Paths, methods, representations and the two wrappings of faults (events-v2.md, sections 1, 4 and 8).

use super::{admin, caller, faultstring};
use crate::common::Fixture;
use actix_web::http::{Method, StatusCode};
use actix_web::test::TestRequest;
use serde_json::{Value, json};

const READABLE: [&str; 7] = [
    "/v2/capabilities",
    "/v2/events",
    "/v2/events/m",
    "/v2/event_types",
    "/v2/event_types/t",
    "/v2/event_types/t/traits",
    "/v2/event_types/t/traits/n",
];

#[actix_web::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let fixture = Fixture::new();
    let mut seen = std::collections::HashSet::new();
    for path in READABLE.into_iter().chain(["/v2", "/v2/", "/v2/zork", "/v2/events?bad"]) {
        for request in [TestRequest::get(), TestRequest::put()] {
            let answer = fixture.send_as(admin(), request.uri(path)).await;
            let id = answer.headers.get("x-openstack-request-id").unwrap().to_str().unwrap();
            let uuid = uuid::Uuid::try_parse(id.strip_prefix("req-").unwrap()).unwrap();
            assert_eq!(uuid.get_version_num(), 4);
            assert!(seen.insert(uuid));
        }
    }
    for path in ["/", "/healthcheck"] {
        assert!(!fixture.get(path).await.headers.contains_key("x-openstack-request-id"));
    }
}

#[actix_web::test]
async fn unknown_paths_are_404_for_every_method() {
    let fixture = Fixture::new();
    let paths = [
        "/v2",
        "/v2/",
        "/v2/zork",
        "/v2/capabilities/x",
        "/v2/events/a/b",
        "/v2/events/a%2Fb",
        "/v2/events/a%2fb",
        "/v2/event_types/t/zork",
        "/v2/event_types/t%2Ftraits",
        "/v2/event_types/t/traits/n/x",
        "/v2/EVENTS",
    ];
    let expected = json!({"error_message": {"code": 404, "title": "Not Found", "description": null}});
    for path in paths {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let request =
                TestRequest::with_uri(path).method(method).insert_header(("Accept", "application/json"));
            let answer = fixture.send_as(admin(), request).await;
            assert_eq!((answer.status, answer.json()), (StatusCode::NOT_FOUND, expected.clone()), "{path}");
        }
    }
}

#[actix_web::test]
async fn other_methods_are_405() {
    let fixture = Fixture::new();
    for path in READABLE {
        for path in [path.to_owned(), format!("{path}/")] {
            let mut methods = vec![Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS];
            if !path.trim_end_matches('/').ends_with("/events") {
                methods.push(Method::POST);
            }
            for method in methods {
                let request = TestRequest::with_uri(&path)
                    .method(method.clone())
                    .insert_header(("Accept", "application/json"));
                let answer = fixture.send_as(admin(), request).await;
                let text = format!("The method {method} is not allowed for this resource.");
                let expected = json!({"error_message": {"code": 405, "title": "Method Not Allowed", "description": text}});
                assert_eq!(
                    (answer.status, answer.json()),
                    (StatusCode::METHOD_NOT_ALLOWED, expected),
                    "{path}"
                );
            }
            let head = fixture.send_as(admin(), TestRequest::with_uri(&path).method(Method::HEAD)).await;
            assert_eq!(head.status, StatusCode::METHOD_NOT_ALLOWED);
        }
    }
    let allow = |path| fixture.send_as(admin(), TestRequest::delete().uri(path));
    assert_eq!(allow("/v2/events").await.headers.get("allow").unwrap(), "GET, POST");
    assert_eq!(allow("/v2/event_types").await.headers.get("allow").unwrap(), "GET");
}

/// The table of section 4.
#[actix_web::test]
async fn access_faults_are_wrapped_by_accept() {
    let fixture = Fixture::new();
    let forbidden = |accept: &'static str| {
        let request = TestRequest::get().uri("/v2/events");
        fixture.send(if accept == "none" { request } else { request.insert_header(("Accept", accept)) })
    };
    for accept in ["application/json", "application/*", "application/json, text/plain;q=0.5"] {
        let answer = forbidden(accept).await;
        let expected = json!({"code": 403, "title": "Forbidden", "description": "RBAC Authorization Failed"});
        assert_eq!(answer.json(), json!({"error_message": expected}), "{accept}");
    }
    for accept in ["*/*", "text/html, */*;q=0.5"] {
        let message = forbidden(accept).await.json()["error_message"].as_str().unwrap().to_owned();
        assert!(
            message.contains("<title>403 Forbidden</title>") && message.contains("<h1>403 Forbidden</h1>")
        );
        assert!(message.contains("RBAC Authorization Failed"));
    }
    for accept in ["none", "", "text/xml"] {
        let text = "403 Forbidden\n\nAccess was denied to this resource.\n\n RBAC Authorization Failed  ";
        assert_eq!(forbidden(accept).await.json(), json!({"error_message": text}), "{accept}");
    }
    let xml = forbidden("application/xml").await;
    assert_eq!(xml.headers.get("content-type").unwrap(), "application/xml");
    assert_eq!(
        (xml.status, xml.body.as_str()),
        (StatusCode::FORBIDDEN, "<error_message>403</error_message>")
    );
}

#[actix_web::test]
async fn api_faults_are_the_same_for_every_accept_but_xml() {
    let fixture = Fixture::new();
    for accept in ["application/json", "*/*", ""] {
        let answer = fixture.admin_gets_as(accept, "/v2/events/nope").await;
        assert_eq!(
            (answer.status, faultstring(&answer)),
            (StatusCode::NOT_FOUND, "Event nope Not Found".into())
        );
        let answer = fixture.admin_gets_as(accept, "/v2/event_types/t").await;
        assert_eq!(faultstring(&answer), "The resource could not be found.");
    }
    let fault = "<error><faultcode>Client</faultcode><faultstring>Event a&amp;b Not Found</faultstring><debuginfo/></error>";
    let xml = fixture.admin_gets_as("application/xml", "/v2/events/a&b").await;
    assert_eq!(xml.body, format!("<error_message>{fault}</error_message>"));
    assert_eq!(xml.headers.get("content-type").unwrap(), "application/xml");
    let text_xml = fixture.admin_gets_as("text/xml", "/v2/events/a&b").await;
    assert_eq!(text_xml.json(), json!({"error_message": fault}));
    assert_eq!(text_xml.headers.get("content-type").unwrap(), "application/json");
}

#[actix_web::test]
async fn what_is_not_acceptable_is_406_before_anything_else() {
    let fixture = Fixture::new();
    for accept in ["text/html", "image/png", "text/javascript", "application/vnd.openstack.telemetry-v2+json"]
    {
        for path in READABLE {
            let request = TestRequest::get().uri(path).insert_header(("Accept", accept));
            let answer = fixture.send_as(caller(&[]), request).await;
            assert_eq!(answer.status, StatusCode::NOT_ACCEPTABLE, "{accept} {path}");
        }
    }
}

#[actix_web::test]
async fn resources_without_arguments_take_none() {
    let fixture = Fixture::new();
    for path in READABLE.into_iter().filter(|path| *path != "/v2/events") {
        let answer = fixture.admin_gets(&format!("{path}?a=b&limit=1&a=c")).await;
        let text = "Unknown argument: \"a, limit\"";
        assert_eq!((answer.status, faultstring(&answer)), (StatusCode::BAD_REQUEST, text.into()), "{path}");
        let request = TestRequest::get().uri(path).set_json(json!({"x": 1}));
        assert_eq!(faultstring(&fixture.send_as(admin(), request).await), "Unknown argument: \"x\"");
        let request =
            TestRequest::get().uri(path).insert_header(("Content-Type", "text/plain")).set_payload("x");
        let answer = fixture.send_as(admin(), request).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(faultstring(&answer), "Unknown mimetype: text/plain");
    }
}

#[actix_web::test]
async fn hostile_reading_requests_are_the_clients_mistake() {
    let fixture = Fixture::new();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [deep.as_str(), "{\"q\":", "\u{0}", "{\"limit\":1e999}", "{\"limit\":NaN}"] {
        let request = TestRequest::get()
            .uri("/v2/events")
            .insert_header(("Content-Type", "application/json"))
            .set_payload(body.to_owned());
        let answer = fixture.send_as(admin(), request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body:.40}");
    }
    let request = TestRequest::get()
        .uri("/v2/events")
        .insert_header(("Content-Type", "application/json"))
        .set_payload(vec![b' '; (1 << 20) + 1]);
    assert_eq!(fixture.send_as(admin(), request).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(fixture.admin_gets("/v2/events?q.field=%FF").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(fixture.admin_gets("/v2/events/%FF").await.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn capabilities_are_for_everybody_with_exactly_these_keys() {
    let fixture = Fixture::new();
    let expected =
        json!({"api": {"events:query:simple": true}, "event_storage": {"storage:production_ready": true}});
    for path in ["/v2/capabilities", "/v2/capabilities/"] {
        let answer = fixture.get(path).await;
        assert_eq!((answer.status, answer.json()), (StatusCode::OK, expected.clone()));
        assert_eq!(answer.headers.get("content-type").unwrap(), "application/json");
    }
    let xml = fixture.admin_gets_as("text/xml", "/v2/capabilities").await;
    assert_eq!(
        xml.body,
        "<result><api><item><key>events:query:simple</key><value>true</value></item></api>\
         <event_storage><item><key>storage:production_ready</key><value>true</value></item></event_storage></result>"
    );
    assert_ne!(fixture.get("/v2/capabilities?x").await.json(), Value::Null);
}
