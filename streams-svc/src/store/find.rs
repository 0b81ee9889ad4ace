//! Lists, counts and single streams.

use chrono::NaiveDateTime;
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text};
use shared::datetime::to_micros;
use shared::db::{DbConn, DbError, Direction, Sql, complete_up_to};

use crate::engine::State;

/// What a list of streams asks for. All conditions hold together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamFilter {
    /// First event before (exclusive).
    pub older_than: Option<NaiveDateTime>,
    /// Last event after (exclusive).
    pub younger_than: Option<NaiveDateTime>,
    /// State.
    pub state: Option<State>,
    /// Exact name of the trigger.
    pub trigger_name: Option<String>,
    /// For each distinguishing trait the terms that match.
    pub traits: Vec<Vec<Vec<u8>>>,
    /// Id of the last stream already seen; the list starts after it.
    pub mark: Option<i64>,
    /// By id.
    pub direction: Direction,
    /// Most streams to return.
    pub limit: usize,
}

/// A stored stream, as the API shows it. Times are microseconds.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct StreamRow {
    /// Id.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// Name of its trigger.
    #[diesel(sql_type = Text)]
    pub trigger_name: String,
    /// JSON object of its distinguishing traits.
    #[diesel(sql_type = Text)]
    pub distinguishing: String,
    /// Number of its state.
    #[diesel(sql_type = BigInt)]
    pub state: i64,
    /// Number of state changes.
    #[diesel(sql_type = BigInt)]
    pub serial: i64,
    /// Time of its earliest event.
    #[diesel(sql_type = BigInt)]
    pub first_event: i64,
    /// Time of its latest event.
    #[diesel(sql_type = BigInt)]
    pub last_event: i64,
    /// When it expires.
    #[diesel(sql_type = BigInt)]
    pub expire_timestamp: i64,
    /// When it fires.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub fire_timestamp: Option<i64>,
    /// Until when a worker has it.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub lease_until: Option<i64>,
}

impl StreamRow {
    /// Its state; `None` for a number that nobody knows.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        State::from_number(i16::try_from(self.state).ok()?)
    }
}

#[derive(QueryableByName)]
struct Body {
    #[diesel(sql_type = Text)]
    body: String,
}

const SELECT: &str = "SELECT id, trigger_name, distinguishing, state, serial, first_event, last_event, \
                      expire_timestamp, fire_timestamp, lease_until FROM streams WHERE ";

/// Streams that meet every condition, in the order of their ids. An ascending list ends before the first id that is still
/// under way, so that who goes on behind its last stream misses none.
///
/// # Errors
/// When the database fails.
pub fn list_streams(conn: &mut DbConn, filter: &StreamFilter) -> Result<Vec<StreamRow>, DbError> {
    if filter.limit == 0 {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new(SELECT);
    sql.append(conditions(filter));
    if filter.direction == Direction::Ascending {
        sql.push(" AND id <= ").bind(complete_up_to(conn, "stream_ids")?);
    }
    let word = filter.direction.word();
    sql.push(&format!(" ORDER BY id {word} LIMIT {}", filter.limit));
    sql.rows(conn)
}

/// How many streams meet every condition; `limit` does not matter, `mark` does.
///
/// # Errors
/// When the database fails.
pub fn count_streams(conn: &mut DbConn, filter: &StreamFilter) -> Result<i64, DbError> {
    let mut sql = Sql::new("SELECT count(*) AS number FROM streams WHERE ");
    sql.append(conditions(filter));
    sql.number(conn)
}

/// The stream with this id.
///
/// # Errors
/// When the database fails.
pub fn find_stream(conn: &mut DbConn, id: i64) -> Result<Option<StreamRow>, DbError> {
    let mut sql = Sql::new(SELECT);
    sql.push("id = ").bind(id);
    Ok(sql.rows(conn)?.pop())
}

/// The stream of this key (see [`super::active_key`]) that takes events at `now` (microseconds): one whose time is
/// over takes none, even if no worker has come by yet.
///
/// # Errors
/// When the database fails.
pub fn find_active(conn: &mut DbConn, key: Vec<u8>, now: i64) -> Result<Option<StreamRow>, DbError> {
    let mut sql = Sql::new(SELECT);
    sql.push("active_key = ").bind(key).push(" AND expire_timestamp > ").bind(now);
    Ok(sql.rows(conn)?.pop())
}

/// The events of a stream as JSON texts, in the order of their time, ties by id.
///
/// # Errors
/// When the database fails.
pub fn list_events(conn: &mut DbConn, stream_id: i64) -> Result<Vec<String>, DbError> {
    let mut sql = Sql::new("SELECT body FROM members WHERE stream_id = ");
    sql.bind(stream_id).push(" ORDER BY timestamp, event_id");
    Ok(sql.rows::<Body>(conn)?.into_iter().map(|row| row.body).collect())
}

/// Bytes of the events of these streams together, as [`list_events`] gives them.
///
/// # Errors
/// When the database fails.
pub fn sum_event_bytes(conn: &mut DbConn, stream_ids: Vec<i64>) -> Result<i64, DbError> {
    let mut sql = Sql::new(
        "SELECT CAST(coalesce(sum(octet_length(body)), 0) AS BIGINT) AS number FROM members WHERE stream_id",
    );
    sql.among(stream_ids);
    sql.number(conn)
}

fn conditions(filter: &StreamFilter) -> Sql {
    let mut sql = Sql::new("1 = 1");
    if let Some(date) = filter.older_than {
        sql.push(" AND first_event < ").bind(to_micros(date));
    }
    if let Some(date) = filter.younger_than {
        sql.push(" AND last_event > ").bind(to_micros(date));
    }
    if let Some(state) = filter.state {
        sql.push(" AND state = ").bind(i64::from(state.number()));
    }
    if let Some(name) = &filter.trigger_name {
        sql.push(" AND trigger_name = ").bind(name.as_str());
    }
    if let Some(mark) = filter.mark {
        let beyond = filter.direction.beyond();
        sql.push(&format!(" AND id {beyond} ")).bind(mark);
    }
    for terms in &filter.traits {
        sql.push(" AND id IN (SELECT stream_id FROM stream_traits WHERE term IN (");
        for (place, term) in terms.iter().enumerate() {
            sql.push(if place == 0 { "" } else { ", " }).bind(term.clone());
        }
        sql.push("))");
    }
    sql
}
