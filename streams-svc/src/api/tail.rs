//! `GET /v1/streams/tail`: changes of streams as server-sent events, to be resumed with `Last-Event-ID`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Bytes, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::ready;
use futures_util::stream::{self, StreamExt};
use shared::sse;
use shared::stop::Stop;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::closed;
use super::history::change_json;
use crate::State;
use crate::error::Error;
use crate::store::{self, Change};
use shared::db::Place;

/// How often a listener looks for changes.
const POLL: Duration = Duration::from_millis(250);

/// Silence after which a comment is sent, so that nobody on the way takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) fn routes(cfg: &mut ServiceConfig) {
    for path in ["/v1/streams/tail", "/v1/streams/tail/"] {
        cfg.service(closed(web::resource(path).get(follow_changes), "GET, OPTIONS"));
    }
}

/// One listener.
struct Tail {
    state: State,
    draining: Stop,
    place: Place,
    waiting: VecDeque<Change>,
    spoke: Instant,
    _permit: OwnedSemaphorePermit,
}

/// Without `Last-Event-ID` it begins with the next change.
async fn follow_changes(req: HttpRequest, state: Data<State>) -> Result<HttpResponse, Error> {
    let permit = Arc::clone(&state.tails).try_acquire_owned();
    let permit = permit.map_err(|_full| Error::Busy("too many listeners".to_owned()))?;
    let last = req.headers().get("last-event-id").map(|value| value.to_str().unwrap_or("?"));
    let place = match last {
        Some(text) => text.parse().map_err(Error::Invalid)?,
        None => state.db.read(store::last_change).await?,
    };
    // No event to any client, but the place to come back to: what happens between two connections is not lost to one
    // who has not seen a change yet.
    let begin = Bytes::from(format!("id: {place}\n\n"));
    let tail = Tail {
        state: State::clone(&state),
        draining: state.draining.clone(),
        place,
        waiting: VecDeque::new(),
        spoke: Instant::now(),
        _permit: permit,
    };
    let changes = stream::unfold(tail, async |mut tail| Some((Bytes::from(tail.next().await?), tail)));
    Ok(sse::answer(stream::once(ready(begin)).chain(changes)))
}

impl Tail {
    /// The next piece of text; `None` when the service stops or the store cannot be read: the client comes again.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(change) = self.waiting.pop_front() {
                (self.place, self.spoke) = (change.place, Instant::now());
                let data = change_json(&change);
                return Some(format!("id: {}\nevent: stream\ndata: {data}\n\n", change.place));
            }
            let place = self.place;
            let changes = self.state.db.read(move |conn| store::list_changes(conn, place)).await;
            self.waiting = changes.inspect_err(|cause| log::warn!("tail ends: {cause}")).ok()?.into();
            if !self.waiting.is_empty() {
                continue;
            }
            tokio::select! {
                () = self.draining.stopped() => return None,
                () = tokio::time::sleep(POLL) => {}
            }
            if self.spoke.elapsed() >= KEEP_ALIVE {
                self.spoke = Instant::now();
                return Some(": quiet\n\n".to_owned());
            }
        }
    }
}
