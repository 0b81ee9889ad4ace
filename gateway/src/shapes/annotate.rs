//! Errors of the annotation API: `{"error": …}` and a line break (`annotate`, section 6); in Grafana's form the same words
//! stand under `message` too, which is what Grafana's own API answers.

use super::text;
use crate::body::Body;
use crate::fault::Fault;
use hyper::Response;
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use serde_json::{Value, json};

pub(super) fn answer(fault: &Fault) -> Response<Body> {
    wrapped(fault, &json!({ "error": words(fault) }))
}

pub(super) fn answer_grafana(fault: &Fault) -> Response<Body> {
    let words = words(fault);
    wrapped(fault, &json!({ "message": words, "error": words }))
}

fn words(fault: &Fault) -> String {
    if *fault == Fault::NotFound { "not found".into() } else { fault.to_string() }
}

fn wrapped(fault: &Fault, body: &Value) -> Response<Body> {
    let mut answer = text(fault, "application/json", format!("{body}\n"));
    if let Fault::Unauthorized(_) = fault {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"quintet\""));
    }
    answer
}
