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
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Names that this route knows besides those of a query.
const OWN: &[&str] = &["filter", "after"];

/// Answers that wait for a listener to read them.
const WAITING: usize = 4;

/// Longest time that a listener may let an answer wait.
const PATIENCE: Duration = Duration::from_secs(10);

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
    tokio::spawn(forward(listener, search, form, events));
    let body = stream::unfold(body, |mut body| async move {
        body.recv().await.map(|text| (Ok::<_, actix_web::Error>(text), body))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(body))
}

/// Sends a listener its events until it goes, is too slow, or the service stops.
async fn forward(mut listener: Listener, search: Search, form: Form, events: mpsc::Sender<Bytes>) {
    let ready = format!("retry: 1000\nid: {}\nevent: ready\ndata: {{}}\n\n", listener.cursor());
    let mut next = ready;
    loop {
        match tokio::time::timeout(PATIENCE, events.send(next.into())).await {
            Ok(Ok(())) => {}
            Ok(Err(_gone)) => return,
            Err(_elapsed) => {
                log::info!("a listener of changes does not read and is cut off");
                return;
            }
        }
        let changes = tokio::select! {
            () = events.closed() => return,
            changes = tokio::time::timeout(HEARTBEAT, listener.next()) => changes,
        };
        next = match changes {
            Err(_elapsed) => ": still here\n\n".to_owned(),
            Ok(Ok(changes)) => text(&changes, &search, form),
            Ok(Err(ended)) => {
                let data = serde_json::json!({ "error": ended.to_string() });
                let _ = events.try_send(format!("event: end\ndata: {data}\n\n").into());
                return;
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
