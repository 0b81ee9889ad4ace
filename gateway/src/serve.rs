//! One request, from its first header to the head of its answer: whose path is it, may this caller, then on to the
//! service or the page.

use crate::body::{Body, Upload};
use crate::fault::Fault;
use crate::identity::{self, Caller};
use crate::limits::{BodyPlace, RETRY_AFTER_SECS, Seat};
use crate::pages::{self, Call};
use crate::proxy::{self, Forwarded, Plan, Upgrade};
use crate::request::{
    REQUEST_ID, accepted, content_length, effective_method, preferred_wait_secs, redirect, request_id,
    rewrite, settle_host,
};
use crate::routes::{Access, Action, Api, Class, Found, Owner, Page, Route, Service, table};
use crate::server::{Door, Phase, Worker};
use crate::shapes::{self, Asked};
use crate::{cors, guard, waiting};
use hyper::body::{Body as HttpBody, Incoming};
use hyper::header::{CONNECTION, EXPECT, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use shared::config::AuthMode;
use shared::metrics::Underway;
use std::cell::OnceCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Where a request came in, and when.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'x> {
    /// The worker that serves it.
    pub(crate) worker: &'x Rc<Worker>,
    /// Our end of the connection.
    pub(crate) local: SocketAddr,
    /// The other end.
    pub(crate) peer: SocketAddr,
    /// Told how far the request has come.
    pub(crate) phase: &'x Phase,
    /// When its head was complete.
    pub(crate) started: Instant,
    /// Who sent it, once that is known.
    caller: &'x OnceCell<Arc<Caller>>,
}

/// What is to be done with a request that may pass.
enum Next {
    /// It is answered already.
    Done(Box<Response<Body>>),
    /// A page of our own.
    Page(Page, Arc<Caller>),
    /// On to a service.
    Forward(Way),
}

/// The way to a service.
struct Way {
    service: Service,
    action: &'static Action,
    caller: Arc<Caller>,
    /// Held by whoever has not said who he is.
    seat: Option<Seat>,
}

/// Answers one request. Never fails: what goes wrong is an answer too.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    door: Arc<Door>,
    (local, peer): (SocketAddr, SocketAddr),
    phase: Phase,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let caller = OnceCell::new();
    let entry =
        Entry { worker: &worker, local, peer, phase: &phase, started: Instant::now(), caller: &caller };
    let _underway = Underway::new(worker.gateway.metrics.in_flight());
    phase.begin(!request.body().is_end_stream());
    let id = request_id(request.headers());
    let asked = Asked { method: request.method().clone(), accept: accepted(request.headers()) };
    let uri = request.uri().clone();
    let found = door.router.find(uri.path(), request.method());
    let (api, route) = match &found {
        Found::Route(route) | Found::Elsewhere(route, _) => (route.api, Some(*route)),
        Found::Unknown(api) => (*api, None),
    };
    let config = &worker.gateway.config;
    let visitor = cors::Visitor::of(config, route, request.headers());
    let preflight = route.and_then(|route| cors::preflight(route, config, visitor.as_ref(), &mut request));
    let outcome = match entry.judge(found, &mut request, preflight.is_some()).await {
        Ok(Next::Forward(way)) => entry.forward(way, request, &id).await,
        Ok(Next::Page(page, caller)) => {
            let address = identity::client_address(&worker.gateway, request.headers(), peer.ip());
            let answer =
                Box::pin(pages::answer(page, Call { worker: &worker, caller, address, request })).await;
            phase.answering();
            answer
        }
        Ok(Next::Done(answer)) => {
            entry.discard(request);
            Ok(*answer)
        }
        Err(fault) => {
            entry.discard(request);
            Err(fault)
        }
    };
    let mut answer = outcome.unwrap_or_else(|fault| {
        worker.gateway.metrics.refused(fault.status());
        let mut answer = shapes::answer(api, &fault, &asked);
        if api == Api::Fifo && !route.is_some_and(guard::is_private) {
            cors::share_scripts(visitor.as_ref(), answer.headers_mut());
        }
        answer
    });
    answer.headers_mut().extend(preflight.unwrap_or_default());
    if let Some(visitor) = visitor {
        cors::share(api, &visitor, answer.headers_mut());
    }
    answer.headers_mut().insert(REQUEST_ID, id.clone());
    if phase.is_body_lost() {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        answer.body_mut().then_answered(phase.clone());
    }
    let elapsed = entry.started.elapsed().as_secs_f64();
    worker.timers.observe(&door, route, &asked.method, answer.status(), elapsed);
    log_access(&entry, &asked.method, &uri, &id, answer.status());
    Ok(answer)
}

impl Entry<'_> {
    /// Whether the request may pass, and where to.
    async fn judge(
        &self,
        found: Found<'_>,
        request: &mut Request<Incoming>,
        is_preflight: bool,
    ) -> Result<Next, Fault> {
        settle_host(request, self.local)?;
        let (api, route) = match &found {
            Found::Route(route) | Found::Elsewhere(route, _) => (route.api, Some(*route)),
            Found::Unknown(api) => (*api, None),
        };
        self.check_foreign(api, route, request)?;
        if !route.is_some_and(is_probe) {
            self.check_rate(request.headers())?;
        }
        if api.is_snap() {
            // Snap asks for the password before it looks at the path.
            self.caller(api, Access::Permission, request).await?;
        }
        match found {
            Found::Unknown(_) => Err(Fault::NotFound),
            Found::Elsewhere(_, path) => {
                Ok(Next::Done(Box::new(redirect(request.method(), request.uri(), &path))))
            }
            Found::Route(route) if is_preflight && request.method() == Method::OPTIONS => {
                Ok(Next::Done(Box::new(cors::nothing_more(route.api))))
            }
            Found::Route(route) => self.judge_route(route, request).await,
        }
    }

    async fn judge_route(&self, route: &Route, request: &mut Request<Incoming>) -> Result<Next, Fault> {
        let gateway = &self.worker.gateway;
        let method = effective_method(route.api, request.method(), request.headers());
        let action = route.action(&method).ok_or_else(|| Fault::MethodNotAllowed(route.allow.clone()))?;
        let tells_figures = match route.owner {
            Owner::Page(Page::Metrics) => true,
            Owner::Page(Page::Readyz) => pages::is_verbose(request.uri().query()),
            Owner::Page(_) | Owner::Service(_) | Owner::Rewritten(..) => false,
        };
        let action = if tells_figures { table::FIGURES } else { action };
        let is_public = tells_figures && gateway.config.public_metrics;
        let seat = self.seat(route, action, request)?;
        let access = if is_public || seat.is_some() { Access::Public } else { action.access };
        let caller = self.caller(route.api, access, request).await?;
        caller.check(access, || route.permission(action, request.uri().path()), route.api)?;
        let service = match route.owner {
            Owner::Page(page) => return Ok(Next::Page(page, caller)),
            Owner::Service(service) => service,
            Owner::Rewritten(service, from, to) => {
                rewrite(request, from, to)?;
                service
            }
        };
        Ok(Next::Forward(Way { service, action, caller, seat }))
    }

    /// A seat for a websocket that comes without any credentials: its first message may bring them (contract `dtrace`,
    /// section 6), and until then the service tells it nothing.
    ///
    /// # Errors
    /// What is refused to strangers: another site's page, and too many at once.
    fn seat(
        &self,
        route: &Route,
        action: &Action,
        request: &Request<Incoming>,
    ) -> Result<Option<Seat>, Fault> {
        let gateway = &self.worker.gateway;
        let (Owner::Service(service), Class::Socket, AuthMode::Secure) =
            (route.owner, action.class, gateway.mode)
        else {
            return Ok(None);
        };
        let shown = (request.headers(), request.uri());
        if !proxy::is_handshake(request)
            || identity::is_anything_shown(gateway, route.api, shown, self.peer.ip())
        {
            return Ok(None);
        }
        let origins = &gateway.config.cors_write_origins;
        let verdict = guard::check_page(request.method(), request.headers(), true, origins);
        verdict.map_err(|foreign| Fault::Forbidden(foreign.to_string()))?;
        let address = identity::client_address(gateway, request.headers(), self.peer.ip());
        gateway.accounts.check_failures(address)?;
        let seat = gateway.places.take_seat(service, address);
        seat.map(Some).ok_or(Fault::TooMany { retry_after_secs: RETRY_AFTER_SECS })
    }

    async fn caller(
        &self,
        api: Api,
        access: Access,
        request: &Request<Incoming>,
    ) -> Result<Arc<Caller>, Fault> {
        let shown = (request.headers(), request.uri());
        let caller = match identity::known_at_once(&self.worker.gateway, api, access, shown.0) {
            Some(caller) => caller?,
            None => Box::pin(identity::log_in(self.worker, api, shown, self.peer.ip())).await?,
        };
        // Snap's clients are asked twice; the first answer tells who it is.
        let _ = self.caller.set(Arc::clone(&caller));
        Ok(caller)
    }

    async fn forward(
        &self,
        way: Way,
        mut request: Request<Incoming>,
        id: &HeaderValue,
    ) -> Result<Response<Body>, Fault> {
        let Way { service, action, caller, seat } = way;
        let gateway = &self.worker.gateway;
        let limit_bytes = self.body_limit(action.class);
        if content_length(request.headers()).is_some_and(|bytes| bytes > limit_bytes) {
            self.discard(request);
            return Err(Fault::TooLarge(limit_bytes));
        }
        let Ok(place) = self.body_place(service, action.class, &request) else {
            self.discard(request);
            return Err(Fault::TooMany { retry_after_secs: RETRY_AFTER_SECS });
        };
        let is_socket = action.class == Class::Socket && proxy::is_asked(&request);
        let mut watching = matches!(action.class, Class::Stream | Class::Socket)
            .then(|| gateway.watch.add(&caller))
            .flatten();
        let upgrade = is_socket.then(|| {
            let client = hyper::upgrade::on(&mut request);
            Upgrade { client, watching: watching.take(), seat }
        });
        let is_ingest = action.class == Class::Ingest;
        let wait_secs = is_ingest.then(|| preferred_wait_secs(request.headers())).flatten();
        let plan = Plan {
            service,
            class: action.class,
            is_retryable: action.is_retryable(),
            started: self.started,
            patience: self.patience(action.class),
        };
        let signed = self.worker.signed.header(&caller.principal, &gateway.key, &gateway.clock);
        let mut request = self.upload(request, limit_bytes).map(|upload| upload.holding(place));
        proxy::prepare(request.headers_mut(), self.forwarded(), signed, id.clone())?;
        *request.version_mut() = Version::HTTP_11;
        let mut answer = proxy::forward(self.worker, plan, request, upgrade, watching).await?;
        if action.class == Class::Stream && answer.body().size_hint().exact().is_none() {
            self.phase.streaming();
        }
        if let Some(secs) = wait_secs {
            waiting::wait(self.worker, &mut answer, secs).await;
        }
        Ok(answer)
    }

    /// Leave to send the body, if there is one.
    fn body_place(
        &self,
        service: Service,
        class: Class,
        request: &Request<Incoming>,
    ) -> Result<Option<BodyPlace>, Crowded> {
        if request.body().is_end_stream() {
            return Ok(None);
        }
        let gateway = &self.worker.gateway;
        let address = identity::client_address(gateway, request.headers(), self.peer.ip());
        gateway.places.take_body(service, class, address).map(Some).ok_or(Crowded)
    }

    /// The request with its body as one that can be passed on.
    fn upload(&self, request: Request<Incoming>, limit_bytes: u64) -> Request<Upload> {
        // As the HTTP library sees it: others do not wait, whatever they expect.
        let expected = request.headers().get_all(EXPECT).iter().next_back();
        let is_unasked = request.version() > Version::HTTP_10
            && expected.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        request.map(|body| Upload::new(body, limit_bytes, self.phase, self.started).unasked(is_unasked))
    }

    /// Gives a refused request up in a way that lets the client read the refusal.
    fn discard(&self, request: Request<Incoming>) {
        drop(self.upload(request, 0));
    }

    fn check_foreign(
        &self,
        api: Api,
        route: Option<&Route>,
        request: &Request<Incoming>,
    ) -> Result<(), Fault> {
        let gateway = &self.worker.gateway;
        let headers = request.headers();
        let shown = (headers, request.uri());
        let verdict = match gateway.mode {
            AuthMode::Open => guard::check_host(headers, &gateway.hosts),
            // What comes by itself comes also for a foreign page; everything else only a page of ours can add.
            AuthMode::Secure if !identity::is_ambient(gateway, api, shown, self.peer.ip()) => return Ok(()),
            AuthMode::Secure => Ok(()),
        };
        let is_private = route.is_some_and(guard::is_private);
        let origins = if is_private { &[] } else { gateway.config.cors_write_origins.as_slice() };
        let is_upgrade = proxy::is_asked(request);
        let verdict =
            verdict.and_then(|()| guard::check_page(request.method(), headers, is_upgrade, origins));
        verdict.map_err(|foreign| Fault::Forbidden(foreign.to_string()))
    }

    fn check_rate(&self, headers: &HeaderMap) -> Result<(), Fault> {
        let gateway = &self.worker.gateway;
        let Some(limit) = &gateway.request_rate else { return Ok(()) };
        let address = identity::client_address(gateway, headers, self.peer.ip());
        limit
            .take(address, self.started.into_std())
            .map_err(|retry_after_secs| Fault::TooMany { retry_after_secs })
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

    fn patience(&self, class: Class) -> Duration {
        let timeouts = &self.worker.gateway.config.timeouts;
        Duration::from_secs(match class {
            Class::Quick | Class::Stream | Class::Socket => timeouts.answer_secs,
            Class::Ingest => timeouts.ingest_secs,
            Class::Upload => timeouts.upload_secs,
        })
    }
}

/// The address has as many bodies under way as it may.
struct Crowded;

/// Whether the route tells an orchestrator how the gateway is: refused too often, it would be killed for being busy.
fn is_probe(route: &Route) -> bool {
    matches!(route.owner, Owner::Page(Page::Livez | Page::Readyz))
}

fn log_access(entry: &Entry<'_>, method: &Method, uri: &Uri, id: &HeaderValue, status: StatusCode) {
    let level = if entry.worker.gateway.config.access_log {
        log::Level::Info
    } else if status.is_server_error() {
        log::Level::Warn
    } else {
        log::Level::Debug
    };
    if log::log_enabled!(level) {
        let duration_ms = (entry.started.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        let user = entry.caller.get().map(|caller| caller.principal.subject.as_str());
        log::log!(level, request_id = id.to_str().unwrap_or_default(), status = status.as_u16(), duration_ms, user,
            client = entry.peer.to_string(), listener = entry.local.to_string(); "{method} {}", uri.path());
    }
}
