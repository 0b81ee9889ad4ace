//! `POST /v2/events`: the door that ceilometer's HTTP publisher knocks at (events-v2.md, section 13).

use super::error::Fault;
use super::posted::{self, BadBody};
use crate::config::Config;
use crate::engine::{Ingest, LARGEST_BATCH};
use crate::store::Prepared;
use actix_web::web::{self, Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use shared::body;

/// Bad events of one request whose faults are told.
const TOLD: usize = 10;

/// Largest body that is read where it arrives, in bytes; a larger one goes to the blocking pool.
const SMALL_BODY_BYTES: usize = 16 << 10;

/// Stores an event or a list of events, plain or `Content-Encoding: gzip`; answers when they are durable.
///
/// Answers 202 with how many were received, saved, duplicate and invalid, and what is wrong with the first invalid
/// ones: a publisher that is told 4xx or 5xx drops its whole batch.
pub(super) async fn create_events(
    req: HttpRequest,
    payload: Payload,
    config: Data<Config>,
    ingest: Data<Ingest>,
) -> Result<HttpResponse, Fault> {
    let body = body::read(&req, payload, config.max_body_bytes).await?;
    let batch = if body.len() <= SMALL_BODY_BYTES {
        read(&body)?
    } else {
        web::block(move || read(&body)).await.map_err(|cause| Fault::Unavailable(cause.to_string()))??
    };
    let (received, invalid) = (batch.events.len() + batch.invalid, batch.invalid);
    ingest.count("invalid", invalid);
    let inserted = ingest.store(batch.events).await?;
    let (saved, duplicate) = (inserted.saved(), inserted.is_new.len() - inserted.saved());
    if let Some(first) = batch.problems.first() {
        log::warn!(invalid = invalid, received = received; "posted events left out, the first: {first}");
    }
    let answer = json!({
        "received": received, "saved": saved, "duplicate": duplicate, "invalid": invalid, "problems": batch.problems
    });
    Ok(HttpResponse::Accepted().content_type("application/json").body(answer.to_string()))
}

/// A body, read.
#[derive(Default)]
struct Batch {
    events: Vec<Prepared>,
    invalid: usize,
    /// What is wrong with the first invalid events.
    problems: Vec<Value>,
}

fn read(body: &Bytes) -> Result<Batch, Fault> {
    let texts = posted::split(body).map_err(|cause| match cause {
        BadBody::TooMany => Fault::TooMany(LARGEST_BATCH),
        BadBody::NotJson | BadBody::NotEvents => Fault::Invalid(cause.to_string()),
    })?;
    let mut batch = Batch::default();
    for (index, text) in texts.into_iter().enumerate() {
        match posted::read(text) {
            Ok(event) => batch.events.push(event),
            Err(problem) => {
                batch.invalid += 1;
                if batch.problems.len() < TOLD {
                    batch.problems.push(json!({ "index": index, "problem": problem }));
                }
            }
        }
    }
    Ok(batch)
}
