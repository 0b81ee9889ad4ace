//! Errors of the annotation API: `{"error": …}` and a line break (`annotate`, section 6).

use super::text;
use crate::body::Body;
use crate::fault::Fault;
use hyper::Response;
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use serde_json::json;

pub(super) fn answer(fault: &Fault) -> Response<Body> {
    let words = if *fault == Fault::NotFound { "not found".into() } else { fault.to_string() };
    let mut answer = text(fault, "application/json", format!("{}\n", json!({ "error": words })));
    if let Fault::Unauthorized(_) = fault {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"quintet\""));
    }
    answer
}
