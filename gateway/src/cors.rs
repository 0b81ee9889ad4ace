//! Which web pages of other sites may read answers, and which may do more: the settings name their origins. Where
//! logins and rights are made, none may.
//!
//! `/v2` and `/` follow oslo.middleware as Panko did (`events-v2`, section 10). An answer of a service that already
//! says who may read it is left alone: annotations and `DTrace` have rules of their own.

use crate::body::Body;
use crate::config::Config;
use crate::guard;
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

/// What pages of `FiFo`'s clients may send and read.
const FIFO_SENT: &str = "Authorization, content-type, x-snarl-token, x-full-list, x-full-list-fields";
const FIFO_EXPOSED: &str = "x-snarl-token, x-full-list, x-full-list-fields";

/// What other pages may read.
const EXPOSED: &str = "X-Request-Id, Location, ETag, Retry-After";

/// Seconds that a browser may remember a preflight.
const MAX_AGE_SECS: &str = "3600";

/// The methods of pages that may read alone.
const READING: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];

/// A page that may read answers.
#[derive(Debug)]
pub(crate) struct Visitor {
    origin: HeaderValue,
    /// Whether the settings name the origin, and not just everybody.
    is_named: bool,
    may_write: bool,
}

impl Visitor {
    /// The page that asks, if it may read what `route` answers.
    #[must_use]
    pub(crate) fn of(config: &Config, route: Option<&Route>, headers: &HeaderMap) -> Option<Self> {
        if !is_on(config) || route.is_some_and(guard::is_private) {
            return None;
        }
        let origin = headers.get(ORIGIN)?;
        let names = |list: &[String]| list.iter().any(|one| one.as_bytes() == origin.as_bytes());
        let may_write = names(&config.cors_write_origins);
        let is_named = may_write || names(&config.cors_origins);
        let may_read = is_named || config.cors_origins.iter().any(|one| one == "*");
        may_read.then(|| Self { origin: origin.clone(), is_named, may_write })
    }

    /// Whether the page may send `method`.
    fn may(&self, method: &str) -> bool {
        self.may_write || READING.iter().any(|reading| reading.as_str() == method)
    }
}

/// Whether pages of other sites are served at all.
fn is_on(config: &Config) -> bool {
    !config.cors_origins.is_empty() || !config.cors_write_origins.is_empty()
}

/// Tells the browser that the page may read this answer. Only a page whose origin is named gets at what the user's own
/// login shows.
pub(crate) fn share(api: Api, visitor: &Visitor, answer: &mut HeaderMap) {
    if answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        return;
    }
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, visitor.origin.clone());
    answer.append(VARY, HeaderValue::from_static("Origin"));
    let exposed = if api == Api::Panko { PANKO_EXPOSED } else { EXPOSED };
    answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
    if api == Api::Panko && visitor.is_named {
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

/// What every answer about `DTrace` scripts says (`dtrace`, section 2), for one that the gateway makes itself. As in the
/// service, an origin that the settings name is told so, and everybody else gets the original's `*`, with which browsers
/// send no credentials.
pub(crate) fn share_scripts(visitor: Option<&Visitor>, answer: &mut HeaderMap) {
    let named = visitor.filter(|visitor| visitor.is_named).map(|visitor| visitor.origin.clone());
    if named.is_some() {
        answer.append(VARY, HeaderValue::from_static("origin"));
    }
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, named.unwrap_or(HeaderValue::from_static("*")));
    answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(FIFO_SENT));
    answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(FIFO_EXPOSED));
}

/// The headers that answer a browser which asks before it sends (Fetch standard, "CORS-preflight fetch").
///
/// `None` when this is no such question, when pages are not served at all, or when the service answers for itself. At
/// Panko's root oslo.middleware lets the question through as a GET, and the version document is the body.
pub(crate) fn preflight(
    route: &Route,
    config: &Config,
    visitor: Option<&Visitor>,
    request: &mut Request<Incoming>,
) -> Option<HeaderMap> {
    if request.method() != Method::OPTIONS || !is_on(config) || route.action(&Method::OPTIONS).is_some() {
        return None;
    }
    let headers = request.headers();
    let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    let is_panko = route.api == Api::Panko;
    if visitor.is_none() && !is_panko {
        return None;
    }
    let mut answer = HeaderMap::new();
    let may = |visitor: &&Visitor| !is_panko || asked.to_str().is_ok_and(|method| visitor.may(method));
    if let Some(visitor) = visitor.filter(may) {
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECS));
        answer.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            if is_panko { asked.clone() } else { methods(route, visitor) },
        );
        if let Some(names) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
    }
    if is_panko && request.uri().path() == "/" {
        *request.method_mut() = Method::GET;
    }
    Some(answer)
}

/// What the page may send here.
fn methods(route: &Route, visitor: &Visitor) -> HeaderValue {
    let allowed = route.allow.to_str().unwrap_or_default().split(", ");
    let names: Vec<&str> = allowed.filter(|method| visitor.may(method)).collect();
    HeaderValue::from_str(&names.join(", ")).unwrap_or_else(|_odd| HeaderValue::from_static("GET"))
}

/// The answer to a preflight, but for its headers: nothing more is said.
#[must_use]
pub(crate) fn nothing_more(api: Api) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = if api == Api::Panko { StatusCode::OK } else { StatusCode::NO_CONTENT };
    answer
}
