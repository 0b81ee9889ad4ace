//! New rows of `annotations`.

use super::DbError;
use super::row::{column, tags_text};
use super::span::span;
use crate::model::{Annotation, Field, tsvector, words};
use diesel::sql_types::{BigInt, Binary};
use diesel::{ExpressionMethods, QueryableByName, RunQueryDsl, SqliteConnection};
use serde_json::{Map, Value, json};
use shared::db::{DbConn, Sql};
use std::collections::HashMap;

/// A row to be.
pub(super) struct NewRow<'a> {
    pub(super) annotation: &'a Annotation,
    /// Its number in the order of creation, when it had one before.
    pub(super) seq: Option<i64>,
    pub(super) version: i64,
    pub(super) change: i64,
    pub(super) action: &'static str,
    pub(super) at: i64,
    pub(super) by: &'a str,
}

/// Inserts rows; answers their numbers in the order given.
pub(super) fn insert(conn: &mut DbConn, rows: &[NewRow<'_>]) -> Result<Vec<i64>, DbError> {
    match conn {
        DbConn::Postgres(_) => insert_batch(conn, rows),
        DbConn::Sqlite(conn) => rows.iter().map(|row| insert_row(conn, row)).collect(),
    }
}

/// The columns of a row with their types, besides `seq`, `id` and `words`.
const TYPED: &str = "span smallint, start_us bigint, end_us bigint, start_off bigint, end_off bigint, \
     message text, creation_user text, url text, source text, host text, owner text, category text, tags text, \
     version bigint, change bigint, action text, changed_us bigint, changed_by text";

const NAMES: &str = "span, start_us, end_us, start_off, end_off, message, creation_user, url, source, host, owner, \
     category, tags, version, change, action, changed_us, changed_by";

#[derive(QueryableByName)]
struct New {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
}

/// PostgreSQL: all rows in one statement with one value, prepared once for every number of rows.
fn insert_batch(conn: &mut DbConn, rows: &[NewRow<'_>]) -> Result<Vec<i64>, DbError> {
    let is_numbered = rows.iter().any(|row| row.seq.is_some());
    let (seq, overriding) = if is_numbered { ("seq, ", " OVERRIDING SYSTEM VALUE") } else { ("", "") };
    let mut sql = Sql::new(&format!(
        "INSERT INTO annotations ({seq}id, words, {NAMES}){overriding} \
         SELECT {seq}decode(id, 'hex'), CAST(words AS tsvector), {NAMES} FROM json_to_recordset(CAST("
    ));
    let batch = Value::Array(rows.iter().map(object).collect());
    sql.bind(batch.to_string());
    sql.push(&format!(" AS json)) AS batch (seq bigint, id text, words text, {TYPED}) RETURNING seq, id"));
    let inserted: HashMap<Vec<u8>, i64> =
        sql.rows::<New>(conn)?.into_iter().map(|row| (row.id, row.seq)).collect();
    let seq = |row: &NewRow<'_>| inserted.get(row.annotation.id.as_bytes().as_slice()).copied().unwrap_or(0);
    Ok(rows.iter().map(seq).collect())
}

fn object(row: &NewRow<'_>) -> Value {
    let Annotation { id, texts, start, end, tags } = row.annotation;
    let mut object = Map::new();
    for (field, text) in texts.iter() {
        object.insert(column(field).to_owned(), text.into());
    }
    let others = [
        ("seq", json!(row.seq)),
        ("id", json!(id.simple().to_string())),
        ("words", tsvector(texts.get(Field::Message)).into()),
        ("span", span(end.micros - start.micros).into()),
        ("start_us", start.micros.into()),
        ("end_us", end.micros.into()),
        ("start_off", start.offset_secs.into()),
        ("end_off", end.offset_secs.into()),
        ("tags", tags_text(tags).into()),
        ("version", row.version.into()),
        ("change", row.change.into()),
        ("action", row.action.into()),
        ("changed_us", row.at.into()),
        ("changed_by", row.by.into()),
    ];
    object.extend(others.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(object)
}

/// SQLite: row by row with prepared statements, which is as fast as the engine goes inside a transaction.
fn insert_row(conn: &mut SqliteConnection, row: &NewRow<'_>) -> Result<i64, DbError> {
    use crate::schema::annotations::dsl;
    let Annotation { id, texts, start, end, tags } = row.annotation;
    let values = (
        row.seq.map(|seq| dsl::seq.eq(seq)),
        dsl::id.eq(id.as_bytes().as_slice()),
        dsl::span.eq(span(end.micros - start.micros)),
        dsl::start_us.eq(start.micros),
        dsl::end_us.eq(end.micros),
        dsl::start_off.eq(i64::from(start.offset_secs)),
        dsl::end_off.eq(i64::from(end.offset_secs)),
        dsl::message.eq(texts.get(Field::Message)),
        dsl::creation_user.eq(texts.get(Field::CreationUser)),
        dsl::url.eq(texts.get(Field::Url)),
        dsl::source.eq(texts.get(Field::Source)),
        dsl::host.eq(texts.get(Field::Host)),
        dsl::owner.eq(texts.get(Field::Owner)),
        dsl::category.eq(texts.get(Field::Category)),
        dsl::tags.eq(tags_text(tags)),
        dsl::version.eq(row.version),
        dsl::change.eq(row.change),
        dsl::action.eq(row.action),
        dsl::changed_us.eq(row.at),
        dsl::changed_by.eq(row.by),
    );
    let seq = diesel::insert_into(dsl::annotations).values(values).returning(dsl::seq).get_result(conn)?;
    insert_words(conn, seq, texts.get(Field::Message))?;
    Ok(seq)
}

/// SQLite: puts a message's words into the index of words.
pub(super) fn insert_words(conn: &mut SqliteConnection, seq: i64, message: &str) -> Result<(), DbError> {
    let mut sql = Sql::new("INSERT INTO annotation_words (rowid, words) VALUES (");
    sql.bind(seq).push(", ").bind(words(message).join(" ")).push(")");
    sql.execute(conn)?;
    Ok(())
}

/// SQLite: takes a message's words out of the index of words.
pub(super) fn delete_words(conn: &mut SqliteConnection, seq: i64) -> Result<(), DbError> {
    let mut sql = Sql::new("DELETE FROM annotation_words WHERE rowid = ");
    sql.bind(seq);
    sql.execute(conn)?;
    Ok(())
}
