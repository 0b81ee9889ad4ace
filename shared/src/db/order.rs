//! Rows in the order of their commits, for readers that must see every row exactly once.
//!
//! On PostgreSQL a row with a small id may become visible after one with a greater id, because ids are given before
//! commits. A reader that remembers the greatest id would lose it for good. So such a table has a column `xid` with
//! the writing transaction, is read in the order of `xid` and id, and shows only rows of transactions older than the
//! oldest one still running ([`SETTLED`]): nothing can appear below that line any more.
//!
//! A server that a dump is read into counts its transactions from the start, far below those of the rows. The order
//! then goes on with numbers that are ahead of the server's, by what the table `xid_lead` says ([`continue_order`]).
//!
//! A service that writes such a number itself, or compares with it, uses [`WRITING`] and [`OPEN`], and calls
//! [`continue_numbers`].
//!
//! SQLite has one writer: its ids are in the order of commits.

use super::{DbConn, DbError};
use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query};

/// The condition on PostgreSQL that no row can appear before this one any more.
pub const SETTLED: &str =
    "xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint + (SELECT xids FROM xid_lead)";

/// The number of the transaction that asks, on PostgreSQL.
pub const WRITING: &str = "(pg_current_xact_id()::text::bigint + (SELECT xids FROM xid_lead))";

/// The first number that a row may still appear with, on PostgreSQL.
pub const OPEN: &str =
    "(pg_snapshot_xmin(pg_current_snapshot())::text::bigint + (SELECT xids FROM xid_lead))";

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// Lets new rows of a table come after all stored ones, whatever server their transactions ran on. To be called
/// before the first row is stored; replicas that start together wait for each other.
///
/// # Errors
/// When the database fails.
pub fn continue_order(conn: &mut DbConn, table: &str) -> Result<(), DbError> {
    let DbConn::Postgres(conn) = conn else { return Ok(()) };
    Ok(conn.transaction(|conn| {
        if let Some(lead) = raise_lead(conn, &format!("SELECT max(xid) FROM {table}"))? {
            let default = format!("(pg_current_xact_id()::text::bigint + {lead})");
            sql_query(format!("ALTER TABLE {table} ALTER COLUMN xid SET DEFAULT {default}")).execute(conn)?;
        }
        Ok::<_, diesel::result::Error>(())
    })?)
}

/// The same for numbers that the service writes itself ([`WRITING`]); `newest` is the query for the greatest one stored.
///
/// # Errors
/// When the database fails.
pub fn continue_numbers(conn: &mut DbConn, newest: &str) -> Result<(), DbError> {
    let DbConn::Postgres(conn) = conn else { return Ok(()) };
    Ok(conn.transaction(|conn| raise_lead(conn, newest).map(|_lead| ()))?)
}

/// Raises the lead when the newest number is ahead of the server's; answers it then.
fn raise_lead(conn: &mut PgConnection, newest: &str) -> QueryResult<Option<i64>> {
    let mut number =
        |text: &str| -> QueryResult<i64> { Ok(sql_query(text).get_result::<Number>(conn)?.number) };
    let lead = number("SELECT xids AS number FROM xid_lead FOR UPDATE")?;
    let newest = number(&format!("SELECT coalesce(({newest}), 0) AS number"))?;
    // Of a later snapshot than the newest row's: on one and the same server it is above it.
    let next = number("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS number")?;
    if newest < next + lead {
        return Ok(None);
    }
    let lead = newest - next + 1;
    log::warn!("the database comes from another server: its order goes on {lead} transactions ahead");
    sql_query(format!("UPDATE xid_lead SET xids = {lead}")).execute(conn)?;
    Ok(Some(lead))
}
