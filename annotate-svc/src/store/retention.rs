//! Removal of what is old, in small steps.

use super::DbError;
use super::counts::Counts;
use super::row::{COLUMNS, load_stored};
use super::span::LONGEST;
use super::update::delete;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, QueryableByName};
use shared::db::{DbConn, Sql};

/// Removes at most `step` annotations that ended before `cutoff`, for good and without a trace in their history.
///
/// # Errors
/// When the database fails; nothing is removed then.
pub fn delete_ended_before(conn: &mut DbConn, cutoff: i64, step: usize) -> Result<usize, DbError> {
    conn.transaction(|conn| {
        let mut removed = 0;
        let mut counts = Counts::default();
        for class in 0..LONGEST.len() {
            let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM annotations WHERE span = {class}"));
            sql.push(" AND start_us < ").bind(cutoff).push(" AND end_us < ").bind(cutoff);
            sql.push(&format!(" ORDER BY start_us, id LIMIT {}", step - removed)).push(lock(conn));
            for stored in load_stored(conn, sql)? {
                delete(conn, &stored)?;
                counts.add(&stored.annotation.texts, -1);
                removed += 1;
            }
            if removed >= step {
                break;
            }
        }
        counts.save(conn, 0)?;
        Ok(removed)
    })
}

/// Removes at most `step` versions that were written before `cutoff`.
///
/// # Errors
/// When the database fails; nothing is removed then.
pub fn delete_history_before(conn: &mut DbConn, cutoff: i64, step: usize) -> Result<usize, DbError> {
    let mut sql = Sql::new("DELETE FROM annotation_history WHERE (id, version) IN (SELECT id, version FROM ");
    sql.push("annotation_history WHERE changed_us < ").bind(cutoff);
    sql.push(&format!(" ORDER BY changed_us LIMIT {step})"));
    sql.run(conn)
}

/// Removes at most `step` keys that were used before `cutoff`.
///
/// # Errors
/// When the database fails; nothing is removed then.
pub fn delete_keys_before(conn: &mut DbConn, cutoff: i64, step: usize) -> Result<usize, DbError> {
    let mut sql =
        Sql::new("DELETE FROM idempotency_keys WHERE (subject, name) IN (SELECT subject, name FROM ");
    sql.push("idempotency_keys WHERE created_us < ").bind(cutoff);
    sql.push(&format!(" ORDER BY created_us LIMIT {step})"));
    sql.run(conn)
}

#[derive(QueryableByName)]
struct Unused {
    #[diesel(sql_type = BigInt)]
    field: i64,
    #[diesel(sql_type = Text)]
    value_key: String,
}

#[derive(QueryableByName)]
struct Shard {
    #[diesel(sql_type = BigInt)]
    shard: i64,
    #[diesel(sql_type = BigInt)]
    annotations: i64,
}

/// Takes away the counters of at most `step` values that no annotation has any more.
///
/// # Errors
/// When the database fails; nothing is removed then.
pub fn merge_counters(conn: &mut DbConn, step: usize) -> Result<usize, DbError> {
    let mut sql = Sql::new("SELECT CAST(field AS bigint) AS field, value_key FROM field_values ");
    sql.push("GROUP BY field, value_key HAVING sum(annotations) = 0 LIMIT ");
    sql.push(&step.to_string());
    let unused: Vec<Unused> = sql.rows(conn)?;
    let mut removed = 0;
    for Unused { field, value_key } in unused {
        // Locked and summed again: a concurrent write may have counted meanwhile, and then the rows stay. So does a
        // row that it has added.
        removed += conn.transaction(|conn| {
            let of_value = |start: &str| {
                let mut sql = Sql::new(start);
                sql.push(" FROM field_values WHERE field = ").bind(field).push(" AND value_key = ");
                sql.bind(value_key.as_str());
                sql
            };
            let mut sql = of_value("SELECT CAST(shard AS bigint) AS shard, annotations");
            sql.push(lock(conn));
            let shards: Vec<Shard> = sql.rows(conn)?;
            if shards.iter().map(|shard| shard.annotations).sum::<i64>() != 0 {
                return Ok(0);
            }
            let numbers: Vec<String> = shards.iter().map(|shard| shard.shard.to_string()).collect();
            let mut sql = of_value("DELETE");
            sql.push(&format!(" AND shard IN ({})", numbers.join(",")));
            sql.run(conn)
        })?;
    }
    Ok(removed)
}

fn lock(conn: &DbConn) -> &'static str {
    match conn {
        DbConn::Postgres(_) => " FOR UPDATE",
        DbConn::Sqlite(_) => "",
    }
}
