//! `GET /v1/streams/{id}/history`: what became of a stream and why, also after it was deleted.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde_json::{Value as Json, json};
use shared::db::Db;

use super::streams::stream_id;
use super::{closed, json as answer};
use crate::engine::State;
use crate::error::Error;
use crate::model::datetime_json;
use crate::store::{self, Change};

pub(super) fn routes(cfg: &mut ServiceConfig) {
    for path in ["/v1/streams/{id}/history", "/v1/streams/{id}/history/"] {
        let resource = web::resource(path).get(list_history).route(web::head().to(list_history));
        cfg.service(closed(resource, "GET, HEAD, OPTIONS"));
    }
}

/// The changes of its state, oldest first.
async fn list_history(path: web::Path<String>, db: Data<Db>) -> Result<HttpResponse, Error> {
    let id = stream_id(&path)?;
    let changes = db.read(move |conn| {
        let changes = store::list_history(conn, id)?;
        // Of a stream that was quiet for longer than the history is kept there is nothing to tell.
        if changes.is_empty() && store::find_stream(conn, id)?.is_none() {
            return Err(Error::NotFound(id));
        }
        Ok(changes)
    });
    Ok(answer(changes.await?.iter().map(change_json).collect::<Json>().to_string()))
}

/// A change; the state after a user has deleted the stream is `deleted`.
pub(super) fn change_json(change: &Change) -> Json {
    json!({
        "stream_id": change.stream_id,
        "name": change.name,
        "serial": change.serial,
        "at": datetime_json(change.at),
        "state": change.state.map_or("deleted", State::word),
        "reason": change.reason,
    })
}
