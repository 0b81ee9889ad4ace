//! Errors of `/v1/streams`, `/v1/events` and `/v1/notifications`: nothing for an unknown path or method, title and
//! description for the rest (`streams-events-v1`, section 1).

use super::{Asked, empty, text};
use crate::body::Body;
use crate::fault::Fault;
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Response, StatusCode};
use serde_json::json;

pub(super) fn answer(fault: &Fault, asked: &Asked) -> Response<Body> {
    match fault {
        Fault::NotFound => empty(fault),
        Fault::MethodNotAllowed(_) => {
            let mut answer = empty(fault);
            if asked.method == Method::OPTIONS {
                *answer.status_mut() = StatusCode::NO_CONTENT;
            }
            answer
        }
        Fault::BadRequest(_)
        | Fault::Unauthorized(_)
        | Fault::Forbidden(_)
        | Fault::Conflict(_)
        | Fault::Stalled
        | Fault::TooManyHeaders(_)
        | Fault::TooLarge(_)
        | Fault::TooMany { .. }
        | Fault::Unreachable(_)
        | Fault::Busy { .. }
        | Fault::NotInstalled(_)
        | Fault::TimedOut(_)
        | Fault::StoreAway => described(fault),
    }
}

fn described(fault: &Fault) -> Response<Body> {
    let title = fault.status().canonical_reason().unwrap_or_default();
    let body = json!({ "title": title, "description": fault.to_string() });
    let mut answer = text(fault, "application/json; charset=utf-8", body.to_string());
    if let Fault::Unauthorized(_) = fault {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"quintet\""));
    }
    answer
}
