//! Errors of the `DTrace` API: the original's REST layer sends bare statuses; a JSON text is added for people
//! (`dtrace`, section 2).

use super::text;
use crate::body::Body;
use crate::fault::Fault;
use hyper::Response;
use hyper::header::{HeaderValue, VARY, WWW_AUTHENTICATE};
use serde_json::json;

pub(super) fn answer(fault: &Fault) -> Response<Body> {
    let mut answer = text(fault, "application/json", json!({ "error": fault.to_string() }).to_string());
    answer.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    if let Fault::Unauthorized(_) = fault {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"quintet\""));
    }
    answer
}
