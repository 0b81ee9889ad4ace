//! What the real Panko 10.0.0 answered to some two thousand questions, against what we answer.
//!
//! Recorded by `e2e/judges/panko-answers`. Where ours differs on purpose, [`expected_status`] says how.

use crate::common::{Answer, Fixture};
use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::identity::Principal;
use std::collections::BTreeMap;
use std::io::Read;

/// A line of the record.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Event { event: Value },
    Shown { shown: Value },
    Question(Box<Question>),
}

/// A question with its answer.
#[derive(Debug, Deserialize)]
struct Question {
    get: String,
    headers: BTreeMap<String, String>,
    body: Option<String>,
    status: u16,
    #[serde(rename = "type")]
    content_type: Option<String>,
    #[serde(flatten)]
    said: Said,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    Ids(Value),
    Json(Value),
    Xml(String),
    Page(String),
}

struct Record {
    events: Vec<Value>,
    shown: BTreeMap<String, Value>,
    questions: Vec<Question>,
}

fn record() -> Record {
    let mut text = String::new();
    GzDecoder::new(&include_bytes!("../../fixtures/panko.jsonl.gz")[..]).read_to_string(&mut text).unwrap();
    let mut record = Record { events: Vec::new(), shown: BTreeMap::new(), questions: Vec::new() };
    for line in text.lines() {
        match serde_json::from_str(line).unwrap() {
            Line::Event { event } => record.events.push(event),
            Line::Shown { shown } => {
                record.shown.insert(shown["message_id"].as_str().unwrap().to_owned(), shown);
            }
            Line::Question(question) => record.questions.push(*question),
        }
    }
    record
}

/// The caller that the gateway makes of the identity headers.
fn caller(headers: &BTreeMap<String, String>) -> Principal {
    let id = |name: &str| headers.get(name).filter(|id| !id.is_empty()).cloned();
    let roles =
        headers.get("X-Roles").map_or(Vec::new(), |roles| roles.split(',').map(str::to_owned).collect());
    Principal { user_id: id("X-User-Id"), project_id: id("X-Project-Id"), roles, ..Principal::default() }
}

async fn ask(fixture: &Fixture, question: &Question) -> Answer {
    let mut request = TestRequest::get().uri(&question.get).insert_header(("Host", "localhost"));
    for name in ["Accept", "Content-Type"] {
        if let Some(value) = question.headers.get(name) {
            request = request.insert_header((name, value.as_str()));
        }
    }
    if let Some(body) = &question.body {
        if !question.headers.contains_key("Content-Type") {
            request = request.insert_header(("Content-Type", "application/json"));
        }
        request = request.set_payload(body.clone());
    }
    fixture.send_as(caller(&question.headers), request).await
}

/// Panko fails with 500 on what is the client's mistake; ours answers 400 (events-v2.md, section 3).
fn expected_status(question: &Question) -> u16 {
    if question.status == 500 { 400 } else { question.status }
}

/// An event, or the events of a list, with the types of one name in a fixed order, as the record has them.
fn with_sorted_traits(mut said: Value) -> Value {
    let sort = |event: &mut Value| {
        if let Some(traits) = event.get_mut("traits").and_then(Value::as_array_mut) {
            traits.sort_by_key(|item| (item["name"].as_str().map(str::to_owned), item["type"].to_string()));
        }
    };
    if let Some(events) = said.as_array_mut() {
        events.iter_mut().for_each(sort);
    } else {
        sort(&mut said);
    }
    said
}

/// What is compared: as it is, but in order where the contract leaves the order open. That is for the traits of a type
/// and their values, and, in an event, for a name that has several types.
fn comparable(path: &str, said: &Value) -> Value {
    if let Some(xml) = said.as_str() {
        let xml = xml.replace(" />", "/>").replace("</result>", "");
        let mut items: Vec<&str> = xml.split("<item>").collect();
        items.sort_unstable();
        return items.into();
    }
    let mut said = said.clone();
    if let Some(items) = said.as_array_mut().filter(|_| path.contains("/traits")) {
        items.sort_by_key(|item| ["name", "type", "value"].map(|member| item[member].to_string()));
    }
    said
}

fn check(record: &Record, question: &Question, answer: &Answer) -> Result<(), String> {
    let status = expected_status(question);
    if answer.status.as_u16() != status {
        return Err(format!("status {}", answer.status));
    }
    let content_type = answer.headers.get("content-type").and_then(|value| value.to_str().ok());
    if content_type != question.content_type.as_deref() {
        return Err(format!("content type {content_type:?}"));
    }
    let has_id = answer.headers.contains_key("x-openstack-request-id");
    if has_id == (question.get == "/") {
        return Err("request id".into());
    }
    let ids = |ids: &[Value]| -> Value {
        ids.iter().map(|id| record.shown[id.as_str().unwrap()].clone()).collect()
    };
    let (ours, panko) = match &question.said {
        Said::Xml(xml) => (answer.body.clone().into(), xml.clone().into()),
        Said::Page(kind) => {
            let words = StatusCode::from_u16(status).unwrap().to_string();
            let page = match answer.body.strip_prefix("<error_message>") {
                Some(page) => page.to_owned(),
                None => answer.json()["error_message"].as_str().unwrap_or_default().to_owned(),
            };
            let start = match kind.as_str() {
                "html" => format!("<html>\n <head>\n  <title>{words}</title>"),
                _ => format!("{words}\n\n"),
            };
            (page.get(..start.len()).unwrap_or_default().into(), start.into())
        }
        Said::Ids(Value::Array(list)) => (with_sorted_traits(answer.json()), ids(list)),
        Said::Ids(one) => (with_sorted_traits(answer.json()), ids(std::slice::from_ref(one))[0].clone()),
        // Which words describe a fault of Panko's own is not promised.
        Said::Json(_) if question.status == 500 => {
            (answer.json()["error_message"]["faultcode"].clone(), "Client".into())
        }
        Said::Json(said) => match (&answer.json()["error_message"], &said["error_message"]) {
            (Value::String(ours), Value::String(panko)) => (ours.clone().into(), panko.clone().into()),
            _ => (answer.json(), said.clone()),
        },
    };
    if comparable(&question.get, &ours) == comparable(&question.get, &panko) {
        return Ok(());
    }
    Err(format!("\n  ours  {ours}\n  panko {panko}"))
}

#[actix_web::test]
async fn answers_are_those_of_the_real_panko() {
    let record = record();
    let fixture = Fixture::new();
    let posted = fixture.send(TestRequest::post().uri("/v2/events").set_json(&record.events)).await;
    assert_eq!(
        (posted.status, posted.json()["saved"].clone()),
        (StatusCode::ACCEPTED, json!(48)),
        "{}",
        posted.body
    );
    let mut differences = Vec::new();
    for question in &record.questions {
        let answer = ask(&fixture, question).await;
        if let Err(difference) = check(&record, question, &answer) {
            let Question { get, headers, body, status, .. } = question;
            differences.push(format!("GET {get} {headers:?} {body:?}: panko {status}, ours {difference}"));
        }
    }
    let (count, all) = (differences.len(), record.questions.len());
    assert!(differences.is_empty(), "{count} of {all} differ:\n{}", differences.join("\n"));
}

/// The texts of Panko's 500 that name a mistake are kept under 400.
#[actix_web::test]
async fn mistakes_that_fail_in_panko_keep_its_text() {
    let (record, fixture) = (record(), Fixture::new());
    let kept = ["Marker ", "Unable to parse date string "];
    let mut checked = 0;
    for question in record.questions.iter().filter(|question| question.status == 500) {
        let Said::Json(said) = &question.said else { continue };
        let text = said["error_message"]["faultstring"].as_str().unwrap();
        if kept.iter().any(|start| text.starts_with(start)) {
            let answer = ask(&fixture, question).await;
            assert_eq!(answer.json()["error_message"]["faultstring"], *text);
            checked += 1;
        }
    }
    assert_eq!(checked, 9);
}
