//! Server-sent events (HTML Standard, section 9.2) as an answer.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::web::Bytes;
use futures_util::{Stream, StreamExt};
use std::convert::Infallible;

/// Asks nginx, and what understands its words, to pass each event on as it comes.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// An answer of events, each written out whole. It ends with `events`; a cause has to be told by an event, or logged,
/// before.
pub fn answer(events: impl Stream<Item = Bytes> + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((BUFFERING, "no"))
        .streaming(Box::pin(events.map(Ok::<_, Infallible>)))
}
