//! Removal of what is old, in small steps.

use shared::db::{DbConn, DbError, Sql};

/// Removes at most `step` events that happened before `cutoff` (microseconds) from their streams, oldest first.
///
/// # Errors
/// When the database fails.
pub fn delete_members_before(conn: &mut DbConn, cutoff: i64, step: usize) -> Result<usize, DbError> {
    let mut sql = Sql::new(
        "DELETE FROM members WHERE (stream_id, event_id) IN \
         (SELECT stream_id, event_id FROM members WHERE timestamp < ",
    );
    sql.bind(cutoff).push(&format!(" ORDER BY timestamp LIMIT {step})"));
    sql.run(conn)
}

/// Removes at most `step` entries of the history from before `cutoff` (microseconds), oldest first.
///
/// # Errors
/// When the database fails.
pub fn delete_history_before(conn: &mut DbConn, cutoff: i64, step: usize) -> Result<usize, DbError> {
    let mut sql = Sql::new("DELETE FROM history WHERE id IN (SELECT id FROM history WHERE at < ");
    sql.bind(cutoff).push(&format!(" ORDER BY at LIMIT {step})"));
    sql.run(conn)
}
