//! Changes in the order of their commits, whatever replica made them.
//!
//! Every version of an annotation is a row with the number of its transaction: the present one in `annotations`, the
//! others and deletions in `annotation_history`. On PostgreSQL numbers are given when a transaction begins to write,
//! so only those below the oldest running one are shown: what is shown never gets a neighbour in front of it.

use super::DbError;
use super::find::Versioned;
use super::history::{Archived, HISTORY, HistoryRow};
use super::row::{COLUMNS, load, number};
use shared::db::{DbConn, Sql};
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

/// The place after all changes that can be seen.
///
/// # Errors
/// When the database fails.
pub fn last_change(conn: &mut DbConn) -> Result<Cursor, DbError> {
    Ok(Cursor { change: bound(conn)? - 1, id: Uuid::max(), version: i64::MAX })
}

/// Changes after `after`, at most `most`.
///
/// # Errors
/// When the database fails.
pub fn list_changes(conn: &mut DbConn, after: Cursor, most: usize) -> Result<Vec<Archived>, DbError> {
    let bound = bound(conn)?;
    // The present versions first: what is replaced meanwhile is in the history then.
    let select = format!("SELECT {COLUMNS}, {} FROM annotations", Versioned::COLUMNS);
    let present: Vec<Versioned> = load(conn, part(&select, after, bound, most))?;
    let replaced: Vec<HistoryRow> = load(conn, part(HISTORY, after, bound, most))?;
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
        DbConn::Postgres(_) => {
            "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS number"
        }
        DbConn::Sqlite(_) => "SELECT last + 1 AS number FROM commits",
    };
    Ok(number(conn, Sql::new(sql))?.unwrap_or(0))
}
