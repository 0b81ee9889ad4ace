//! What the gateway answers itself.

use crate::body::Body;
use crate::fault::Fault;
use crate::routes::Page;
use crate::server::Worker;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use serde_json::json;
use std::rc::Rc;

/// Answers `page`.
///
/// # Errors
/// What the page refuses.
pub async fn answer(
    worker: &Rc<Worker>,
    page: Page,
    _request: Request<Incoming>,
) -> Result<Response<Body>, Fault> {
    Ok(match page {
        Page::Livez | Page::Readyz => typed("text/plain; charset=utf-8", "ok"),
        Page::Metrics => typed("text/plain; version=0.0.4", worker.gateway.metrics.text()),
        Page::Version => typed(
            "application/json",
            json!({ "service": "gateway", "version": env!("CARGO_PKG_VERSION") }).to_string(),
        ),
        Page::Index | Page::Docs | Page::Tokens | Page::Token => return Err(Fault::NotFound),
    })
}

fn typed(content_type: &'static str, body: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut answer = Response::new(Body::full(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
