//! Grafana's own annotation API and Graphite's events, as an import path (annotate.md, section 11). Errors wear
//! Grafana's form.

use super::answer::json;
use super::reading::Reading;
use super::route::{Kind, add};
use super::writing::Writing;
use crate::error::Error;
use crate::model::grafana::{GraphiteImport, Import, Purpose, grafana_object, graphite_object};
use crate::model::{Draft, Stamp, Window, graphite_time, pairs};
use crate::store::{self, Change, Order, Search, Stored, Written};
use actix_web::http::StatusCode;
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use chrono::Duration;
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;

/// Annotations of one answer when the client names no limit.
const LIMIT: usize = 100;

pub(super) fn routes(cfg: &mut ServiceConfig) {
    add(cfg, "/api/annotations", Kind::Own("GET, POST"), |resource| {
        resource.get(list_annotations).post(create_annotation)
    });
    add(cfg, "/api/annotations/graphite", Kind::Own("POST"), |resource| resource.post(create_event));
    add(cfg, "/api/annotations/{id}", Kind::Own("GET, PUT, PATCH, DELETE"), |resource| {
        let found = resource.get(find_annotation).put(update_annotation);
        found.patch(patch_annotation).delete(delete_annotation)
    });
    add(cfg, "/events/get_data", Kind::Own("GET"), |resource| resource.get(list_events));
}

/// An error in Grafana's form.
#[derive(Debug)]
struct Fault {
    message: &'static str,
    cause: Error,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.message, self.cause)
    }
}

impl ResponseError for Fault {
    fn status_code(&self) -> StatusCode {
        self.cause.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        // Logs what is to be logged.
        let _ = self.cause.error_response();
        let body = json!({ "message": self.message, "error": self.cause.to_string() });
        HttpResponse::build(self.status_code()).content_type("application/json").body(body.to_string())
    }
}

/// Puts what the request was about in front of an error.
fn about<E: Into<Error>>(message: &'static str) -> impl Fn(E) -> Fault {
    move |cause| Fault { message, cause: cause.into().in_usual_status() }
}

const SAVE: &str = "Failed to save annotation";
const UPDATE: &str = "Failed to update annotation";
const DELETE: &str = "Failed to delete annotation";
const FIND: &str = "Failed to find annotation";
const LIST: &str = "Failed to get annotations";

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|cause| Error::Invalid(format!("bad request data: {cause}")))
}

/// `POST /api/annotations`.
async fn create_annotation(writing: Writing, payload: Payload) -> Result<HttpResponse, Fault> {
    let create = async {
        let body = writing.body(payload).await?;
        let draft = read::<Import>(&body)?.draft(Purpose::Create).map_err(Error::Invalid)?;
        create(&writing, draft, &body).await
    };
    Ok(added("Annotation added", &create.await.map_err(about(SAVE))?))
}

/// `POST /api/annotations/graphite`.
async fn create_event(writing: Writing, payload: Payload) -> Result<HttpResponse, Fault> {
    let create = async {
        let body = writing.body(payload).await?;
        let draft = read::<GraphiteImport>(&body)?.draft().map_err(Error::Invalid)?;
        create(&writing, draft, &body).await
    };
    let written = create.await.map_err(about("Failed to save Graphite annotation"))?;
    Ok(added("Graphite annotation added", &written))
}

async fn create(writing: &Writing, draft: Draft, body: &[u8]) -> Result<Written, Error> {
    let annotation = draft.complete(Uuid::new_v4(), writing.now())?;
    Ok(writing.submit(Change::Create(vec![annotation]), body).await??)
}

fn added(message: &str, written: &Written) -> HttpResponse {
    let id = written.stored.first().map_or(0, |stored| stored.seq);
    super::annotations::marked(json(&json!({ "message": message, "id": id })), written)
}

/// `PUT /api/annotations/{id}`: text, tags and dates anew.
async fn update_annotation(
    writing: Writing,
    reading: Reading,
    seq: web::Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Fault> {
    change(&writing, &reading, &seq, payload, Purpose::Update).await.map_err(about(UPDATE))?;
    Ok(json(&json!({ "message": "Annotation updated" })))
}

/// `PATCH /api/annotations/{id}`: what the body names.
async fn patch_annotation(
    writing: Writing,
    reading: Reading,
    seq: web::Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Fault> {
    change(&writing, &reading, &seq, payload, Purpose::Patch).await.map_err(about(UPDATE))?;
    Ok(json(&json!({ "message": "Annotation patched" })))
}

async fn change(
    writing: &Writing,
    reading: &Reading,
    seq: &str,
    payload: Payload,
    purpose: Purpose,
) -> Result<Written, Error> {
    let body = writing.body(payload).await?;
    let draft = read::<Import>(&body)?.draft(purpose).map_err(Error::Invalid)?;
    let stored = find(reading, seq).await?;
    writing.permit(stored.annotation.id, "edit")?;
    Ok(writing.submit(Change::Patch(stored.annotation.id, draft), &body).await??)
}

/// `DELETE /api/annotations/{id}`.
async fn delete_annotation(
    writing: Writing,
    reading: Reading,
    seq: web::Path<String>,
) -> Result<HttpResponse, Fault> {
    let delete = async {
        let stored = find(&reading, &seq).await?;
        writing.permit(stored.annotation.id, "delete")?;
        writing.submit(Change::Delete(stored.annotation.id), b"").await?.map_err(Error::from)
    };
    delete.await.map_err(about(DELETE))?;
    Ok(json(&json!({ "message": "Annotation deleted" })))
}

/// `GET /api/annotations/{id}`.
async fn find_annotation(reading: Reading, seq: web::Path<String>) -> Result<HttpResponse, Fault> {
    Ok(json(&grafana_object(&find(&reading, &seq).await.map_err(about(FIND))?)))
}

/// The annotation of a number, as far as the caller may see it.
async fn find(reading: &Reading, seq: &str) -> Result<Stored, Error> {
    let seq: i64 = seq.parse().map_err(|_cause| Error::Invalid("annotationId is invalid".into()))?;
    let found = reading.read(move |conn| store::find_numbered(conn, seq)).await?;
    found.filter(|stored| reading.visible.has(stored.annotation.id)).ok_or(Error::NotFound)
}

/// `GET /api/annotations?from=&to=&tags=&limit=&matchAny=`: newest first. Other parameters say nothing here.
async fn list_annotations(req: HttpRequest, reading: Reading) -> Result<HttpResponse, Fault> {
    let list = async {
        let pairs = pairs(req.query_string());
        let value = |wanted: &str| {
            let found = pairs.iter().find(|(name, value)| name == wanted && !value.is_empty());
            found.map(|(_, value)| value.as_str())
        };
        let millis = |name: &str| match value(name) {
            None => Ok(None),
            Some(text) => text
                .parse()
                .ok()
                .map(Some)
                .ok_or_else(|| Error::Invalid(format!("{name}: expected milliseconds since 1970"))),
        };
        let limit = value("limit").map_or(Some(LIMIT), |text| text.parse().ok());
        let limit = limit.ok_or_else(|| Error::Invalid("limit: expected a number".into()))?;
        let tags = pairs.iter().filter(|(name, _)| name == "tags").map(|(_, tag)| tag.clone()).collect();
        let search = Search {
            window: Window::of_millis(millis("from")?, millis("to")?),
            tags,
            matches_any_tag: value("matchAny") == Some("true"),
            order: Order::Newest,
            ..Search::default()
        };
        let most = if limit == 0 { LIMIT } else { limit.min(reading.config.max_page) };
        reading.some(search, most).await
    };
    let (found, _) = list.await.map_err(about(LIST))?;
    Ok(json(&found.iter().map(grafana_object).collect::<Vec<_>>()))
}

/// `GET /events/get_data?tags=&from=&until=`: Graphite's events, newest first; without times of the last day.
async fn list_events(req: HttpRequest, reading: Reading) -> Result<HttpResponse, Error> {
    let pairs = pairs(req.query_string());
    let now = reading.now();
    let time = |wanted: &str, otherwise| match pairs.iter().find(|(name, _)| name == wanted) {
        Some((_, text)) if !text.is_empty() => {
            graphite_time(text, now).ok_or_else(|| Error::Invalid(format!("{wanted}: {text} is no time")))
        }
        _ => Ok(otherwise),
    };
    let tags = pairs.iter().filter(|(name, _)| name == "tags");
    let search = Search {
        window: Window::between(
            time("from", Stamp::utc(now - Duration::hours(24)))?,
            time("until", Stamp::utc(now))?,
        ),
        tags: tags.flat_map(|(_, tags)| tags.split_whitespace().map(str::to_owned)).collect(),
        order: Order::Newest,
        ..Search::default()
    };
    let (found, _) = reading.some(search, reading.config.max_page).await?;
    Ok(json(&found.iter().map(graphite_object).collect::<Vec<_>>()))
}
