//! Runs over plain HTTP: a run as server-sent events, the audit log of a script's runs, recordings and their replay.

use super::call::{self, Call, Query};
use super::scripts::{find, known_form};
use super::serve;
use super::stream::{Parts, start};
use crate::engine::{Ending, Heard, Listener, Message};
use crate::error::Error;
use crate::permit::{is_server_allowed, is_vm_allowed};
use crate::store::{self, Run, RunMessage};
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{self, Bytes, Data, Payload, ServiceConfig};
use futures_util::stream;
use serde_json::{Map, Value, json};
use shared::connection::Connection;
use shared::datetime::{from_micros, iso};
use shared::db::Db;
use shared::identity::Principal;
use shared::sse;
use std::time::Duration;
use tokio::sync::mpsc;

/// Runs that a list shows.
const LISTED: i64 = 100;

/// Recorded messages read at once for a replay.
const REPLAY_PAGE: i64 = 64;

/// Longest pause between two messages of a replay.
const REPLAY_PAUSE: Duration = Duration::from_secs(60);

/// Events that wait for a client who is slow to read.
const WAITING: usize = 8;

/// The routes of runs.
pub(crate) fn routes(cfg: &mut ServiceConfig) {
    serve(cfg, "/{uuid}/runs", "HEAD, OPTIONS, GET, POST", |resource| {
        resource
            .route(web::get().to(list_runs))
            .route(web::head().to(list_runs))
            .route(web::post().to(create_run))
    });
    serve(cfg, "/{uuid}/runs/{run}", "HEAD, OPTIONS, GET, DELETE", |resource| {
        resource
            .route(web::get().to(find_run))
            .route(web::head().to(find_run))
            .route(web::delete().to(delete_recording))
    });
    serve(cfg, "/{uuid}/runs/{run}/events", "HEAD, OPTIONS, GET", |resource| {
        resource.route(web::get().to(replay_run)).route(web::head().to(find_run))
    });
}

/// `POST /dtrace/{uuid}/runs`: starts or joins a run and streams it as server-sent events: `config` once, `tick`
/// about every second, `output` for lines, `end` at the end. The body is a start message, or empty.
///
/// `?record=true` keeps the run, `?ticks=5` ends after five ticks.
async fn create_run(call: Call, payload: Payload, parts: Data<Parts>) -> Result<HttpResponse, Error> {
    call.check(call.id(), "stream")?;
    find(&parts.db, call.id()).await?;
    let message: Map<String, Value> =
        serde_json::from_str(&call.optional_body(payload, &parts.config).await?)
            .map_err(|cause| Error::Invalid(format!("the body is no object: {cause}")))?;
    let query = call.query();
    let ticks = number(&query, "ticks")?.unwrap_or(u64::MAX);
    let mut listener = start(&parts, call.id(), &message, &call.principal).await?;
    if query.get("record").is_some_and(|word| word == "true") {
        listener.record();
    }
    listener.started().await.map_err(|ending| match ending {
        Ending::Refused(text) | Ending::Failed(text) => Error::Script { text, line: None, column: None },
        Ending::NoTracer(text) => Error::NoTracer(text),
        Ending::Unavailable(cause) => Error::Unavailable(cause),
        Ending::Finished | Ending::Stopped => Error::Busy("the run was stopped".into()),
    })?;
    let run = listener.run_id().to_owned();
    let (sender, receiver) = mpsc::channel(WAITING);
    let connection = call.connection();
    let parts = parts.get_ref().clone();
    actix_web::rt::spawn(async move {
        if let Err(TooSlow) = send_events(listener, ticks, sender, &parts).await {
            parts.metrics.cut_off.inc();
            connection.inspect(Connection::cut_off);
        }
    });
    let mut answer = sse::answer(stream::unfold(receiver, async |mut receiver: mpsc::Receiver<Bytes>| {
        Some((receiver.recv().await?, receiver))
    }));
    if let Ok(run) = header::HeaderValue::from_str(&run) {
        answer.headers_mut().insert(header::HeaderName::from_static("x-dtrace-run"), run);
    }
    Ok(answer)
}

fn number(query: &Query, name: &str) -> Result<Option<u64>, Error> {
    let parse =
        |text: &str| text.parse().map_err(|_odd| Error::Invalid(format!("{name} is no whole number")));
    query.get(name).map(parse).transpose()
}

/// One event; its data is JSON without line breaks.
fn event(name: &str, data: &str) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// The client let an event wait for too long.
struct TooSlow;

/// Passes a run's messages on until it ends, the client is gone or too slow, or the service stops.
async fn send_events(
    mut listener: Listener,
    mut ticks: u64,
    sender: mpsc::Sender<Bytes>,
    parts: &Parts,
) -> Result<(), TooSlow> {
    let timeout = Duration::from_secs(parts.config.listener_timeout_secs);
    let mut next = Some(event("config", &listener.answer().to_string()));
    let mut is_last = false;
    loop {
        if let Some(bytes) = next.take() {
            match sender.send_timeout(bytes, timeout).await {
                Ok(()) if !is_last => (),
                Ok(()) | Err(mpsc::error::SendTimeoutError::Closed(_)) => return Ok(()),
                Err(mpsc::error::SendTimeoutError::Timeout(_)) => return Err(TooSlow),
            }
        }
        let heard = tokio::select! {
            heard = listener.next() => heard,
            () = sender.closed() => return Ok(()),
            () = parts.draining.stopped() => Heard::Message(Message::End(Ending::Stopped).into()),
        };
        next = Some(match heard {
            Heard::Dropped(count) => event("dropped", &count.to_string()),
            Heard::Message(message) => match &*message {
                Message::Figures(figures) => {
                    ticks = ticks.saturating_sub(1);
                    is_last = ticks == 0;
                    figures.event(|json| event("tick", json))
                }
                Message::Output(output) => output.event(|json| event("output", json)),
                Message::End(ending) => {
                    is_last = true;
                    event("end", &end(ending).to_string())
                }
            },
        });
    }
}

fn end(ending: &Ending) -> Value {
    match ending {
        Ending::Finished | Ending::Stopped => json!({ "outcome": ending.word() }),
        Ending::Refused(text) | Ending::NoTracer(text) | Ending::Failed(text) => {
            json!({ "outcome": ending.word(), "error": text })
        }
        Ending::Unavailable(_) => json!({ "outcome": ending.word(), "error": "storage unavailable" }),
    }
}

/// `GET /dtrace/{uuid}/runs`: the audit log of the script, newest first. It outlives the script.
async fn list_runs(call: Call, db: Data<Db>) -> Result<HttpResponse, Error> {
    let format = call.permit("get")?;
    let uuid = known_form(call.id())?;
    let runs = db.read(move |conn| store::list_runs(conn, &uuid, LISTED)).await?;
    if runs.is_empty() {
        // Never run, unless there is no such script.
        find(&db, call.id()).await?;
    }
    let visible = runs.iter().filter(|run| is_visible(run, &call.principal));
    let list: Value = visible.map(|run| object(run, false)).collect();
    Ok(call::answer(format, format.encode(&list)))
}

/// `GET /dtrace/{uuid}/runs/{run}`: one run, with the text that was run, and the summary of a recorded one.
async fn find_run(call: Call, db: Data<Db>) -> Result<HttpResponse, Error> {
    let format = call.permit("get")?;
    let run = find_visible(&call, &db).await?;
    Ok(call::answer(format, format.encode(&object(&run, true))))
}

/// `DELETE /dtrace/{uuid}/runs/{run}`: removes what was recorded; the audit log keeps its line.
async fn delete_recording(call: Call, db: Data<Db>) -> Result<HttpResponse, Error> {
    call.permit("edit")?;
    let run = find_visible(&call, &db).await?;
    if run.messages.is_none() {
        return Err(Error::NotFound(format!("a recording of run {}", run.id)));
    }
    db.write(move |conn| store::delete_recording(conn, &run.id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `GET /dtrace/{uuid}/runs/{run}/events?speed=1`: a recorded run as it was streamed. `speed` 1 is the pace it had,
/// 10 ten times that; without it everything comes at once.
async fn replay_run(call: Call, db: Data<Db>) -> Result<HttpResponse, Error> {
    call.check(call.id(), "get")?;
    let run = find_visible(&call, &db).await?;
    if run.messages.is_none() {
        return Err(Error::NotFound(format!("a recording of run {}", run.id)));
    }
    let speed = number(&call.query(), "speed")?.unwrap_or(0);
    let replay = Replay {
        db: db.get_ref().clone(),
        run: run.id,
        speed,
        after: -1,
        at: 0,
        page: Vec::new().into_iter(),
    };
    Ok(sse::answer(stream::unfold(replay, async |mut replay: Replay| Some((replay.next().await?, replay)))))
}

/// A replay under way.
struct Replay {
    db: Db,
    run: String,
    speed: u64,
    after: i64,
    at: i64,
    page: std::vec::IntoIter<RunMessage>,
}

impl Replay {
    /// The next event, after the pause that it had.
    async fn next(&mut self) -> Option<Bytes> {
        if self.page.len() == 0 {
            let (run, after) = (self.run.clone(), self.after);
            let page = self.db.read(move |conn| store::list_messages(conn, &run, after, REPLAY_PAGE)).await;
            self.page =
                page.inspect_err(|cause| log::error!("a replay breaks off: {cause}")).ok()?.into_iter();
        }
        let message = self.page.next()?;
        if let Some(pause) = u64::try_from(message.at - self.at).unwrap_or(0).checked_div(self.speed) {
            tokio::time::sleep(Duration::from_micros(pause).min(REPLAY_PAUSE)).await;
        }
        (self.after, self.at) = (message.number, message.at);
        Some(event(&message.event, &message.body))
    }
}

/// The run of the path, whether or not its script is still there, unless it shows servers or machines that the caller
/// may not see.
async fn find_visible(call: &Call, db: &Db) -> Result<Run, Error> {
    let uuid = known_form(call.id())?;
    let id = call.words_from(2).first().cloned().unwrap_or_default();
    let run = db.read(move |conn| store::find_run(conn, &uuid, &id)).await?;
    match is_visible(&run, &call.principal) {
        true => Ok(run),
        false => Err(Error::NotFound(format!("run {}", run.id))),
    }
}

fn is_visible(run: &Run, who: &Principal) -> bool {
    let config: Value = serde_json::from_str(&run.config).unwrap_or_default();
    let all = |name: &str, is_allowed: fn(&Principal, &str) -> bool| {
        let names =
            config.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        names.into_iter().all(|name| is_allowed(who, name))
    };
    all("servers", is_server_allowed) && all("vms", is_vm_allowed)
}

/// A run as JSON.
fn object(run: &Run, is_whole: bool) -> Value {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let time = |micros: i64| iso(from_micros(micros));
    let mut object = json!({
        "run": run.id, "script": run.script, "name": run.name, "subject": run.subject,
        "started": time(run.started), "ended": run.ended.map(time), "outcome": run.outcome,
        "recorded": run.messages, "config": parsed(&run.config),
    });
    if is_whole && let Some(members) = object.as_object_mut() {
        members.insert("program".into(), run.program.as_str().into());
        members.insert("summary".into(), run.summary.as_deref().map(parsed).unwrap_or_default());
    }
    object
}
