//! `POST /v2/events` (events-v2.md, section 13): what ceilometer's HTTP publisher sends, and what goes wrong with it.

use super::{admin, faultstring, ids, posted};
use crate::common::{Answer, Fixture};
use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use events_svc::config::Config;
use events_svc::distill::Distiller;
use flate2::{Compression, write::GzEncoder};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::io::Write;

const AT: &str = "2024-03-01T12:00:00.000001";

async fn post_text(fixture: &Fixture, body: impl Into<Vec<u8>>) -> Answer {
    let request = TestRequest::post()
        .uri("/v2/events")
        .insert_header(("Content-Type", "application/json"))
        .set_payload(body.into());
    fixture.send(request).await
}

/// What an answer counts: received, saved, duplicate, invalid.
fn counts(answer: &Answer) -> [u64; 4] {
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    ["received", "saved", "duplicate", "invalid"].map(|name| answer.json()[name].as_u64().unwrap())
}

fn problem(answer: &Answer) -> String {
    answer.json()["problems"][0]["problem"].as_str().unwrap_or_default().to_owned()
}

/// Every stored event, whoever owns it.
async fn all(fixture: &Fixture) -> Answer {
    fixture.admin_gets("/v2/events?limit=10000&q.field=all_tenants&q.value=true").await
}

#[actix_web::test]
async fn a_list_and_a_single_event_are_stored() {
    let fixture = Fixture::new();
    let list = json!([posted("a", "t", AT, json!([["s", 1, "x"]])), posted("b", "t", AT, json!([]))]);
    let answer = fixture.post(&list).await;
    assert_eq!(
        answer.json(),
        json!({"received": 2, "saved": 2, "duplicate": 0, "invalid": 0, "problems": []})
    );
    assert_eq!(answer.headers.get("content-type").unwrap(), "application/json");
    assert_eq!(counts(&fixture.post(&posted("c", "t", AT, json!([]))).await), [1, 1, 0, 0]);
    assert_eq!(counts(&fixture.post(&json!([])).await), [0, 0, 0, 0]);
    let slash = TestRequest::post().uri("/v2/events/").set_json(posted("d", "t", AT, json!([])));
    assert_eq!(counts(&fixture.send(slash).await), [1, 1, 0, 0]);
    assert_eq!(ids(&all(&fixture).await), ["a", "b", "c", "d"]);
}

/// Floats that a reader which is off by the last bit would change; the first is 0.9424502837770503 in Python.
#[actix_web::test]
async fn a_float_is_the_one_that_was_sent() {
    let fixture = Fixture::new();
    let mut random = StdRng::seed_from_u64(1);
    let mut floats = vec![0.942_450_283_777_050_3, 1e-7, 5e-324, f64::MAX, 9_007_199_254_740_993.0];
    floats.extend((0..300).map(|_| random.random::<f64>() * 10_f64.powi(random.random_range(-300..300))));
    let events = floats.iter().enumerate().map(|(place, float)| {
        json!({"message_id": format!("e{place:03}"), "event_type": "t", "generated": AT, "raw": {"float": float},
            "traits": [["f", 3, float]]})
    });
    fixture.post(&Value::from_iter(events)).await;
    let stored = all(&fixture).await.json();
    for (event, sent) in stored.as_array().unwrap().iter().zip(&floats) {
        let read = event["traits"][0]["value"].as_str().unwrap().parse::<f64>().unwrap();
        assert_eq!(
            (read.to_bits(), event["raw"]["float"].as_f64().unwrap().to_bits()),
            (sent.to_bits(), sent.to_bits())
        );
    }
    let found = fixture.get("/v1/events?traits=f:0.9424502837770503").await.json();
    assert_eq!(found[0]["message_id"], "e000");
}

#[actix_web::test]
async fn of_equal_ids_the_first_stays() {
    let fixture = Fixture::new();
    let first = json!([
        posted("a", "one", AT, json!([])),
        posted("b", "one", AT, json!([])),
        posted("a", "two", AT, json!([]))
    ]);
    assert_eq!(counts(&fixture.post(&first).await), [3, 2, 1, 0]);
    let second = json!([posted("c", "one", AT, json!([])), posted("b", "three", AT, json!([]))]);
    assert_eq!(counts(&fixture.post(&second).await), [2, 1, 1, 0]);
    assert_eq!(ids(&all(&fixture).await), ["a", "b", "c"]);
    assert_eq!(fixture.admin_gets("/v2/event_types").await.json(), json!(["one"]));
}

#[actix_web::test]
async fn traits_are_taken_in_both_forms_and_mixed() {
    let fixture = Fixture::new();
    let traits = json!([
        ["none", 0, "plain"], ["text", 1, "x"], ["int", 2, 7], ["float", 3, 0.5], ["time", 4, "2019-01-01T02:00:00+02:00"],
        ["int as text", 2, " -7 "], ["float as text", 3, "1e-07"], ["float of int", 3, 3], ["int of float", 2, 7.0],
        ["number as text", 1, 5], ["truth as text", 1, true], ["nothing", 1, null],
        {"name": "o none", "value": "plain"},
        {"name": "o null", "type": null, "value": "plain"},
        {"name": "o string", "type": "string", "value": "x"},
        {"name": "o text", "type": "text", "value": "x"},
        {"name": "o integer", "type": "integer", "value": "7"},
        {"name": "o int", "type": "int", "value": 7},
        {"name": "o float", "type": "float", "value": "0.5"},
        {"name": "o datetime", "type": "datetime", "value": "2019-01-01T00:00:00"},
        {"name": "o nothing", "type": "integer"},
    ]);
    assert_eq!(counts(&fixture.post(&posted("a", "t", AT, traits)).await), [1, 1, 0, 0]);
    let event = all(&fixture).await.json()[0].clone();
    let stored: Vec<(&str, &str, &str)> = event["traits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            (item["name"].as_str().unwrap(), item["type"].as_str().unwrap(), item["value"].as_str().unwrap())
        })
        .collect();
    let expected = [
        ("float", "float", "0.5"),
        ("float as text", "float", "1e-07"),
        ("float of int", "float", "3.0"),
        ("int", "integer", "7"),
        ("int as text", "integer", "-7"),
        ("int of float", "integer", "7"),
        ("none", "string", "plain"),
        ("number as text", "string", "5"),
        ("o datetime", "datetime", "2019-01-01T00:00:00"),
        ("o float", "float", "0.5"),
        ("o int", "integer", "7"),
        ("o integer", "integer", "7"),
        ("o none", "string", "plain"),
        ("o null", "string", "plain"),
        ("o string", "string", "x"),
        ("o text", "string", "x"),
        ("text", "string", "x"),
        ("time", "datetime", "2019-01-01T00:00:00"),
        ("truth as text", "string", "True"),
    ];
    assert_eq!(stored, expected);
}

/// Panko's key breaks on it and drops the event; ours keeps the first.
#[actix_web::test]
async fn of_two_traits_with_one_name_and_type_the_first_is_kept() {
    let fixture = Fixture::new();
    let traits = json!([["n", 1, "first"], ["n", 2, 7], ["n", 1, "second"]]);
    assert_eq!(counts(&fixture.post(&posted("a", "t", AT, traits)).await), [1, 1, 0, 0]);
    let n = |value: &str, kind: &str| json!({"name": "n", "value": value, "type": kind});
    assert_eq!(all(&fixture).await.json()[0]["traits"], json!([n("7", "integer"), n("first", "string")]));
}

#[actix_web::test]
async fn raw_comes_back_as_it_was_sent() {
    let fixture = Fixture::new();
    for (id, raw) in [
        ("a", "{\"b\": [1, 2.50, 12345678901234567890123, \"\\u0000é\"],\"a\":null}"),
        ("b", "null"),
        ("c", "\"text\""),
        ("d", "[]"),
    ] {
        let body = format!(
            "{{\"raw\": {raw}, \"message_id\": \"{id}\", \"event_type\": \"t\", \"generated\": \"{AT}\"}}"
        );
        assert_eq!(counts(&post_text(&fixture, body).await), [1, 1, 0, 0]);
        let query = format!("q.field=all_tenants&q.value=1&q.field=message_id&q.value={id}");
        let body = fixture.admin_gets(&format!("/v2/events?{query}")).await.body;
        let end = format!("\"raw\":{raw}}}]");
        assert!(body.ends_with(&end), "{body}");
    }
    let without =
        json!({"message_id": "e", "event_type": "t", "generated": AT, "message_signature": "ignored"});
    assert_eq!(counts(&fixture.post(&without).await), [1, 1, 0, 0]);
    let last = all(&fixture).await.json()[4].clone();
    assert_eq!(last, json!({"message_id": "e", "event_type": "t", "generated": AT, "traits": [], "raw": {}}));
}

/// One bad event never spoils its batch.
#[actix_web::test]
async fn a_bad_event_is_left_out_and_told() {
    let fixture = Fixture::new();
    let with = |name: &str, value: Value| {
        let mut event = posted("bad", "t", AT, json!([]));
        event[name] = value;
        event
    };
    let without = |name: &str| {
        let mut event = posted("bad", "t", AT, json!([]));
        event.as_object_mut().unwrap().remove(name);
        event
    };
    let deep: Value = serde_json::from_str(&format!("{}1{}", "[".repeat(100), "]".repeat(100))).unwrap();
    for (place, (bad, text)) in [
        (json!(5), "not an object"),
        (json!(null), "not an object"),
        (json!([["s", 1, "x"]]), "not an object"),
        (json!({}), "generated is missing"),
        (without("message_id"), "message_id is missing"),
        (without("event_type"), "event_type is missing"),
        (with("message_id", json!("")), "message_id is missing or blank"),
        (with("message_id", json!(5)), "message_id is not text"),
        (with("event_type", json!("a\0b")), "event_type contains a NUL character"),
        (with("generated", json!("yesterday")), "generated is no time: yesterday"),
        (with("generated", json!("2024-02-30T00:00:00")), "generated is no time: 2024-02-30T00:00:00"),
        (with("generated", json!(null)), "generated is not text"),
        (with("traits", json!({"s": "x"})), "traits is not a list"),
        (with("traits", json!([["s", 1]])), "not a trait: [\"s\",1]"),
        (with("traits", json!([["s", 1, "x", "y"]])), "not a trait: [\"s\",1,\"x\",\"y\"]"),
        (with("traits", json!([{"value": "x"}])), "not a trait: {\"value\":\"x\"}"),
        (with("traits", json!([["n", 2, "seven"]])), "trait n: \"seven\" is not of type 2"),
        (
            with("traits", json!([["n", 2, 9_223_372_036_854_775_808_u64]])),
            "trait n: 9223372036854775808 is not of type 2",
        ),
        (with("traits", json!([["f", 3, "nan"]])), "trait f is not a finite number"),
        (with("traits", json!([["d", 4, 5]])), "trait d: 5 is not of type 4"),
        (with("traits", json!([["s", 9, "x"]])), "trait s: \"x\" is not of type 9"),
        (with("traits", json!([["s", "blob", "x"]])), "trait s: \"x\" is not of type \"blob\""),
        (with("traits", json!([["s", 1, "a\0b"]])), "a trait contains a NUL character"),
        (with("traits", json!([["deep", 4, deep]])), "trait deep: [[["),
    ]
    .into_iter()
    .enumerate()
    {
        let (before, after) = (format!("before {place:02}"), format!("zafter {place:02}"));
        let list = json!([posted(&before, "t", AT, json!([])), bad, posted(&after, "t", AT, json!([]))]);
        let answer = fixture.post(&list).await;
        assert_eq!(counts(&answer), [3, 2, 0, 1], "{text}");
        assert_eq!(answer.json()["problems"][0]["index"], 1);
        assert!(problem(&answer).starts_with(text), "{} {text}", problem(&answer));
    }
    assert_eq!(ids(&all(&fixture).await).len(), 48);
}

#[actix_web::test]
async fn text_that_json_alone_allows_spoils_only_its_event() {
    let fixture = Fixture::new();
    let event = |id: &str, traits: &str| {
        format!(
            "{{\"message_id\":\"{id}\",\"event_type\":\"t\",\"generated\":\"{AT}\",\"traits\":[{traits}],\"raw\":{{}}}}"
        )
    };
    let deep_raw = |depth: usize| {
        event("deep", "").replace("{}", &format!("{}{}", "[".repeat(depth), "]".repeat(depth)))
    };
    for (place, (bad, saved)) in [
        // Python writes a number that is none like this; the list is no JSON then.
        (event("nan", "[\"f\",3,NaN]"), false),
        (event("inf", "[\"f\",3,-Infinity]"), false),
        (event("big", "[\"f\",3,1e999]"), false),
        (event("raw big", "").replace("{}", "[1e999]"), false),
        (event("lone", "[\"s\",1,\"\\ud800\"]"), false),
        (deep_raw(126), false),
        // A list of events is two levels around it, and common readers stop at 127.
        (deep_raw(125), true),
        (deep_raw(200_000), false),
        ("[[]]".into(), false),
        // Of a name given twice the last counts.
        (
            event("x", "").replacen(
                "\"message_id\":\"x\"",
                "\"message_id\":\"x\",\"message_id\":\"twice\"",
                1,
            ),
            true,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (before, after) = (
            event(&format!("before {place}"), ""),
            event(&format!("after {place}"), "[\"s\",1,\"],}\\\"{\"]"),
        );
        let answer = post_text(&fixture, format!("[{before}, {bad} ,\n{after}]")).await;
        assert_eq!(counts(&answer), [3, 2 + u64::from(saved), 0, u64::from(!saved)], "{bad:.80}");
    }
    assert!(ids(&all(&fixture).await).contains(&"twice".to_owned()));
}

#[actix_web::test]
async fn a_body_that_is_no_list_of_events_is_refused() {
    let fixture = Fixture::new();
    let not_json = "Request is not in valid JSON format";
    let not_events = "expected an event or a list of events";
    let cut = serde_json::to_string(&json!([posted("a", "t", AT, json!([]))])).unwrap();
    for (body, text) in [
        (&b""[..], not_json),
        (b"not json", not_json),
        (b"[", not_json),
        (b"[abc]", not_json),
        (b"[1,]", not_json),
        (b"{\"a\":1", not_json),
        (b"{\"f\": NaN}", not_json),
        (b"[]]", not_json),
        (b"[}{]", not_json),
        (b"\xff\xfe[]", not_json),
        (b"[\"\xe9\"]", not_json),
        (&cut.as_bytes()[..cut.len() - 1], not_json),
        ("[".repeat(200_000).leak().as_bytes(), not_json),
        (b"5", not_events),
        (b"\"text\"", not_events),
        (b"null", not_events),
        (b"true", not_events),
    ] {
        let answer = post_text(&fixture, body).await;
        let shown = String::from_utf8_lossy(body);
        assert_eq!(
            (answer.status, faultstring(&answer)),
            (StatusCode::BAD_REQUEST, text.into()),
            "{shown:.40}"
        );
    }
    assert_eq!(ids(&all(&fixture).await).len(), 0);
    assert_eq!(counts(&post_text(&fixture, b"\xef\xbb\xbf []\n".as_slice()).await), [0, 0, 0, 0]);
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[actix_web::test]
async fn compressed_bodies_are_inflated_within_the_bound() {
    let config = Config { max_body_bytes: 10_000, ..Config::default() };
    let fixture = Fixture::with(config, Distiller::builtin().unwrap());
    let send = |encoding: &'static str, body: Vec<u8>| {
        let request = TestRequest::post()
            .uri("/v2/events")
            .insert_header(("Content-Encoding", encoding))
            .set_payload(body);
        fixture.send(request)
    };
    let event = posted("a", "t", AT, json!([])).to_string();
    assert_eq!(counts(&send("gzip", gzip(event.as_bytes())).await), [1, 1, 0, 0]);
    let large = format!("[{}]", " ".repeat(10_000));
    for (encoding, body, status) in [
        ("gzip", gzip(large.as_bytes()), StatusCode::PAYLOAD_TOO_LARGE),
        ("identity", large.into_bytes(), StatusCode::PAYLOAD_TOO_LARGE),
        ("gzip", event.clone().into_bytes(), StatusCode::BAD_REQUEST),
        ("gzip", gzip(event.as_bytes())[..20].to_vec(), StatusCode::BAD_REQUEST),
        ("br", event.clone().into_bytes(), StatusCode::BAD_REQUEST),
    ] {
        let answer = send(encoding, body).await;
        assert_eq!(
            (answer.status, answer.json()["error_message"]["faultcode"].clone()),
            (status, json!("Client"))
        );
    }
}

#[actix_web::test]
async fn ten_thousand_events_are_one_batch() {
    let fixture = Fixture::new();
    let event = |number: usize| posted(&format!("{number:05}"), "t", AT, json!([["n", 2, number]]));
    let list: Value = (0..10_000).map(event).collect();
    assert_eq!(counts(&fixture.post(&list).await), [10_000, 10_000, 0, 0]);
    assert_eq!(counts(&fixture.post(&list).await), [10_000, 0, 10_000, 0]);
    let last = fixture.send_as(
        admin(),
        TestRequest::get().uri("/v2/events?q.field=all_tenants&q.value=1&limit=1&sort=message_id:desc"),
    );
    assert_eq!(ids(&last.await), ["09999"]);
}

/// Nobody in particular may post: ceilometer sends no identity. The feed and v1 see the events as well.
#[actix_web::test]
async fn a_posted_event_is_visible_in_v1() {
    let fixture = Fixture::new();
    fixture.post(&posted("a", "t", AT, json!([["n", 2, 7]]))).await;
    let timestamp = json!({"__type__": "datetime", "datetime": AT});
    let expected = json!([{"message_id": "a", "event_type": "t", "n": 7, "timestamp": timestamp}]);
    assert_eq!(fixture.get("/v1/events/a").await.json(), expected);
}

#[actix_web::test]
async fn more_events_than_are_taken_at_once_are_refused_as_a_whole() {
    let fixture = Fixture::new();
    let answer = post_text(&fixture, format!("[{}]", vec!["0"; 50_001].join(","))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(faultstring(&answer), "more than 50000 events at once: send them in parts");
    assert_eq!(
        counts(&post_text(&fixture, format!("[{}]", vec!["0"; 50_000].join(","))).await),
        [50_000, 0, 0, 50_000]
    );
}
