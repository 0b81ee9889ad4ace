//! The v2 list: pages in a total order over one index, without ever reading what lies before the page.
//!
//! A list is driven in one of two ways. *Gather*: a condition that few events meet gives their ids from the trait
//! index, which are then put in order here. *Scan*: an index that already has the order of the list is read from
//! the page's start; what it does not cover is checked row by row on the stored text, which costs less than asking
//! the trait index for every row.
//!
//! The indexes know time, not message ids. Events of one instant are put in order here, so that no database has to
//! sort whole rows (`events-svc/benches/README.md`).

use super::key::key;
use super::page::{Page, Place, load_places};
use super::read::{STORED, StoredEvent, load_stored};
use super::{StoreError, interval::Interval};
use crate::model::{EventFilter, Operator, Order, PIECE_BYTES, Seen, TraitFilter, Visibility};
use shared::datetime::to_micros;
use shared::db::{DbConn, Piece, Sql};

/// Most events that are gathered from the trait index instead of scanned for.
const GATHER: usize = 1000;

/// Events that meet every condition, in order, at most `filter.limit`, and not many more bytes than `filter.bytes`.
///
/// # Errors
/// [`StoreError::MarkerNotFound`] when the marker is no event; it need not be visible to the caller.
pub fn list_events(
    conn: &mut DbConn,
    visibility: &Visibility,
    filter: &EventFilter,
) -> Result<Piece<StoredEvent>, StoreError> {
    let marked = filter.marker.as_deref().filter(|_| filter.after.is_none());
    let marked = marked.map(|id| find_marker(conn, id)).transpose()?;
    let after = marked.or_else(|| filter.after.clone());
    let mut page = Page::new(visibility, filter, after);
    if let Some(id) = &filter.message_id {
        page.one(conn, id)?;
    } else if let Some(places) = gather(conn, filter)? {
        page.gathered(conn, places)?;
    } else {
        page.scanned(conn)?;
    }
    Ok(page.into_piece())
}

/// One event, if the caller may see it.
///
/// # Errors
/// When the database fails.
pub fn find_event(
    conn: &mut DbConn,
    visibility: &Visibility,
    message_id: &str,
) -> Result<Option<StoredEvent>, StoreError> {
    let filter = EventFilter { message_id: Some(message_id.to_owned()), limit: 1, ..EventFilter::default() };
    Ok(list_events(conn, visibility, &filter)?.rows.pop())
}

/// One event by its row's id: the cheapest read there is, the measure of the others in the benchmarks.
///
/// # Errors
/// When the database fails.
pub fn find_by_id(conn: &mut DbConn, id: i64) -> Result<Option<StoredEvent>, StoreError> {
    let mut sql = Sql::new(STORED);
    sql.push("events e WHERE e.id = ").bind(id);
    Ok(load_stored(conn, sql, PIECE_BYTES)?.rows.pop())
}

fn find_marker(conn: &mut DbConn, id: &str) -> Result<Seen, StoreError> {
    let mut sql = Sql::new("SELECT id, generated FROM events WHERE message_id = ");
    sql.bind(key(id));
    let place = load_places(conn, sql)?.pop().ok_or_else(|| StoreError::MarkerNotFound(id.to_owned()))?;
    Ok(Seen { generated: place.generated, message_id: key(id) })
}

/// The events of the interval that fewest are in, if any holds few enough; conditions on one trait are one interval.
///
/// A single `eq` condition is not gathered: the trait index already has its events in order of time.
fn gather(conn: &mut DbConn, filter: &EventFilter) -> Result<Option<Vec<Place>>, StoreError> {
    if let ([TraitFilter { operator: Operator::Eq, .. }], Order::Generated(..)) =
        (filter.traits.as_slice(), filter.order)
    {
        return Ok(None);
    }
    let mut best: Option<Vec<Place>> = None;
    for interval in Interval::of_all(&filter.traits) {
        let most = best.as_ref().map_or(GATHER, Vec::len);
        let part = |columns: &str, end: String| {
            let mut sql = Sql::new(&format!("SELECT {columns} FROM trait_index WHERE "));
            interval.clone().push_to(&mut sql);
            push_time_bounds(&mut sql, "generated", filter);
            sql.push(&end);
            sql
        };
        // Stepping over rows is far cheaper than answering with them.
        let beyond = part("event_id, generated", format!(" LIMIT 1 OFFSET {most}"));
        if load_places(conn, beyond)?.is_empty() {
            best = Some(load_places(conn, part("event_id, generated", String::new()))?);
        }
    }
    Ok(best)
}

pub(super) fn push_time_bounds(sql: &mut Sql, column: &str, filter: &EventFilter) {
    if let Some(start) = filter.start {
        sql.push(&format!(" AND {column} >= ")).bind(to_micros(start));
    }
    if let Some(end) = filter.end {
        sql.push(&format!(" AND {column} <= ")).bind(to_micros(end));
    }
}
