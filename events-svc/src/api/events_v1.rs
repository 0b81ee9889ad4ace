//! `/v1/events`: lists, counts and single events in StackTach's form (streams-events-v1.md, sections 1, 2 and 6).

use super::pieces;
use super::query_v1::filter;
use crate::config::Config;
use crate::error::Error;
use crate::model::FlatFilter;
use crate::store::{self, StoreError};
use crate::wire::v1::push_marked;
use actix_web::http::{Method, header};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource};
use shared::db::{Db, DbConn, Direction, Piece};
use shared::stacktach::Query;

/// `/v1/events` and below, with and without a trailing slash.
pub(crate) fn routes(cfg: &mut ServiceConfig) {
    for path in ["/v1/events", "/v1/events/"] {
        cfg.service(readable(web::resource(path)).get(list_events).route(web::head().to(list_events)));
    }
    for path in ["/v1/events/{message_id}", "/v1/events/{message_id}/"] {
        cfg.service(readable(web::resource(path)).get(find_event).route(web::head().to(find_event)));
    }
}

/// A resource that can only be read: HEAD is answered like GET, OPTIONS tells so, anything else is 405.
fn readable(resource: Resource) -> Resource {
    const ALLOW: (header::HeaderName, &str) = (header::ALLOW, "GET, HEAD, OPTIONS");
    resource
        .route(
            web::method(Method::OPTIONS).to(async || HttpResponse::NoContent().insert_header(ALLOW).finish()),
        )
        .default_service(web::to(async || HttpResponse::MethodNotAllowed().insert_header(ALLOW).finish()))
}

/// The content type of a v1 JSON answer.
const JSON: &str = "application/json; charset=utf-8";

/// A v1 JSON answer.
pub(crate) fn json(body: String) -> HttpResponse {
    HttpResponse::Ok().content_type(JSON).body(body)
}

/// `GET /v1/events`: the events that meet all filters, newest in storage first unless the mark says otherwise.
async fn list_events(req: HttpRequest, db: Data<Db>, config: Data<Config>) -> Result<HttpResponse, Error> {
    let query = Query::parse(req.query_string());
    let filter = filter(&query, query.limit(config.max_page).map_err(Error::Invalid)?)?;
    let most = filter.limit;
    Ok(pieces::answer(&db, JSON, Rest { filter, is_first: true, most }, push_events).await?)
}

/// What is left of a list.
struct Rest {
    filter: FlatFilter,
    is_first: bool,
    /// Most events of the next piece.
    most: usize,
}

/// Adds the next events of a list; what is left of the limit goes on after the last one.
fn push_events(
    conn: &mut DbConn,
    Rest { mut filter, is_first, most }: Rest,
    body: &mut String,
) -> Result<Option<Rest>, StoreError> {
    let is_ascending = filter.direction == Direction::Ascending;
    let wanted = filter.limit;
    filter.limit = wanted.min(most);
    let Piece { rows: events, is_cut } = store::list_flat_events(conn, &filter)?;
    let is_full = is_cut || events.len() == filter.limit;
    body.push_str(if is_first { "[" } else { "" });
    for (place, event) in events.iter().enumerate() {
        if place > 0 || !is_first {
            body.push(',');
        }
        push_marked(body, event.id, is_ascending, &event.members);
    }
    filter.limit = wanted - events.len();
    filter.mark = events.last().map(|event| event.id);
    if is_full && filter.limit > 0 {
        let most = pieces::next(most, events.len(), is_cut);
        return Ok(Some(Rest { filter, is_first: false, most }));
    }
    body.push(']');
    Ok(None)
}

/// `GET /v1/events/count` in any letter case: how many events meet the filters; `limit` does not matter.
async fn count_events(req: HttpRequest, db: Data<Db>) -> Result<HttpResponse, Error> {
    let filter = filter(&Query::parse(req.query_string()), 0)?;
    let count = db.read(move |conn| store::count_flat_events(conn, &filter)).await?;
    Ok(json(format!("[{{\"count\":{count}}}]")))
}

/// `GET /v1/events/{message_id}`: a list of one; the exact id first, then in lower case as the original looks it up.
async fn find_event(req: HttpRequest, path: web::Path<String>, db: Data<Db>) -> Result<HttpResponse, Error> {
    let id = path.into_inner();
    if id.eq_ignore_ascii_case("count") {
        return count_events(req, db).await;
    }
    let event = db.read(move |conn| {
        let ids = [id.clone(), id.to_lowercase()];
        for id in ids.iter().filter(|id| !id.contains('\0')) {
            if let Some(event) = store::find_flat_event(conn, id)? {
                return Ok(event);
            }
        }
        Err(Error::NotFound(format!("event {id}")))
    });
    Ok(json(format!("[{{{}}}]", event.await?.members)))
}
