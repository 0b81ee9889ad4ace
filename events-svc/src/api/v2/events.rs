//! `GET /v2/events` and `GET /v2/events/{message_id}`.

use super::accept::Representation;
use super::access::Caller;
use super::answer::{self, Items, PIECE};
use super::error::Fault;
use super::filter;
use super::query::Arguments;
use super::received::Received;
use crate::api::pieces;
use crate::config::Config;
use crate::model::{EventFilter, Seen, Visibility};
use crate::store::{self, StoreError};
use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use shared::db::{Db, DbConn, Piece};

/// `GET /v2/events`: the events that meet all filters, oldest first unless `sort` says otherwise.
pub(super) async fn list_events(
    to: Representation,
    caller: Caller,
    received: Received,
    config: Data<Config>,
    db: Data<Db>,
) -> Result<HttpResponse, Fault> {
    let (visibility, filter) = filter::read(&caller, Arguments::read(&received)?, &config)?;
    answer::list(&db, to, Rest { visibility, filter, most: PIECE }, push_events).await
}

/// What is left of a page.
struct Rest {
    visibility: Visibility,
    filter: EventFilter,
    /// Most events of the next piece.
    most: usize,
}

/// Adds the next events of a page; what is left of the limit goes on after the last one.
fn push_events(
    conn: &mut DbConn,
    Rest { visibility, mut filter, most }: Rest,
    items: &mut Items,
) -> Result<Option<Rest>, StoreError> {
    let wanted = filter.limit;
    filter.limit = wanted.min(most);
    let Piece { rows: events, is_cut } = store::list_events(conn, &visibility, &filter)?;
    for event in &events {
        items.push_event(event)?;
    }
    let is_full = is_cut || events.len() == filter.limit;
    let most = PIECE.min(pieces::next(most, events.len(), is_cut));
    filter.limit = wanted - events.len();
    filter.after = events.last().map(Seen::from);
    Ok((is_full && filter.limit > 0).then_some(Rest { visibility, filter, most }))
}

/// `GET /v2/events/{message_id}`: one event; 404 when it is not there or not for the caller's eyes.
pub(super) async fn find_event(
    to: Representation,
    caller: Caller,
    path: Path<String>,
    received: Received,
    db: Data<Db>,
) -> Result<HttpResponse, Fault> {
    let id = path.into_inner();
    received.refuse_arguments()?;
    let missing = Fault::EventNotFound(id.clone());
    if id.contains('\0') {
        return Err(missing);
    }
    let found = db.read(move |conn| store::find_event(conn, &caller.visibility(), &id)).await?;
    answer::single(to, &found.ok_or(missing)?)
}
