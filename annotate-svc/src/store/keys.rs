//! Writes that came with an `Idempotency-Key`, and their answers.

use super::DbError;
use super::write::IdempotencyKey;
use crate::model::Stored;
use diesel::QueryableByName;
use diesel::sql_types::{Binary, Text};
use shared::db::{DbConn, Sql};

/// What is known about a key.
pub(super) enum Claim {
    /// Nothing: it belongs to this write now.
    New,
    /// The same write was done before, with this answer.
    Repeated(Vec<Stored>),
    /// Another request used it.
    Other,
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Binary)]
    fingerprint: Vec<u8>,
    #[diesel(sql_type = Text)]
    answer: String,
}

/// Takes a key for a write. A concurrent transaction with the same key is waited for.
pub(super) fn claim(
    conn: &mut DbConn,
    subject: &str,
    key: &IdempotencyKey,
    at: i64,
) -> Result<Claim, DbError> {
    let mut sql =
        Sql::new("INSERT INTO idempotency_keys (subject, name, fingerprint, created_us, answer) VALUES (");
    sql.bind(subject).push(", ").bind(key.name.as_str()).push(", ").bind(key.fingerprint.clone());
    sql.push(", ").bind(at).push(", '') ON CONFLICT DO NOTHING");
    if sql.run(conn)? == 1 {
        return Ok(Claim::New);
    }
    let mut sql = Sql::new("SELECT fingerprint, answer FROM idempotency_keys");
    sql.append(of(subject, key));
    let known = sql.rows::<Known>(conn)?.into_iter().next();
    Ok(match known.filter(|known| known.fingerprint == key.fingerprint) {
        Some(known) => serde_json::from_str(&known.answer).map_or(Claim::Other, Claim::Repeated),
        None => Claim::Other,
    })
}

/// Keeps the answer for repetitions.
pub(super) fn save_answer(
    conn: &mut DbConn,
    subject: &str,
    key: &IdempotencyKey,
    stored: &[Stored],
) -> Result<(), DbError> {
    let mut sql = Sql::new("UPDATE idempotency_keys SET answer = ");
    sql.bind(serde_json::to_string(stored).unwrap_or_default()).append(of(subject, key));
    sql.run(conn).map(|_rows| ())
}

/// Gives a key free.
pub(super) fn release(conn: &mut DbConn, subject: &str, key: &IdempotencyKey) -> Result<(), DbError> {
    let mut sql = Sql::new("DELETE FROM idempotency_keys");
    sql.append(of(subject, key));
    sql.run(conn).map(|_rows| ())
}

fn of(subject: &str, key: &IdempotencyKey) -> Sql {
    let mut sql = Sql::new(" WHERE subject = ");
    sql.bind(subject).push(" AND name = ").bind(key.name.as_str());
    sql
}
