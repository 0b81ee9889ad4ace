//! What workers do with streams: take them under a lease, keep the lease, let go.

use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, QueryableByName};
use shared::db::{DbConn, DbError, Sql};

use super::change::delete_parts;
use super::history::put_change;
use super::outbox::put_outgoing;
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
    /// It is done, and kept; with what did not commit.
    Completed(Option<String>),
    /// It is done, and deleted; with what did not commit.
    Purged(Option<String>),
    /// It failed and waits for a user.
    Failed(String),
    /// It failed and is tried again at a time in microseconds.
    Retried(String, i64),
    /// It never began, and is for the next worker.
    Returned,
}

/// A trigger with streams that are due for a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The task.
    pub task: Task,
    /// Name of the trigger.
    pub name: String,
}

/// How many streams a worker has room for.
pub trait Room {
    /// Most streams it takes of what is due.
    fn of(&self, due: &Due) -> usize;

    /// So many were taken.
    fn took(&mut self, due: &Due, count: usize);
}

#[derive(QueryableByName)]
struct DueRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    due: i64,
}

#[derive(QueryableByName)]
struct TakenRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    serial: i64,
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
            Self::Completed(_) | Self::Purged(_) => State::Completed,
            Self::Failed(_) => task.failed(),
            Self::Retried(..) => task.failed().after_reset(true).unwrap_or(task.failed()),
            Self::Returned => task.running().after_lost_lease().unwrap_or(task.failed()),
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Completed(reason) | Self::Purged(reason) => reason.as_deref(),
            Self::Failed(reason) | Self::Retried(reason, _) => Some(reason),
            Self::Returned => Some("its worker stopped before it began"),
        }
    }
}

/// The streams that wait for a task, as an index of their own has them.
struct Waiting {
    /// Table, and on SQLite its index: without statistics the engine would take another.
    from: &'static str,
    /// Condition of the index.
    condition: &'static str,
    /// The time that they wait for.
    due: &'static str,
}

/// A stream that is ready before it expires is never expired, so the index of those that expire does not have it.
fn waiting(conn: &DbConn, task: Task) -> Waiting {
    let (index, condition, due) = match task {
        Task::Fire => (
            "streams INDEXED BY streams_fire",
            "state IN (1, 7) AND fire_timestamp IS NOT NULL",
            "coalesce(retry_at, fire_timestamp)",
        ),
        Task::Expire => (
            "streams INDEXED BY streams_expire",
            "(state = 8 OR (state = 1 AND (fire_timestamp IS NULL OR fire_timestamp > expire_timestamp)))",
            "coalesce(retry_at, expire_timestamp)",
        ),
    };
    let from = match conn {
        DbConn::Postgres(_) => "streams",
        DbConn::Sqlite(_) => index,
    };
    Waiting { from, condition, due }
}

/// The triggers with streams that are due for a task before `now` (microseconds), the longest waiting first.
///
/// Looks at the first stream of each trigger and jumps to the next: the cost grows with the number of triggers, not of
/// streams.
///
/// # Errors
/// When the database fails.
pub fn list_due(conn: &mut DbConn, task: Task, now: i64) -> Result<Vec<Due>, DbError> {
    let Waiting { from, condition, due } = waiting(conn, task);
    let streams = format!("FROM {from} WHERE {condition}");
    let sql = format!(
        "WITH RECURSIVE names (name) AS (SELECT (SELECT trigger_name {streams} ORDER BY trigger_name LIMIT 1) \
         UNION ALL SELECT (SELECT trigger_name {streams} AND trigger_name > names.name ORDER BY trigger_name LIMIT 1) \
         FROM names WHERE names.name IS NOT NULL) \
         SELECT name, (SELECT {due} {streams} AND trigger_name = names.name ORDER BY {due}, id LIMIT 1) AS due \
         FROM names WHERE name IS NOT NULL"
    );
    let mut rows: Vec<DueRow> = Sql::new(&sql).rows(conn)?;
    rows.retain(|row| row.due < now);
    rows.sort_by_key(|row| row.due);
    Ok(rows.into_iter().map(|row| Due { task, name: row.name }).collect())
}

/// Takes streams that are due before `now`, of each trigger as many as there is room for, the longest waiting first.
/// `at` is the present of the machine and `lease_until` the end of the lease; all in microseconds. Streams that another
/// worker is about to take are passed over.
///
/// # Errors
/// When the database fails; nothing is taken then.
pub fn take(
    conn: &mut DbConn,
    due: &[Due],
    now: i64,
    (at, lease_until): (i64, i64),
    room: &mut impl Room,
) -> Result<Vec<Taken>, DbError> {
    if due.iter().all(|one| room.of(one) == 0) {
        return Ok(Vec::new());
    }
    conn.transaction(|conn| {
        let mut taken = Vec::new();
        for one in due {
            let most = room.of(one);
            if most > 0 {
                let before = taken.len();
                taken.extend(take_most(conn, one, now, (at, lease_until), most)?);
                room.took(one, taken.len() - before);
            }
        }
        Ok(taken)
    })
}

fn take_most(
    conn: &mut DbConn,
    Due { task, name }: &Due,
    now: i64,
    (at, lease_until): (i64, i64),
    most: usize,
) -> Result<Vec<Taken>, DbError> {
    let Waiting { from, condition, due } = waiting(conn, *task);
    let running = task.running();
    let mut sql = Sql::new("UPDATE streams SET serial = serial + 1, active_key = NULL, state = ");
    sql.bind(i64::from(running.number())).push(", lease_until = ").bind(lease_until);
    let is_postgres = matches!(conn, DbConn::Postgres(_));
    // As an array PostgreSQL chooses the streams once, before it changes any.
    sql.push(if is_postgres { " WHERE id = ANY(ARRAY(" } else { " WHERE id IN (" });
    sql.push(&format!("SELECT id FROM {from} WHERE {condition} AND trigger_name = ")).bind(name.as_str());
    sql.push(&format!(" AND {due} < ")).bind(now);
    if *task == Task::Expire {
        // What is due for both fires.
        sql.push(" AND (state = 8 OR fire_timestamp IS NULL OR fire_timestamp >= ").bind(now).push(")");
    }
    sql.push(&format!(" ORDER BY {due}, id LIMIT ")).bind(i64::try_from(most).unwrap_or(i64::MAX));
    sql.push(if is_postgres { " FOR UPDATE SKIP LOCKED))" } else { ")" });
    sql.push(" RETURNING id, serial, failures");
    let rows: Vec<TakenRow> = sql.rows(conn)?;
    let mut taken = Vec::with_capacity(rows.len());
    for row in rows {
        put_change(conn, row.id, name, row.serial, at, Some(running), None)?;
        let failures = u32::try_from(row.failures).unwrap_or(u32::MAX);
        taken.push(Taken { id: row.id, serial: row.serial, name: name.clone(), failures, task: *task });
    }
    Ok(taken)
}

/// Keeps streams that are worked on.
///
/// # Errors
/// When the database fails.
pub fn renew(conn: &mut DbConn, ids: &[i64], lease_until: i64) -> Result<(), DbError> {
    let mut sql = Sql::new("UPDATE streams SET lease_until = ");
    sql.bind(lease_until);
    sql.push(" WHERE state IN (2, 3) AND id").among(ids.to_vec());
    sql.run(conn).map(|_count| ())
}

/// How far the clocks of workers that live may differ, and leases of before a change of their length: 10 minutes.
const AHEAD_MICROS: i64 = 600_000_000;

/// Puts streams whose workers are gone back to their retry states; how many there were. `at` is the present and `lease`
/// the length of a lease, in microseconds.
///
/// A lease that ends more than [`AHEAD_MICROS`] after one that is taken now was taken by a clock that is ahead: a worker
/// that died with it would keep its streams until the others' clocks have caught up.
///
/// # Errors
/// When the database fails.
pub fn return_lost(conn: &mut DbConn, at: i64, lease: i64) -> Result<usize, DbError> {
    let latest = at.saturating_add(lease).saturating_add(AHEAD_MICROS);
    let mut sql = Sql::new("SELECT id, serial, trigger_name, state FROM streams WHERE state IN (2, 3)");
    sql.push(" AND (lease_until < ").bind(at).push(" OR lease_until > ").bind(latest).push(") LIMIT 1000");
    let lost: Vec<LostRow> = sql.rows(conn)?;
    let mut count = 0;
    for row in lost {
        let state = i16::try_from(row.state).ok().and_then(State::from_number);
        let Some(state) = state.and_then(State::after_lost_lease) else { continue };
        count += conn.transaction(|conn| {
            let mut sql = Sql::new("UPDATE streams SET serial = serial + 1, lease_until = NULL, state = ");
            sql.bind(i64::from(state.number())).push(" WHERE id = ").bind(row.id);
            sql.push(" AND serial = ").bind(row.serial).push(" AND (lease_until < ").bind(at);
            sql.push(" OR lease_until > ").bind(latest).push(")");
            let changed = sql.run(conn)?;
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
    let is_purged = matches!(outcome, Outcome::Purged(_));
    let mut sql = if is_purged { Sql::new("DELETE FROM streams") } else { change(taken, outcome) };
    sql.push(" WHERE id = ").bind(taken.id).push(" AND serial = ").bind(taken.serial);
    let is_ours = sql.run(conn)? == 1;
    if is_ours && is_purged {
        delete_parts(conn, taken.id)?;
    }
    Ok(is_ours)
}

/// What is written of a stream that stays. One that never began keeps what it knows of earlier tries.
fn change(taken: &Taken, outcome: &Outcome) -> Sql {
    let failures = i64::from(taken.failures) + 1;
    let mut sql = Sql::new("UPDATE streams SET serial = serial + 1, lease_until = NULL, state = ");
    sql.bind(i64::from(outcome.state(taken.task).number()));
    match outcome {
        Outcome::Completed(_) | Outcome::Purged(_) => sql.push(", retry_at = NULL, failures = 0"),
        Outcome::Failed(_) => sql.push(", retry_at = NULL, failures = ").bind(failures),
        Outcome::Retried(_, at) => sql.push(", retry_at = ").bind(*at).push(", failures = ").bind(failures),
        Outcome::Returned => &mut sql,
    };
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_ends_in_its_own_states() {
        let (text, at) = (String::new, 0);
        for (task, outcome, state) in [
            (Task::Fire, Outcome::Purged(None), State::Completed),
            (Task::Fire, Outcome::Completed(None), State::Completed),
            (Task::Fire, Outcome::Failed(text()), State::Error),
            (Task::Fire, Outcome::Retried(text(), at), State::RetryFire),
            (Task::Fire, Outcome::Returned, State::RetryFire),
            (Task::Expire, Outcome::Purged(None), State::Completed),
            (Task::Expire, Outcome::Completed(None), State::Completed),
            (Task::Expire, Outcome::Failed(text()), State::ExpireError),
            (Task::Expire, Outcome::Retried(text(), at), State::RetryExpire),
            (Task::Expire, Outcome::Returned, State::RetryExpire),
        ] {
            assert_eq!(outcome.state(task), state, "{task:?} {outcome:?}");
        }
    }
}
