//! What the gateway answers itself.

mod audit;
mod docs;
mod holders;
mod identity;
mod index;
mod input;
mod oauth;
mod ready;
mod scopes;
mod sessions;
mod tokens;

pub(crate) use ready::is_verbose;

use crate::body::Body;
use crate::fault::Fault;
use crate::gateway::Gateway;
use crate::identity::{Accounts, Actor, Caller};
use crate::model::{Action, Deed};
use crate::routes::Page;
use crate::server::Worker;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

/// A request for a page, and who sent it.
pub(crate) struct Call<'x> {
    /// The worker that serves it.
    pub(crate) worker: &'x Rc<Worker>,
    /// Who asks.
    pub(crate) caller: Arc<Caller>,
    /// The address it comes from.
    pub(crate) address: IpAddr,
    /// The request.
    pub(crate) request: Request<Incoming>,
}

impl Call<'_> {
    fn gateway(&self) -> &Gateway {
        &self.worker.gateway
    }

    fn accounts(&self) -> &Accounts {
        &self.worker.gateway.accounts
    }

    /// Something that the caller does now.
    fn deed(&self, action: Action, target: &str, detail: &str) -> Deed {
        self.accounts().deed(&Actor::of(&self.caller, self.address), action, target, detail)
    }

    fn path(&self) -> &str {
        self.request.uri().path()
    }

    fn query(&self) -> &str {
        self.request.uri().query().unwrap_or_default()
    }
}

/// Answers `page`. Who may see it has been decided.
///
/// # Errors
/// What the page refuses.
pub(crate) async fn answer(page: Page, call: Call<'_>) -> Result<Response<Body>, Fault> {
    match page {
        Page::Index => Ok(index::show(call.request.headers())),
        Page::Livez => Ok(text("ok")),
        Page::Readyz => Ok(ready::report(call.worker, call.request.uri().query()).await),
        Page::Metrics => Ok(typed("text/plain; version=0.0.4", call.gateway().metrics.text())),
        Page::Version => Ok(object(&json!({ "service": "gateway", "version": env!("CARGO_PKG_VERSION") }))),
        Page::Docs => docs::show(call.path()),
        Page::Tokens | Page::Token => tokens::answer(call).await,
        Page::Holders(kind) => holders::answer(kind, call).await,
        Page::OAuthToken => Ok(oauth::token(call).await),
        Page::OAuthRevoke => Ok(oauth::revoke(call).await),
        Page::OAuthAuthorize => oauth::authorize(call).await,
        Page::Sessions => sessions::answer(call).await,
        Page::Scopes => scopes::answer(call).await,
        Page::Audit => audit::list(call).await,
        Page::AuditVerify => audit::verify(call).await,
        Page::Identity => identity::tell(call).await,
    }
}

/// An answer without body.
fn nothing(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

/// The answer to a POST whose thing is at `place` now.
fn see_other(place: &str) -> Response<Body> {
    let mut answer = nothing(StatusCode::SEE_OTHER);
    if let Ok(place) = HeaderValue::from_str(place) {
        answer.headers_mut().insert(LOCATION, place);
    }
    answer
}

/// The same answer, which nobody may keep.
fn unstored(mut answer: Response<Body>) -> Response<Body> {
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
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
