//! Changes in the order of their commits, whatever replica made them.
//!
//! Every version of an annotation is a row with the number of its transaction: the present one in `annotations`, the
//! others and deletions in `annotation_history`. On PostgreSQL numbers are given when a transaction begins to write,
//! so only those below the oldest running one are shown: what is shown never gets a neighbour in front of it. They go on
//! after a dump as [`shared::db::continue_numbers`] says.

use super::DbError;
use super::find::Versioned;
use super::history::{Archived, HISTORY, HistoryRow};
use super::row::COLUMNS;
use shared::db::{DbConn, OPEN, Sql, continue_numbers};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// A place in the order of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    change: i64,
    id: Uuid,
    version: i64,
}

impl Cursor {
    /// The place of a version.
    #[must_use]
    pub fn of(changed: &Archived) -> Self {
        let stored = &changed.stored;
        Self { change: changed.change, id: stored.annotation.id, version: stored.version }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.change, self.id.simple(), self.version)
    }
}

impl FromStr for Cursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (change, rest) = text.split_once('.')?;
            let (id, version) = rest.split_once('.')?;
            Some(Self { change: change.parse().ok()?, id: id.parse().ok()?, version: version.parse().ok()? })
        };
        read().ok_or_else(|| format!("{text} is not the id of a change"))
    }
}

/// The greatest number of a change.
const NEWEST: &str = "SELECT max(change) FROM (SELECT max(change) AS change FROM annotations UNION ALL \
     SELECT max(change) AS change FROM annotation_history) AS newest";

/// Lets new changes come after all stored ones, whatever server their transactions ran on. To be called before the
/// first write.
///
/// # Errors
/// When the database fails.
pub fn continue_changes(conn: &mut DbConn) -> Result<(), DbError> {
    continue_numbers(conn, NEWEST)
}

/// The place after all changes that can be seen.
///
/// # Errors
/// When the database fails.
pub fn last_change(conn: &mut DbConn) -> Result<Cursor, DbError> {
    // No number beyond the newest change's: another server, where a dump is read into, would give it again.
    let newest = Sql::new(&format!("SELECT coalesce(({NEWEST}), 0) AS number")).number(conn)?;
    Ok(Cursor { change: newest.min(bound(conn)? - 1), id: Uuid::max(), version: i64::MAX })
}

/// Changes after `after`, at most `most`.
///
/// # Errors
/// When the database fails.
pub fn list_changes(conn: &mut DbConn, after: Cursor, most: usize) -> Result<Vec<Archived>, DbError> {
    let bound = bound(conn)?;
    // The present versions first: what is replaced meanwhile is in the history then.
    let select = format!("SELECT {COLUMNS}, {} FROM annotations", Versioned::COLUMNS);
    let present: Vec<Versioned> = part(&select, after, bound, most).rows(conn)?;
    let replaced: Vec<HistoryRow> = part(HISTORY, after, bound, most).rows(conn)?;
    let present = present.into_iter().map(Archived::from);
    let mut changes: Vec<Archived> =
        present.chain(replaced.into_iter().filter_map(HistoryRow::archived)).collect();
    changes.sort_by_key(Cursor::of);
    changes.dedup_by_key(|changed| Cursor::of(changed));
    changes.truncate(most);
    Ok(changes)
}

fn part(select: &str, after: Cursor, bound: i64, most: usize) -> Sql {
    let mut sql = Sql::new(select);
    sql.push(" WHERE (change, id, version) > (").bind(after.change).push(", ");
    sql.bind(after.id.as_bytes().to_vec()).push(", ").bind(after.version);
    sql.push(") AND change < ").bind(bound);
    sql.push(&format!(" ORDER BY change, id, version LIMIT {most}"));
    sql
}

/// All changes below this number can be seen, and no other will be added below it.
fn bound(conn: &mut DbConn) -> Result<i64, DbError> {
    let sql = match conn {
        DbConn::Postgres(_) => Sql::new(&format!("SELECT {OPEN} AS number")),
        DbConn::Sqlite(_) => Sql::new("SELECT last + 1 AS number FROM commits"),
    };
    sql.number(conn)
}
