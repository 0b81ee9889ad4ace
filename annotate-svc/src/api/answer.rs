//! Answers.

use crate::error::Error;
use crate::model::{Form, Stored};
use actix_web::HttpResponse;
use actix_web::http::header::{HeaderName, HeaderValue};
use serde::Serialize;

/// A JSON answer with the line break that the original's encoder ends with.
pub(super) fn json(value: &impl Serialize) -> HttpResponse {
    match serde_json::to_string(value) {
        Ok(text) => HttpResponse::Ok().content_type("application/json").body(text + "\n"),
        Err(cause) => HttpResponse::from_error(Error::Storage(cause.to_string())),
    }
}

/// One annotation with its version as entity tag.
pub(super) fn annotation(stored: &Stored, form: Form) -> HttpResponse {
    let mut answer = json(&stored.annotation.wire(form));
    set(&mut answer, "etag", &etag(stored.version));
    answer
}

/// The entity tag of a version.
pub(super) fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// Sets a header.
pub(super) fn set(answer: &mut HttpResponse, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
        answer.headers_mut().insert(name, value);
    }
}
