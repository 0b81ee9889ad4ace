//! Rows in the order of their commits, for readers that must see every row exactly once.
//!
//! On PostgreSQL a row with a small id may become visible after one with a greater id, because ids are given before
//! commits. A reader that remembers the greatest id would lose it for good. So such a table has a column `xid` with
//! the writing transaction, is read in the order of `xid` and id, and shows only rows of transactions older than the
//! oldest one still running ([`OPEN`]): nothing can appear below that line any more.
//!
//! A server that a dump is read into counts its transactions from the start, far below those of the rows. The order
//! then goes on with numbers that are ahead of the server's, by what the table `xid_lead` says ([`continue_order`]).
//!
//! A service that writes such a number itself, or compares with it, uses [`WRITING`] and [`OPEN`], and calls
//! [`continue_numbers`].
//!
//! SQLite has one writer: its ids are in the order of commits.

use super::{DbConn, DbError, Sql};
use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query};
use std::fmt;
use std::str::FromStr;

/// The number of the transaction that asks, on PostgreSQL.
pub const WRITING: &str = "(pg_current_xact_id()::text::bigint + (SELECT xids FROM xid_lead))";

/// The first number that a row may still appear with, on PostgreSQL.
pub const OPEN: &str =
    "(pg_snapshot_xmin(pg_current_snapshot())::text::bigint + (SELECT xids FROM xid_lead))";

/// A place in this order: everything committed before it comes before it. As text `<xid>-<id>`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Transaction that wrote the row; 0 for every row on SQLite.
    pub xid: i64,
    /// Id of the row.
    pub id: i64,
}

impl Place {
    /// The condition for the rows after this place that nothing can come before any more, and their order.
    #[must_use]
    pub fn onward(self, conn: &DbConn) -> Sql {
        let mut sql = Sql::default();
        match conn {
            // The primary key gives the order.
            DbConn::Sqlite(_) => sql.push("id > ").bind(self.id).push(" ORDER BY id"),
            DbConn::Postgres(_) => sql
                .push("(xid, id) > (")
                .bind(self.xid)
                .push(", ")
                .bind(self.id)
                .push(&format!(") AND xid < {OPEN} ORDER BY xid, id")),
        };
        sql
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.xid, self.id)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('-').and_then(|(xid, id)| Some((xid.parse().ok()?, id.parse().ok()?)));
        let (xid, id) = parts.ok_or_else(|| format!("not a cursor: {text}"))?;
        Ok(Self { xid, id })
    }
}

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
