//! `/v1/streams`: lists, counts, single streams, reset and delete (streams-events-v1.md, sections 1 to 5).

use actix_web::http::Method;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value as Json};
use shared::clock::SharedClock;
use shared::datetime::to_micros;
use shared::db::{Db, DbConn, Direction};
use shared::stacktach::Query;

use super::query::{filter, has_details};
use super::{closed, json, time};
use crate::config::Config;
use crate::error::Error;
use crate::store::{self, Reset, StreamRow};

/// Names the method that a POST stands for.
const OVERRIDE: &str = "x-http-method-override";

/// The word `count` in any letter case; it is no id.
const COUNT: &str = "/v1/streams/{count:[Cc][Oo][Uu][Nn][Tt]}";

/// Most bytes of events in one answer with details.
const MAX_DETAIL_BYTES: i64 = 64 << 20;

/// `/v1/streams`, its count and `/v1/streams/{id}`, with and without a trailing slash.
pub(super) fn routes(cfg: &mut ServiceConfig) {
    for path in ["/v1/streams", "/v1/streams/"] {
        let resource = web::resource(path).get(list_streams).route(web::head().to(list_streams));
        cfg.service(closed(resource, "GET, HEAD, OPTIONS"));
    }
    for path in [COUNT, &format!("{COUNT}/")] {
        let resource = web::resource(path).get(count_streams).route(web::head().to(count_streams));
        cfg.service(closed(resource, "GET, HEAD, OPTIONS"));
    }
    for path in ["/v1/streams/{id}", "/v1/streams/{id}/"] {
        let resource = web::resource(path)
            .get(find_stream)
            .route(web::head().to(find_stream))
            .put(change_stream)
            .delete(change_stream)
            .post(change_stream);
        cfg.service(closed(resource, "GET, HEAD, PUT, DELETE, OPTIONS"));
    }
}

/// `GET /v1/streams`: the streams that meet all filters, newest first unless the mark says otherwise.
async fn list_streams(req: HttpRequest, db: Data<Db>, config: Data<Config>) -> Result<HttpResponse, Error> {
    let query = Query::parse(req.query_string());
    let filter = filter(&query, query.limit(config.max_page).map_err(Error::Invalid)?)?;
    let has_details = has_details(&query);
    let body = db.read(move |conn| {
        let sign = if filter.direction == Direction::Ascending { "+" } else { "" };
        let rows = store::list_streams(conn, &filter)?;
        write_streams(conn, &rows, sign, has_details)
    });
    Ok(json(body.await?))
}

/// `GET /v1/streams/count`: how many streams meet all filters; `limit` does not matter.
async fn count_streams(req: HttpRequest, db: Data<Db>) -> Result<HttpResponse, Error> {
    let filter = filter(&Query::parse(req.query_string()), 0)?;
    let count = db.read(move |conn| store::count_streams(conn, &filter)).await?;
    Ok(json(format!("[{{\"count\":{count}}}]")))
}

/// `GET /v1/streams/{id}`: a list of one, or of none for an unknown id.
async fn find_stream(req: HttpRequest, path: web::Path<String>, db: Data<Db>) -> Result<HttpResponse, Error> {
    let (id, has_details) = (stream_id(&path)?, has_details(&Query::parse(req.query_string())));
    let body = db.read(move |conn| {
        let rows: Vec<_> = store::find_stream(conn, id)?.into_iter().collect();
        write_streams(conn, &rows, "", has_details)
    });
    Ok(json(body.await?))
}

/// `PUT /v1/streams/{id}` resets, `DELETE` deletes; a POST is what its override header names.
async fn change_stream(
    req: HttpRequest,
    path: web::Path<String>,
    db: Data<Db>,
    clock: Data<SharedClock>,
) -> Result<HttpResponse, Error> {
    let at = to_micros(clock.now_naive());
    let named = req.headers().get(OVERRIDE).and_then(|value| value.to_str().ok()).unwrap_or("").trim();
    let method = if *req.method() == Method::POST { named } else { req.method().as_str() };
    if method.eq_ignore_ascii_case("PUT") {
        let id = stream_id(&path)?;
        match db.write(move |conn| store::reset_stream(conn, id, at)).await? {
            Reset::Done => Ok(HttpResponse::Ok().finish()),
            Reset::Unknown => Err(Error::NotFound(id)),
            Reset::Lost => Err(Error::Conflict(id)),
        }
    } else if method.eq_ignore_ascii_case("DELETE") {
        let id = stream_id(&path)?;
        let is_deleted = db.write(move |conn| store::delete_stream(conn, id, at)).await?;
        is_deleted.then(|| HttpResponse::Ok().finish()).ok_or(Error::NotFound(id))
    } else {
        Ok(HttpResponse::MethodNotAllowed()
            .insert_header(("Allow", "GET, HEAD, PUT, DELETE, OPTIONS"))
            .finish())
    }
}

/// An id from the path.
pub(super) fn stream_id(text: &str) -> Result<i64, Error> {
    let is_number = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    // A number beyond all ids is the id of no stream.
    let id = || text.parse().unwrap_or(i64::MAX);
    is_number.then(id).ok_or_else(|| Error::Invalid(format!("the id of a stream is a number, not {text}")))
}

/// A list of streams; `sign` stands before the marks.
fn write_streams(
    conn: &mut DbConn,
    rows: &[StreamRow],
    sign: &str,
    has_details: bool,
) -> Result<String, Error> {
    if has_details {
        check_details(conn, rows)?;
    }
    let mut list = Vec::with_capacity(rows.len());
    for row in rows {
        let mut text = stream_json(row, sign).to_string();
        if has_details {
            let events = store::list_events(conn, row.id)?.join(",");
            // The last member of the object is never missing.
            text.truncate(text.len().saturating_sub(1));
            text.push_str(&format!(",\"events\":[{events}]}}"));
        }
        list.push(text);
    }
    Ok(format!("[{}]", list.join(",")))
}

/// Refuses events that are too many for one answer, before any is read.
fn check_details(conn: &mut DbConn, rows: &[StreamRow]) -> Result<(), Error> {
    let bytes = store::sum_event_bytes(conn, rows.iter().map(|row| row.id).collect())?;
    if bytes <= MAX_DETAIL_BYTES {
        return Ok(());
    }
    Err(Error::Invalid(match rows {
        [one] => {
            format!("the events of stream {} are too many for one answer: ask /v1/events for them", one.id)
        }
        _ => "the events are too many for one answer: use a smaller limit".to_owned(),
    }))
}

/// The object of the API.
fn stream_json(row: &StreamRow, sign: &str) -> Json {
    let distinguishing: Option<Json> = serde_json::from_str(&row.distinguishing).ok();
    let mut object = Map::new();
    let mut set = |name: &str, value: Json| object.insert(name.to_owned(), value);
    set("_mark", format!("{sign}{:x}", row.id).into());
    set("distinguishing_traits", distinguishing.unwrap_or_default());
    set("expire_timestamp", time(row.expire_timestamp));
    set("fire_timestamp", row.fire_timestamp.map(time).into());
    set("first_event", time(row.first_event));
    set("id", row.id.into());
    set("last_event", time(row.last_event));
    set("name", row.trigger_name.as_str().into());
    set("state", row.state().map(crate::engine::State::word).into());
    Json::Object(object)
}
