//! `GET /v1/streams` and its count: filters, marks, limits (streams-events-v1.md, sections 1 to 5).

use crate::common::{Fixture, event, part};
use actix_web::http::StatusCode;
use serde_json::json;
use streams_svc::config::Config;

/// Two triggers: streams of type `a` by values of four types, streams of type `b` by day.
const TRIGGERS: &str = "
- name: values
  distinguished_by: [host, vcpus, load, since]
  expiration: $last + 2d
  fire_pipeline: p
  match_criteria: [{event_type: a}]
  fire_criteria: [{event_type: never}]
- name: days
  distinguished_by: [{timestamp: day}]
  expiration: $last + 2d
  fire_pipeline: p
  match_criteria: [{event_type: b}]
  fire_criteria: [{event_type: never}]
";

/// Five streams, one after the other, with ids 1 to 5.
async fn five() -> Fixture {
    let fixture = Fixture::with(part(TRIGGERS, ""), &Config::default());
    let since = |text| json!({ "__type__": "datetime", "datetime": text });
    let a = |id, at, host: &str, vcpus: i64, load: f64| {
        let traits =
            json!({ "host": host, "vcpus": vcpus, "load": load, "since": since("2015-01-01T12:00:00.5") });
        event("a", id, at, traits)
    };
    for event in [
        a("e1", "2015-02-27T10:00:00", "h1", 2, 0.5),
        a("e2", "2015-02-27T11:00:00", "h2", 2, 2.0),
        event("b", "e3", "2015-02-27T12:00:00", json!({})),
        event("b", "e4", "2015-02-28T13:00:00", json!({})),
        a("e5", "2015-02-28T14:00:00", "http://h:1/a,b", 4, 2.0),
    ] {
        fixture.add(event).await;
    }
    fixture
}

#[actix_web::test]
async fn pages_follow_marks_in_both_directions() {
    let fixture = five().await;
    for (query, expected) in [
        ("", vec![5, 4, 3, 2, 1]),
        ("?mark=3", vec![2, 1]),
        ("?mark=1", vec![]),
        ("?mark=-", vec![5, 4, 3, 2, 1]),
        ("?mark=-3&limit=1", vec![2]),
        ("?mark=%2B&limit=2", vec![1, 2]),
        ("?mark=%2B2&limit=2", vec![3, 4]),
        ("?mark=+2", vec![3, 4, 5]),
        ("?limit=0", vec![]),
        ("?limit=abc", vec![5, 4, 3, 2, 1]),
        ("/?limit=1", vec![5]),
    ] {
        assert_eq!(fixture.ids(&format!("/v1/streams{query}")).await, expected, "{query}");
    }
    let ascending = fixture.get("/v1/streams?mark=%2B&limit=2").await.json();
    assert_eq!((&ascending[0]["_mark"], &ascending[1]["_mark"]), (&json!("+1"), &json!("+2")));
    assert_eq!(fixture.get("/v1/streams?limit=1").await.json()[0]["_mark"], "5");
}

#[actix_web::test]
async fn filters_are_combined_and_counted() {
    let fixture = five().await;
    for (query, expected) in [
        ("older_than=2015-02-27T11:00:00", vec![1]),
        ("older_than=2015-02-27T12:00:00+01:00", vec![1]),
        ("younger_than=2015-02-28T13:00", vec![5]),
        ("older_than=2015-02-28&younger_than=2015-02-27T10:00:00Z", vec![3, 2]),
        ("trigger_name=days", vec![4, 3]),
        ("name=days&mark=4", vec![3]),
        ("trigger_name=nobody", vec![]),
        ("state=Active&trigger_name=values", vec![5, 2, 1]),
        ("state=error", vec![]),
        ("state=&older_than=", vec![5, 4, 3, 2, 1]),
        ("state=error&state=active&name=days", vec![4, 3]),
        ("unknown=1&name=days", vec![4, 3]),
    ] {
        assert_eq!(fixture.ids(&format!("/v1/streams?{query}")).await, expected, "{query}");
        let count = fixture.get(&format!("/v1/streams/Count?limit=1&{query}")).await;
        assert_eq!(count.json(), json!([{ "count": expected.len() }]), "{query}");
    }
}

#[actix_web::test]
async fn distinguishing_traits_match_by_their_own_type() {
    let fixture = five().await;
    for (traits, expected) in [
        ("host:h1", vec![1]),
        ("host:H1", vec![]),
        ("vcpus:2", vec![2, 1]),
        ("vcpus:2.0", vec![]),
        ("vcpus:%202%20;%20load:2", vec![2]),
        ("vcpus:2,load:0.5", vec![1]),
        ("host:http://h:1/a,b", vec![5]),
        ("host:h1;host:h2", vec![2]),
        ("since:2015-01-01T13:00:00.5%2B01:00", vec![5, 2, 1]),
        ("timestamp:2015-02-27", vec![3]),
        ("timestamp:2015-02-28T00:00:00/2015-03-01", vec![4]),
        ("timestamp:2015-02-28/2015-03-02", vec![]),
        ("nothing:1", vec![]),
    ] {
        let uri = format!("/v1/streams?distinguishing_traits={traits}");
        assert_eq!(fixture.ids(&uri).await, expected, "{traits}");
    }
}

#[actix_web::test]
async fn details_come_with_lists_too() {
    let fixture = five().await;
    let list = fixture.get("/v1/streams?name=days&details=True").await.json();
    assert_eq!(list[1]["events"], json!([event("b", "e3", "2015-02-27T12:00:00", json!({}))]));
    assert!(fixture.one("/v1/streams/3?details=0").await.get("events").is_none());
}

#[actix_web::test]
async fn wrong_values_are_told() {
    let fixture = five().await;
    for query in [
        "older_than=yesterday",
        "younger_than=2015-13-01",
        "state=idle",
        "mark=xyz",
        "mark=%2B-1",
        "mark=ffffffffffffffffff",
        "distinguishing_traits=nocolon",
        "distinguishing_traits=:x",
        "limit=-1",
        "trigger_name=a%00",
    ] {
        for path in ["", "/count"] {
            let answer = fixture.get(&format!("/v1/streams{path}?{query}")).await;
            if query == "limit=-1" && path == "/count" {
                assert_eq!(answer.json(), json!([{ "count": 5 }]), "a count has no limit");
                continue;
            }
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
            let body = answer.json();
            assert_eq!(body["title"], "Bad Request");
            assert!(!body["description"].as_str().unwrap().is_empty());
        }
    }
}
