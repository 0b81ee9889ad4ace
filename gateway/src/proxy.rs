//! Passing a request on to a service, and its answer back.

mod headers;
mod tunnel;

pub(crate) use headers::Forwarded;
pub(crate) use headers::prepare;
pub(crate) use tunnel::is_asked;

use crate::body::{Body, Download, Lease, Upload, UploadEnd, UploadState};
use crate::fault::Fault;
use crate::limits::RETRY_AFTER_SECS;
use crate::routes::{Class, Service};
use crate::server::Worker;
use crate::upstream::{Attempt, Backend, Pool, Refusal, Returned, Ticket};
use hyper::body::{Body as HttpBody, Incoming};
use hyper::{Request, Response, StatusCode};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::timeout_at;

/// Tries of one request at most.
const TRIES: usize = 3;

/// How a request is passed on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Which service.
    pub(crate) service: Service,
    /// What it costs.
    pub(crate) class: Class,
    /// Whether a failed try may be repeated although the service may have seen it.
    pub(crate) is_retryable: bool,
    /// Time from the end of the request to the head of the answer.
    pub(crate) patience: Duration,
}

/// An answer that has begun.
struct Begun {
    answer: Response<Incoming>,
    connection: Returned,
    ticket: Ticket,
}

/// Sends `request`, whose headers are ready, and answers with what comes back.
///
/// # Errors
/// What to tell the client when no answer came.
pub(crate) async fn forward(
    worker: &Rc<Worker>,
    plan: Plan,
    mut request: Request<Upload>,
    upgrade: Option<hyper::upgrade::OnUpgrade>,
) -> Result<Response<Body>, Fault> {
    let gateway = &worker.gateway;
    let name = plan.service.name();
    let busy = || Fault::Busy { service: name, retry_after_secs: RETRY_AFTER_SECS };
    let place = gateway.places.take(plan.service, plan.class).ok_or_else(busy)?;
    let backend = worker.backends.get(plan.service.index()).ok_or(Fault::NotInstalled(name))?;
    if upgrade.is_some() {
        tunnel::ask(request.headers_mut());
    }
    let Begun { mut answer, connection, ticket } = exchange(worker, backend, plan, request).await?;
    let in_flight = ticket.into_in_flight();
    if let Some(client) = upgrade
        && answer.status() == StatusCode::SWITCHING_PROTOCOLS
    {
        tunnel::open(worker, client, hyper::upgrade::on(&mut answer), (in_flight, place));
        tunnel::grant(answer.headers_mut());
        return Ok(answer.map(|_none| Body::empty()));
    }
    headers::strip_answer(answer.headers_mut());
    let lease = Lease { in_flight, _place: place, connection: Some(connection) };
    let idle = Duration::from_secs(gateway.config.timeouts.idle_secs);
    let (mut parts, source) = answer.into_parts();
    // Whatever the service spoke, the client's connection has its own version.
    parts.version = hyper::Version::HTTP_11;
    let download = match plan.class {
        Class::Stream => Download::endless(source, lease, worker.stop.clone()),
        Class::Quick | Class::Ingest | Class::Upload | Class::Socket => Download::new(source, lease, idle),
    };
    Ok(Response::from_parts(parts, Body::streamed(download)))
}

/// Asks one replica after another as far as that is safe and paid for.
async fn exchange(
    worker: &Rc<Worker>,
    backend: &Backend,
    plan: Plan,
    mut request: Request<Upload>,
) -> Result<Begun, Fault> {
    let name = plan.service.name();
    let upload = request.body().state();
    let spare = plan.is_retryable && upload.end() == UploadEnd::Complete;
    let mut failed_at: Option<Rc<Pool>> = None;
    backend.budget.deposit();
    for tries_left in (0..TRIES).rev() {
        let ticket = backend.choose(failed_at.as_ref()).map_err(|refusal| refused(refusal, plan.service))?;
        let copy = (spare && tries_left > 0).then(|| duplicate(&request));
        let outcome = {
            let attempt = pin!(ticket.pool.send(request));
            within(attempt, &upload, plan.patience).await
        };
        let may_retry = || tries_left > 0 && backend.budget.withdraw();
        request = match outcome {
            None => {
                ticket.failed();
                return Err(Fault::TimedOut(name));
            }
            Some(Attempt::Answered(answer, connection)) => {
                if !is_sick(answer.status()) {
                    ticket.succeeded();
                    return Ok(Begun { answer, connection, ticket });
                }
                ticket.failed();
                // Another replica may be well; this one has just said what it can say.
                match copy.filter(|_| backend.replica_count() > 1 && may_retry()) {
                    Some(copy) => copy,
                    None => return Ok(Begun { answer, connection, ticket }),
                }
            }
            Some(Attempt::NotSent(unsent)) => {
                ticket.failed();
                if !may_retry() {
                    return Err(Fault::Unreachable(name));
                }
                *unsent
            }
            Some(Attempt::BrokeOff(cause)) => {
                log::debug!("{name} broke off: {cause}");
                spoilt(&upload, worker)?;
                ticket.failed();
                copy.filter(|_| may_retry()).ok_or(Fault::Unreachable(name))?
            }
        };
        worker.gateway.metrics.retried(plan.service);
        failed_at = Some(Rc::clone(&ticket.pool));
    }
    Err(Fault::Unreachable(name))
}

/// Waits for the attempt; the service's time starts anew with every piece of the upload that it takes.
async fn within(
    mut attempt: Pin<&mut impl Future<Output = Attempt>>,
    upload: &UploadState,
    patience: Duration,
) -> Option<Attempt> {
    loop {
        let moved_at = upload.moved_at();
        match timeout_at(moved_at + patience, attempt.as_mut()).await {
            Ok(outcome) => return Some(outcome),
            Err(_elapsed) if upload.moved_at() == moved_at => return None,
            Err(_elapsed) => (),
        }
    }
}

/// Whether it was the client that spoilt the request: then no replica is to blame.
fn spoilt(upload: &UploadState, worker: &Worker) -> Result<(), Fault> {
    match upload.end() {
        UploadEnd::Open | UploadEnd::Complete => Ok(()),
        UploadEnd::TooLarge(limit_bytes) => Err(Fault::TooLarge(limit_bytes)),
        UploadEnd::Stalled => Err(Fault::Stalled),
        UploadEnd::Lost if worker.is_draining() => Err(Fault::BadRequest("The gateway is stopping.")),
        UploadEnd::Lost => Err(Fault::BadRequest("The request body is malformed or broke off.")),
    }
}

fn refused(refusal: Refusal, service: Service) -> Fault {
    match refusal {
        Refusal::NotInstalled => Fault::NotInstalled(service.name()),
        Refusal::NoReplica => Fault::Unreachable(service.name()),
        Refusal::AllResting => Fault::Busy { service: service.name(), retry_after_secs: RETRY_AFTER_SECS },
    }
}

/// Statuses by which a replica says that it cannot answer now. A 500 may be a user's mistake (annotate).
fn is_sick(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

/// The same request once more; only for requests without a body.
fn duplicate(request: &Request<Upload>) -> Request<Upload> {
    debug_assert!(request.body().is_end_stream(), "a body cannot be sent twice");
    let mut copy = Request::new(Upload::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}
