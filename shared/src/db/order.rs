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
//! SQLite has one writer: its ids are in the order of commits.

use super::{DbConn, DbError};
use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query};

/// The condition on PostgreSQL that no row can appear before this one any more.
pub const SETTLED: &str =
    "xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint + (SELECT xids FROM xid_lead)";

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
    let number = |conn: &mut PgConnection, text: &str| -> QueryResult<i64> {
        Ok(sql_query(text).get_result::<Number>(conn)?.number)
    };
    Ok(conn.transaction(|conn| {
        let lead = number(conn, "SELECT xids AS number FROM xid_lead FOR UPDATE")?;
        let newest = number(conn, &format!("SELECT coalesce(max(xid), 0) AS number FROM {table}"))?;
        // Of a later snapshot than the newest row's: on one and the same server it is above it.
        let next = number(conn, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS number")?;
        if newest < next + lead {
            return Ok(());
        }
        let lead = newest - next + 1;
        log::warn!("the database comes from another server: {table} goes on {lead} transactions ahead");
        let default = format!("(pg_current_xact_id()::text::bigint + {lead})");
        sql_query(format!("ALTER TABLE {table} ALTER COLUMN xid SET DEFAULT {default}")).execute(conn)?;
        sql_query(format!("UPDATE xid_lead SET xids = {lead}")).execute(conn)?;
        Ok::<_, diesel::result::Error>(())
    })?)
}
