//! Passing a request on to a service, and its answer back.

mod headers;
mod tunnel;

pub(crate) use headers::Forwarded;
pub(crate) use headers::prepare;
pub(crate) use tunnel::{Upgrade, is_asked, is_handshake};

use crate::alarm::Alarm;
use crate::body::{Body, Download, Lease, Upload, UploadEnd, UploadState};
use crate::fault::Fault;
use crate::limits::RETRY_AFTER_SECS;
use crate::routes::{Class, Service};
use crate::server::Worker;
use crate::upstream::{Answer, Attempt, Backend, Pool, Refusal, Replica, Ticket};
use crate::waiting::{FEED_CURSOR, FeedCursor};
use crate::watch::Watching;
use hyper::body::Body as HttpBody;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use shared::identity;
use shared::logging::Seldom;
use shared::server::WELL;
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
pub(crate) struct Begun {
    pub(crate) answer: Response<Answer>,
    pub(crate) ticket: Ticket,
}

/// Sends `request`, whose headers are ready, and answers with what comes back. `watching` is whoever reads a stream.
///
/// # Errors
/// What to tell the client when no answer came.
pub(crate) async fn forward(
    worker: &Rc<Worker>,
    plan: Plan,
    mut request: Request<Upload>,
    upgrade: Option<Upgrade>,
    watching: Option<Watching>,
) -> Result<Response<Body>, Fault> {
    let gateway = &worker.gateway;
    let name = plan.service.name();
    let busy = || Fault::Busy { service: name, retry_after_secs: RETRY_AFTER_SECS };
    let place = gateway.places.take(plan.service, plan.class).ok_or_else(busy)?;
    let backend = worker.backends.get(plan.service.index()).ok_or(Fault::NotInstalled(name))?;
    if upgrade.is_some() {
        tunnel::ask(request.headers_mut());
    }
    let mut slot = Some(request);
    let Begun { mut answer, ticket } = exchange(worker, backend, plan, &mut slot).await?;
    let in_flight = ticket.into_in_flight();
    if let Some(upgrade) = upgrade
        && answer.status() == StatusCode::SWITCHING_PROTOCOLS
    {
        tunnel::grant(answer.headers_mut());
        return Ok(answer.map(|service| {
            tunnel::open(worker, upgrade, service, (in_flight, place));
            Body::empty()
        }));
    }
    if let Some(cursor) = answer.headers_mut().remove(FEED_CURSOR) {
        answer.extensions_mut().insert(FeedCursor(cursor));
    }
    headers::strip_answer(answer.headers_mut());
    let lease = Lease { in_flight, _place: place };
    let idle = Duration::from_secs(gateway.config.timeouts.idle_secs);
    let (mut parts, source) = answer.into_parts();
    // Whatever the service spoke, the client's connection has its own version.
    parts.version = hyper::Version::HTTP_11;
    let download = match plan.class {
        Class::Stream => {
            let media = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
            // Those of a run of dtrace have an end, and nobody comes again for the rest.
            let is_feed = plan.service != Service::Dtrace && media.starts_with(b"text/event-stream");
            Download::endless(source, lease, worker.stop.clone(), watching, is_feed)
        }
        Class::Quick | Class::Ingest | Class::Upload | Class::Socket => Download::new(source, lease, idle),
    };
    Ok(Response::from_parts(parts, Body::streamed(download)))
}

/// Asks one replica after another as far as that is safe and paid for.
///
/// # Errors
/// What to tell the client when no answer came.
pub(crate) async fn exchange(
    worker: &Worker,
    backend: &Backend,
    plan: Plan,
    slot: &mut Option<Request<Upload>>,
) -> Result<Begun, Fault> {
    let name = plan.service.name();
    let asked = slot.as_ref().map(|request| (request.body().state(), request.method().is_safe()));
    let Some((upload, is_safe)) = asked else {
        return Err(Fault::Unreachable(name));
    };
    // Where there is no other replica, a second try would meet the same trouble, and copies cost time.
    let may_repeat = plan.is_retryable && upload.end() == UploadEnd::Complete && backend.replica_count() > 1;
    let mut failed_at: Option<Rc<Pool>> = None;
    backend.budget.deposit();
    take_turns(slot).await;
    for tries_left in (0..TRIES).rev() {
        let ticket = backend.choose(failed_at.as_ref(), is_safe);
        let ticket = ticket.map_err(|refusal| refused(refusal, plan.service))?;
        let copy = slot.as_ref().filter(|_| may_repeat && tries_left > 0).map(duplicate);
        let attempt = ticket.pool().send(slot, plan.started, || repeats_at_once(worker, backend, plan));
        let outcome = within(worker, attempt, &upload, plan.patience).await;
        let may_retry = || tries_left > 0 && backend.budget.withdraw();
        match outcome {
            None => {
                log::warn!("{} did not answer in time", ticket.replica());
                ticket.failed();
                return Err(Fault::TimedOut(name));
            }
            Some(Attempt::Answered(answer)) => {
                let is_foreign = answer.headers().contains_key(identity::HEADER);
                if !is_foreign && !is_sick(&answer) {
                    ticket.succeeded();
                    return Ok(Begun { answer, ticket });
                }
                if is_foreign {
                    ticket.failed();
                    complain(ticket.replica());
                } else {
                    ticket.refused(is_safe);
                }
                *slot = copy.filter(|_| may_retry());
                match slot {
                    Some(_) => {}
                    None if is_foreign => return Err(Fault::Unreachable(name)),
                    None => return Ok(Begun { answer, ticket }),
                }
            }
            Some(Attempt::NotSent(cause)) => {
                log::warn!("no connection to {}: {cause}", ticket.replica());
                ticket.failed();
                if !may_retry() {
                    return Err(Fault::Unreachable(name));
                }
            }
            Some(Attempt::BrokeOff(cause)) => {
                spoilt(&upload, worker)?;
                log::warn!("{} broke off: {cause}", ticket.replica());
                ticket.failed();
                *slot = Some(copy.filter(|_| may_retry()).ok_or(Fault::Unreachable(name))?);
            }
        }
        worker.gateway.metrics.retried(plan.service);
        failed_at = Some(Rc::clone(ticket.pool()));
    }
    Err(Fault::Unreachable(name))
}

/// Whether a request under which a kept connection closed may go out once more: that is no failure of the replica.
fn repeats_at_once(worker: &Worker, backend: &Backend, plan: Plan) -> bool {
    let is_paid_for = plan.is_retryable && backend.budget.withdraw();
    if is_paid_for {
        worker.gateway.metrics.retried(plan.service);
    }
    is_paid_for
}

/// Tells the operator of a service that refuses what this gateway signs: its clients cannot mend that.
fn complain(replica: &Replica) {
    static REFUSED: Seldom = Seldom::new();
    REFUSED.say(|held_back| {
        log::error!(held_back; "{replica} refuses this gateway's signature. Gateway and services need the same \
            auth.internal_key, and the same time");
    });
}

/// Lets every other task that is ready take its turn before the request is sent: what came in at one moment is prepared
/// first and then sent, one request after the other. That wakes a service once for many, and gives a body's first piece,
/// which the client's connection reads in this same task, the time to come along.
async fn take_turns(slot: &mut Option<Request<Upload>>) {
    let mut has_waited = false;
    poll_fn(|cx| {
        if let Some(request) = slot {
            request.body_mut().prefetch(cx);
        }
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits for the attempt; the service's time starts anew with every piece of the upload that comes, and does not run while
/// none is there for it.
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
        Poll::Pending => match upload.answer_due(patience) {
            Some(due) => alarm.poll_until(cx, due).map(|()| None),
            None => Poll::Pending,
        },
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

/// Whether a replica says that it cannot answer now. A 500 may be a user's mistake (annotate), and who refuses on purpose
/// says so: every other replica would, too, or would do for nothing what this one has given up.
fn is_sick<B>(answer: &Response<B>) -> bool {
    let is_failure = matches!(
        answer.status(),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    );
    is_failure && !answer.headers().contains_key(WELL)
}

/// The same request once more; only for requests without a body.
fn duplicate(request: &Request<Upload>) -> Request<Upload> {
    debug_assert!(request.body().is_end_stream(), "a body cannot be sent twice");
    let mut copy = Request::new(Upload::empty(request.body().state().moved_at()));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}
