//! One request, from its first header to the head of its answer: whose path is it, may this caller, then on to the
//! service or the page.

use crate::body::{Body, Upload};
use crate::fault::Fault;
use crate::identity::{self, Caller, Credentials};
use crate::pages;
use crate::proxy::{self, Forwarded, Plan};
use crate::routes::{Access, Action, Api, Class, Found, Owner, Page, Route, Service};
use crate::server::{Door, Phase, Worker};
use crate::shapes::{self, Asked};
use crate::{cors, guard};
use hyper::body::{Body as HttpBody, Incoming};
use hyper::header::{ACCEPT, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use shared::config::AuthMode;
use shared::server::REQUEST_ID_HEADER;
use std::borrow::Cow;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest wait that `Prefer: wait=N` may add to a service's time.
const LONGEST_WAIT_SECS: u64 = 600;

/// Characters of a request id that comes from outside.
const REQUEST_ID_CHARS: usize = 128;

/// A request and where it came in.
struct Exchange<'x> {
    worker: &'x Rc<Worker>,
    local: SocketAddr,
    peer: SocketAddr,
    phase: &'x Phase,
    id: &'x HeaderValue,
}

/// Answers one request. Never fails: what goes wrong is an answer too.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    door: Arc<Door>,
    (local, peer): (SocketAddr, SocketAddr),
    phase: Phase,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let started = Instant::now();
    let metrics = &worker.gateway.metrics;
    metrics.in_flight().inc();
    if request.body().is_end_stream() {
        phase.answering();
    } else {
        phase.body();
    }
    let id = request_id(request.headers());
    let asked = Asked { method: request.method().clone(), accept: request.headers().get(ACCEPT).cloned() };
    let uri = request.uri().clone();
    let origin = cors::origin(&worker.gateway.config.cors_origins, request.headers());

    let found = door.router.find(uri.path(), request.method());
    let (api, route) = match &found {
        Found::Route(route) | Found::Elsewhere(route, _) => (route.api, Some(*route)),
        Found::Unknown(api) => (*api, None),
    };
    let exchange = Exchange { worker: &worker, local, peer, phase: &phase, id: &id };
    let outcome = exchange.answer(found, api, request).await;
    let mut answer = outcome.unwrap_or_else(|fault| {
        metrics.refused(fault.status());
        shapes::answer(api, &fault, &asked)
    });
    if let Some(origin) = origin {
        cors::share(api, &origin, answer.headers_mut());
    }
    answer.headers_mut().insert(HeaderName::from_static(REQUEST_ID_HEADER), id.clone());
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        phase.head();
    }
    metrics.in_flight().dec();
    let elapsed = started.elapsed().as_secs_f64();
    worker.timers.observe(&door, route, &asked.method, answer.status(), elapsed);
    log_access(&worker, &asked.method, &uri, &id, answer.status(), elapsed);
    Ok(answer)
}

impl Exchange<'_> {
    async fn answer(
        &self,
        found: Found<'_>,
        api: Api,
        mut request: Request<Incoming>,
    ) -> Result<Response<Body>, Fault> {
        own_host(&mut request, self.local)?;
        self.check_foreign(&request)?;
        self.check_rate(request.headers())?;
        if api.is_snap() {
            // Snap asks for the password before it looks at the path.
            self.caller(api, None, request.headers()).await?;
        }
        match found {
            Found::Unknown(_) => Err(Fault::NotFound),
            Found::Elsewhere(_, path) => Ok(redirect(request.method(), request.uri(), &path)),
            Found::Route(route) => self.answer_route(route, request).await,
        }
    }

    async fn answer_route(
        &self,
        route: &Route,
        mut request: Request<Incoming>,
    ) -> Result<Response<Body>, Fault> {
        let origins = &self.worker.gateway.config.cors_origins;
        let Some(preflight) = cors::preflight(route, origins, request.headers(), request.method()) else {
            return self.act(route, request).await;
        };
        let mut answer = if route.api == Api::Panko && request.uri().path() == "/" {
            // oslo.middleware lets the question through, and the version document answers everything.
            *request.method_mut() = Method::GET;
            self.act(route, request).await?
        } else {
            let mut answer = Response::new(Body::empty());
            let is_panko = route.api == Api::Panko;
            *answer.status_mut() = if is_panko { StatusCode::OK } else { StatusCode::NO_CONTENT };
            answer
        };
        answer.headers_mut().extend(preflight);
        Ok(answer)
    }

    /// Does what the method asks for, if the caller may.
    async fn act(&self, route: &Route, request: Request<Incoming>) -> Result<Response<Body>, Fault> {
        let gateway = &self.worker.gateway;
        let (method, headers) = (request.method(), request.headers());
        let method = effective_method(route.api, method, headers);
        let action = route.action(&method).ok_or_else(|| Fault::MethodNotAllowed(route.allow.clone()))?;
        let action = self.as_set(route, action);
        let caller = self.caller(route.api, Some(&action), headers).await?;
        caller.check(route, &action, request.uri().path())?;
        let (service, request) = match route.owner {
            Owner::Page(page) => return pages::answer(self.worker, page, request).await,
            Owner::Service(service) => (service, request),
            Owner::Rewritten(service, from, to) => (service, rewritten(request, from, to)?),
        };
        let signed = self.worker.signed.header(&caller.principal, &gateway.key, &gateway.clock);
        self.forward(service, &action, request, signed).await
    }

    async fn caller(
        &self,
        api: Api,
        action: Option<&Action>,
        headers: &HeaderMap,
    ) -> Result<Arc<Caller>, Fault> {
        identity::find_caller(self.worker, api, action, headers, self.peer.ip()).await
    }

    async fn forward(
        &self,
        service: Service,
        action: &Action,
        mut request: Request<Incoming>,
        signed: HeaderValue,
    ) -> Result<Response<Body>, Fault> {
        let limit_bytes = self.body_limit(action.class);
        if content_length(request.headers()).is_some_and(|bytes| bytes > limit_bytes) {
            Upload::new(request.into_body(), 0, self.phase.clone()).discard();
            return Err(Fault::TooLarge(limit_bytes));
        }
        let is_socket = action.class == Class::Socket && proxy::is_asked(request.headers());
        let upgrade = is_socket.then(|| hyper::upgrade::on(&mut request));
        let patience = self.patience(action.class, request.headers());
        let plan = Plan { service, class: action.class, is_retryable: action.is_retryable(), patience };
        let (mut parts, body) = request.into_parts();
        parts.version = Version::HTTP_11;
        proxy::prepare(&mut parts.headers, self.forwarded(), signed, self.id.clone());
        let upload = Upload::new(body, limit_bytes, self.phase.clone());
        proxy::forward(self.worker, plan, Request::from_parts(parts, upload), upgrade).await
    }

    fn check_foreign(&self, request: &Request<Incoming>) -> Result<(), Fault> {
        let gateway = &self.worker.gateway;
        let headers = request.headers();
        let verdict = match gateway.mode {
            AuthMode::Open => guard::check_host(headers, &gateway.hosts),
            // A browser adds a remembered password by itself, also for a foreign page; nothing else it could add.
            AuthMode::Secure if !Credentials::are_ambient(headers) => return Ok(()),
            AuthMode::Secure => Ok(()),
        };
        let (is_upgrade, origins) = (proxy::is_asked(headers), &gateway.config.cors_origins);
        let verdict =
            verdict.and_then(|()| guard::check_page(request.method(), headers, is_upgrade, origins));
        verdict.map_err(|foreign| Fault::Forbidden(foreign.to_string()))
    }

    fn check_rate(&self, headers: &HeaderMap) -> Result<(), Fault> {
        let gateway = &self.worker.gateway;
        let Some(limit) = &gateway.request_rate else { return Ok(()) };
        let address = identity::client_address(gateway, headers, self.peer.ip());
        limit.take(address, Instant::now()).map_err(|retry_after_secs| Fault::TooMany { retry_after_secs })
    }

    /// The settings may let everybody see the figures.
    fn as_set(&self, route: &Route, action: &'static Action) -> Cow<'static, Action> {
        let is_metrics = route.owner == Owner::Page(Page::Metrics);
        if is_metrics && self.worker.gateway.config.public_metrics {
            return Cow::Owned(Action { access: Access::Public, ..action.clone() });
        }
        Cow::Borrowed(action)
    }

    fn forwarded(&self) -> Forwarded {
        let gateway = &self.worker.gateway;
        let is_believed = gateway.mode == AuthMode::Open || gateway.trusts(self.peer.ip());
        if is_believed { Forwarded::Kept } else { Forwarded::Dropped }
    }

    fn body_limit(&self, class: Class) -> u64 {
        let limits = &self.worker.gateway.config.limits;
        match class {
            Class::Quick | Class::Stream | Class::Socket => limits.max_body_bytes,
            Class::Ingest => limits.max_ingest_bytes,
            Class::Upload => limits.max_upload_bytes,
        }
    }

    fn patience(&self, class: Class, headers: &HeaderMap) -> Duration {
        let timeouts = &self.worker.gateway.config.timeouts;
        Duration::from_secs(match class {
            Class::Quick | Class::Stream | Class::Socket => timeouts.answer_secs,
            Class::Ingest => timeouts.ingest_secs.saturating_add(preferred_wait_secs(headers)),
            Class::Upload => timeouts.upload_secs,
        })
    }
}

/// The id that came along if it is a plain one, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_plain = |id: &HeaderValue| {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (1..=REQUEST_ID_CHARS).contains(&id.len()) && id.as_bytes().iter().all(is_plain)
    };
    if let Some(id) = headers.get(REQUEST_ID_HEADER).filter(|id| is_plain(id)) {
        return id.clone();
    }
    let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
    HeaderValue::from_str(&id.to_string()).unwrap_or(HeaderValue::from_static("none"))
}

/// One `Host`, and the one that the request line names if it names one (RFC 9112, section 3.2.2).
fn own_host(request: &mut Request<Incoming>, local: SocketAddr) -> Result<(), Fault> {
    if request.headers().get_all(HOST).iter().count() > 1 {
        return Err(Fault::BadRequest("More than one Host header."));
    }
    let Some(authority) = request.uri().authority() else {
        if request.headers().contains_key(HOST) {
            return Ok(());
        }
        if request.version() == Version::HTTP_11 {
            return Err(Fault::BadRequest("The Host header is missing."));
        }
        // HTTP/1.0 may leave it out; services build links from it.
        if let Ok(host) = HeaderValue::from_str(&local.to_string()) {
            request.headers_mut().insert(HOST, host);
        }
        return Ok(());
    };
    let host = HeaderValue::from_str(authority.as_str());
    let host = host.map_err(|_odd| Fault::BadRequest("The request line names no host."))?;
    let path = request.uri().path_and_query().cloned();
    let path = path.ok_or(Fault::BadRequest("The request line names no path."))?;
    *request.uri_mut() = Uri::from(path);
    request.headers_mut().insert(HOST, host);
    Ok(())
}

/// `StackTach` lets a POST say which method it means.
fn effective_method(api: Api, method: &Method, headers: &HeaderMap) -> Method {
    let meant =
        headers.get("x-http-method-override").filter(|_| api == Api::StackTach && *method == Method::POST);
    let meant = meant.and_then(|name| name.to_str().ok()).map(str::to_ascii_uppercase);
    match meant.as_deref() {
        Some("PUT") => Method::PUT,
        Some("DELETE") => Method::DELETE,
        Some("PATCH") => Method::PATCH,
        _ => method.clone(),
    }
}

/// Snap's router sends readers on with 301, others with 307 so that their bodies come along.
fn redirect(method: &Method, uri: &Uri, path: &str) -> Response<Body> {
    let target = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let (status, body) = if *method == Method::GET {
        let link = target.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&#34;");
        (StatusCode::MOVED_PERMANENTLY, Body::full(format!("<a href=\"{link}\">Moved Permanently</a>.\n\n")))
    } else {
        (StatusCode::TEMPORARY_REDIRECT, Body::empty())
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    if let Ok(target) = HeaderValue::from_str(&target) {
        answer.headers_mut().insert(hyper::header::LOCATION, target);
    }
    answer
}

fn rewritten(mut request: Request<Incoming>, from: &str, to: &str) -> Result<Request<Incoming>, Fault> {
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let rest = target.strip_prefix(from).ok_or(Fault::NotFound)?;
    *request.uri_mut() = format!("{to}{rest}").parse().map_err(|_odd| Fault::NotFound)?;
    Ok(request)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The `N` of `Prefer: wait=N` (RFC 7240, section 4.3).
fn preferred_wait_secs(headers: &HeaderMap) -> u64 {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut waits = values.flat_map(|value| value.split([',', ';'])).filter_map(|part| {
        let (name, secs) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| secs.trim().trim_matches('"').parse::<u64>().ok())?
    });
    waits.next().unwrap_or(0).min(LONGEST_WAIT_SECS)
}

fn log_access(worker: &Worker, method: &Method, uri: &Uri, id: &HeaderValue, status: StatusCode, secs: f64) {
    let level = if worker.gateway.config.access_log {
        log::Level::Info
    } else if status.is_server_error() {
        log::Level::Warn
    } else {
        log::Level::Debug
    };
    log::log!(level, request_id = id.to_str().unwrap_or_default(), status = status.as_u16(), duration_ms = secs * 1e3;
        "{method} {}", uri.path());
}
