//! `POST /v1/streams/match`: which triggers would take an event, into which stream, and why the others would not.
//! Nothing is stored.

use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use chrono::NaiveDateTime;
use serde_json::{Value as Json, json};
use shared::datetime::{from_micros, to_micros};
use shared::db::DbConn;

use super::{closed, json as answer};
use crate::State;
use crate::config::Config;
use crate::error::Error;
use crate::model::{Event, datetime_json};
use crate::store::{active_key, find_active};
use crate::triggers::{Explanation, Matcher};

/// Id of an event that has none.
const NO_ID: &str = "00000000-0000-0000-0000-000000000000";

pub(super) fn routes(cfg: &mut ServiceConfig) {
    for path in ["/v1/streams/match", "/v1/streams/match/"] {
        cfg.service(closed(web::resource(path).post(match_event), "POST, OPTIONS"));
    }
}

/// The body is an event as `/v1/events` shows it; id and time may be left out.
async fn match_event(
    req: HttpRequest,
    payload: web::Payload,
    config: Data<Config>,
    state: Data<State>,
) -> Result<HttpResponse, Error> {
    let body = shared::body::read(&req, payload, config.max_body_bytes).await?;
    let mut json: Json = serde_json::from_slice(&body)
        .map_err(|cause| Error::Invalid(format!("the body is not valid JSON: {cause}")))?;
    if let Json::Object(members) = &mut json {
        members.entry("message_id").or_insert_with(|| NO_ID.into());
        members.entry("timestamp").or_insert_with(|| datetime_json(state.now.now()));
    }
    let event = Event::from_json(json).map_err(|cause| Error::Invalid(cause.to_string()))?;
    let loaded = state.definitions.current();
    // In a replay the event itself would set the clock.
    let is_replay = loaded.part.time_sync_endpoint.is_some();
    let now = if is_replay { event.timestamp } else { state.now.now() };
    let explanations = Matcher::new(loaded.part.triggers.clone()).explain(&event);
    let body = state.db.read(move |conn| {
        let explain = |one| explanation_json(conn, one, event.timestamp, now);
        let list = explanations.iter().map(explain).collect::<Result<Json, Error>>();
        Ok::<_, Error>(list?.to_string())
    });
    Ok(answer(body.await?))
}

/// What the engine would do with an event of time `at` (`engine::Stream::join`).
fn explanation_json(
    conn: &mut DbConn,
    one: &Explanation,
    at: NaiveDateTime,
    now: NaiveDateTime,
) -> Result<Json, Error> {
    let name = one.trigger.name();
    let distinguishing = match &one.outcome {
        Ok(distinguishing) => distinguishing,
        Err(reasons) => return Ok(json!({ "trigger": name, "matches": false, "reasons": reasons })),
    };
    let stream = find_active(conn, active_key(name, &distinguishing.key()), to_micros(now))?;
    let (first, last) = stream.as_ref().map_or((at, at), |stream| {
        (at.min(from_micros(stream.first_event)), at.max(from_micros(stream.last_event)))
    });
    Ok(match one.trigger.expire_timestamp(first, last, now) {
        Ok(_expiration) => json!({
            "trigger": name,
            "matches": true,
            "distinguishing_traits": distinguishing.to_json(),
            "stream": stream.map(|stream| stream.id),
        }),
        Err(why) => {
            json!({ "trigger": name, "matches": false, "reasons": [format!("expiration: {why}")] })
        }
    })
}
