//! `Prefer: wait=N` on notifications: the answer is held back until the streams have caught up with the events of the
//! request, N seconds at the longest (`streams-events-v1`, section 8; RFC 7240).
//!
//! Whatever goes wrong here, the events are stored and the answer goes out; it then lacks `Preference-Applied`.

use crate::body::{Body, Upload};
use crate::proxy::{self, Begun, Plan};
use crate::routes::{Class, Service};
use crate::server::Worker;
use http_body_util::{BodyExt, Limited};
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
use shared::identity::{self, Principal};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// Where the event service says how far the feed goes.
pub(crate) const FEED_CURSOR: HeaderName = HeaderName::from_static("x-quintet-feed-cursor");

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Longest wait, whatever the client prefers: the stream service waits no longer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What the stream service gets for answering, beyond the wait itself.
const GRACE: Duration = Duration::from_secs(5);

/// Bytes of its answer, which is a word or two.
const ANSWER_BYTES: usize = 1024;

/// The place in the feed behind the events of a request; the proxy leaves it here when it strips the header.
#[derive(Clone)]
pub(crate) struct FeedCursor(pub(crate) HeaderValue);

/// Holds `answer` back until its events are sorted into streams, and says so in it; else lets it go after `secs`, or when
/// this worker is to end.
pub(crate) async fn wait(worker: &Rc<Worker>, answer: &mut Response<Body>, secs: u64) {
    let Some(FeedCursor(cursor)) = answer.extensions_mut().remove::<FeedCursor>() else { return };
    let is_caught_up = tokio::select! {
        is_caught_up = ask(worker, &cursor, Duration::from_secs(secs).min(LONGEST_WAIT)) => is_caught_up,
        () = worker.stop.stopped() => None,
    };
    if is_caught_up == Some(true)
        && let Ok(applied) = HeaderValue::from_str(&format!("wait={secs}"))
    {
        answer.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
}

/// Whether the streams have caught up with a place in the feed within `time`; nothing when the service cannot tell.
async fn ask(worker: &Rc<Worker>, cursor: &HeaderValue, time: Duration) -> Option<bool> {
    let gateway = &worker.gateway;
    // Those who wait are bounded like those who watch.
    let _place = gateway.places.take(Service::Streams, Class::Stream)?;
    let started = Instant::now();
    let mut request = Request::new(Upload::empty(started));
    let target = format!("/internal/processed?after={}&wait_ms={}", cursor.to_str().ok()?, time.as_millis());
    *request.uri_mut() = target.parse::<Uri>().ok()?;
    let me = Principal { subject: "service:gateway".to_owned(), ..Principal::default() };
    let signed = HeaderValue::from_str(&gateway.key.sign(&me, gateway.clock.now())).ok()?;
    request.headers_mut().insert(HOST, HeaderValue::from_static("gateway"));
    request.headers_mut().insert(identity::HEADER, signed);
    let backend = worker.backends.get(Service::Streams.index())?;
    let plan = Plan {
        service: Service::Streams,
        class: Class::Stream,
        is_retryable: true,
        started,
        patience: time + GRACE,
    };
    let begun = proxy::exchange(worker, backend, plan, &mut Some(request)).await.ok()?;
    let Begun { answer, ticket: _ticket } = begun;
    if answer.status() != StatusCode::OK {
        return None;
    }
    let body = tokio::time::timeout(GRACE, Limited::new(answer.into_body(), ANSWER_BYTES).collect());
    let body = body.await.ok()?.ok()?.to_bytes();
    serde_json::from_slice::<serde_json::Value>(&body).ok()?.get("processed")?.as_bool()
}
