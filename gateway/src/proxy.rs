//! Passing a request on to a service, and its answer back.

mod headers;
mod tunnel;

pub(crate) use headers::{Added, Forwarded, encode};
pub(crate) use tunnel::is_asked;

use crate::alarm::Alarm;
use crate::body::{Body, Download, Lease, UploadEnd, UploadState};
use crate::fault::Fault;
use crate::limits::RETRY_AFTER_SECS;
use crate::routes::{Class, Service};
use crate::server::Worker;
use crate::upstream::{Answer, Attempt, Backend, Head, Outgoing, Pool, Refusal, Ticket};
use hyper::{Response, StatusCode};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// Tries of one request at most.
const TRIES: usize = 3;

/// Timers that a worker keeps.
const ALARMS: usize = 1024;

/// How a request is passed on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Which service.
    pub(crate) service: Service,
    /// What it costs.
    pub(crate) class: Class,
    /// Whether a failed try may be repeated although the service may have seen it.
    pub(crate) is_retryable: bool,
    /// When the request began.
    pub(crate) started: Instant,
    /// Time from the end of the request to the head of the answer.
    pub(crate) patience: Duration,
}

/// An answer that has begun.
struct Begun {
    head: Head,
    answer: Answer,
    ticket: Ticket,
}

/// Sends `request` and answers with what comes back.
///
/// # Errors
/// What to tell the client when no answer came.
pub(crate) async fn forward(
    worker: &Rc<Worker>,
    plan: Plan,
    request: Outgoing,
    upgrade: Option<hyper::upgrade::OnUpgrade>,
) -> Result<Response<Body>, Fault> {
    let gateway = &worker.gateway;
    let name = plan.service.name();
    let busy = || Fault::Busy { service: name, retry_after_secs: RETRY_AFTER_SECS };
    let place = gateway.places.take(plan.service, plan.class).ok_or_else(busy)?;
    let backend = worker.backends.get(plan.service.index()).ok_or(Fault::NotInstalled(name))?;
    let mut slot = Some(request);
    let begun = exchange(worker, backend, plan, &mut slot).await;
    if let (Err(_), Some(unsent)) = (&begun, slot) {
        unsent.discard();
    }
    let Begun { head, answer, ticket } = begun?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    let (pool, in_flight) = ticket.into_parts();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        // Nobody else asked for it, so nobody else gets it.
        let client = upgrade.ok_or(Fault::Unreachable(name))?;
        tunnel::grant(response.headers_mut());
        tunnel::open(worker, client, answer.into_stream(), (in_flight, place));
        return Ok(response);
    }
    let lease = Lease { pool, in_flight, _place: place };
    let idle = Duration::from_secs(gateway.config.timeouts.idle_secs);
    *response.body_mut() = Body::streamed(match plan.class {
        Class::Stream => Download::endless(answer, lease, worker.stop.clone()),
        Class::Quick | Class::Ingest | Class::Upload | Class::Socket => Download::new(answer, lease, idle),
    });
    Ok(response)
}

/// Asks one replica after another as far as that is safe and paid for.
async fn exchange(
    worker: &Worker,
    backend: &Backend,
    plan: Plan,
    slot: &mut Option<Outgoing>,
) -> Result<Begun, Fault> {
    let name = plan.service.name();
    let Some(upload) = slot.as_ref().map(|request| request.upload().state()) else {
        return Err(Fault::Unreachable(name));
    };
    let mut failed_at: Option<Rc<Pool>> = None;
    backend.budget.deposit();
    for tries_left in (0..TRIES).rev() {
        let ticket = backend.choose(failed_at.as_ref()).map_err(|refusal| refused(refusal, plan.service))?;
        let outcome = within(worker, ticket.pool.send(slot, plan.started), &upload, plan.patience).await;
        let is_whole = slot.as_ref().is_some_and(Outgoing::is_repeatable);
        let may_retry = || is_whole && tries_left > 0 && backend.budget.withdraw();
        match outcome {
            None => {
                ticket.failed();
                return Err(Fault::TimedOut(name));
            }
            Some(Attempt::Answered(head, answer)) if !is_sick(head.status) => {
                ticket.succeeded();
                return Ok(Begun { head, answer, ticket });
            }
            Some(Attempt::Answered(head, answer)) => {
                ticket.failed();
                // Another replica may be well; this one has just said what it can say.
                let has_other = plan.is_retryable && backend.replica_count() > 1;
                if !(has_other && may_retry()) {
                    return Ok(Begun { head, answer, ticket });
                }
            }
            Some(Attempt::NotSent) => {
                ticket.failed();
                if !may_retry() {
                    return Err(Fault::Unreachable(name));
                }
            }
            Some(Attempt::Failed(failure)) => {
                log::debug!("{name} gave no answer: {failure}");
                spoilt(&upload, worker)?;
                ticket.failed();
                if !(plan.is_retryable && may_retry()) {
                    return Err(Fault::Unreachable(name));
                }
            }
        }
        worker.gateway.metrics.retried(plan.service);
        failed_at = Some(Rc::clone(&ticket.pool));
    }
    Err(Fault::Unreachable(name))
}

/// Waits for the attempt; the service's time starts anew with every piece of the upload that it takes.
async fn within(
    worker: &Worker,
    attempt: impl Future<Output = Attempt>,
    upload: &UploadState,
    patience: Duration,
) -> Option<Attempt> {
    let mut attempt = pin!(attempt);
    let kept = worker.alarms.borrow_mut().pop();
    let mut alarm = kept.unwrap_or_else(|| Alarm::new(patience));
    let outcome = poll_fn(|cx| match attempt.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => alarm.poll_until(cx, upload.moved_at() + patience).map(|()| None),
    })
    .await;
    let mut kept = worker.alarms.borrow_mut();
    if kept.len() < ALARMS {
        kept.push(alarm);
    }
    outcome
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
