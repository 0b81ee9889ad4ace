//! `POST /internal/events`: events that other services have made, stored as they are, without conversion.

use super::elements::{NotElements, elements};
use super::events_v1::json;
use crate::engine::{Ingest, LARGEST_BATCH};
use crate::error::Error;
use crate::model::{Event, Trait, TraitValue};
use crate::store::{Prepared, prepare};
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use chrono::NaiveDateTime;
use serde_json::Value;
use shared::body;

/// Largest body, in bytes.
const MAX_BODY: usize = 64 << 20;

/// The internal input.
pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/internal/events").post(create_events));
}

/// A list of v1 objects, plain or `Content-Encoding: gzip`. Answers how many were received, saved, duplicate and
/// invalid, once they are durable: a known message id makes a duplicate, so the same list may be sent again.
async fn create_events(
    req: HttpRequest,
    payload: Payload,
    ingest: Data<Ingest>,
) -> Result<HttpResponse, Error> {
    let body = body::read(&req, payload, MAX_BODY).await?;
    let read = web::block(move || read_list(&body)).await;
    let (received, events) = read.map_err(|cause| Error::Storage(cause.to_string()))??;
    let (count, invalid) = (events.len(), received - events.len());
    ingest.count("invalid", invalid);
    let saved = ingest.store(events).await?.saved();
    let answer = serde_json::json!({
        "received": received, "saved": saved, "duplicate": count - saved, "invalid": invalid
    });
    Ok(json(answer.to_string()))
}

/// How many elements a list has, and the events among them.
fn read_list(body: &[u8]) -> Result<(usize, Vec<Prepared>), Error> {
    let list = elements(body, LARGEST_BATCH).map_err(|cause| match cause {
        NotElements::TooMany(most) => Error::TooMany(most),
        NotElements::Json(cause) => Error::Invalid(format!("expected a list of events: {cause}")),
    })?;
    Ok((list.len(), list.iter().filter_map(|text| readable(text.get())).collect()))
}

/// An event, or a line in the log.
fn readable(text: &str) -> Option<Prepared> {
    let object: Option<Value> = serde_json::from_str(text).ok();
    let event = object.as_ref().and_then(read).ok_or_else(|| "no id, type or time".to_owned());
    match event.and_then(|event| prepare(&event).map_err(|cause| cause.to_string())) {
        Ok(prepared) => Some(prepared.emitted()),
        Err(cause) => {
            log::error!("an event of another service cannot be stored: {cause}");
            None
        }
    }
}

fn read(object: &Value) -> Option<Event> {
    let text = |name| object.get(name).and_then(Value::as_str).map(str::to_owned);
    let is_trait = |name: &str| !["message_id", "event_type", "timestamp", "_mark"].contains(&name);
    let traits = object.as_object()?.iter().filter(|(name, _)| is_trait(name));
    Some(Event {
        message_id: text("message_id")?,
        event_type: text("event_type")?,
        generated: instant(object.get("timestamp")?)?,
        traits: traits
            .filter_map(|(name, json)| Some(Trait { name: name.clone(), value: value(json)? }))
            .collect(),
        raw: None,
    })
}

fn instant(json: &Value) -> Option<NaiveDateTime> {
    shared::datetime::parse(json.get("datetime").unwrap_or(json).as_str()?)
}

/// Null is no trait; what has no type of its own becomes text.
fn value(json: &Value) -> Option<TraitValue> {
    let float = || json.as_f64().filter(|float| float.is_finite()).map(TraitValue::Float);
    match json {
        Value::Null => None,
        Value::String(text) => Some(TraitValue::Text(text.clone())),
        Value::Number(number) => number.as_i64().map(TraitValue::Integer).or_else(float),
        Value::Object(members) if members.get("__type__").is_some_and(|kind| kind == "datetime") => {
            instant(json).map(TraitValue::Datetime)
        }
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Some(TraitValue::Text(json.to_string())),
    }
}
