//! `/readyz`: whether the gateway can answer, and with `?verbose` how every service is.

use super::{object, text};
use crate::body::{Body, Upload};
use crate::server::Worker;
use crate::upstream::{Attempt, Backend, Pool};
use futures_util::future::join_all;
use hyper::header::HOST;
use hyper::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};
use shared::db::DbError;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// Longest time one check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether the query asks how every service is.
#[must_use]
pub(crate) fn is_verbose(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|word| word.starts_with("verbose")))
}

/// 200 when the gateway itself can work. With `verbose` the services count too, and each is named: a balancer in front
/// of gateways must not drop them all because one service is away, but a person wants to know.
pub(super) async fn report(worker: &Rc<Worker>, query: Option<&str>) -> Response<Body> {
    let is_verbose = is_verbose(query);
    let mut checks = Map::new();
    checks.insert("database".into(), outcome(database(worker).await.map_err(str::to_owned)));
    if is_verbose {
        let installed = worker.backends.iter().filter(|backend| backend.is_installed());
        let states = installed.map(async |backend| (backend.service.name(), service(backend).await));
        for (name, state) in join_all(states).await {
            checks.insert(name.into(), outcome(state));
        }
    }
    let is_ready = checks.values().all(|state| state == "ok");
    let mut answer = if is_verbose {
        object(&json!({ "service": "gateway", "ready": is_ready, "checks": checks }))
    } else {
        text(if is_ready { "ok" } else { "not ready" })
    };
    if !is_ready {
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    answer
}

fn outcome(state: Result<(), String>) -> Value {
    state.map_or_else(|cause| format!("failed: {cause}"), |()| "ok".into()).into()
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

/// Every replica is asked; those that are not ready are named.
async fn service(backend: &Backend) -> Result<(), String> {
    let replicas = backend.replicas();
    if replicas.is_empty() {
        return Err("no replica found".into());
    }
    let states = join_all(replicas.iter().map(async |(address, pool)| (*address, replica(pool).await))).await;
    let unready =
        states.iter().filter_map(|(address, state)| Some(format!("{address} {}", state.as_ref().err()?)));
    let unready: Vec<String> = unready.collect();
    if unready.is_empty() { Ok(()) } else { Err(unready.join(", ")) }
}

async fn replica(pool: &Rc<Pool>) -> Result<(), &'static str> {
    let now = Instant::now();
    let mut request = Request::new(Upload::empty(now));
    *request.uri_mut() = hyper::Uri::from_static("/readyz");
    request.headers_mut().insert(HOST, hyper::header::HeaderValue::from_static("gateway"));
    match tokio::time::timeout(CHECK_TIMEOUT, pool.send(&mut Some(request), now)).await {
        Err(_elapsed) => Err("no answer in time"),
        Ok(Attempt::Answered(answer)) if answer.status().is_success() => Ok(()),
        Ok(Attempt::Answered(..)) => Err("not ready"),
        Ok(Attempt::NotSent | Attempt::BrokeOff(_)) => Err("not reachable"),
    }
}
