//! What the gateway answers itself.

mod docs;
mod index;
mod ready;
mod tokens;

use crate::body::Body;
use crate::fault::Fault;
use crate::routes::Page;
use crate::server::Worker;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use serde_json::{Value, json};
use std::rc::Rc;

/// Answers `page`. Who may see it has been decided.
///
/// # Errors
/// What the page refuses.
pub(crate) async fn answer(
    worker: &Rc<Worker>,
    page: Page,
    request: Request<Incoming>,
) -> Result<Response<Body>, Fault> {
    match page {
        Page::Index => Ok(index::show(request.headers())),
        Page::Livez => Ok(text("ok")),
        Page::Readyz => Ok(ready::report(worker, request.uri().query()).await),
        Page::Metrics => Ok(typed("text/plain; version=0.0.4", worker.gateway.metrics.text())),
        Page::Version => Ok(object(&json!({ "service": "gateway", "version": env!("CARGO_PKG_VERSION") }))),
        Page::Docs => docs::show(request.uri().path()),
        Page::Tokens | Page::Token => tokens::answer(&worker.gateway, request).await,
    }
}

fn text(body: impl Into<bytes::Bytes>) -> Response<Body> {
    typed("text/plain; charset=utf-8", body)
}

fn object(body: &Value) -> Response<Body> {
    typed("application/json", body.to_string())
}

fn typed(content_type: &'static str, body: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut answer = Response::new(Body::full(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
