//! `/v1/events` (streams-events-v1.md, sections 1 to 4 and 6).

use crate::common::{Answer, Fixture, event, text};
use actix_web::http::{Method, StatusCode};
use actix_web::test::TestRequest;
use events_svc::model::TraitValue::{Datetime, Float, Integer};
use serde_json::json;

/// Five events of two types, one a minute from 10:00, stored in the order of their ids.
async fn five() -> Fixture {
    let fixture = Fixture::new();
    let launched = "2015-02-27T15:31:24.473932".parse().unwrap();
    fixture
        .store(&[
            event("e1", "compute.a", "2015-02-27T10:00:00", &[("host", text("h1")), ("vcpus", Integer(2))]),
            event("e2", "compute.b", "2015-02-27T10:01:00", &[("host", text("h2")), ("load", Float(2.0))]),
            event("e3", "compute.a", "2015-02-27T10:02:00.5", &[("launched_at", Datetime(launched))]),
            event("e4", "compute.b", "2015-02-27T10:03:00", &[("url", text("http://h:1/a,b"))]),
            event("e5", "compute.a", "2015-02-27T10:04:00", &[("host", text("h1")), ("vcpus", Integer(4))]),
        ])
        .await;
    fixture
}

fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let list = answer.json();
    list.as_array().unwrap().iter().map(|event| event["message_id"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn an_event_is_a_flat_object_with_its_mark() {
    let answer = five().await.get("/v1/events?event_name=compute.a&limit=2").await;
    assert_eq!(answer.headers.get("content-type").unwrap(), "application/json; charset=utf-8");
    let launched = json!({"__type__": "datetime", "datetime": "2015-02-27T15:31:24.473932"});
    let expected = json!([
        {"_mark": "5", "message_id": "e5", "event_type": "compute.a", "host": "h1", "vcpus": 4,
         "timestamp": {"__type__": "datetime", "datetime": "2015-02-27T10:04:00"}},
        {"_mark": "3", "message_id": "e3", "event_type": "compute.a", "launched_at": launched,
         "timestamp": {"__type__": "datetime", "datetime": "2015-02-27T10:02:00.500000"}},
    ]);
    assert_eq!(answer.json(), expected);
}

#[actix_web::test]
async fn a_trait_cannot_take_the_place_of_the_mark() {
    let fixture = Fixture::new();
    let traits = [("_mark", text("ffffff")), ("_marks", text("x")), ("__type__", text("S"))];
    fixture.store(&[event("e1", "t", "2015-02-27T10:00:00", &traits)]).await;
    let answer = fixture.get("/v1/events").await;
    assert_eq!(answer.body.matches("\"_mark\":").count(), 1, "{}", answer.body);
    assert!(!answer.body.contains("\"__type__\":\"S\""), "klugman ends at a kind of object it does not know");
    assert_eq!((&answer.json()[0]["_mark"], &answer.json()[0]["_marks"]), (&json!("1"), &json!("x")));
}

#[actix_web::test]
async fn a_float_stays_a_float() {
    let answer = five().await.get("/v1/events/e2").await;
    assert!(answer.body.contains("\"load\":2.0"), "{}", answer.body);
}

#[actix_web::test]
async fn pages_follow_marks_in_both_directions() {
    let fixture = five().await;
    assert_eq!(ids(&fixture.get("/v1/events").await), ["e5", "e4", "e3", "e2", "e1"]);
    assert_eq!(ids(&fixture.get("/v1/events?mark=3").await), ["e2", "e1"]);
    assert_eq!(ids(&fixture.get("/v1/events?mark=1").await), [""; 0]);
    let ascending = fixture.get("/v1/events?mark=%2B&limit=2").await;
    assert_eq!(ids(&ascending), ["e1", "e2"]);
    assert_eq!(ascending.json()[1]["_mark"], "+2");
    assert_eq!(ids(&fixture.get("/v1/events?mark=+2&limit=2").await), ["e3", "e4"]);
    assert_eq!(ids(&fixture.get("/v1/events?mark=-&limit=1").await), ["e5"]);
    assert_eq!(ids(&fixture.get("/v1/events?limit=0").await), [""; 0]);
    assert_eq!(ids(&fixture.get("/v1/events/?limit=1").await), ["e5"]);
}

#[actix_web::test]
async fn times_are_exclusive_at_the_start_and_inclusive_at_the_end() {
    let fixture = five().await;
    let window = "/v1/events?from_datetime=2015-02-27T10:01:00&to_datetime=2015-02-27%2011:03%2B01:00";
    assert_eq!(ids(&fixture.get(window).await), ["e4", "e3"]);
    let both = format!("{window}&event_name=compute.b");
    assert_eq!(ids(&fixture.get(&both).await), ["e4"]);
    assert_eq!(fixture.get(&both.replace("events?", "events/count?")).await.json(), json!([{"count": 1}]));
}

#[actix_web::test]
async fn traits_match_by_their_own_type() {
    let fixture = five().await;
    for (traits, expected) in [
        ("host:h1", vec!["e5", "e1"]),
        ("host:h1;vcpus:4", vec!["e5"]),
        ("host:h1,vcpus:2", vec!["e1"]),
        ("host:h2;host:h1", vec!["e5", "e1"]),
        ("load:2", vec!["e2"]),
        ("launched_at:2015-02-27T16:31:24.473932%2B01:00", vec!["e3"]),
        ("url:http://h:1/a,b", vec!["e4"]),
        ("host:H1", vec![]),
        ("vcpus:two", vec![]),
        ("unknown:x", vec![]),
    ] {
        let list = fixture.get(&format!("/v1/events?traits={traits}")).await;
        assert_eq!(ids(&list), expected, "{traits}");
        let count = fixture.get(&format!("/v1/events/COUNT?traits={traits}&limit=1")).await;
        assert_eq!(count.json(), json!([{ "count": expected.len() }]), "{traits}");
    }
}

#[actix_web::test]
async fn counts_respect_the_mark_and_not_the_limit() {
    let fixture = five().await;
    assert_eq!(fixture.get("/v1/events/count").await.json(), json!([{"count": 5}]));
    assert_eq!(fixture.get("/v1/events/count?limit=1&mark=3").await.json(), json!([{"count": 2}]));
    assert_eq!(fixture.get("/v1/events/count?limit=-5").await.json(), json!([{"count": 5}]));
    assert_eq!(fixture.get("/v1/events/count?event_name=compute.a").await.json(), json!([{"count": 3}]));
    assert_eq!(fixture.get("/v1/events/count?event_name=none").await.json(), json!([{"count": 0}]));
}

#[actix_web::test]
async fn one_event_is_found_by_its_exact_id_first_then_in_lower_case() {
    let fixture = Fixture::new();
    fixture.store(&[event("AbC", "t", "2015-01-01T00:00:00", &[("n", Integer(1))])]).await;
    fixture.store(&[event("abc", "t", "2015-01-01T00:00:00", &[("n", Integer(2))])]).await;
    assert_eq!(fixture.get("/v1/events/AbC").await.json()[0]["n"], 1);
    assert_eq!(fixture.get("/v1/events/ABC").await.json()[0]["n"], 2);
    assert!(fixture.get("/v1/events/AbC").await.json()[0].get("_mark").is_none());
    let unknown = fixture.get("/v1/events/nope").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(unknown.json(), json!({"title": "Not Found", "description": "event nope not found"}));
}

#[actix_web::test]
async fn bad_parameters_are_refused_and_empty_or_unknown_ones_ignored() {
    let fixture = five().await;
    for query in
        ["mark=xyz", "limit=-1", "from_datetime=yesterday", "to_datetime=2015-13-01", "traits=a", "traits=:b"]
    {
        let answer = fixture.get(&format!("/v1/events?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(answer.json()["title"], "Bad Request", "{query}");
    }
    let answer = fixture.get("/v1/events?event_name=&from_datetime=&mark=&colour=red&limit=3&limit=1").await;
    assert_eq!(ids(&answer), ["e5"]);
}

#[actix_web::test]
async fn other_methods_are_refused_with_allow() {
    let fixture = five().await;
    for path in ["/v1/events", "/v1/events/", "/v1/events/e1", "/v1/events/count"] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let answer = fixture.send(TestRequest::with_uri(path).method(method)).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
            assert_eq!(
                (answer.headers.get("allow").unwrap().to_str().unwrap(), answer.body.as_str()),
                ("GET, HEAD, OPTIONS", "")
            );
        }
        let options = fixture.send(TestRequest::with_uri(path).method(Method::OPTIONS)).await;
        assert_eq!(options.status, StatusCode::NO_CONTENT);
        let head = fixture.send(TestRequest::with_uri(path).method(Method::HEAD)).await;
        assert_eq!(head.status, StatusCode::OK);
    }
}

#[actix_web::test]
async fn long_ids_types_names_and_values_are_kept_whole() {
    let fixture = Fixture::new();
    let (id, kind, value) = ("i".repeat(5000), "t".repeat(5000), "v".repeat(20_000));
    fixture.store(&[event(&id, &kind, "2015-01-01T00:00:00", &[(&"n".repeat(3000), text(&value))])]).await;
    let found = fixture.get(&format!("/v1/events/{id}")).await.json();
    assert_eq!(
        (found[0]["event_type"].as_str(), found[0]["n".repeat(3000)].as_str()),
        (Some(kind.as_str()), Some(value.as_str()))
    );
    assert_eq!(ids(&fixture.get(&format!("/v1/events?traits={}:{value}", "n".repeat(3000))).await), [id]);
}
