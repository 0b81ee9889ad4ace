//! Errors of the gateway's own pages, and of paths that nobody owns.

use super::text;
use crate::body::Body;
use crate::fault::Fault;
use hyper::Response;
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use serde_json::json;

pub(super) fn answer(fault: &Fault) -> Response<Body> {
    let mut answer = text(fault, "application/json", json!({ "error": fault.to_string() }).to_string());
    if let Fault::Unauthorized(_) = fault {
        answer.headers_mut().insert(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"quintet\", Bearer realm=\"quintet\""),
        );
    }
    answer
}
