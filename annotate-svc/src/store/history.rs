//! Versions that were replaced, and deletions.

use super::DbError;
use crate::model::Stored;
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use shared::db::{DbConn, Sql};
use uuid::Uuid;

/// A version of an annotation with how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// The annotation in this version; of a deletion: as it was.
    pub stored: Stored,
    /// `create`, `update`, `delete`, `restore`.
    pub action: String,
    /// When, in microseconds since 1970.
    pub at: i64,
    /// Who.
    pub by: String,
    /// Number of the transaction.
    pub change: i64,
}

#[derive(QueryableByName)]
pub(super) struct HistoryRow {
    #[diesel(sql_type = BigInt)]
    change: i64,
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = BigInt)]
    changed_us: i64,
    #[diesel(sql_type = Text)]
    changed_by: String,
    #[diesel(sql_type = Text)]
    document: String,
}

/// The columns of a [`HistoryRow`].
pub(super) const HISTORY: &str =
    "SELECT change, action, changed_us, changed_by, document FROM annotation_history";

impl HistoryRow {
    /// `None` only when the stored text was damaged.
    pub(super) fn archived(self) -> Option<Archived> {
        let stored = serde_json::from_str(&self.document);
        let stored = stored.inspect_err(|cause| log::error!("a version cannot be read: {cause}")).ok()?;
        Some(Archived {
            stored,
            action: self.action,
            at: self.changed_us,
            by: self.changed_by,
            change: self.change,
        })
    }
}

/// Keeps a version.
pub(super) fn archive(conn: &mut DbConn, version: &Archived) -> Result<(), DbError> {
    let Archived { stored, action, at, by, change } = version;
    let mut sql = Sql::new(
        "INSERT INTO annotation_history (id, version, change, action, changed_us, changed_by, document) VALUES (",
    );
    sql.bind(stored.annotation.id.as_bytes().to_vec()).push(", ").bind(stored.version).push(", ");
    sql.bind(*change).push(", ").bind(action.as_str()).push(", ").bind(*at).push(", ").bind(by.as_str());
    sql.push(", ").bind(serde_json::to_string(stored).unwrap_or_default()).push(")");
    sql.run(conn).map(|_rows| ())
}

/// The last version of a deleted annotation, locked, so that of two restorations one waits for the other.
pub(super) fn lock_last(conn: &mut DbConn, id: Uuid) -> Result<Option<Archived>, DbError> {
    let mut sql = Sql::new(HISTORY);
    sql.push(" WHERE id = ").bind(id.as_bytes().to_vec()).push(" ORDER BY version DESC LIMIT 1");
    if let DbConn::Postgres(_) = conn {
        sql.push(" FOR UPDATE");
    }
    Ok(sql.rows::<HistoryRow>(conn)?.into_iter().next().and_then(HistoryRow::archived))
}

/// Versions of an annotation below `before`, newest first, at most `most`: the present one, those that were
/// replaced, and deletions.
///
/// # Errors
/// When the database fails.
pub fn list_versions(
    conn: &mut DbConn,
    id: Uuid,
    before: i64,
    most: usize,
) -> Result<Vec<Archived>, DbError> {
    // The present version first: if it is replaced meanwhile, the history has it.
    let present = super::find::find_version(conn, id)?.filter(|present| present.stored.version < before);
    let mut sql = Sql::new(HISTORY);
    sql.push(" WHERE id = ").bind(id.as_bytes().to_vec()).push(" AND version < ").bind(before);
    sql.push(&format!(" ORDER BY version DESC LIMIT {most}"));
    let replaced = sql.rows::<HistoryRow>(conn)?.into_iter().filter_map(HistoryRow::archived);
    let mut versions: Vec<Archived> = present.into_iter().chain(replaced).collect();
    versions.sort_by_key(|version| std::cmp::Reverse(version.stored.version));
    versions.dedup_by_key(|version| version.stored.version);
    versions.truncate(most);
    Ok(versions)
}
