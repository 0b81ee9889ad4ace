//! Create, replace, read, delete: sections 2, 3 and 6 of the contract.

use crate::rig::Rig;
use serde_json::{Value, json};

/// The seed's example in RFC 3339.
const RFC3339: &str = r#"{
"Id": "",
"Message": "test",
"StartDate": "2016-02-24T22:08:41-05:00",
"EndDate": "2016-02-24T22:08:41-05:00",
"CreationUser": "kbrandt",
"Url": "",
"Source": "annotate-ui",
"Host": "",
"Owner": "sre",
"Category": "test"
}"#;

/// The seed's example in seconds since 1970.
const EPOCH: &str = r#"{
"Id": "",
"Message": "test",
"StartDate": 1456369836,
"EndDate": 1456369836,
"CreationUser": "kbrandt",
"Url": "",
"Source": "annotate-ui",
"Host": "",
"Owner": "sre",
"Category": "test"
}"#;

#[actix_web::test]
async fn seed_example_in_rfc3339_answers_as_documented() {
    let rig = Rig::new();
    for (method, uri) in [("POST", "/annotation"), ("PUT", "/api/annotation"), ("POST", "/v1/annotation")] {
        let answer = rig.request(method, uri, RFC3339).send().await;
        let id = answer.json()["Id"].as_str().unwrap().to_owned();
        assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 4);
        // The ten members in their order, and the line break of the original's encoder.
        let expected = format!(
            "{{\"Id\":\"{id}\",\"Message\":\"test\",\"CreationUser\":\"kbrandt\",\"Url\":\"\",\"Source\":\"annotate-ui\",\
             \"Host\":\"\",\"Owner\":\"sre\",\"Category\":\"test\",\"StartDate\":\"2016-02-24T22:08:41-05:00\",\
             \"EndDate\":\"2016-02-24T22:08:41-05:00\"}}\n"
        );
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, expected.as_str()));
        assert_eq!(rig.get(&format!("/annotation/{id}")).await.text, expected);
        assert_eq!(rig.get(&format!("/api/annotation/{id}?Epoch=true")).await.text, expected);
        let epoch = rig.get(&format!("/v1/annotation/{id}?Epoch=1")).await.ok();
        assert_eq!((&epoch["StartDate"], &epoch["EndDate"]), (&json!(1456369721), &json!(1456369721)));
    }
}

#[actix_web::test]
async fn seed_example_in_epoch_answers_as_documented() {
    let rig = Rig::new();
    let answer = rig.post("/annotation", EPOCH).await;
    let id = answer.json()["Id"].as_str().unwrap().to_owned();
    let expected = format!(
        "{{\"Id\":\"{id}\",\"Message\":\"test\",\"CreationUser\":\"kbrandt\",\"Url\":\"\",\"Source\":\"annotate-ui\",\
         \"Host\":\"\",\"Owner\":\"sre\",\"Category\":\"test\",\"StartDate\":1456369836,\"EndDate\":1456369836}}\n"
    );
    assert_eq!(answer.text, expected);
    assert_eq!(rig.get(&format!("/annotation/{id}?Epoch=1")).await.text, expected);
    // Created in epoch, read in RFC 3339: in UTC.
    let read = rig.get(&format!("/annotation/{id}")).await.ok();
    assert_eq!(read["StartDate"], json!("2016-02-25T03:10:36Z"));
}

#[actix_web::test]
async fn body_is_read_whatever_its_type_and_trailing_text_is_ignored() {
    let rig = Rig::new();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "nonsense"] {
        let answer = rig
            .request("POST", "/annotation", "{\"message\":\"m\",\"OWNER\":\"o\"} trailing {")
            .header("content-type", kind)
            .send()
            .await
            .ok();
        assert_eq!((&answer["Message"], &answer["Owner"]), (&json!("m"), &json!("o")));
    }
    let empty = rig.post("/annotation", "null").await.ok();
    assert_eq!((&empty["Message"], &empty["StartDate"]), (&json!(""), &json!("2016-02-25T03:08:41Z")));
}

#[actix_web::test]
async fn missing_dates_are_filled_in() {
    let rig = Rig::new();
    let cases = [
        (json!({}), json!("2016-02-25T03:08:41Z"), json!("2016-02-25T03:08:41Z")),
        (
            json!({"StartDate": "", "EndDate": ""}),
            json!("2016-02-25T03:08:41Z"),
            json!("2016-02-25T03:08:41Z"),
        ),
        (
            json!({"StartDate": "2016-01-01T00:00:00+01:00"}),
            json!("2016-01-01T00:00:00+01:00"),
            json!("2016-01-01T00:00:00+01:00"),
        ),
        (json!({"EndDate": 5}), json!(5), json!(5)),
        // 0 is a time, not "unset"; so is a time before 1970.
        (json!({"StartDate": 0}), json!(0), json!(0)),
        (json!({"StartDate": -1, "EndDate": 0}), json!(-1), json!(0)),
        (
            json!({"StartDate": "2016-02-24T22:08:41.999-05:00"}),
            json!("2016-02-24T22:08:41-05:00"),
            json!("2016-02-24T22:08:41-05:00"),
        ),
        (
            json!({"StartDate": "2016-02-24T22:08:41+00:00"}),
            json!("2016-02-24T22:08:41Z"),
            json!("2016-02-24T22:08:41Z"),
        ),
        // The original's zero time counts as not set.
        (
            json!({"StartDate": "0001-01-01T00:00:00Z", "EndDate": "2016-01-01T00:00:00Z"}),
            json!("2016-01-01T00:00:00Z"),
            json!("2016-01-01T00:00:00Z"),
        ),
    ];
    for (body, start, end) in cases {
        let answer = rig.post("/annotation", body.to_string()).await.ok();
        assert_eq!((&answer["StartDate"], &answer["EndDate"]), (&start, &end), "{body}");
    }
}

#[actix_web::test]
async fn unreadable_bodies_answer_the_original_text() {
    let rig = Rig::new();
    let prefix = "Could not unmarhsal json in RFC3339 fmt or Epoch fmt: ";
    let time = |value: &str, rest: &str, element: &str| {
        format!(
            "parsing time \"{value}\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"{rest}\" as \"{element}\""
        )
    };
    let integer = |value: &str| format!("strconv.ParseInt: parsing {value}: invalid syntax");
    let dates = [
        ("null", time("null", "null", "2006"), integer("\"null\"")),
        ("1456369836.5", time("1456369836.5", "369836.5", "-"), integer("\"1456369836.5\"")),
        ("\"1456369836\"", time("1456369836", "369836", "-"), integer("\"\\\"1456369836\\\"\"")),
        ("true", time("true", "true", "2006"), integer("\"true\"")),
        (
            "\"2016-02-24 22:08:41\"",
            time("2016-02-24 22:08:41", " 22:08:41", "T"),
            integer("\"\\\"2016-02-24 22:08:41\\\"\""),
        ),
        (
            "\"2016-02-31T10:00:00Z\"",
            "parsing time \"2016-02-31T10:00:00Z\": day out of range".into(),
            integer("\"\\\"2016-02-31T10:00:00Z\\\"\""),
        ),
        (
            "99999999999999999999",
            time("99999999999999999999", "9999999999999999", "-"),
            "strconv.ParseInt: parsing \"99999999999999999999\": value out of range".into(),
        ),
    ];
    for (date, first, second) in dates {
        let answer = rig.post("/annotation", format!("{{\"StartDate\":{date}}}")).await;
        assert_eq!(answer.error(500), format!("{prefix}{first}, {second}"), "{date}");
    }
    // Beyond the year 9999.
    for beyond in ["253402300800", "9223372036854775807", "-9223372036854775808"] {
        let text = rig.post("/annotation", format!("{{\"StartDate\":{beyond}}}")).await.error(500);
        assert!(
            text.ends_with(&format!("strconv.ParseInt: parsing \"{beyond}\": value out of range")),
            "{text}"
        );
    }
    let mixed = r#"{"StartDate":"2016-02-24T22:08:41-05:00","EndDate":1456369836}"#;
    let text = rig.post("/annotation", mixed).await.error(500);
    assert_eq!(
        text,
        format!(
            "{prefix}{}, {}",
            time("1456369836", "369836", "-"),
            integer("\"\\\"2016-02-24T22:08:41-05:00\\\"\"")
        )
    );
    // Texts as Go 1.19's decoder writes them.
    let types = [
        ("", "EOF", "EOF"),
        ("{\"Message\":", "unexpected EOF", "unexpected EOF"),
        (
            "[]",
            "json: cannot unmarshal array into Go value of type annotate.Annotation",
            "json: cannot unmarshal array into Go value of type annotate.EpochAnnotation",
        ),
        (
            "7",
            "json: cannot unmarshal number into Go value of type annotate.Annotation",
            "json: cannot unmarshal number into Go value of type annotate.EpochAnnotation",
        ),
        (
            "\"x\"",
            "json: cannot unmarshal string into Go value of type annotate.Annotation",
            "json: cannot unmarshal string into Go value of type annotate.EpochAnnotation",
        ),
        (
            "{\"Message\":7}",
            "json: cannot unmarshal number into Go struct field Annotation.Message of type string",
            "json: cannot unmarshal number into Go struct field EpochAnnotation.Message of type string",
        ),
        (
            "{\"owner\":{}}",
            "json: cannot unmarshal object into Go struct field Annotation.Owner of type string",
            "json: cannot unmarshal object into Go struct field EpochAnnotation.Owner of type string",
        ),
    ];
    for (body, first, second) in types {
        assert_eq!(
            rig.post("/annotation", body).await.error(500),
            format!("{prefix}{first}, {second}"),
            "{body}"
        );
    }
}

#[actix_web::test]
async fn end_before_start_is_refused() {
    let rig = Rig::new();
    let body = json!({"StartDate": 1456369836, "EndDate": 1456369835});
    let answer = rig.post("/annotation", body.to_string()).await;
    assert_eq!(answer.status.as_u16(), 500);
    assert_eq!(answer.text, "{\"error\":\"EndDate is before StartDate\"}\n");
    // As instants, not as texts.
    let body = json!({"StartDate": "2016-01-01T10:00:00+05:00", "EndDate": "2016-01-01T06:00:00Z"});
    rig.post("/annotation", body.to_string()).await.ok();
}

#[actix_web::test]
async fn replace_overwrites_everything() {
    let rig = Rig::new();
    let id = rig.create(serde_json::from_str(RFC3339).unwrap()).await;
    let expected: Value = json!({"Id": id, "Message": "", "CreationUser": "", "Url": "", "Source": "", "Host": "",
        "Owner": "ops", "Category": "", "StartDate": "2016-02-25T03:08:41Z", "EndDate": "2016-02-25T03:08:41Z"});
    let bodies = [
        ("POST", "/annotation".to_owned(), json!({"Id": id, "Owner": "ops"})),
        ("PUT", format!("/annotation/{id}"), json!({"Owner": "ops"})),
        ("PUT", format!("/annotation/{id}"), json!({"Id": id, "Owner": "ops"})),
    ];
    for (method, uri, body) in bodies {
        assert_eq!(rig.request(method, &uri, body.to_string()).send().await.ok(), expected);
        assert_eq!(rig.get(&format!("/annotation/{id}")).await.ok(), expected);
    }
}

#[actix_web::test]
async fn ids_must_agree_and_exist() {
    let rig = Rig::new();
    let id = rig.create(json!({})).await;
    let other = "78a59f94-76ed-42d2-9ed0-9c7b282c4e83";
    let answer = rig.put(&format!("/annotation/{id}"), json!({"Id": other}).to_string()).await;
    assert_eq!(answer.error(500), format!("conflicting ids in request: url id {id}, body id {other}"));
    let unknown = format!("could not find annotation with id {other} to update");
    assert_eq!(rig.put(&format!("/annotation/{other}"), "{}").await.error(500), unknown);
    assert_eq!(rig.post("/annotation", json!({"Id": other}).to_string()).await.error(500), unknown);
    for strange in ["nonsense", "%00", "..%2f", &id.to_uppercase()] {
        assert_eq!(rig.get(&format!("/annotation/{strange}")).await.error(404), "not found");
        assert_eq!(rig.put(&format!("/annotation/{strange}"), "{}").await.status.as_u16(), 500);
    }
    // The order of dates is checked before the id.
    let body = json!({"Id": other, "StartDate": 2, "EndDate": 1});
    assert_eq!(rig.post("/annotation", body.to_string()).await.error(500), "EndDate is before StartDate");
}

#[actix_web::test]
async fn deleted_annotation_is_gone() {
    let rig = Rig::new();
    let id = rig.create(json!({"Owner": "sre"})).await;
    let answer = rig.delete(&format!("/annotation/{id}")).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
    assert_eq!(rig.get(&format!("/annotation/{id}")).await.error(404), "not found");
    assert_eq!(rig.get("/annotation/query").await.ok(), json!([]));
    assert_eq!(rig.get("/annotation/values/Owner").await.ok(), json!([]));
    for id in [id.as_str(), "nonsense"] {
        assert_eq!(
            rig.delete(&format!("/annotation/{id}")).await.error(404),
            "elastic: Error 404 (Not Found)"
        );
    }
}

#[actix_web::test]
async fn setting_brings_back_the_seeds_answer_for_unknown_ids() {
    let rig = Rig::with(annotate_svc::config::Config { seed_not_found: true, ..Default::default() });
    let uri = "/annotation/78a59f94-76ed-42d2-9ed0-9c7b282c4e83";
    assert_eq!(rig.get(uri).await.error(500), "elastic: Error 404 (Not Found)");
    assert_eq!(rig.delete(uri).await.error(500), "elastic: Error 404 (Not Found)");
}
