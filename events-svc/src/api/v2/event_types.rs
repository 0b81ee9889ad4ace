//! `/v2/event_types` and below: what there is to filter by. For admins, over all projects.

use super::accept::Representation;
use super::access::Admin;
use super::answer::{self, Items, PIECE};
use super::error::Fault;
use super::received::Received;
use crate::model::TraitDescription;
use crate::store::{self, StoreError};
use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use shared::db::{Db, DbConn};

/// `GET /v2/event_types`: names of the types that stored events have, sorted.
pub(super) async fn list_event_types(
    to: Representation,
    _: Admin,
    received: Received,
    db: Data<Db>,
) -> Result<HttpResponse, Fault> {
    received.refuse_arguments()?;
    let turn = |conn: &mut DbConn, (), items: &mut Items| {
        for name in store::list_event_types(conn)? {
            items.push_text(&name);
        }
        Ok(None)
    };
    answer::list(&db, to, (), turn).await
}

/// `GET /v2/event_types/{event_type}`: never held anything, always 404.
pub(super) async fn find_event_type(
    _: Representation,
    _: Admin,
    received: Received,
) -> Result<HttpResponse, Fault> {
    received.refuse_arguments()?;
    Err(Fault::NothingHere)
}

/// `GET /v2/event_types/{event_type}/traits`: name and type of each trait; an unknown type has none.
pub(super) async fn list_traits(
    to: Representation,
    _: Admin,
    path: Path<String>,
    received: Received,
    db: Data<Db>,
) -> Result<HttpResponse, Fault> {
    let event_type = path.into_inner();
    received.refuse_arguments()?;
    let turn = |conn: &mut DbConn, event_type: String, items: &mut Items| {
        for description in descriptions(conn, &event_type)? {
            items.push_description(&description);
        }
        Ok(None)
    };
    answer::list(&db, to, event_type, turn).await
}

/// `GET /v2/event_types/{event_type}/traits/{name}`: every value of a trait over all events of the type.
pub(super) async fn list_trait_values(
    to: Representation,
    _: Admin,
    path: Path<(String, String)>,
    received: Received,
    db: Data<Db>,
) -> Result<HttpResponse, Fault> {
    let (event_type, name) = path.into_inner();
    received.refuse_arguments()?;
    answer::list(&db, to, Values { event_type, name, place: None }, push_values).await
}

/// Where a list of values goes on.
struct Values {
    event_type: String,
    name: String,
    /// The types of the trait that are left, and the event after which the first of them goes on.
    place: Option<(Vec<TraitDescription>, i64)>,
}

fn push_values(
    conn: &mut DbConn,
    mut values: Values,
    items: &mut Items,
) -> Result<Option<Values>, StoreError> {
    let (mut left, after) = match values.place.take() {
        Some(place) => place,
        None => {
            let mut named = descriptions(conn, &values.event_type)?;
            named.retain(|description| description.name == values.name);
            (named, 0)
        }
    };
    let Some(description) = left.first() else { return Ok(None) };
    let (texts, next) = store::list_trait_values(conn, &values.event_type, description, after, PIECE)?;
    for text in texts {
        items.push_trait(description, &text);
    }
    if next.is_none() {
        left.remove(0);
    }
    values.place = Some((left, next.unwrap_or(0)));
    Ok(Some(values))
}

/// The database cannot be asked for a NUL character; no type has one.
fn descriptions(conn: &mut DbConn, event_type: &str) -> Result<Vec<TraitDescription>, StoreError> {
    if event_type.contains('\0') {
        return Ok(Vec::new());
    }
    store::list_trait_descriptions(conn, event_type)
}
