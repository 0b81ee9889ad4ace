//! `GET /internal/feed`: the events in commit order, for services that follow them.

use crate::engine::{FeedLag, Ingest};
use crate::error::Error;
use crate::model::PIECE_BYTES;
use crate::store::{self, FeedEvent};
use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde::Deserialize;
use shared::db::Db;
use shared::db::Place;
use std::time::Duration;
use tokio::time::Instant;

/// Most events of one answer.
const MAX_LIMIT: usize = 1000;

/// Longest wait for new events.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// How often a waiting reader looks for events that another process has committed.
const POLL: Duration = Duration::from_millis(100);

/// The internal feed.
pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/internal/feed").get(read_feed));
}

/// Query of the feed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FeedQuery {
    /// Cursor of an earlier answer; absent: from the beginning.
    after: Option<String>,
    /// Most events, 1 to 1000.
    limit: Option<usize>,
    /// Milliseconds to wait for the first event.
    wait_ms: Option<u64>,
}

/// `GET /internal/feed?after=&limit=&wait_ms=`: `{"cursor": "…", "events": [{"cursor": "…", "event": {v1 object}}]}`.
/// An event that another service has made has `"emitted": true` beside it.
///
/// Without new events the answer comes after `wait_ms`, with an empty list and the cursor it was asked with.
async fn read_feed(
    query: web::Query<FeedQuery>,
    db: Data<Db>,
    ingest: Data<Ingest>,
    lag: Data<FeedLag>,
) -> Result<HttpResponse, Error> {
    let after: Place = query.after.as_deref().unwrap_or("0-0").parse().map_err(Error::Invalid)?;
    let limit = query.limit.unwrap_or(MAX_LIMIT).clamp(1, MAX_LIMIT);
    let wait = Duration::from_millis(query.wait_ms.unwrap_or(0)).min(MAX_WAIT);
    let deadline = Instant::now() + wait;
    let mut commits = ingest.commits();
    loop {
        commits.mark_unchanged();
        let read = db.read(move |conn| {
            Ok::<_, Error>((store::list_feed(conn, after, limit, PIECE_BYTES)?, store::find_newest_id(conn)?))
        });
        let (events, newest) = read.await?;
        lag.note(events.last().map_or(after, |event| event.cursor), newest);
        if !events.is_empty() || Instant::now() >= deadline {
            return Ok(answer(after, &events));
        }
        let pause = deadline.min(Instant::now() + POLL);
        // Woken by a commit of this process, or after the pause to look for those of others.
        let _ = tokio::time::timeout_at(pause, commits.changed()).await;
    }
}

fn answer(after: Place, events: &[FeedEvent]) -> HttpResponse {
    let last = events.last().map_or(after, |event| event.cursor);
    let mut body = format!("{{\"cursor\":\"{last}\",\"events\":[");
    for (place, FeedEvent { cursor, members, is_emitted }) in events.iter().enumerate() {
        let comma = if place > 0 { "," } else { "" };
        let mark = if *is_emitted { ",\"emitted\":true" } else { "" };
        body.push_str(&format!("{comma}{{\"cursor\":\"{cursor}\",\"event\":{{{members}}}{mark}}}"));
    }
    body.push_str("]}");
    HttpResponse::Ok().content_type("application/json").body(body)
}
