//! `GET /v2/events` and `GET /v2/events/{message_id}` (events-v2.md, sections 2, 3, 7 and 8).

use super::{admin, faultstring, ids, posted};
use crate::common::{Fixture, event, text};
use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use diesel::RunQueryDsl;
use events_svc::config::Config;
use events_svc::distill::Distiller;
use events_svc::model::{EventFilter, PIECE_BYTES, Seen, Visibility};
use events_svc::store::list_events;
use serde_json::{Value, json};
use shared::db::{DbConn, DbError};

/// Traits that make an event visible to the admin of `p1`, and these besides.
fn owned(traits: Value) -> Value {
    let mut all = vec![json!(["project_id", 1, "p1"])];
    all.extend(traits.as_array().unwrap().iter().cloned());
    all.into()
}

/// Three events: `a` and `b` of one type, `c` of another; the traits of the contract's examples.
async fn three() -> Fixture {
    let fixture = Fixture::new();
    let events = json!([
        posted(
            "a",
            "compute.x",
            "2013-12-31T05:00:00",
            owned(json!([["s", 1, "abc"], ["n", 2, 7], ["f", 3, 0.5]]))
        ),
        posted(
            "b",
            "compute.x",
            "2013-12-31T06:00:00",
            owned(json!([["s", 1, "b"], ["n", 2, -5], ["d", 4, "2019-01-01T00:00:00.5"]]))
        ),
        posted("c", "Compute.x", "2013-12-31T07:00:00", owned(json!([["s", 1, "abc"], ["s", 2, 7]]))),
    ]);
    assert_eq!(fixture.post(&events).await.json()["saved"], 3);
    fixture
}

#[actix_web::test]
async fn an_event_has_its_five_members_and_every_value_is_text() {
    let fixture = Fixture::new();
    let traits = json!([
        ["f", 3, 0.5],
        ["project_id", 1, "p1"],
        ["S", 1, "x"],
        ["n", 2, 9_007_199_254_740_993_i64],
        ["neg", 2, -5],
        ["d", 4, "2019-01-01T00:00:00.500000"],
        ["d0", 4, "2019-01-01T00:00:00"],
        ["none", 0, "plain"],
        ["big", 3, 1e22],
        ["small", 3, 1e-7],
        ["three", 3, 3],
        ["nine", 3, 123_456_789],
    ]);
    let mut event = posted("94834db1", "compute.instance.update", "2015-01-01T14:00:00+02:00", traits);
    event["raw"] = json!({"status": {"nested": "started"}});
    fixture.post(&event).await;
    let answer = fixture.admin_gets("/v2/events/94834db1").await;
    let text = |name: &str, value: &str, kind: &str| json!({"name": name, "value": value, "type": kind});
    let expected = json!({
        "message_id": "94834db1",
        "event_type": "compute.instance.update",
        "generated": "2015-01-01T12:00:00",
        // By name in byte order: capitals first.
        "traits": [
            text("S", "x", "string"),
            text("big", "1e+22", "float"),
            text("d", "2019-01-01T00:00:00.500000", "datetime"),
            text("d0", "2019-01-01T00:00:00", "datetime"),
            text("f", "0.5", "float"),
            text("n", "9007199254740993", "integer"),
            text("neg", "-5", "integer"),
            text("nine", "123456789.0", "float"),
            text("none", "plain", "string"),
            text("project_id", "p1", "string"),
            text("small", "1e-07", "float"),
            text("three", "3.0", "float"),
        ],
        "raw": {"status": {"nested": "started"}},
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(answer.headers.get("content-type").unwrap(), "application/json");
    assert_eq!(fixture.admin_gets("/v2/events").await.json(), json!([expected]));
}

#[actix_web::test]
async fn filters_select_as_the_contract_says() {
    let fixture = three().await;
    for (query, expected) in [
        ("", vec!["a", "b", "c"]),
        ("q.field=event_type&q.value=compute.x", vec!["a", "b"]),
        ("q.field=event_type&q.value=COMPUTE.x", vec![]),
        ("q.field=event_type&q.value=", vec!["a", "b", "c"]),
        ("q.field=event_type&q.value=compute.x&q.field=event_type&q.value=Compute.x", vec!["c"]),
        ("q.field=event_type&q.value=compute.x&q.type=bogus", vec!["a", "b"]),
        ("q.field=message_id&q.value=b", vec!["b"]),
        ("q.field=start_timestamp&q.op=ge&q.value=2013-12-31T06:00:00", vec!["b", "c"]),
        ("q.field=end_timestamp&q.op=le&q.value=2013-12-31T06:00:00", vec!["a", "b"]),
        ("q.field=end_timestamp&q.op=le&q.value=2013-12-31T08:00:00%2B02:00", vec!["a", "b"]),
        ("q.field=end_timestamp&q.op=le&q.value=", vec!["a", "b", "c"]),
        ("q.field=s&q.value=abc", vec!["a", "c"]),
        ("q.field=s&q.op=ne&q.value=abc", vec!["b"]),
        ("q.field=s&q.op=lt&q.value=b", vec!["a", "c"]),
        ("q.field=s&q.op=ge&q.value=b", vec!["b"]),
        ("q.field=s&q.value=7", vec![]),
        ("q.field=s&q.type=integer&q.value=7", vec!["c"]),
        ("q.field=n&q.type=integer&q.value=%20%2B7%20", vec!["a"]),
        ("q.field=n&q.type=integer&q.op=le&q.value=7", vec!["a", "b"]),
        ("q.field=n&q.type=integer&q.op=ge&q.value=-5&q.field=n&q.type=integer&q.op=lt&q.value=5", vec!["b"]),
        ("q.field=s&q.value=abc&q.field=s&q.value=b", vec![]),
        ("q.field=f&q.type=float&q.value=.5", vec!["a"]),
        ("q.field=f&q.type=float&q.op=gt&q.value=nan", vec![]),
        ("q.field=f&q.type=float&q.op=lt&q.value=inf", vec!["a"]),
        ("q.field=d&q.type=datetime&q.value=2019-01-01T00:00:00.500000", vec!["b"]),
        ("q.field=d&q.type=datetime&q.value=2019-01-01T00:00:00.500001", vec![]),
        ("q.field=d&q.type=datetime&q.op=gt&q.value=2019", vec!["b"]),
        ("q.field=generated&q.value=2013-12-31T05:00:00", vec![]),
        ("q.field=unknown&q.value=x", vec![]),
        ("q.field=s&q.op=&q.value=abc&q.type=", vec!["a", "c"]),
        ("q.field=s", vec![]),
    ] {
        assert_eq!(ids(&fixture.admin_gets(&format!("/v2/events?{query}")).await), expected, "{query}");
    }
}

#[actix_web::test]
async fn mistakes_in_filters_are_told_in_the_originals_words() {
    let fixture = three().await;
    let operators = "The supported operators are: ('lt', 'le', 'eq', 'ne', 'ge', 'gt')";
    let types = "The supported data type list is: ['integer', 'float', 'string', 'datetime']";
    for (query, expected) in [
        ("q.field=s&q.op=zz&q.value=x", format!("Operator zz is not supported. {operators}")),
        ("q.field=event_type&q.op=EQ&q.value=x", format!("Operator EQ is not supported. {operators}")),
        (
            "q.field=event_type&q.op=ne&q.value=x",
            "Operator ne is not supported. Only `eq' operator is available for field event_type".into(),
        ),
        (
            "q.field=start_timestamp&q.value=2019",
            "Operator eq is not supported. Only `ge' operator is available for field start_timestamp".into(),
        ),
        (
            "q.field=end_timestamp&q.op=lt&q.value=2019",
            "Operator lt is not supported. Only `le' operator is available for field end_timestamp".into(),
        ),
        ("q.field=s&q.type=text&q.value=x", format!("The data type text is not supported. {types}")),
        (
            "q.field=n&q.type=integer&q.value=x",
            "Unable to convert the value x to the expected data type integer.".into(),
        ),
        (
            "q.field=n&q.type=integer&q.value=9223372036854775808",
            "Unable to convert the value 9223372036854775808 to the expected data type integer.".into(),
        ),
        (
            "q.field=d&q.type=datetime&q.value=2019-13-01",
            "Unable to convert the value 2019-13-01 to the expected data type datetime.".into(),
        ),
        ("q.field=start_timestamp&q.op=ge&q.value=garbage", "Unable to parse date string 'garbage'".into()),
        ("marker=zzz", "Marker zzz not found.".into()),
        ("marker=%00", "Marker \0 not found.".into()),
        ("q.field=event_type&q.value=%00", "the value of event_type contains a NUL character".into()),
        ("q.value=x", "a filter has no field".into()),
        // Of several mistakes: filters, then limit, then sort, then marker.
        (
            "q.field=s&q.op=zz&limit=-1&sort=x&marker=zzz",
            format!("Operator zz is not supported. {operators}"),
        ),
        (
            "limit=-1&sort=x&marker=zzz",
            "Invalid input for field/attribute limit. Value: '-1'. the limit should be a positive integer."
                .into(),
        ),
    ] {
        let answer = fixture.admin_gets(&format!("/v2/events?{query}")).await;
        assert_eq!((answer.status, faultstring(&answer)), (StatusCode::BAD_REQUEST, expected), "{query}");
    }
}

#[actix_web::test]
async fn sort_keys_and_directions_are_checked() {
    let fixture = three().await;
    let start = "the sort parameter should be a pair of sort key and sort dir combined with ':', or only sort key \
                 specified and sort dir will be default 'asc', the supported sort";
    for sort in ["bogus", "", "event_type", ":asc"] {
        let answer = fixture.admin_gets(&format!("/v2/events?sort={sort}")).await;
        let text = format!(
            "Invalid input for field/attribute sort. Value: '{sort}'. {start} keys are: ('message_id', 'generated')"
        );
        assert_eq!((answer.status, faultstring(&answer)), (StatusCode::BAD_REQUEST, text));
    }
    for sort in ["message_id:bah", "generated:desc:x", "generated:desc,message_id", "message_id:ASC"] {
        let answer = fixture.admin_gets(&format!("/v2/events?sort={sort}")).await;
        let text = format!(
            "Invalid input for field/attribute sort direction. Value: '{sort}'. {start} directions are: ('asc', 'desc')"
        );
        assert_eq!((answer.status, faultstring(&answer)), (StatusCode::BAD_REQUEST, text));
    }
    for (sort, expected) in [
        ("sort=message_id:", ["a", "b", "c"]),
        ("sort=message_id:desc", ["c", "b", "a"]),
        ("sort=generated:desc", ["c", "b", "a"]),
        ("sort=message_id:asc&sort=generated:desc", ["a", "b", "c"]),
    ] {
        assert_eq!(ids(&fixture.admin_gets(&format!("/v2/events?{sort}")).await), expected, "{sort}");
    }
}

#[actix_web::test]
async fn pages_join_without_gap_or_repeat_in_every_order() {
    let fixture = Fixture::new();
    // 40 events at four instants: ties everywhere.
    let event = |number: usize| {
        let generated = format!("2024-01-01T00:00:0{}", number % 4);
        posted(&format!("m{:02}", (number * 7) % 40), "t", &generated, owned(json!([])))
    };
    fixture.post(&(0..40).map(event).collect()).await;
    for sort in [
        "",
        "&sort=generated:desc",
        "&sort=generated&sort=message_id:desc",
        "&sort=generated:desc&sort=message_id",
        "&sort=message_id:desc",
    ] {
        let all = ids(&fixture.admin_gets(&format!("/v2/events?limit=100{sort}")).await);
        assert_eq!(all.len(), 40);
        let mut paged: Vec<String> = Vec::new();
        loop {
            let marker = paged.last().cloned().unwrap_or_default();
            let page = ids(&fixture.admin_gets(&format!("/v2/events?limit=7&marker={marker}{sort}")).await);
            assert!(page.len() == 7 || paged.len() + page.len() == 40);
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, all, "{sort}");
    }
}

#[actix_web::test]
async fn default_order_is_by_time_then_by_id_in_byte_order() {
    let fixture = Fixture::new();
    let at = |id: &str, generated: &str| posted(id, "t", generated, owned(json!([])));
    let (early, late) = ("2024-01-01T00:00:00", "2024-01-01T00:00:00.000001");
    fixture.post(&json!([at("b", late), at("a", late), at("B", late), at("z", early), at("_", late)])).await;
    assert_eq!(ids(&fixture.admin_gets("/v2/events").await), ["z", "B", "_", "a", "b"]);
}

#[actix_web::test]
async fn marker_need_not_match_nor_be_visible() {
    let fixture = three().await;
    let hidden = json!([["project_id", 1, "other"], ["user_id", 1, "x"]]);
    fixture.post(&posted("hidden", "t", "2013-12-31T05:30:00", hidden)).await;
    assert_eq!(ids(&fixture.admin_gets("/v2/events?marker=hidden").await), ["b", "c"]);
    let filtered = "/v2/events?q.field=event_type&q.value=Compute.x&marker=a";
    assert_eq!(ids(&fixture.admin_gets(filtered).await), ["c"]);
    assert_eq!(ids(&fixture.admin_gets("/v2/events?marker=").await), ["a", "b", "c"]);
    assert_eq!(ids(&fixture.admin_gets("/v2/events?marker=a&marker=b").await), ["c"]);
}

#[actix_web::test]
async fn limit_is_a_hundred_unless_said_and_never_above_the_cap() {
    let config = Config { max_page: 120, ..Config::default() };
    let fixture = Fixture::with(config, Distiller::builtin().unwrap());
    let event =
        |number: usize| posted(&format!("m{number:03}"), "t", "2024-01-01T00:00:00", owned(json!([])));
    fixture.post(&(0..150).map(event).collect()).await;
    for (limit, count) in [
        ("", 100),
        ("?limit=0", 100),
        ("?limit=1", 1),
        ("?limit=110", 110),
        ("?limit=1000", 120),
        ("?limit=99999999999999999999", 120),
        ("?limit=99999999999999999999999999999999999999999999999999", 120),
    ] {
        assert_eq!(ids(&fixture.admin_gets(&format!("/v2/events{limit}")).await).len(), count, "{limit}");
    }
}

/// A list longer than one piece is streamed; the client sees no seam.
#[actix_web::test]
async fn a_long_list_comes_whole_in_json_and_in_xml() {
    let fixture = Fixture::new();
    let event = |number: usize| {
        let generated = format!("2024-01-01T00:{:02}:00", number % 60);
        posted(&format!("m{number:04}"), "t", &generated, owned(json!([["v", 2, number]])))
    };
    fixture.post(&(0..2100).map(event).collect()).await;
    let list = fixture.admin_gets("/v2/events?limit=2050&sort=message_id").await;
    let expected: Vec<String> = (0..2050).map(|number| format!("m{number:04}")).collect();
    assert_eq!(ids(&list), expected);
    let xml = fixture.admin_gets_as("application/xml", "/v2/events?limit=2050&sort=message_id").await.body;
    assert!(
        xml.starts_with("<result><item><message_id>m0000</message_id>") && xml.ends_with("</item></result>")
    );
    assert_eq!(xml.matches("<message_id>").count(), 2050);
    let values = fixture.admin_gets("/v2/event_types/t/traits/v").await.json();
    let expected: Vec<Value> = (0..2100)
        .map(|number: i32| json!({"name": "v", "value": number.to_string(), "type": "integer"}))
        .collect();
    assert_eq!(values, Value::from(expected));
}

#[actix_web::test]
async fn a_single_event_is_found_by_its_exact_id() {
    let fixture = Fixture::new();
    for id in ["d-01.json", "a+b", "100%", "e f", "é", "M", "x".repeat(300).as_str()] {
        fixture.post(&posted(id, "t", "2024-01-01T00:00:00", owned(json!([])))).await;
        let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = fixture.admin_gets(&format!("/v2/events/{encoded}")).await;
        assert_eq!((answer.status, &answer.json()["message_id"]), (StatusCode::OK, &json!(id)));
    }
    for (path, id) in
        [("nope", "nope"), ("m", "m"), ("d-01", "d-01"), ("%00", "\0"), ("M%00", "M\0"), ("a%20b", "a b")]
    {
        let answer = fixture.admin_gets(&format!("/v2/events/{path}")).await;
        let text = format!("Event {id} Not Found");
        assert_eq!((answer.status, faultstring(&answer)), (StatusCode::NOT_FOUND, text));
    }
    assert_eq!(fixture.admin_gets("/v2/events/a+b/").await.json()["message_id"], "a+b");
}

#[actix_web::test]
async fn arguments_come_from_a_json_body_too() {
    let fixture = three().await;
    let body = json!({"q": [{"field": "s", "value": "abc"}], "limit": "1", "sort": ["generated:desc"]});
    let request = TestRequest::get().uri("/v2/events").set_json(body);
    assert_eq!(ids(&fixture.send_as(admin(), request).await), ["c"]);
    let request = TestRequest::get()
        .uri("/v2/events?limit=1")
        .insert_header(("Content-Type", "application/json"))
        .set_payload(r#"{"limit": 1}"#);
    let answer = fixture.send_as(admin(), request).await;
    assert_eq!(faultstring(&answer), "Parameter limit was given several times");
}

#[actix_web::test]
async fn xml_has_the_elements_of_the_contract() {
    let fixture = Fixture::new();
    let mut event = posted("m<1>", "zz.alpha", "2013-12-31T05:00:00", owned(json!([["n", 2, 7]])));
    event["raw"] = json!({"a": {"b": [1, null, true, "x", 1.5, {}]}, "uni": "é", "quote": "it's"});
    fixture.post(&event).await;
    let children = "<message_id>m&lt;1&gt;</message_id><event_type>zz.alpha</event_type><traits>\
        <item><name>n</name><value>7</value><type>integer</type></item>\
        <item><name>project_id</name><value>p1</value><type>string</type></item></traits>\
        <generated>2013-12-31T05:00:00</generated>\
        <raw>{'a': {'b': [1, None, True, 'x', 1.5, {}]}, 'uni': 'é', 'quote': \"it's\"}</raw>";
    for (accept, content_type) in
        [("application/xml", "application/xml; charset=UTF-8"), ("text/xml", "text/xml; charset=UTF-8")]
    {
        let list = fixture.admin_gets_as(accept, "/v2/events").await;
        assert_eq!(list.headers.get("content-type").unwrap(), content_type);
        assert_eq!(list.body, format!("<result><item>{children}</item></result>"));
    }
    let one = fixture.admin_gets_as("application/xml", "/v2/events/m%3C1%3E").await;
    assert_eq!(one.body, format!("<result>{children}</result>"));
    let none = fixture.admin_gets_as("application/xml", "/v2/events?q.field=x&q.value=y").await;
    assert_eq!(none.body, "<result />");
}

#[actix_web::test]
async fn a_list_of_large_events_is_whole_although_only_some_of_it_are_in_memory() {
    let fixture = Fixture::new();
    let large = text(&"x".repeat(PIECE_BYTES / 3));
    let one = |n| event(&format!("e{n}"), "t", "2026-01-01T00:00:00", &[("large", large.clone())]);
    fixture.store(&(0..5).map(one).collect::<Vec<_>>()).await;
    let (all, filter) = (Visibility::All, EventFilter::default());
    let piece = fixture.database.db.read(move |conn| list_events(conn, &all, &filter)).await.unwrap();
    assert_eq!((piece.rows.len(), piece.is_cut), (3, true));
    let expected = ["e0", "e1", "e2", "e3", "e4"];
    assert_eq!(ids(&fixture.get("/v1/events?mark=%2B").await), expected);
    assert_eq!(ids(&fixture.admin_gets("/v2/events").await), expected);
    let xml = fixture.admin_gets_as("application/xml", "/v2/events").await;
    assert_eq!(xml.body.matches("<message_id>").count(), 5);
    let feed = fixture.get("/internal/feed?wait_ms=20000").await.json();
    assert_eq!(feed["events"].as_array().unwrap().len(), 3);
    let values = fixture.admin_gets("/v2/event_types/t/traits/large").await.json();
    assert_eq!(values.as_array().unwrap().len(), 5);
}

#[actix_web::test]
async fn a_list_goes_on_behind_an_event_that_is_removed_meanwhile() {
    let fixture = three().await;
    let page = async |filter: EventFilter| {
        let read = move |conn: &mut DbConn| list_events(conn, &Visibility::All, &filter);
        fixture.database.db.read(read).await.unwrap()
    };
    let first = page(EventFilter { bytes: 1, ..EventFilter::default() }).await;
    assert_eq!((first.rows.len(), first.is_cut), (1, true));
    let remove = |conn: &mut DbConn| {
        Ok::<_, DbError>(shared::on_backend!(conn, c => {
            diesel::sql_query("DELETE FROM events WHERE message_id = 'a'").execute(c)
        })?)
    };
    assert_eq!(fixture.database.db.write(remove).await.unwrap(), 1);
    let after = first.rows.last().map(Seen::from);
    let second = page(EventFilter { after, ..EventFilter::default() }).await;
    let heads: String = second.rows.into_iter().map(|event| event.head).collect();
    assert!(heads.contains(r#""b""#) && heads.contains(r#""c""#) && !second.is_cut, "{heads}");
}
