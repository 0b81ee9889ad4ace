//! Removal of old events in small steps, with everything that was stored for them.

use super::{StoreError, term};
use crate::model::TraitValue;
use crate::schema::events;
use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel::{Connection, ExpressionMethods, QueryDsl, QueryableByName, RunQueryDsl};
use shared::datetime::{from_micros, to_micros};
use shared::db::{DbConn, Sql};
use std::collections::BTreeMap;

/// How many events one step removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed(pub usize);

#[derive(QueryableByName)]
struct Claim {
    #[diesel(sql_type = Bool)]
    is_ours: bool,
}

#[derive(QueryableByName)]
struct Old {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    generated: i64,
    #[diesel(sql_type = BigInt)]
    shape: i64,
    #[diesel(sql_type = Text)]
    head: String,
}

/// The time that a replay has reached: the earliest of its last [`LAST`] events, so that one of a wrong date does not
/// make all others old. `None` for an empty store.
///
/// # Errors
/// When the database fails.
pub fn find_replay_time(conn: &mut DbConn) -> Result<Option<NaiveDateTime>, StoreError> {
    let last = events::table.select(events::generated).order(events::id.desc()).limit(LAST);
    let times: Vec<i64> = last.load(conn)?;
    Ok(times.into_iter().min().map(from_micros))
}

/// Claims removal for the running transaction: of several replicas that find too many events, each would remove as many
/// as are too many. `false`: another one has it; what it removes shows when it has ended.
///
/// # Errors
/// When the database fails.
pub fn claim_removal(conn: &mut DbConn) -> Result<bool, StoreError> {
    let DbConn::Postgres(_) = conn else { return Ok(true) };
    let claim = "SELECT pg_try_advisory_xact_lock('events'::regclass::oid::int, 0) AS is_ours";
    Ok(Sql::new(claim).rows::<Claim>(conn)?.iter().any(|claim| claim.is_ours))
}

/// Removes at most `step` events generated strictly before `cutoff`, oldest first.
///
/// # Errors
/// When the database fails; nothing is removed then.
pub fn delete_generated_before(
    conn: &mut DbConn,
    cutoff: NaiveDateTime,
    step: usize,
) -> Result<Removed, StoreError> {
    let mut sql = Sql::new(OLD);
    sql.push(" WHERE generated < ")
        .bind(to_micros(cutoff))
        .push(&format!(" ORDER BY generated LIMIT {step}"));
    delete(conn, sql)
}

/// Removes the oldest events, at most `step`.
///
/// # Errors
/// When the database fails; nothing is removed then.
pub fn delete_oldest(conn: &mut DbConn, step: usize) -> Result<Removed, StoreError> {
    delete(conn, Sql::new(&format!("{OLD} ORDER BY generated LIMIT {step}")))
}

/// Events that say together what time it is in a replay.
const LAST: i64 = 100;

const OLD: &str = "SELECT id, generated, shape, v2 AS head FROM events";

fn delete(conn: &mut DbConn, mut old: Sql) -> Result<Removed, StoreError> {
    if let DbConn::Postgres(_) = conn {
        // What another replica is removing is its to count: counted twice, a type would seem to have no events.
        old.push(" FOR UPDATE SKIP LOCKED");
    }
    conn.transaction(|conn| {
        let old: Vec<Old> = old.rows(conn)?;
        if old.is_empty() {
            return Ok(Removed(0));
        }
        let ids: Vec<i64> = old.iter().map(|event| event.id).collect();
        let mut sql = Sql::new("DELETE FROM events WHERE id");
        sql.among(ids);
        let removed = sql.run(conn)?;
        for event in &old {
            for term in terms(&event.head) {
                let mut sql = Sql::new("DELETE FROM trait_index WHERE term = ");
                sql.bind(term).push(" AND generated = ").bind(event.generated);
                sql.push(" AND event_id = ").bind(event.id);
                sql.run(conn)?;
            }
        }
        uncount(conn, &old)?;
        Ok(Removed(removed))
    })
}

/// Takes removed events out of the counters: any shard will do, only sums are read.
fn uncount(conn: &mut DbConn, old: &[Old]) -> Result<(), StoreError> {
    let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
    for event in old {
        *counts.entry(event.shape).or_default() += 1;
    }
    for (shape, count) in counts {
        if let DbConn::Postgres(_) = conn {
            // A writer may be counting this moment: the sum below is right only when nobody else holds a counter.
            let mut sql = Sql::new("SELECT FROM event_shapes WHERE id = ");
            sql.bind(shape).push(" ORDER BY shard FOR UPDATE");
            sql.run(conn)?;
        }
        let mut sql = Sql::new("UPDATE event_shapes SET events = events - ");
        sql.bind(count).push(" WHERE id = ").bind(shape);
        sql.push(" AND shard = (SELECT min(shard) FROM event_shapes WHERE id = ").bind(shape).push(")");
        sql.run(conn)?;
        let mut sql = Sql::new("DELETE FROM event_shapes WHERE id = ");
        sql.bind(shape)
            .push(" AND (SELECT sum(events) FROM event_shapes WHERE id = ")
            .bind(shape)
            .push(") = 0");
        sql.run(conn)?;
    }
    Ok(())
}

/// The index terms of an event, from its stored text.
fn terms(head: &str) -> Vec<Vec<u8>> {
    #[derive(serde::Deserialize)]
    struct Head {
        traits: Vec<Property>,
    }
    #[derive(serde::Deserialize)]
    struct Property {
        name: String,
        r#type: String,
        value: String,
    }
    let Ok(head) = serde_json::from_str::<Head>(&format!("{head}null}}")) else { return Vec::new() };
    let value = |property: &Property| match property.r#type.as_str() {
        "integer" => property.value.parse().ok().map(TraitValue::Integer),
        "float" => property.value.parse().ok().map(TraitValue::Float),
        "datetime" => shared::datetime::parse(&property.value).map(TraitValue::Datetime),
        _ => Some(TraitValue::Text(property.value.clone())),
    };
    head.traits.iter().filter_map(|property| Some(term::term(&property.name, &value(property)?))).collect()
}
