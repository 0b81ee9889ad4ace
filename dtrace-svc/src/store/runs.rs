//! Runs: the audit log, and the messages of those that were recorded.

use super::StoreError;
use crate::schema::{run_messages, runs};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use shared::db::{DbConn, present};

/// How a run ended of which its service told nothing more.
const LOST: &str = "lost";

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = runs)]
pub struct Run {
    /// Version 4 UUID.
    pub id: String,
    /// Id of the script.
    pub script: String,
    /// Name that the script had.
    pub name: String,
    /// Who started it.
    pub subject: String,
    /// Servers, virtual machines and merged configuration: a JSON object.
    pub config: String,
    /// The text as it was handed to the tracers.
    pub program: String,
    /// Microseconds since 1970.
    pub started: i64,
    /// Microseconds since 1970; `None` while it goes on.
    pub ended: Option<i64>,
    /// How it ended: one word, and a text for failures.
    pub outcome: Option<String>,
    /// Messages kept; `None` when it was not recorded.
    pub messages: Option<i64>,
    /// JSON; of recorded runs only.
    pub summary: Option<String>,
}

/// A recorded message.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = run_messages)]
pub struct RunMessage {
    /// Id of the run.
    pub run: String,
    /// From 0.
    pub number: i64,
    /// Microseconds since the recording began.
    pub at: i64,
    /// `tick`, `output`, or `dropped` with how many messages are not here.
    pub event: String,
    /// JSON.
    pub body: String,
}

/// Stores a run that begins, and that it goes on.
///
/// # Errors
/// When the database fails.
pub fn put_run(conn: &mut DbConn, run: &Run) -> Result<(), StoreError> {
    let alive = runs::alive.eq(sql::<BigInt>(present(conn)));
    diesel::insert_into(runs::table).values((run, alive)).execute(conn)?;
    Ok(())
}

/// Notes how a run ended.
///
/// # Errors
/// When the database fails.
pub fn end_run(conn: &mut DbConn, id: &str, ended: i64, outcome: &str) -> Result<(), StoreError> {
    let change = (runs::ended.eq(ended), runs::outcome.eq(outcome));
    diesel::update(runs::table.find(id)).set(change).execute(conn)?;
    Ok(())
}

/// Notes that runs still go on, by the database's clock: services on other machines compare it.
///
/// # Errors
/// When the database fails.
pub fn touch_runs(conn: &mut DbConn, ids: &[String]) -> Result<(), StoreError> {
    let alive = runs::alive.eq(sql::<BigInt>(present(conn)));
    diesel::update(runs::table.filter(runs::id.eq_any(ids))).set(alive).execute(conn)?;
    Ok(())
}

/// Ends the runs of which nothing was heard for `silence` microseconds, with what was recorded of them: their service was
/// killed. Tells how many; at most `step`.
///
/// # Errors
/// When the database fails.
pub fn end_lost_runs(conn: &mut DbConn, silence: i64, step: i64) -> Result<usize, StoreError> {
    conn.transaction(|conn| {
        let present: i64 = diesel::select(sql::<BigInt>(present(conn))).get_result(conn)?;
        // Nobody was heard of after the present, unless the clock was set back.
        let is_heard = runs::alive.between(present - silence, present + silence);
        let is_lost = runs::ended.is_null().and(diesel::dsl::not(is_heard));
        let lost = runs::table.filter(is_lost).select((runs::id, runs::started, runs::alive));
        // In one order, so that two replicas that do it at once wait for each other only one way.
        let lost: Vec<(String, i64, i64)> = lost.order((runs::alive, runs::id)).limit(step).load(conn)?;
        let mut ended = 0;
        for (id, started, alive) in &lost {
            let recorded: i64 =
                run_messages::table.filter(run_messages::run.eq(id)).count().get_result(conn)?;
            let messages = (recorded > 0).then_some(recorded);
            // When it started, a clock said that may be ahead of the database's.
            let end = (
                runs::ended.eq(alive.min(&present).max(started)),
                runs::outcome.eq(LOST),
                runs::messages.eq(messages),
            );
            // Meanwhile somebody else may have ended it, its own service after all.
            ended += diesel::update(runs::table.find(id).filter(is_lost)).set(end).execute(conn)?;
        }
        Ok(ended)
    })
}

/// Runs of a script, newest first.
///
/// # Errors
/// When the database fails.
pub fn list_runs(conn: &mut DbConn, script: &str, limit: i64) -> Result<Vec<Run>, StoreError> {
    let query =
        runs::table.filter(runs::script.eq(script)).order((runs::started.desc(), runs::id)).limit(limit);
    Ok(query.select(Run::as_select()).load(conn)?)
}

/// One run of a script.
///
/// # Errors
/// [`StoreError::NotFound`], or when the database fails.
pub fn find_run(conn: &mut DbConn, script: &str, id: &str) -> Result<Run, StoreError> {
    let query = runs::table.filter(runs::id.eq(id).and(runs::script.eq(script)));
    let run = query.select(Run::as_select()).first(conn).optional()?;
    run.ok_or_else(|| StoreError::NotFound(format!("run {id}")))
}

/// Stores a recorded message.
///
/// # Errors
/// When the database fails.
pub fn put_message(conn: &mut DbConn, message: &RunMessage) -> Result<(), StoreError> {
    diesel::insert_into(run_messages::table).values(message).execute(conn)?;
    Ok(())
}

/// Recorded messages after the number `after`, at most `limit`.
///
/// # Errors
/// When the database fails.
pub fn list_messages(
    conn: &mut DbConn,
    run: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<RunMessage>, StoreError> {
    let wanted = run_messages::run.eq(run).and(run_messages::number.gt(after));
    let query = run_messages::table.filter(wanted).order(run_messages::number).limit(limit);
    Ok(query.select(RunMessage::as_select()).load(conn)?)
}

/// Notes how many messages of a run were kept, and what they come to.
///
/// # Errors
/// When the database fails.
pub fn put_summary(conn: &mut DbConn, id: &str, messages: i64, summary: &str) -> Result<(), StoreError> {
    let change = (runs::messages.eq(messages), runs::summary.eq(summary));
    diesel::update(runs::table.find(id)).set(change).execute(conn)?;
    Ok(())
}

/// Removes what was recorded of a run; its row of the audit log stays.
///
/// # Errors
/// When the database fails.
pub fn delete_recording(conn: &mut DbConn, id: &str) -> Result<(), StoreError> {
    conn.transaction(|conn| {
        diesel::delete(run_messages::table.filter(run_messages::run.eq(id))).execute(conn)?;
        let nothing = (runs::messages.eq(None::<i64>), runs::summary.eq(None::<String>));
        diesel::update(runs::table.find(id)).set(nothing).execute(conn)?;
        Ok(())
    })
}

/// Removes up to `step` of the runs that are older than the newest `kept`, with what was recorded; tells how many.
///
/// # Errors
/// When the database fails.
pub fn delete_old_runs(conn: &mut DbConn, kept: i64, step: i64) -> Result<usize, StoreError> {
    let surplus: i64 = runs::table.count().get_result::<i64>(conn)? - kept;
    if surplus <= 0 {
        return Ok(0);
    }
    let oldest = runs::table.select(runs::id).order((runs::started, runs::id)).limit(surplus.min(step));
    let ids: Vec<String> = oldest.load(conn)?;
    Ok(diesel::delete(runs::table.filter(runs::id.eq_any(ids))).execute(conn)?)
}
