//! What became of streams: written in the transaction of each change, read by stream or as a tail.

use chrono::NaiveDateTime;
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text};
use shared::datetime::from_micros;
use shared::db::{DbConn, DbError, OPEN, Place, Sql, continue_order};

use crate::engine::State;

/// Most changes of one answer.
const MOST: usize = 1000;

/// A stream changed its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where the tail goes on after it.
    pub place: Place,
    /// The stream.
    pub stream_id: i64,
    /// Name of its trigger.
    pub name: String,
    /// Its number of state changes, this one included.
    pub serial: i64,
    /// When.
    pub at: NaiveDateTime,
    /// The new state; `None`: deleted by a user.
    pub state: Option<State>,
    /// Why, where there is more to say.
    pub reason: Option<String>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    xid: i64,
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    stream_id: i64,
    #[diesel(sql_type = Text)]
    trigger_name: String,
    #[diesel(sql_type = BigInt)]
    serial: i64,
    #[diesel(sql_type = BigInt)]
    at: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    state: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
}

impl From<Row> for Change {
    fn from(row: Row) -> Self {
        let state = row.state.and_then(|number| State::from_number(i16::try_from(number).ok()?));
        Self {
            place: Place { xid: row.xid, id: row.id },
            stream_id: row.stream_id,
            name: row.trigger_name,
            serial: row.serial,
            at: from_micros(row.at),
            state,
            reason: row.reason,
        }
    }
}

const SELECT: &str = "SELECT xid, id, stream_id, trigger_name, serial, at, state, reason FROM history WHERE ";

/// Lets new changes come after all that are written down, whatever server their transactions ran on. To be called
/// before the first is written.
///
/// # Errors
/// When the database fails.
pub fn continue_history(conn: &mut DbConn) -> Result<(), DbError> {
    continue_order(conn, "history")
}

/// The changes of a stream, oldest first, the last [`MOST`] of them.
///
/// # Errors
/// When the database fails.
pub fn list_history(conn: &mut DbConn, stream_id: i64) -> Result<Vec<Change>, DbError> {
    let mut sql = Sql::new(SELECT);
    sql.push("stream_id = ").bind(stream_id).push(&format!(" ORDER BY id DESC LIMIT {MOST}"));
    let rows: Vec<Row> = sql.rows(conn)?;
    Ok(rows.into_iter().rev().map(Change::from).collect())
}

/// Changes of all streams after a place, in the order of their commits.
///
/// # Errors
/// When the database fails.
pub fn list_changes(conn: &mut DbConn, after: Place) -> Result<Vec<Change>, DbError> {
    let mut sql = Sql::new(SELECT);
    sql.append(after.onward(conn)).push(&format!(" LIMIT {MOST}"));
    let rows: Vec<Row> = sql.rows(conn)?;
    Ok(rows.into_iter().map(Change::from).collect())
}

/// The place of the last change.
///
/// # Errors
/// When the database fails.
pub fn last_change(conn: &mut DbConn) -> Result<Place, DbError> {
    let mut sql = Sql::new(SELECT);
    match conn {
        DbConn::Sqlite(_) => sql.push("1 = 1 ORDER BY id DESC LIMIT 1"),
        DbConn::Postgres(_) => sql.push(&format!("xid < {OPEN} ORDER BY xid DESC, id DESC LIMIT 1")),
    };
    let rows: Vec<Row> = sql.rows(conn)?;
    Ok(rows.first().map_or_else(Place::default, |row| Place { xid: row.xid, id: row.id }))
}

/// Writes a change down.
pub(super) fn put_change(
    conn: &mut DbConn,
    stream_id: i64,
    name: &str,
    serial: i64,
    at: i64,
    state: Option<State>,
    reason: Option<&str>,
) -> Result<(), DbError> {
    let mut sql =
        Sql::new("INSERT INTO history (stream_id, trigger_name, serial, at, state, reason) VALUES (");
    sql.bind(stream_id).push(", ").bind(name).push(", ").bind(serial).push(", ").bind(at).push(", ");
    sql.bind_or_null(state.map(|state| i64::from(state.number()))).push(", ").bind_or_null(reason).push(")");
    sql.run(conn).map(|_one| ())
}
