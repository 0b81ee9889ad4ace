//! Start and stop of a service's HTTP side, with what every service has: request ids, the check of the caller's
//! signed identity, request figures, and the operations routes `/livez`, `/readyz`, `/metrics`, `/version`.

mod listen;

use crate::clock::SharedClock;
use crate::config::ConfigError;
use crate::connection::Connection;
use crate::db::{Db, DbError};
use crate::identity::{self, IdentityKey, Principal, Refused};
use crate::logging::{REQUEST_ID, Seldom};
use crate::metrics::{Metrics, Underway, method_label};
use crate::stop::Stop;
use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpMessage, HttpRequest, HttpResponse, HttpServer};
use serde::Deserialize;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

pub use listen::Listen;

/// Carries the id of a request from the gateway to the services and back to the client.
pub const REQUEST_ID_HEADER: &str = "x-request-id";

/// Header of an answer with 503 that says nothing about the service's health: a limit of its own that is full, or an operator's wish. The
/// gateway takes it off, and does not leave the service alone for it.
pub const WELL: &str = "x-quintet-well";

/// Routes that operators' tools call on a service itself, without an identity. The gateway passes nobody on to them.
pub const OPERATIONS: [&str; 4] = ["/livez", "/readyz", "/metrics", "/version"];

/// Seconds in which a client must have sent the head of its request.
const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time that background tasks get to end.
const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time a readiness check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

type CheckFuture = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Something a service needs before it can answer; asked by `/readyz`.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    run: Arc<dyn Fn() -> CheckFuture + Send + Sync>,
}

impl Check {
    /// A check that answers with a word on how it is, or on what is wrong.
    pub fn new<F, R>(name: &'static str, run: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, String>> + Send + 'static,
    {
        Self { name, run: Arc::new(move || Box::pin(run())) }
    }

    /// Whether the database answers.
    #[must_use]
    pub fn database(db: &Db) -> Self {
        let db = db.clone();
        Self::new("database", move || {
            let db = db.clone();
            async move {
                let ping = db.read(|conn| {
                    use diesel::connection::SimpleConnection;
                    conn.batch_execute("SELECT 1").map_err(DbError::from)
                });
                ping.await.map(|()| "ok".to_owned()).map_err(|cause| cause.to_string())
            }
        })
    }
}

/// Everything [`start`] needs to know about a service.
#[derive(Clone)]
pub struct Service {
    /// Short name: `events`, `streams`, …
    pub name: &'static str,
    /// Version shown by `/version`.
    pub version: &'static str,
    /// Address and threads.
    pub listen: Listen,
    /// Verifies who calls.
    pub key: IdentityKey,
    /// Tells when an identity is too old.
    pub clock: SharedClock,
    /// Figures shown by `/metrics`.
    pub metrics: Metrics,
    /// Asked by `/readyz`.
    pub checks: Vec<Check>,
    /// How long open requests may go on after a stop.
    pub shutdown_timeout: Duration,
}

/// Why a service could not start; the text tells the operator what to change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings, or a file they name, are wrong.
    #[error("{0}")]
    Config(String),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The address cannot be bound, or a thread cannot be started.
    #[error("{name} on {address}: {cause}")]
    Listen {
        /// The service.
        name: &'static str,
        /// Where it should listen.
        address: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Two metrics have one name.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    /// The system gives the program no threads, or no signals.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

impl From<ConfigError> for StartError {
    fn from(cause: ConfigError) -> Self {
        Self::Config(cause.to_string())
    }
}

/// A service that answers.
pub struct Running {
    name: &'static str,
    metrics: Metrics,
    address: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
    background: Vec<JoinHandle<()>>,
    stop: Stop,
    draining: Stop,
}

impl Running {
    /// Base URL of the internal listener.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The service's short name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The service's figures.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Adds tasks that end on `stop`; [`Running::stop`] gives that signal when the last request has ended, and
    /// waits for them.
    #[must_use]
    pub fn with_background(mut self, stop: Stop, tasks: Vec<JoinHandle<()>>) -> Self {
        (self.stop, self.background) = (stop, tasks);
        self
    }

    /// Adds a signal that [`Running::stop`] gives first: answers that would never end by themselves end on it.
    #[must_use]
    pub fn with_draining(mut self, draining: Stop) -> Self {
        self.draining = draining;
        self
    }

    /// Takes no new connections, lets open requests end, then the background tasks, then returns.
    pub async fn stop(self) {
        self.draining.stop();
        self.handle.stop(true).await;
        // The server future ends with the stop above; its result says nothing more.
        let _ = self.task.await;
        self.stop.stop();
        let deadline = tokio::time::Instant::now() + BACKGROUND_TIMEOUT;
        for task in self.background {
            if tokio::time::timeout_at(deadline, task).await.is_err() {
                log::warn!("a background task of {} did not end in time", self.name);
            }
        }
    }
}

/// Starts listening; `routes` adds the service's own routes and data to every worker's app.
///
/// # Errors
/// When the settings of the listener are wrong, or the address cannot be bound.
pub fn start<F>(service: Service, routes: F) -> Result<Running, StartError>
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let (name, listen, shutdown) = (service.name, service.listen.clone(), service.shutdown_timeout);
    listen.check(name)?;
    let metrics = service.metrics.clone();
    let server = HttpServer::new(move || {
        let routes = routes.clone();
        App::new().configure(layers(&service, routes)).wrap(from_fn(verify_caller)).wrap(from_fn(observe))
    })
    .on_connect(Connection::remember)
    .workers(listen.workers)
    .client_request_timeout(REQUEST_HEAD_TIMEOUT)
    .tcp_nodelay(true)
    .keep_alive(Duration::from_secs(75))
    .shutdown_timeout(shutdown.as_secs())
    .disable_signals()
    .bind(&listen.address)
    .and_then(|server| match server.addrs().first().copied() {
        Some(address) => Ok((server, address)),
        None => Err(std::io::Error::other("no address bound")),
    });
    let (server, address) =
        server.map_err(|cause| StartError::Listen { name, address: listen.address.clone(), cause })?;
    let server = server.run();
    let handle = server.handle();
    Ok(Running {
        name,
        metrics,
        address,
        handle,
        task: tokio::spawn(server),
        background: Vec::new(),
        stop: Stop::default(),
        draining: Stop::default(),
    })
}

/// The operations routes, then the service's own.
fn layers<F: Fn(&mut ServiceConfig)>(service: &Service, routes: F) -> impl Fn(&mut ServiceConfig) {
    let service = Data::new(service.clone());
    move |cfg| {
        cfg.app_data(Data::clone(&service)).configure(operations);
        routes(cfg);
    }
}

/// `/livez`, `/readyz`, `/metrics`, `/version`.
fn operations(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/livez").get(async || HttpResponse::Ok().body("ok")))
        .service(web::resource("/readyz").get(readyz))
        .service(web::resource("/metrics").get(async |service: Data<Service>| {
            HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(service.metrics.text())
        }))
        .service(web::resource("/version").get(async |service: Data<Service>| {
            HttpResponse::Ok()
                .json(serde_json::json!({ "service": service.name, "version": service.version }))
        }));
}

/// `GET /readyz[?verbose]`: 200 when every check passes, else 503; `verbose` names the checks. A gateway that asks signs
/// its question, and learns whether it can work with this service.
async fn readyz(req: HttpRequest, service: Data<Service>, query: web::Query<Verbose>) -> HttpResponse {
    let mut report = serde_json::Map::new();
    let mut is_ready = true;
    if req.headers().contains_key(identity::HEADER) {
        let verdict = verify(&req, &service);
        is_ready = verdict.is_ok();
        let outcome = verdict.map_or_else(|refused| format!("failed: {refused}"), |_caller| "ok".into());
        report.insert("identity".into(), outcome.into());
    }
    for check in &service.checks {
        let outcome = tokio::time::timeout(CHECK_TIMEOUT, (check.run)()).await;
        let outcome = outcome.unwrap_or_else(|_elapsed| Err("no answer in time".into()));
        is_ready &= outcome.is_ok();
        report
            .insert(check.name.to_owned(), outcome.unwrap_or_else(|cause| format!("failed: {cause}")).into());
    }
    let mut answer = if is_ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    if query.verbose.is_none() {
        return answer.body(if is_ready { "ok" } else { "not ready" });
    }
    answer.json(serde_json::json!({ "service": service.name, "ready": is_ready, "checks": report }))
}

#[derive(Deserialize)]
struct Verbose {
    verbose: Option<String>,
}

/// Refuses calls without a valid signed identity; handlers then find the caller as a `Principal` argument.
async fn verify_caller<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    if OPERATIONS.contains(&req.path()) {
        return next.call(req).await.map(ServiceResponse::map_into_boxed_body);
    }
    let verdict = req
        .app_data::<Data<Service>>()
        .map_or(Err(Refused::Missing), |service| verify(req.request(), service));
    match verdict {
        Ok(principal) => {
            req.extensions_mut().insert(principal);
            next.call(req).await.map(ServiceResponse::map_into_boxed_body)
        }
        Err(refused) => Ok(req.error_response(refused).map_into_boxed_body()),
    }
}

/// The caller, by the signed header. That there is none is a stranger's doing; a wrong one is rather a wrong key.
fn verify(req: &HttpRequest, service: &Service) -> Result<Principal, Refused> {
    static WRONG: Seldom = Seldom::new();
    let header = text_of(req.headers(), identity::HEADER).ok_or(Refused::Missing)?;
    let verdict = service.key.verify(header, service.clock.now());
    if let Err(refused) = &verdict {
        WRONG.say(|held_back| {
            log::error!(held_back; "a call was refused: {refused}. Gateway and services need the same auth.internal_key, \
                and the same time");
        });
    }
    verdict
}

/// Gives the request its id, measures it, and logs it.
async fn observe<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let started = Instant::now();
    let id = text_of(req.headers(), REQUEST_ID_HEADER)
        .map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
    let (method, path) = (req.method().clone(), req.path().to_owned());
    let metrics = req.app_data::<Data<Service>>().map(|service| service.metrics.clone());
    // A client that goes away has its handler dropped.
    let underway = metrics.as_ref().map(|metrics| Underway::new(&metrics.in_flight));
    let outcome = REQUEST_ID.scope(id.clone(), next.call(req)).await;
    let status = match &outcome {
        Ok(answer) => answer.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    let route = outcome.as_ref().ok().and_then(|answer| answer.request().match_pattern());
    let elapsed = started.elapsed();
    drop(underway);
    if let Some(metrics) = &metrics {
        let labels =
            [method_label(method.as_str()), route.as_deref().unwrap_or("unmatched"), status.as_str()];
        metrics.requests.with_label_values(&labels).observe(elapsed.as_secs_f64());
    }
    let level = if status.is_server_error() { log::Level::Warn } else { log::Level::Debug };
    log::log!(level, request_id = id, status = status.as_u16(), duration_ms = elapsed.as_secs_f64() * 1e3;
        "{method} {path}");
    outcome.map(|mut answer| {
        if let Ok(id) = HeaderValue::from_str(&id) {
            answer.headers_mut().insert(HeaderName::from_static(REQUEST_ID_HEADER), id);
        }
        answer
    })
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use actix_web::test as http;
    use futures_util::poll;

    fn service() -> Service {
        Service {
            name: "x",
            version: "1",
            listen: Listen::default(),
            key: IdentityKey::new(b"x"),
            clock: Arc::new(SystemClock),
            metrics: Metrics::new("x").unwrap(),
            checks: Vec::new(),
            shutdown_timeout: Duration::ZERO,
        }
    }

    #[actix_web::test]
    async fn a_stranger_makes_no_labels() {
        let (service, named) = (service(), web::resource("/named").get(HttpResponse::Ok));
        let metrics = service.metrics.clone();
        let app = App::new().app_data(Data::new(service)).service(named);
        let app = http::init_service(app.wrap(from_fn(verify_caller)).wrap(from_fn(observe))).await;
        for method in ["GET", "OPTIONS", "M1", "M2", "get"] {
            for path in ["/named", "/x", "/y"] {
                let method = method.parse().unwrap();
                let request = http::TestRequest::default().method(method).uri(path).to_request();
                assert_eq!(http::call_service(&app, request).await.status(), 401);
            }
        }
        let text = metrics.text();
        let counts = text.lines().filter(|line| line.contains("_duration_seconds_count"));
        let mut shown: Vec<_> = counts.map(|line| line.split_once('{').unwrap().1).collect();
        shown.sort_unstable();
        let expected = [
            r#"method="GET",route="/named",status="401",service="x"} 1"#,
            r#"method="GET",route="unmatched",status="401",service="x"} 2"#,
            r#"method="OPTIONS",route="/named",status="401",service="x"} 1"#,
            r#"method="OPTIONS",route="unmatched",status="401",service="x"} 2"#,
            r#"method="OTHER",route="/named",status="401",service="x"} 3"#,
            r#"method="OTHER",route="unmatched",status="401",service="x"} 6"#,
        ];
        assert_eq!(shown, expected);
    }

    #[actix_web::test]
    async fn a_request_whose_client_went_away_is_no_longer_under_way() {
        let service = service();
        let in_flight = service.metrics.requests_in_flight().clone();
        let hanging = web::resource("/hanging").get(std::future::pending::<HttpResponse>);
        let app = App::new().app_data(Data::new(service)).service(hanging).wrap(from_fn(observe));
        let app = http::init_service(app).await;
        let request = http::TestRequest::get().uri("/hanging").to_request();
        let mut answer = Box::pin(http::call_service(&app, request));
        assert!(poll!(&mut answer).is_pending());
        assert_eq!(in_flight.get(), 1);
        drop(answer);
        assert_eq!(in_flight.get(), 0);
    }
}
