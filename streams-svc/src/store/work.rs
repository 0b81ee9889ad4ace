//! What workers do with streams: take them under a lease, keep the lease, let go.

use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, QueryableByName};
use shared::db::{DbConn, DbError, Sql};

use super::change::delete_parts;
use super::history::put_change;
use super::outbox::put_outgoing;
use super::{execute, id_list, load};
use crate::engine::{State, Task};

/// A stream in the hands of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Id.
    pub id: i64,
    /// Serial by which it is ours.
    pub serial: i64,
    /// Name of its trigger.
    pub name: String,
    /// Failures in a row before this.
    pub failures: u32,
    /// What is to be done with it.
    pub task: Task,
}

/// What a worker has made of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The stream.
    pub taken: Taken,
    /// What becomes of it.
    pub outcome: Outcome,
    /// New events of its pipeline, as JSON texts.
    pub new_events: Vec<String>,
}

/// What becomes of a stream after its task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, and kept.
    Completed,
    /// It is done, and deleted.
    Purged,
    /// It failed and waits for a user.
    Failed(String),
    /// It failed and is tried again at a time in microseconds.
    Retried(String, i64),
}

#[derive(QueryableByName)]
struct TakenRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    serial: i64,
    #[diesel(sql_type = Text)]
    trigger_name: String,
    #[diesel(sql_type = BigInt)]
    failures: i64,
}

#[derive(QueryableByName)]
struct LostRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    serial: i64,
    #[diesel(sql_type = Text)]
    trigger_name: String,
    #[diesel(sql_type = BigInt)]
    state: i64,
}

impl Outcome {
    /// The state it leads to.
    fn state(&self, task: Task) -> State {
        match self {
            Self::Completed | Self::Purged => State::Completed,
            Self::Failed(_) => task.failed(),
            Self::Retried(..) => task.failed().after_reset(true).unwrap_or(task.failed()),
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Completed | Self::Purged => None,
            Self::Failed(reason) | Self::Retried(reason, _) => Some(reason),
        }
    }
}

/// The streams that wait for a task, as the conditions of an index of their own, and the time they wait for.
fn waiting(task: Task) -> (&'static str, &'static str) {
    match task {
        Task::Fire => {
            ("state IN (1, 7) AND fire_timestamp IS NOT NULL", "coalesce(retry_at, fire_timestamp)")
        }
        Task::Expire => ("state IN (1, 8)", "coalesce(retry_at, expire_timestamp)"),
    }
}

/// Takes at most `limit` streams that are due before `now`, the longest waiting first. `at` is the present of the
/// machine and `lease_until` the end of the lease; all in microseconds. Streams that another worker is about to
/// take are passed over.
///
/// # Errors
/// When the database fails.
pub fn take(
    conn: &mut DbConn,
    task: Task,
    now: i64,
    (at, lease_until): (i64, i64),
    limit: usize,
) -> Result<Vec<Taken>, DbError> {
    let (condition, due) = waiting(task);
    conn.transaction(|conn| {
        let mut sql = Sql::new("UPDATE streams SET serial = serial + 1, active_key = NULL, state = ");
        sql.bind(i64::from(task.running().number())).push(", lease_until = ").bind(lease_until);
        let is_postgres = matches!(conn, DbConn::Postgres(_));
        // As an array PostgreSQL chooses the streams once, before it changes any.
        sql.push(if is_postgres { " WHERE id = ANY(ARRAY(" } else { " WHERE id IN (" });
        sql.push(&format!("SELECT id FROM streams WHERE {condition} AND {due} < ")).bind(now);
        if task == Task::Expire {
            // What is due for both fires.
            sql.push(" AND (state = 8 OR fire_timestamp IS NULL OR fire_timestamp >= ").bind(now).push(")");
        }
        sql.push(&format!(" ORDER BY {due}, id LIMIT {limit}"));
        sql.push(if is_postgres { " FOR UPDATE SKIP LOCKED))" } else { ")" });
        sql.push(" RETURNING id, serial, trigger_name, failures");
        let rows: Vec<TakenRow> = load(conn, sql)?;
        let mut taken = Vec::with_capacity(rows.len());
        for row in rows {
            put_change(conn, row.id, &row.trigger_name, row.serial, at, Some(task.running()), None)?;
            let failures = u32::try_from(row.failures).unwrap_or(u32::MAX);
            taken.push(Taken { id: row.id, serial: row.serial, name: row.trigger_name, failures, task });
        }
        Ok(taken)
    })
}

/// Keeps streams that are worked on.
///
/// # Errors
/// When the database fails.
pub fn renew(conn: &mut DbConn, ids: &[i64], lease_until: i64) -> Result<(), DbError> {
    let mut sql = Sql::new("UPDATE streams SET lease_until = ");
    sql.bind(lease_until);
    sql.push(&format!(" WHERE state IN (2, 3) AND id IN {}", id_list(ids.iter().copied())));
    execute(conn, sql.once()).map(|_count| ())
}

/// Puts streams whose workers are gone back to their retry states; how many there were.
///
/// # Errors
/// When the database fails.
pub fn return_lost(conn: &mut DbConn, at: i64) -> Result<usize, DbError> {
    let mut sql = Sql::new("SELECT id, serial, trigger_name, state FROM streams WHERE state IN (2, 3)");
    sql.push(" AND lease_until < ").bind(at).push(" LIMIT 1000");
    let lost: Vec<LostRow> = load(conn, sql)?;
    let mut count = 0;
    for row in lost {
        let state = i16::try_from(row.state).ok().and_then(State::from_number);
        let Some(state) = state.and_then(State::after_lost_lease) else { continue };
        count += conn.transaction(|conn| {
            let mut sql = Sql::new("UPDATE streams SET serial = serial + 1, lease_until = NULL, state = ");
            sql.bind(i64::from(state.number())).push(" WHERE id = ").bind(row.id);
            sql.push(" AND serial = ").bind(row.serial).push(" AND lease_until < ").bind(at);
            let changed = execute(conn, sql)?;
            if changed > 0 {
                let (name, reason) = (&row.trigger_name, Some("its worker is gone"));
                put_change(conn, row.id, name, row.serial + 1, at, Some(state), reason)?;
            }
            Ok::<_, DbError>(changed)
        })?;
    }
    Ok(count)
}

/// Lets streams go, each with its new events; those whose lease was lost in the meantime are left alone, and their
/// events discarded. How many those were.
///
/// # Errors
/// When the database fails; nothing has happened then.
pub fn finish(conn: &mut DbConn, finished: &[Finished], at: i64) -> Result<usize, DbError> {
    conn.transaction(|conn| {
        let mut lost = 0;
        for one in finished {
            if !let_go(conn, one)? {
                lost += 1;
                continue;
            }
            for body in &one.new_events {
                put_outgoing(conn, body)?;
            }
            let (taken, outcome) = (&one.taken, &one.outcome);
            let state = Some(outcome.state(taken.task));
            put_change(conn, taken.id, &taken.name, taken.serial + 1, at, state, outcome.reason())?;
        }
        Ok(lost)
    })
}

/// Whether the stream was still ours.
fn let_go(conn: &mut DbConn, one: &Finished) -> Result<bool, DbError> {
    let (taken, outcome) = (&one.taken, &one.outcome);
    let mut sql = match outcome {
        Outcome::Purged => Sql::new("DELETE FROM streams"),
        Outcome::Completed | Outcome::Failed(_) | Outcome::Retried(..) => {
            let mut sql = Sql::new("UPDATE streams SET serial = serial + 1, lease_until = NULL, state = ");
            let is_failure = outcome.reason().is_some();
            let failures = if is_failure { i64::from(taken.failures) + 1 } else { 0 };
            sql.bind(i64::from(outcome.state(taken.task).number())).push(", failures = ").bind(failures);
            sql.push(", retry_at = ");
            match outcome {
                Outcome::Retried(_, at) => sql.bind(*at),
                Outcome::Completed | Outcome::Purged | Outcome::Failed(_) => sql.push("NULL"),
            };
            sql
        }
    };
    sql.push(" WHERE id = ").bind(taken.id).push(" AND serial = ").bind(taken.serial);
    let is_ours = execute(conn, sql)? == 1;
    if is_ours && *outcome == Outcome::Purged {
        delete_parts(conn, taken.id)?;
    }
    Ok(is_ours)
}
