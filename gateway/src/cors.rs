//! Which web pages may read answers: the settings name their origins.
//!
//! `/v2` and `/` follow oslo.middleware as Panko did (`events-v2`, section 10). An answer of a service that already
//! says who may read it is left alone: annotations and `DTrace` have rules of their own.

use crate::body::Body;
use crate::routes::{Api, Route};
use hyper::body::Incoming;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::{Method, Request, Response, StatusCode};

/// What pages of Panko's clients may read.
const PANKO_EXPOSED: &str = "X-Auth-Token, X-Subject-Token, X-Service-Token, X-Openstack-Request-Id";

/// What other pages may read.
const EXPOSED: &str = "X-Request-Id, Location, ETag, Retry-After";

/// Seconds that a browser may remember a preflight.
const MAX_AGE_SECS: &str = "3600";

/// The request's origin, if its page may read answers.
#[must_use]
pub(crate) fn origin(allowed: &[String], headers: &HeaderMap) -> Option<HeaderValue> {
    if allowed.is_empty() {
        return None;
    }
    let origin = headers.get(ORIGIN)?;
    let is_allowed = allowed.iter().any(|one| one == "*" || one.as_bytes() == origin.as_bytes());
    is_allowed.then(|| origin.clone())
}

/// Tells the browser that the page of `origin` may read this answer.
pub(crate) fn share(api: Api, origin: &HeaderValue, answer: &mut HeaderMap) {
    if answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        return;
    }
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    answer.append(VARY, HeaderValue::from_static("Origin"));
    let exposed = if api == Api::Panko { PANKO_EXPOSED } else { EXPOSED };
    answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
    if api == Api::Panko {
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

/// The headers that answer a browser which asks before it sends (Fetch standard, "CORS-preflight fetch").
///
/// `None` when this is no such question, when pages are not served at all, or when the service answers for itself. At
/// Panko's root oslo.middleware lets the question through as a GET, and the version document is the body.
pub(crate) fn preflight(
    route: &Route,
    allowed: &[String],
    request: &mut Request<Incoming>,
) -> Option<HeaderMap> {
    if request.method() != Method::OPTIONS || allowed.is_empty() || route.action(&Method::OPTIONS).is_some() {
        return None;
    }
    let headers = request.headers();
    let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    let is_known = origin(allowed, headers).is_some();
    let is_panko = route.api == Api::Panko;
    if !is_known && !is_panko {
        return None;
    }
    let mut answer = HeaderMap::new();
    if is_known {
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECS));
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, if is_panko { asked } else { &route.allow }.clone());
        if let Some(names) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
    }
    if is_panko && request.uri().path() == "/" {
        *request.method_mut() = Method::GET;
    }
    Some(answer)
}

/// The answer to a preflight, but for its headers: nothing more is said.
#[must_use]
pub(crate) fn nothing_more(api: Api) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = if api == Api::Panko { StatusCode::OK } else { StatusCode::NO_CONTENT };
    answer
}
