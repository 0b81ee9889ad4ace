//! `GET /internal/processed`: waits until the feed was followed up to a place, for `Prefer: wait`.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde::Deserialize;
use tokio::time::Instant;

use super::json;
use crate::State;
use crate::error::Error;
use crate::store;
use shared::db::Place;

/// Longest wait.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// How often a waiting caller looks for what another process has done.
const POLL: Duration = Duration::from_millis(100);

pub(super) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/internal/processed").get(wait_for_place));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceQuery {
    /// Place in the feed.
    after: String,
    /// Milliseconds to wait for it.
    wait_ms: Option<u64>,
}

/// `{"processed": true}` once every partition has passed the place, else `false` after `wait_ms`.
async fn wait_for_place(query: web::Query<PlaceQuery>, state: Data<State>) -> Result<HttpResponse, Error> {
    let wanted: Place = query.after.parse().map_err(Error::Invalid)?;
    let deadline = Instant::now() + Duration::from_millis(query.wait_ms.unwrap_or(0)).min(MAX_WAIT);
    let mut progress = state.progress.subscribe();
    loop {
        progress.mark_unchanged();
        let cursors = state.db.read(store::list_cursors).await?;
        let is_processed = !cursors.is_empty() && cursors.iter().all(|cursor| cursor.place >= wanted);
        if is_processed || Instant::now() >= deadline {
            return Ok(json(format!("{{\"processed\":{is_processed}}}")));
        }
        let pause = deadline.min(Instant::now() + POLL);
        // Woken by progress of this process, or after the pause to look for that of others.
        let _ = tokio::time::timeout_at(pause, progress.changed()).await;
    }
}
