//! The feed: events in the order of their commits, for services that must see every event exactly once.
//!
//! On PostgreSQL a row with a small id may become visible after one with a greater id, because ids are given before
//! commits. A reader that remembers the greatest id would lose it for good. So the feed is ordered by the writing
//! transaction, and shows only rows of transactions older than the oldest one still running: nothing can appear
//! below that line any more.
//!
//! A server that a dump is read into counts its transactions from the start, far below those of the rows. The feed
//! then goes on with numbers that are ahead of the server's ([`continue_feed`]).

use super::StoreError;
use super::read::load;
use crate::model::Cursor;
use crate::schema::events;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query};
use shared::db::{DbConn, DbError, Sql};

/// A piece of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// v1 members of the events, each with its place.
    pub events: Vec<(Cursor, String)>,
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
}

/// Events committed after `after`, at most `limit`, oldest commit first.
///
/// # Errors
/// When the database fails.
pub fn list_feed(conn: &mut DbConn, after: Cursor, limit: usize) -> Result<Feed, StoreError> {
    let mut sql = Sql::new("SELECT xid, id, v1 AS members FROM events WHERE ");
    match conn {
        // xid is 0 in every row here: the primary key gives the order.
        DbConn::Sqlite(_) => sql.push("id > ").bind(after.id).push(" ORDER BY id"),
        DbConn::Postgres(_) => sql
            .push("(xid, id) > (")
            .bind(after.xid)
            .push(", ")
            .bind(after.id)
            .push(") AND xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint + (SELECT xids FROM feed_lead)")
            .push(" ORDER BY xid, id"),
    };
    sql.push(&format!(" LIMIT {limit}"));
    let rows: Vec<Row> = load(conn, sql)?;
    let place = |row: Row| (Cursor { xid: row.xid, id: row.id }, row.members);
    Ok(Feed { events: rows.into_iter().map(place).collect() })
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// Lets new events come after all stored ones in the feed, whatever server their transactions ran on. To be called
/// before the first event is stored; replicas that start together wait for each other.
///
/// # Errors
/// When the database fails.
pub fn continue_feed(conn: &mut DbConn) -> Result<(), DbError> {
    let DbConn::Postgres(conn) = conn else { return Ok(()) };
    let number = |conn: &mut PgConnection, text: &str| -> QueryResult<i64> {
        Ok(sql_query(text).get_result::<Number>(conn)?.number)
    };
    Ok(conn.transaction(|conn| {
        let lead = number(conn, "SELECT xids AS number FROM feed_lead FOR UPDATE")?;
        let newest = number(conn, "SELECT coalesce(max(xid), 0) AS number FROM events")?;
        // Of a later snapshot than the newest row's: on one and the same server it is above it.
        let next = number(conn, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS number")?;
        if newest < next + lead {
            return Ok(());
        }
        let lead = newest - next + 1;
        log::warn!("the database comes from another server: the feed goes on {lead} transactions ahead");
        let default = format!("(pg_current_xact_id()::text::bigint + {lead})");
        sql_query(format!("ALTER TABLE events ALTER COLUMN xid SET DEFAULT {default}")).execute(conn)?;
        sql_query(format!("UPDATE feed_lead SET xids = {lead}")).execute(conn)?;
        Ok::<_, diesel::result::Error>(())
    })?)
}

/// The place of the last event committed by now: everything stored before this call is at it or before it.
///
/// # Errors
/// When the database fails.
pub fn feed_end(conn: &mut DbConn) -> Result<Cursor, StoreError> {
    let mut sql = Sql::new("SELECT xid, id, '' AS members FROM events ORDER BY ");
    match conn {
        DbConn::Sqlite(_) => sql.push("id DESC LIMIT 1"),
        DbConn::Postgres(_) => sql.push("xid DESC, id DESC LIMIT 1"),
    };
    let rows: Vec<Row> = load(conn, sql)?;
    Ok(rows.first().map_or_else(Cursor::default, |row| Cursor { xid: row.xid, id: row.id }))
}
