//! `/annotation/changes`: changes as server-sent events (annotate.md, section 11).

use super::annotations::form;
use super::reading::Reading;
use super::route::{Kind, add};
use crate::engine::{Changes, Listener};
use crate::error::Error;
use crate::model::{Form, Parameters};
use crate::store::{Archived, Cursor, Search};
use actix_web::web::{Bytes, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use shared::connection::Connection;
use shared::sse;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, error::SendTimeoutError};

/// Names that this route knows besides those of a query.
const OWN: &[&str] = &["filter", "after"];

/// Answers that wait for a listener to read them; one may hold many changes.
const WAITING: usize = 1;

/// A sign of life is sent when nothing else was for so long.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(super) fn routes(cfg: &mut ServiceConfig, prefix: &str) {
    add(cfg, &format!("{prefix}/changes"), Kind::Own("GET"), |resource| resource.get(follow_changes));
}

/// `GET …/changes[?filter=&Owner=…&after=&Epoch=1]`: an event for every change, from now on or after the id in
/// `Last-Event-ID` or `after`. The window of a query does not count here.
async fn follow_changes(
    req: HttpRequest,
    reading: Reading,
    changes: Data<Changes>,
) -> Result<HttpResponse, Error> {
    let parameters = Parameters::parse(req.query_string(), OWN, reading.now())?;
    let mut search = Search::of(&parameters)?;
    search.visible = reading.visible.clone();
    let header = req.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    let after = header.or(parameters.own("after")).filter(|id| !id.is_empty());
    let after: Option<Cursor> = after.map(str::parse).transpose().map_err(Error::Invalid)?;
    let listener = changes.listen(after).await?.ok_or(Error::TooManyListeners)?;
    let (events, body) = mpsc::channel::<Bytes>(WAITING);
    let form = form(&req);
    let (connection, patience) =
        (Connection::of(&req), Duration::from_secs(reading.config.listener_timeout_secs));
    tokio::spawn(async move {
        if let Err(Elapsed) = forward(listener, search, form, events, patience).await {
            log::info!("a listener of changes does not read and is cut off");
            connection.inspect(Connection::cut_off);
        }
    });
    Ok(sse::answer(stream::unfold(body, async |mut body| Some((body.recv().await?, body)))))
}

/// The listener let an event wait for too long.
struct Elapsed;

/// Sends a listener its events until it goes, or the service stops; or it is too slow.
async fn forward(
    mut listener: Listener,
    search: Search,
    form: Form,
    events: mpsc::Sender<Bytes>,
    patience: Duration,
) -> Result<(), Elapsed> {
    let ready = format!("retry: 1000\nid: {}\nevent: ready\ndata: {{}}\n\n", listener.cursor());
    let mut next = ready;
    loop {
        match events.send_timeout(next.into(), patience).await {
            Ok(()) => {}
            Err(SendTimeoutError::Closed(_)) => return Ok(()),
            Err(SendTimeoutError::Timeout(_)) => return Err(Elapsed),
        }
        let changes = tokio::select! {
            () = events.closed() => return Ok(()),
            changes = tokio::time::timeout(HEARTBEAT, listener.next()) => changes,
        };
        next = match changes {
            Err(_elapsed) => ": still here\n\n".to_owned(),
            Ok(Ok(changes)) => text(&changes, &search, form),
            Ok(Err(ended)) => {
                let data = serde_json::json!({ "error": ended.to_string() });
                let _ = events.try_send(format!("event: end\ndata: {data}\n\n").into());
                return Ok(());
            }
        };
    }
}

/// The events of some changes; those that do not meet the search only move the listener's place.
fn text(changes: &[Arc<Archived>], search: &Search, form: Form) -> String {
    let mut text = String::new();
    for changed in changes {
        let cursor = Cursor::of(changed);
        if search.describes(&changed.stored) {
            let data = serde_json::to_string(&changed.stored.annotation.wire(form)).unwrap_or_default();
            text.push_str(&format!("id: {cursor}\nevent: {}\ndata: {data}\n\n", changed.action));
        } else {
            text.push_str(&format!("id: {cursor}\n\n"));
        }
    }
    text
}
