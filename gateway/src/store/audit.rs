//! The log: written at its end alone, by one writer at a time.

use crate::model::{Action, Deed, Record};
use crate::schema::{audit_head as head, audit_records as records};
use diesel::dsl::{max, min};
use diesel::prelude::*;
use shared::db::{DbConn, DbError};
use shared::on_backend;

/// Id of the only row of the table that holds the end of the log.
const HEAD: i16 = 1;

#[derive(Queryable, Insertable, Selectable)]
#[diesel(table_name = records)]
struct RecordRow {
    seq: i64,
    at: i64,
    actor: String,
    address: String,
    action: String,
    target: String,
    detail: String,
    hash: String,
}

/// Adds a record. Within a transaction it comes last: other writers wait from here on until the end.
///
/// # Errors
/// What the database says.
pub(crate) fn append(conn: &mut DbConn, deed: Deed) -> Result<(), DbError> {
    conn.transaction(|conn| {
        // The update takes the row's lock, so that nobody else can read this end of the log.
        let (seq, before): (i64, String) = on_backend!(conn, c => diesel::update(head::table.find(HEAD))
            .set(head::seq.eq(head::seq + 1))
            .returning((head::seq, head::hash))
            .get_result(c))?;
        let record = Record::new(deed, seq, &before);
        diesel::update(head::table.find(HEAD)).set(head::hash.eq(&record.hash)).execute(conn)?;
        diesel::insert_into(records::table).values(RecordRow::from(record)).execute(conn)?;
        Ok(())
    })
}

/// Place and hash of the last record, as they were noted; `None` when somebody has removed the note.
///
/// # Errors
/// What the database says.
pub(crate) fn audit_head(conn: &mut DbConn) -> Result<Option<(i64, String)>, DbError> {
    Ok(head::table.find(HEAD).select((head::seq, head::hash)).first(conn).optional()?)
}

/// The places of the first and the last record that there are.
///
/// # Errors
/// What the database says.
pub(crate) fn audit_ends(conn: &mut DbConn) -> Result<Option<(i64, i64)>, DbError> {
    let places = records::table.select((min(records::seq), max(records::seq)));
    let (first, last): (Option<i64>, Option<i64>) = places.first(conn)?;
    Ok(first.zip(last))
}

/// What the log says about logins since an earlier look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct News {
    /// Where the log ends.
    pub(crate) end: Option<i64>,
    /// Whether anything has come that may end a login or change what it may. Without an earlier look it may have.
    pub(crate) is_any: bool,
}

/// Whether the log has news about logins since the record `after`.
///
/// # Errors
/// What the database says.
pub(crate) fn audit_news(conn: &mut DbConn, after: Option<i64>) -> Result<News, DbError> {
    let end = head::table.find(HEAD).select(head::seq).first::<i64>(conn).optional()?;
    let is_any = match (after, end) {
        (Some(after), Some(end)) if after == end => false,
        (Some(after), Some(end)) if after < end => {
            let harmless = Action::ALL.iter().filter(|action| !action.changes_logins());
            let harmless: Vec<&str> = harmless.map(|action| action.name()).collect();
            let news = records::table.filter(records::seq.gt(after)).filter(records::seq.le(end));
            let news = news.filter(records::action.ne_all(harmless)).select(records::seq);
            news.first::<i64>(conn).optional()?.is_some()
        }
        _ => true,
    };
    Ok(News { end, is_any })
}

/// Records in their order, those after `after`.
///
/// # Errors
/// What the database says.
pub(crate) fn list_records(conn: &mut DbConn, after: i64, limit: i64) -> Result<Vec<Record>, DbError> {
    let rows = records::table.filter(records::seq.gt(after)).select(RecordRow::as_select());
    let rows = rows.order(records::seq).limit(limit).load(conn)?;
    Ok(rows.into_iter().map(Record::from).collect())
}

impl From<Record> for RecordRow {
    fn from(record: Record) -> Self {
        let Record { seq, at, actor, address, action, target, detail, hash } = record;
        Self { seq, at, actor, address, action, target, detail, hash }
    }
}

impl From<RecordRow> for Record {
    fn from(row: RecordRow) -> Self {
        let RecordRow { seq, at, actor, address, action, target, detail, hash } = row;
        Self { seq, at, actor, address, action, target, detail, hash }
    }
}
