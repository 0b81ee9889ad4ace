//! `GET /v1/streams/debug`: the counters since the start, and the names of triggers and pipelines in force;
//! `POST /v1/streams/reload`: reads triggers and pipelines again.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde_json::{Map, Value as Json, json};

use super::{closed, json as answer};
use crate::State;
use crate::counters::{Group, TriggerCounters};
use crate::definitions::Loaded;
use crate::error::Error;

pub(super) fn routes(cfg: &mut ServiceConfig) {
    for path in ["/v1/streams/debug", "/v1/streams/debug/"] {
        cfg.service(closed(web::resource(path).get(list_counters), "GET, OPTIONS"));
    }
    for path in ["/v1/streams/reload", "/v1/streams/reload/"] {
        cfg.service(closed(web::resource(path).post(reload), "POST, OPTIONS"));
    }
}

async fn list_counters(state: Data<State>) -> HttpResponse {
    let total = state.statistics.total();
    let counters: Map<_, _> = total.iter().map(|(name, own)| (name.to_owned(), counters_json(own))).collect();
    let mut body = definitions_json(&state.definitions.current());
    if let Json::Object(members) = &mut body {
        members.insert("counters".to_owned(), Json::Object(counters));
    }
    answer(body.to_string())
}

/// Takes the new definitions as a whole, or answers 400 with what is wrong and keeps the old ones.
async fn reload(state: Data<State>) -> Result<HttpResponse, Error> {
    let read = web::block(move || state.definitions.reload()).await;
    let loaded = read.map_err(|cause| Error::Storage(cause.to_string()))?;
    let loaded = loaded.map_err(|cause| Error::Invalid(cause.to_string()))?;
    Ok(answer(definitions_json(&loaded).to_string()))
}

fn definitions_json(loaded: &Loaded) -> Json {
    let triggers: Vec<&str> = loaded.part.triggers.iter().map(|trigger| trigger.name()).collect();
    let pipelines: Vec<&str> = loaded.part.pipelines.names().collect();
    json!({ "generation": loaded.generation, "triggers": triggers, "pipelines": pipelines })
}

fn counters_json(own: &TriggerCounters) -> Json {
    let group = |group: &Group| json!({ "checks": group.checks(), "passed": group.passed(), "reasons": group.reasons() });
    json!({ "match": group(&own.matching), "fire": group(&own.firing), "counters": own.counts() })
}
