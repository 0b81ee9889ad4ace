//! What an error made by the gateway looks like: as the API that owns the path would have said it.

mod annotate;
mod fifo;
mod own;
mod panko;
mod snap;
mod stacktach;

use crate::body::Body;
use crate::fault::Fault;
use crate::routes::Api;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Response};
use std::borrow::Cow;

/// What a shape looks at; kept while the request itself goes on to a service.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The request's method.
    pub(crate) method: Method,
    /// The request's `Accept`.
    pub(crate) accept: Option<HeaderValue>,
}

impl Asked {
    /// The text of `Accept`; nothing when there is none.
    fn accept(&self) -> Cow<'_, str> {
        self.accept.as_ref().map_or(Cow::Borrowed(""), |value| String::from_utf8_lossy(value.as_bytes()))
    }
}

/// The answer to `fault` in the form of `api`.
#[must_use]
pub(crate) fn answer(api: Api, fault: &Fault, asked: &Asked) -> Response<Body> {
    let mut answer = match api {
        Api::StackTach => stacktach::answer(fault, asked),
        Api::Panko => panko::answer(fault, asked),
        Api::SnapV1 => snap::answer_v1(fault),
        Api::SnapV2 => snap::answer_v2(fault),
        Api::Fifo => fifo::answer(fault),
        Api::Annotate => annotate::answer(fault),
        Api::Grafana => annotate::answer_grafana(fault),
        Api::Gateway => own::answer(fault),
    };
    if let Some(seconds) = fault.retry_after_secs() {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    if let Fault::MethodNotAllowed(allow) = fault {
        answer.headers_mut().insert(ALLOW, allow.clone());
    }
    answer
}

/// An answer with a body of one piece.
fn text(fault: &Fault, content_type: &'static str, body: String) -> Response<Body> {
    let mut answer = Response::new(Body::full(body));
    *answer.status_mut() = fault.status();
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// An answer without body.
fn empty(fault: &Fault) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = fault.status();
    answer
}
