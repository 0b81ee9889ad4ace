//! What users change: reset and delete.

use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, QueryableByName};
use shared::db::{DbConn, DbError, Sql};

use super::find_stream;
use super::history::put_change;

/// What became of a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// It was done, or there was nothing to do.
    Done,
    /// No such stream.
    Unknown,
    /// Somebody else changed the stream at the same time.
    Lost,
}

#[derive(QueryableByName)]
struct Deleted {
    #[diesel(sql_type = Text)]
    trigger_name: String,
    #[diesel(sql_type = BigInt)]
    serial: i64,
}

/// Puts a stream in error back to its retry state, and one whose worker is gone; leaves any other alone.
/// `at` is the present in microseconds.
///
/// # Errors
/// When the database fails.
pub fn reset_stream(conn: &mut DbConn, id: i64, at: i64) -> Result<Reset, DbError> {
    let Some(stream) = find_stream(conn, id)? else { return Ok(Reset::Unknown) };
    let is_lease_over = stream.lease_until.is_none_or(|until| until < at);
    let Some(state) = stream.state().and_then(|state| state.after_reset(is_lease_over)) else {
        return Ok(Reset::Done);
    };
    conn.transaction(|conn| {
        let mut sql = Sql::new("UPDATE streams SET serial = serial + 1, failures = 0, retry_at = NULL, ");
        sql.push("lease_until = NULL, state = ").bind(i64::from(state.number()));
        sql.push(" WHERE id = ").bind(id).push(" AND serial = ").bind(stream.serial);
        if sql.run(conn)? == 0 {
            return Ok(Reset::Lost);
        }
        put_change(
            conn,
            id,
            &stream.trigger_name,
            stream.serial + 1,
            at,
            Some(state),
            Some("reset by a user"),
        )?;
        Ok(Reset::Done)
    })
}

/// Deletes a stream with its traits and links; whether there was one.
///
/// # Errors
/// When the database fails; nothing is deleted then.
pub fn delete_stream(conn: &mut DbConn, id: i64, at: i64) -> Result<bool, DbError> {
    conn.transaction(|conn| {
        let mut sql = Sql::new("DELETE FROM streams WHERE id = ");
        sql.bind(id).push(" RETURNING trigger_name, serial");
        let Some(deleted) = sql.rows::<Deleted>(conn)?.pop() else { return Ok(false) };
        delete_parts(conn, id)?;
        put_change(conn, id, &deleted.trigger_name, deleted.serial + 1, at, None, None)?;
        Ok(true)
    })
}

/// Deletes what belongs to a stream that was deleted.
pub(super) fn delete_parts(conn: &mut DbConn, id: i64) -> Result<(), DbError> {
    for table in ["members", "stream_traits"] {
        let mut sql = Sql::new(&format!("DELETE FROM {table} WHERE stream_id = "));
        sql.bind(id);
        sql.run(conn)?;
    }
    Ok(())
}
