//! Single annotations.

use super::DbError;
use super::history::Archived;
use super::row::{COLUMNS, Row, load_stored};
use crate::model::Stored;
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use shared::db::{DbConn, Sql};
use uuid::Uuid;

/// The annotation of this id.
///
/// # Errors
/// When the database fails.
pub fn find_annotation(conn: &mut DbConn, id: Uuid) -> Result<Option<Stored>, DbError> {
    let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM annotations WHERE id = "));
    sql.bind(id.as_bytes().to_vec());
    Ok(load_stored(conn, sql)?.into_iter().next())
}

/// The annotation of this number, Grafana's id.
///
/// # Errors
/// When the database fails.
pub fn find_numbered(conn: &mut DbConn, seq: i64) -> Result<Option<Stored>, DbError> {
    let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM annotations WHERE seq = "));
    sql.bind(seq);
    Ok(load_stored(conn, sql)?.into_iter().next())
}

#[derive(QueryableByName)]
pub(super) struct Versioned {
    #[diesel(embed)]
    current: Row,
    #[diesel(sql_type = BigInt)]
    change: i64,
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = BigInt)]
    changed_us: i64,
    #[diesel(sql_type = Text)]
    changed_by: String,
}

impl Versioned {
    pub(super) const COLUMNS: &str = "change, action, changed_us, changed_by";
}

impl From<Versioned> for Archived {
    fn from(row: Versioned) -> Self {
        Self {
            stored: row.current.into(),
            action: row.action,
            at: row.changed_us,
            by: row.changed_by,
            change: row.change,
        }
    }
}

/// The annotation of this id with how its version came about.
pub(super) fn find_version(conn: &mut DbConn, id: Uuid) -> Result<Option<Archived>, DbError> {
    versioned(conn, id, "")
}

/// The same; nobody else changes it until the transaction ends.
pub(super) fn lock_annotation(conn: &mut DbConn, id: Uuid) -> Result<Option<Archived>, DbError> {
    let lock = match conn {
        DbConn::Postgres(_) => " FOR UPDATE",
        DbConn::Sqlite(_) => "",
    };
    versioned(conn, id, lock)
}

fn versioned(conn: &mut DbConn, id: Uuid, lock: &str) -> Result<Option<Archived>, DbError> {
    let mut sql = Sql::new(&format!("SELECT {COLUMNS}, {} FROM annotations WHERE id = ", Versioned::COLUMNS));
    sql.bind(id.as_bytes().to_vec()).push(lock);
    Ok(sql.rows::<Versioned>(conn)?.into_iter().next().map(Archived::from))
}
