//! `POST /v1/notifications`: notifications over HTTP (streams-events-v1.md, section 8).

use super::elements::{NotElements, elements};
use super::events_v1::json;
use crate::config::Config;
use crate::engine::{Accepted, HTTP, LARGEST_BATCH, Notifications};
use crate::error::Error;
use crate::store;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde_json::value::RawValue;
use shared::body;
use shared::db::Db;

/// Names a place in the feed.
const FEED_CURSOR: HeaderName = HeaderName::from_static("x-quintet-feed-cursor");

/// The input routes.
pub(crate) fn routes(cfg: &mut ServiceConfig) {
    for path in ["/v1/notifications", "/v1/notifications/"] {
        cfg.service(web::resource(path).post(create_notifications).default_service(web::to(async || {
            HttpResponse::MethodNotAllowed().insert_header(("Allow", "POST")).finish()
        })));
    }
}

/// One notification, a list of them, or NDJSON (`application/x-ndjson`), plain or `Content-Encoding: gzip`.
///
/// Answers 202 with how many were received, saved, duplicate, dropped and invalid, once the events are durable.
/// The header `x-quintet-feed-cursor` names the place in the feed behind them, for `Prefer: wait`.
async fn create_notifications(
    req: HttpRequest,
    payload: Payload,
    config: Data<Config>,
    notifications: Data<Notifications>,
    db: Data<Db>,
) -> Result<HttpResponse, Error> {
    let is_ndjson = ["application/x-ndjson", "application/ndjson", "application/jsonl"]
        .contains(&req.content_type().to_ascii_lowercase().as_str());
    let body = body::read(&req, payload, config.max_body_bytes).await?;
    let texts = web::block(move || split(&body, is_ndjson)).await;
    let texts = texts.map_err(|cause| Error::Storage(cause.to_string()))??;
    let accepted = notifications.accept(texts, HTTP).await?;
    let Accepted { received, saved, duplicate, dropped, invalid } = accepted;
    let answer = serde_json::json!({
        "received": received, "saved": saved, "duplicate": duplicate, "dropped": dropped, "invalid": invalid
    });
    let mut response = json(answer.to_string());
    *response.status_mut() = actix_web::http::StatusCode::ACCEPTED;
    // The events are stored: whoever cannot wait for their streams still hears that.
    let end = db.read(store::feed_end).await;
    if let Some(end) = end.ok().and_then(|end| HeaderValue::from_str(&end.to_string()).ok()) {
        response.headers_mut().insert(FEED_CURSOR, end);
    }
    Ok(response)
}

/// Takes the body apart without reading the notifications themselves: each is read on its own, so that one bad one
/// spoils nothing.
fn split(body: &[u8], is_ndjson: bool) -> Result<Vec<Vec<u8>>, Error> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if is_ndjson {
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        // One more than allowed is enough to know.
        let lines: Vec<&[u8]> = lines.take(LARGEST_BATCH + 1).collect();
        if lines.len() > LARGEST_BATCH {
            return Err(Error::TooMany(LARGEST_BATCH));
        }
        return Ok(lines.into_iter().map(<[u8]>::to_vec).collect());
    }
    let invalid =
        |cause: &dyn std::fmt::Display| Error::Invalid(format!("the body is not valid JSON: {cause}"));
    match body.trim_ascii_start().first() {
        Some(b'[') => {
            let list = elements(body, LARGEST_BATCH).map_err(|cause| match cause {
                NotElements::TooMany(most) => Error::TooMany(most),
                NotElements::Json(cause) => invalid(&cause),
            })?;
            Ok(list.into_iter().map(|raw| raw.get().as_bytes().to_vec()).collect())
        }
        Some(b'{') => {
            let one: &RawValue = serde_json::from_slice(body).map_err(|cause| invalid(&cause))?;
            Ok(vec![one.get().as_bytes().to_vec()])
        }
        _ => Err(Error::Invalid("expected a notification or a list of notifications".into())),
    }
}
