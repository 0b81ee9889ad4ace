//! `GET /v1/streams/debug`: the counters since the start, the names of triggers and pipelines in force, and which
//! replicas run by them; `POST /v1/streams/reload`: reads triggers and pipelines again.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, ServiceConfig};
use serde_json::{Map, Value as Json, json};

use super::{closed, json as answer};
use crate::State;
use crate::counters::{Group, TriggerCounters};
use crate::definitions::Loaded;
use crate::drive;
use crate::error::Error;
use crate::store::ReplicaRow;

pub(super) fn routes(cfg: &mut ServiceConfig) {
    for path in ["/v1/streams/debug", "/v1/streams/debug/"] {
        cfg.service(closed(web::resource(path).get(list_counters), "GET, OPTIONS"));
    }
    for path in ["/v1/streams/reload", "/v1/streams/reload/"] {
        cfg.service(closed(web::resource(path).post(reload), "POST, OPTIONS"));
    }
}

async fn list_counters(state: Data<State>) -> Result<HttpResponse, Error> {
    let total = state.statistics.total();
    let counters: Map<_, _> = total.iter().map(|(name, own)| (name.to_owned(), counters_json(own))).collect();
    let replicas = drive::replicas(&state).await?;
    let mut body = definitions_json(&state.definitions.current(), &replicas);
    if let Json::Object(members) = &mut body {
        members.insert("counters".to_owned(), Json::Object(counters));
    }
    Ok(answer(body.to_string()))
}

/// Takes the new definitions as a whole, or answers 400 with what is wrong and keeps the old ones. Answers 202 when not
/// all replicas have taken them in time.
async fn reload(state: Data<State>) -> Result<HttpResponse, Error> {
    let definitions = Arc::clone(&state.definitions);
    let read = web::block(move || definitions.read()).await;
    let reading = read.map_err(|cause| Error::Storage(cause.to_string()))?;
    let reading = reading.map_err(|cause| Error::Invalid(cause.to_string()))?;
    let reloaded = drive::reload(&state, reading).await?;
    let mut answer = answer(definitions_json(&reloaded.loaded, &reloaded.replicas).to_string());
    if !reloaded.is_everywhere() {
        *answer.status_mut() = StatusCode::ACCEPTED;
    }
    Ok(answer)
}

fn definitions_json(loaded: &Loaded, replicas: &[ReplicaRow]) -> Json {
    let triggers: Vec<&str> = loaded.part.triggers.iter().map(|trigger| trigger.name()).collect();
    let pipelines: Vec<&str> = loaded.part.pipelines.names().collect();
    let replica = |one: &ReplicaRow| {
        let is_current = one.digest == loaded.digest;
        json!({ "name": one.name, "digest": one.digest, "is_current": is_current, "trouble": one.trouble })
    };
    json!({
        "generation": loaded.generation,
        "digest": loaded.digest,
        "triggers": triggers,
        "pipelines": pipelines,
        "replicas": replicas.iter().map(replica).collect::<Vec<_>>(),
    })
}

fn counters_json(own: &TriggerCounters) -> Json {
    let group = |group: &Group| json!({ "checks": group.checks(), "passed": group.passed(), "reasons": group.reasons() });
    json!({ "match": group(&own.matching), "fire": group(&own.firing), "counters": own.counts() })
}
