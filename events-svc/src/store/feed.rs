//! The feed: events in the order of their commits, for services that must see every event exactly once.
//!
//! On PostgreSQL the order is that of [`shared::db::continue_order`], on SQLite that of the ids.

use super::StoreError;
use crate::schema::events;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel::{QueryableByName, RunQueryDsl};
use shared::db::{DbConn, DbError, Place, Sql, continue_order, load_piece};

/// Rows that are asked for first: a database sends what is not read all the same, so that large ones are not asked for by
/// the thousand.
const FIRST_ROWS: usize = 128;

/// An event of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEvent {
    /// Its place.
    pub cursor: Place,
    /// Its v1 members.
    pub members: String,
    /// Whether another service has made it.
    pub is_emitted: bool,
}

/// The greatest id given to a stored event, 0 for an empty store: how far a reader of the feed can be behind.
///
/// # Errors
/// When the database fails.
pub fn find_newest_id(conn: &mut DbConn) -> Result<i64, StoreError> {
    use diesel::QueryDsl;
    use diesel::dsl::max;
    let newest: Option<i64> = events::table.select(max(events::id)).first(conn)?;
    Ok(newest.unwrap_or(0))
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    xid: i64,
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    members: String,
    #[diesel(sql_type = Bool)]
    is_emitted: bool,
}

/// Events committed after `after`, at most `limit` and not many more bytes than `bytes`, oldest commit first.
///
/// # Errors
/// When the database fails.
pub fn list_feed(
    conn: &mut DbConn,
    after: Place,
    limit: usize,
    bytes: usize,
) -> Result<Vec<FeedEvent>, StoreError> {
    let (mut events, mut left, mut rows, mut after) = (Vec::<FeedEvent>::new(), bytes, FIRST_ROWS, after);
    loop {
        let asked = rows.min(limit.saturating_sub(events.len()));
        let piece = load_piece(conn, feed_after(conn, after, asked), left, |row: &Row| row.members.len())?;
        let is_end = piece.is_cut || piece.rows.len() < asked;
        left = left.saturating_sub(piece.rows.iter().map(|row| row.members.len()).sum());
        events.extend(piece.rows.into_iter().map(FeedEvent::from));
        if is_end || events.len() >= limit {
            return Ok(events);
        }
        after = events.last().map_or(after, |event| event.cursor);
        rows = rows.saturating_mul(4);
    }
}

fn feed_after(conn: &DbConn, after: Place, limit: usize) -> Sql {
    let mut sql = Sql::new("SELECT xid, id, v1 AS members, is_emitted FROM events WHERE ");
    sql.append(after.onward(conn)).push(&format!(" LIMIT {limit}"));
    sql
}

impl From<Row> for FeedEvent {
    fn from(Row { xid, id, members, is_emitted }: Row) -> Self {
        Self { cursor: Place { xid, id }, members, is_emitted }
    }
}

/// Lets new events come after all stored ones in the feed, whatever server their transactions ran on. To be called
/// before the first event is stored.
///
/// # Errors
/// When the database fails.
pub fn continue_feed(conn: &mut DbConn) -> Result<(), DbError> {
    continue_order(conn, "events")
}

/// The place of the last event committed by now: everything stored before this call is at it or before it.
///
/// # Errors
/// When the database fails.
pub fn feed_end(conn: &mut DbConn) -> Result<Place, StoreError> {
    let mut sql = Sql::new("SELECT xid, id, '' AS members, is_emitted FROM events ORDER BY ");
    match conn {
        DbConn::Sqlite(_) => sql.push("id DESC LIMIT 1"),
        DbConn::Postgres(_) => sql.push("xid DESC, id DESC LIMIT 1"),
    };
    let rows: Vec<Row> = sql.rows(conn)?;
    Ok(rows.first().map_or_else(Place::default, |row| Place { xid: row.xid, id: row.id }))
}
