//! Rows of `annotations` that change or go.

use super::DbError;
use super::insert::{NewRow, delete_words, insert_words};
use super::row::{column, tags_text};
use super::span::span;
use crate::model::{Annotation, Field, Stored, tsvector};
use shared::db::{DbConn, Sql};

/// Overwrites the row of this number.
pub(super) fn update(conn: &mut DbConn, seq: i64, row: &NewRow<'_>) -> Result<(), DbError> {
    let Annotation { texts, start, end, tags, .. } = row.annotation;
    let mut sql = Sql::new("UPDATE annotations SET tags = ");
    sql.bind(tags_text(tags));
    for (field, text) in texts.iter() {
        sql.push(&format!(", {} = ", column(field))).bind(text);
    }
    let numbers = [
        ("span", span(end.micros - start.micros)),
        ("start_us", start.micros),
        ("end_us", end.micros),
        ("start_off", start.offset_secs.into()),
        ("end_off", end.offset_secs.into()),
        ("version", row.version),
        ("change", row.change),
        ("changed_us", row.at),
    ];
    for (column, number) in numbers {
        sql.push(&format!(", {column} = ")).bind(number);
    }
    sql.push(", action = ").bind(row.action).push(", changed_by = ").bind(row.by);
    let message = texts.get(Field::Message);
    match conn {
        DbConn::Postgres(_) => {
            sql.push(", words = CAST(").bind(tsvector(message)).push(" AS tsvector)");
        }
        DbConn::Sqlite(conn) => {
            delete_words(conn, seq)?;
            insert_words(conn, seq, message)?;
        }
    }
    sql.push(" WHERE seq = ").bind(seq);
    sql.run(conn).map(|_rows| ())
}

/// Takes a row away.
pub(super) fn delete(conn: &mut DbConn, stored: &Stored) -> Result<(), DbError> {
    if let DbConn::Sqlite(conn) = conn {
        delete_words(conn, stored.seq)?;
    }
    let mut sql = Sql::new("DELETE FROM annotations WHERE seq = ");
    sql.bind(stored.seq);
    sql.run(conn).map(|_rows| ())
}
