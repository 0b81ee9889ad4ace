//! Counters of values: which values a field has, and how many annotations have each.

use super::DbError;
use crate::model::{Field, Texts};
use diesel::sql_types::{Array, BigInt, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl};
use sha2::{Digest, Sha256};
use shared::db::{DbConn, Sql, statement};
use std::collections::BTreeMap;

/// Longest value that is its own key, in bytes. A longer one is cut, with a hash at the end: an index entry has a
/// greatest size.
const MAX_KEY_BYTES: usize = 200;

/// Changes of counters that a transaction gathers, in the order of their key, so that concurrent transactions wait
/// for each other instead of locking each other out.
#[derive(Default)]
pub(super) struct Counts(BTreeMap<(i64, String), (String, i64)>);

impl Counts {
    /// Adds `step` to the counters of an annotation's values.
    pub(super) fn add(&mut self, texts: &Texts, step: i64) {
        for (field, value) in texts.iter().filter(|(_, value)| !value.is_empty()) {
            if let Some(number) = number(field) {
                self.0.entry((number, key(value))).or_insert_with(|| (value.to_owned(), 0)).1 += step;
            }
        }
    }

    /// Writes them into the counters of `shard`.
    pub(super) fn save(self, conn: &mut DbConn, shard: i64) -> Result<(), DbError> {
        let changed: Vec<Change> = self.0.into_iter().filter(|(_, (_, step))| *step != 0).collect();
        match conn {
            _ if changed.is_empty() => Ok(()),
            DbConn::Postgres(conn) => save_batch(conn, &changed, shard),
            DbConn::Sqlite(_) => changed.into_iter().try_for_each(|change| save_one(conn, change, shard)),
        }
    }
}

/// A counter's key, its value and what is added to it.
type Change = ((i64, String), (String, i64));

/// One round trip for all, which together cost more than the annotation itself.
fn save_batch(conn: &mut PgConnection, changed: &[Change], shard: i64) -> Result<(), DbError> {
    let fields: Vec<i64> = changed.iter().map(|((field, _), _)| *field).collect();
    let keys: Vec<&str> = changed.iter().map(|((_, key), _)| key.as_str()).collect();
    let values: Vec<&str> = changed.iter().map(|(_, (value, _))| value.as_str()).collect();
    let steps: Vec<i64> = changed.iter().map(|(_, (_, step))| *step).collect();
    statement(
        "INSERT INTO field_values (field, value_key, shard, value, annotations) \
         SELECT field, value_key, ?, value, step \
         FROM unnest(?, ?, ?, ?) WITH ORDINALITY AS changed (field, value_key, value, step, place) ORDER BY place \
         ON CONFLICT (field, value_key, shard) \
         DO UPDATE SET annotations = field_values.annotations + excluded.annotations",
    )
    .bind::<BigInt, _>(shard)
    .bind::<Array<BigInt>, _>(fields)
    .bind::<Array<Text>, _>(keys)
    .bind::<Array<Text>, _>(values)
    .bind::<Array<BigInt>, _>(steps)
    .execute(conn)?;
    Ok(())
}

fn save_one(conn: &mut DbConn, ((field, key), (value, step)): Change, shard: i64) -> Result<(), DbError> {
    let mut sql = Sql::new("INSERT INTO field_values (field, value_key, shard, value, annotations) VALUES (");
    sql.bind(field).push(", ").bind(key).push(", ").bind(shard).push(", ").bind(value);
    sql.push(", ").bind(step).push(
        ") ON CONFLICT (field, value_key, shard) \
         DO UPDATE SET annotations = field_values.annotations + excluded.annotations",
    );
    sql.run(conn)?;
    Ok(())
}

/// The number that stands for a counted field in the table.
fn number(field: Field) -> Option<i64> {
    let place = Field::COUNTED.iter().position(|counted| *counted == field)?;
    i64::try_from(place).ok()
}

fn key(value: &str) -> String {
    if value.len() <= MAX_KEY_BYTES {
        return value.to_owned();
    }
    let beginning = value.get(..value.floor_char_boundary(MAX_KEY_BYTES - 64)).unwrap_or_default();
    let hash: String = Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{beginning}{hash}")
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = Text)]
    value: String,
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// The values of a field with the number of annotations that have each, most frequent first, then by value; at most
/// `most`.
///
/// # Errors
/// When the database fails.
pub fn list_values(conn: &mut DbConn, field: Field, most: usize) -> Result<Vec<(String, i64)>, DbError> {
    let Some(field) = number(field) else { return Ok(Vec::new()) };
    // sum(bigint) is numeric on PostgreSQL.
    let mut sql = Sql::new(
        "SELECT min(value) AS value, CAST(sum(annotations) AS BIGINT) AS number FROM field_values WHERE field = ",
    );
    sql.bind(field)
        .push(" GROUP BY value_key HAVING sum(annotations) > 0 ORDER BY 2 DESC, 1 LIMIT ")
        .bind(i64::try_from(most).unwrap_or(i64::MAX));
    Ok(sql.rows::<Counted>(conn)?.into_iter().map(|row| (row.value, row.number)).collect())
}
