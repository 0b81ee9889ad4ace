//! `GET /` and `GET /healthcheck` (events-v2.md, sections 9 and 10).

use crate::common::Fixture;
use actix_web::http::{Method, StatusCode};
use actix_web::test::TestRequest;
use events_svc::config::Config;
use events_svc::distill::Distiller;
use serde_json::json;

#[actix_web::test]
async fn version_document_is_the_originals() {
    let fixture = Fixture::new();
    let answer =
        fixture.send(TestRequest::get().uri("/?any=thing").insert_header(("Host", "panko:8977"))).await;
    assert_eq!(answer.headers.get("content-type").unwrap(), "application/json");
    let media = |kind: &str| json!({"base": format!("application/{kind}"), "type": format!("application/vnd.openstack.telemetry-v2+{kind}")});
    let expected = json!({"versions": {"values": [{
        "id": "v2",
        "links": [
            {"href": "http://panko:8977/v2", "rel": "self"},
            {"href": "https://docs.openstack.org/", "rel": "describedby", "type": "text/html"},
        ],
        "media-types": [media("json"), media("xml")],
        "status": "stable",
        "updated": "2013-02-13T00:00:00Z",
    }]}});
    assert_eq!(answer.json(), expected);
    // Gabbi looks for this text.
    assert!(answer.body.contains("\"base\": \"application/json\""));
    let head = fixture.send(TestRequest::with_uri("/").method(Method::HEAD)).await;
    assert_eq!(head.status, StatusCode::OK);
}

#[actix_web::test]
async fn version_document_names_the_place_that_the_client_sees() {
    let fixture = Fixture::new();
    for (headers, href) in [
        (vec![("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "ex.com")], "https://ex.com/v2"),
        (vec![("X-Forwarded-Prefix", "/telemetry")], "http://own:1/telemetry/v2"),
        (vec![("X-Forwarded-Prefix", "/telemetry/")], "http://own:1/telemetry/v2"),
        (
            vec![("Forwarded", "proto=https;host=\"ex.com:8\""), ("X-Forwarded-Host", "other")],
            "https://ex.com:8/v2",
        ),
        (vec![("X-Forwarded-Host", "a\"b")], "http://a\"b/v2"),
    ] {
        let mut request = TestRequest::get().uri("/").insert_header(("Host", "own:1"));
        for header in headers {
            request = request.insert_header(header);
        }
        let document = fixture.send(request).await.json();
        assert_eq!(document["versions"]["values"][0]["links"][0]["href"], href);
    }
}

#[actix_web::test]
async fn version_document_knows_json_only() {
    let fixture = Fixture::new();
    for (accept, status) in
        [("application/xml", 406), ("text/html", 406), ("application/*", 200), ("*/*", 200), ("", 200)]
    {
        let answer = fixture.send(TestRequest::get().uri("/").insert_header(("Accept", accept))).await;
        assert_eq!(answer.status.as_u16(), status, "{accept}");
    }
}

#[actix_web::test]
async fn healthcheck_is_ok_until_the_operators_file_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("disable");
    let config = Config { disable_by_file_path: Some(file.clone()), ..Config::default() };
    let fixture = Fixture::with(config, Distiller::builtin().unwrap());
    let json_request =
        || TestRequest::get().uri("/healthcheck").insert_header(("Accept", "application/json"));
    let answer = fixture.get("/healthcheck").await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "OK"));
    assert_eq!(answer.headers.get("content-type").unwrap(), "text/plain; charset=UTF-8");
    let answer = fixture.send(json_request()).await;
    assert_eq!(answer.json(), json!({"detailed": false, "reasons": ["OK"]}));
    std::fs::write(&file, "").unwrap();
    let answer = fixture.get("/healthcheck").await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "DISABLED BY FILE"));
    assert!(answer.headers.contains_key(shared::server::WELL), "the gateway goes on asking for all else");
    let answer = fixture.send(json_request()).await;
    assert_eq!(answer.json(), json!({"detailed": false, "reasons": ["DISABLED BY FILE"]}));
}
