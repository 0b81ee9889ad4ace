//! `/readyz`: whether the gateway can answer, and with `?verbose` how every service is.

use super::{object, text};
use crate::body::{Body, Upload};
use crate::gateway::Gateway;
use crate::server::Worker;
use crate::upstream::{Attempt, Backend, Pool};
use futures_util::future::join_all;
use http_body_util::{BodyExt, Limited};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};
use shared::db::DbError;
use shared::identity::{self, Principal};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// Longest time the gateway's own check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest time a replica may take; a check of its own that hangs takes it 2 s.
const REPLICA_TIMEOUT: Duration = Duration::from_secs(4);

/// Most bytes of what a replica says.
const ANSWER_BYTES: usize = 65_536;

/// Whether the query asks how every service is.
#[must_use]
pub(crate) fn is_verbose(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|word| word.starts_with("verbose")))
}

/// 200 when the gateway itself can work. With `verbose` the services count too, and each is named with what its replicas
/// say of themselves: a balancer in front of gateways must not drop them all because one service is away, but a person
/// wants to know. A service is ready when one of its replicas is.
pub(super) async fn report(worker: &Rc<Worker>, query: Option<&str>) -> Response<Body> {
    let is_verbose = is_verbose(query);
    let (mut checks, mut replicas) = (Map::new(), Map::new());
    let database = database(worker).await;
    let mut is_ready = database.is_ok();
    checks.insert("database".into(), word(database.map(|()| "ok".into()).map_err(str::to_owned)));
    if is_verbose {
        let installed = worker.backends.iter().filter(|backend| backend.is_installed());
        let signed = signed(&worker.gateway);
        let states = installed.map(async |backend| (backend.service.name(), service(backend, &signed).await));
        for (name, (state, details)) in join_all(states).await {
            is_ready &= state.is_ok();
            checks.insert(name.into(), word(state));
            replicas.insert(name.into(), details.into());
        }
    }
    let mut answer = if is_verbose {
        object(&json!({ "service": "gateway", "ready": is_ready, "checks": checks, "replicas": replicas }))
    } else {
        text(if is_ready { "ok" } else { "not ready" })
    };
    if !is_ready {
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    answer
}

fn word(state: Result<String, String>) -> Value {
    state.unwrap_or_else(|cause| format!("failed: {cause}")).into()
}

/// The cause goes to the log: it may name hosts and users.
async fn database(worker: &Worker) -> Result<(), &'static str> {
    let ping = worker.gateway.accounts.db().read(|conn| {
        use diesel::connection::SimpleConnection;
        conn.batch_execute("SELECT 1").map_err(DbError::from)
    });
    match tokio::time::timeout(CHECK_TIMEOUT, ping).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(cause)) => {
            log::warn!("not ready: the database does not answer: {cause}");
            Err("not reachable")
        }
        Err(_elapsed) => Err("no answer in time"),
    }
}

/// Every replica is asked; those that are not ready are named. Also what each says, by its address.
async fn service(backend: &Backend, signed: &HeaderValue) -> (Result<String, String>, Map<String, Value>) {
    let replicas = backend.replicas();
    let asked =
        replicas.iter().map(async |(address, pool)| (address.to_string(), replica(pool, signed).await));
    let (mut unready, mut details) = (Vec::new(), Map::new());
    for (address, answer) in join_all(asked).await {
        if let Err(cause) = answer.state {
            unready.push(format!("{address} {cause}"));
        }
        details.insert(address, answer.checks);
    }
    let state = match (replicas.len(), unready.len()) {
        (0, _) => Err("no replica found".to_owned()),
        (_, 0) => Ok("ok".to_owned()),
        (all, gone) if gone < all => Ok(format!("ok, but {}", unready.join(", "))),
        (_, _) => Err(unready.join(", ")),
    };
    (state, details)
}

/// What a service knows this gateway by, so that one with another key says so.
fn signed(gateway: &Gateway) -> HeaderValue {
    let gateway_itself = Principal { subject: "gateway".into(), ..Principal::default() };
    let signed = gateway.key.sign(&gateway_itself, gateway.clock.now());
    HeaderValue::try_from(signed).unwrap_or(HeaderValue::from_static(""))
}

/// What a replica answers.
struct Told {
    state: Result<(), &'static str>,
    /// Its own checks by name; null when it did not tell.
    checks: Value,
}

async fn replica(pool: &Rc<Pool>, signed: &HeaderValue) -> Told {
    let silent = |cause| Told { state: Err(cause), checks: Value::Null };
    let now = Instant::now();
    let mut request = Request::new(Upload::empty(now));
    *request.uri_mut() = hyper::Uri::from_static("/readyz?verbose");
    request.headers_mut().insert(HOST, HeaderValue::from_static("gateway"));
    request.headers_mut().insert(identity::HEADER, signed.clone());
    let told = tokio::time::timeout(REPLICA_TIMEOUT, async {
        match pool.send(&mut Some(request), now, || true).await {
            Attempt::Answered(answer) => {
                let is_ready = answer.status().is_success();
                let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
                let told: Option<Value> =
                    body.ok().and_then(|body| serde_json::from_slice(&body.to_bytes()).ok());
                let checks = told.and_then(|mut told| told.get_mut("checks").map(Value::take));
                let state = if is_ready { Ok(()) } else { Err("not ready") };
                Told { state, checks: checks.unwrap_or_default() }
            }
            Attempt::NotSent(_) | Attempt::BrokeOff(_) => silent("not reachable"),
        }
    });
    told.await.unwrap_or_else(|_elapsed| silent("no answer in time"))
}
