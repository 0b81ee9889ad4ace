//! Messages that could not be read or converted, kept with the reason.

use super::StoreError;
use crate::schema::dead_letters;
use diesel::connection::Connection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Text};
use sha2::{Digest, Sha256};
use shared::db::{DbConn, Sql};
use shared::on_backend;

/// Bytes of a message that a list shows.
pub const HEAD_BYTES: usize = 1024;

/// Longest reason that is kept, in characters: reasons quote the message.
const REASON_CHARS: usize = 1000;

/// A message that could not become an event.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = dead_letters)]
pub struct DeadLetter {
    /// Number of the letter; 0 before it is stored.
    pub id: i64,
    /// Where it came from: `http`, or broker and queue.
    pub source: String,
    /// Why it could not be used.
    pub reason: String,
    /// The message as it came.
    pub body: Vec<u8>,
    /// When it came, microseconds since 1970.
    pub received: i64,
}

/// A letter as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct DeadLetterHead {
    /// Number of the letter.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// Where it came from.
    #[diesel(sql_type = Text)]
    pub source: String,
    /// Why it could not be used.
    #[diesel(sql_type = Text)]
    pub reason: String,
    /// When it came, microseconds since 1970.
    #[diesel(sql_type = BigInt)]
    pub received: i64,
    /// Length of the message in bytes.
    #[diesel(sql_type = BigInt)]
    pub size: i64,
    /// The message's first [`HEAD_BYTES`].
    #[diesel(sql_type = Binary)]
    pub head: Vec<u8>,
}

/// What the kept letters may amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Most letters.
    pub letters: i64,
    /// Most bytes of their messages.
    pub bytes: i64,
}

impl Room {
    /// Half of it: what one kind of source may fill.
    #[must_use]
    pub fn half(self) -> Self {
        Self { letters: (self.letters / 2).max(1), bytes: self.bytes / 2 }
    }
}

/// Stores letters in one transaction as long as all that are kept stay within `room`; returns those that found none.
///
/// A message that is already kept from the same source is the same letter: a second delivery adds nothing.
///
/// # Errors
/// When the database fails; nothing is stored then.
pub fn put_dead_letters(
    conn: &mut DbConn,
    letters: &[DeadLetter],
    room: Room,
) -> Result<Vec<DeadLetter>, StoreError> {
    conn.transaction(|conn| {
        // One writer at a time, before anything is read: the bound is exact, and writers of equal letters cannot lock each
        // other out. SQLite waits for another process only with what begins to write.
        match conn {
            DbConn::Postgres(conn) => {
                diesel::sql_query("LOCK TABLE dead_letters IN SHARE ROW EXCLUSIVE MODE").execute(conn)?;
            }
            DbConn::Sqlite(conn) => {
                diesel::sql_query("DELETE FROM dead_letters WHERE 1 = 0").execute(conn)?;
            }
        }
        let held = held(conn)?;
        let mut left = Room { letters: room.letters - held.letters, bytes: room.bytes - held.bytes };
        let mut unkept = Vec::new();
        for letter in letters {
            let digest = digest(letter);
            let bytes = i64::try_from(letter.body.len()).unwrap_or(i64::MAX);
            if left.letters > 0 && left.bytes >= bytes {
                if put(conn, letter, digest)? {
                    left = Room { letters: left.letters - 1, bytes: left.bytes - bytes };
                }
            } else if !is_kept(conn, &digest)? {
                unkept.push(letter.clone());
            }
        }
        Ok(unkept)
    })
}

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = BigInt)]
    letters: i64,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

/// What is kept now. Neither engine reads a message to tell its length.
fn held(conn: &mut DbConn) -> Result<Room, StoreError> {
    let sql = Sql::new(
        "SELECT count(*) AS letters, CAST(coalesce(sum(length(body)), 0) AS BIGINT) AS bytes FROM dead_letters",
    );
    let held: Vec<Held> = sql.rows(conn)?;
    let room = held.first().map(|held| Room { letters: held.letters, bytes: held.bytes });
    Ok(room.unwrap_or(Room { letters: 0, bytes: 0 }))
}

/// Tells whether the letter was new.
fn put(conn: &mut DbConn, letter: &DeadLetter, digest: Vec<u8>) -> Result<bool, StoreError> {
    // PostgreSQL cannot store `\0` in text; names and reasons may quote one.
    let storable =
        |text: &str| -> String { text.replace('\0', "\u{fffd}").chars().take(REASON_CHARS).collect() };
    let mut sql = Sql::new("INSERT INTO dead_letters (source, reason, body, received, digest) VALUES (");
    sql.bind(storable(&letter.source)).push(", ").bind(storable(&letter.reason)).push(", ");
    sql.bind(letter.body.clone()).push(", ").bind(letter.received).push(", ").bind(digest);
    sql.push(") ON CONFLICT (digest) DO NOTHING");
    Ok(on_backend!(conn, c => sql.execute(c))? > 0)
}

fn is_kept(conn: &mut DbConn, digest: &[u8]) -> Result<bool, StoreError> {
    let kept = dead_letters::table.filter(dead_letters::digest.eq(digest)).count();
    Ok(kept.get_result::<i64>(conn)? > 0)
}

fn digest(letter: &DeadLetter) -> Vec<u8> {
    Sha256::new()
        .chain_update(&letter.source)
        .chain_update([0])
        .chain_update(&letter.body)
        .finalize()
        .to_vec()
}

/// Heads of the letters after the id `after`, oldest first, at most `limit`.
///
/// # Errors
/// When the database fails.
pub fn list_dead_letters(
    conn: &mut DbConn,
    after: i64,
    limit: i64,
) -> Result<Vec<DeadLetterHead>, StoreError> {
    let mut sql = Sql::new("SELECT id, source, reason, received, CAST(length(body) AS BIGINT) AS size, ");
    // Of an empty blob SQLite makes NULL.
    sql.push(&format!("coalesce(substr(body, 1, {HEAD_BYTES}), body) AS head FROM dead_letters WHERE id > "));
    sql.bind(after);
    sql.push(" ORDER BY id LIMIT ").bind(limit);
    Ok(sql.rows(conn)?)
}

/// Letters after the id `after` up to the id `last`, whole, oldest first, at most `limit` of them and no more once
/// they hold `bytes`; the first comes whatever its size.
///
/// # Errors
/// When the database fails.
pub fn read_dead_letters(
    conn: &mut DbConn,
    after: i64,
    last: i64,
    limit: i64,
    bytes: i64,
) -> Result<Vec<DeadLetter>, StoreError> {
    let mut held = 0;
    let mut fits = |head: &DeadLetterHead| {
        let is_first = held == 0;
        held += head.size.max(1);
        head.id <= last && (is_first || held <= bytes)
    };
    let heads = list_dead_letters(conn, after, limit)?;
    let ids: Vec<i64> = heads.iter().take_while(|head| fits(head)).map(|head| head.id).collect();
    let query = dead_letters::table.filter(dead_letters::id.eq_any(ids)).order(dead_letters::id);
    Ok(query.select(DeadLetter::as_select()).load(conn)?)
}

/// One letter.
///
/// # Errors
/// When the database fails.
pub fn find_dead_letter(conn: &mut DbConn, id: i64) -> Result<Option<DeadLetter>, StoreError> {
    let query = dead_letters::table.find(id).select(DeadLetter::as_select());
    Ok(query.first(conn).optional()?)
}

/// Id of the newest letter; 0 when there is none.
///
/// # Errors
/// When the database fails.
pub fn last_dead_letter(conn: &mut DbConn) -> Result<i64, StoreError> {
    let newest = dead_letters::table.select(dead_letters::id).order(dead_letters::id.desc());
    Ok(newest.first(conn).optional()?.unwrap_or(0))
}

/// Removes letters; tells how many there were.
///
/// # Errors
/// When the database fails; nothing is removed then.
pub fn delete_dead_letters(conn: &mut DbConn, ids: &[i64]) -> Result<usize, StoreError> {
    let letters = dead_letters::table.filter(dead_letters::id.eq_any(ids.to_vec()));
    Ok(diesel::delete(letters).execute(conn)?)
}

/// Removes the oldest letters up to the id `last`, at most `limit`; tells how many there were.
///
/// # Errors
/// When the database fails; nothing is removed then.
pub fn delete_oldest_dead_letters(conn: &mut DbConn, last: i64, limit: i64) -> Result<usize, StoreError> {
    let mut sql = Sql::new("DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters WHERE id <= ");
    sql.bind(last).push(" ORDER BY id LIMIT ").bind(limit).push(")");
    Ok(on_backend!(conn, c => sql.execute(c))?)
}

/// How many letters are kept.
///
/// # Errors
/// When the database fails.
pub fn count_dead_letters(conn: &mut DbConn) -> Result<i64, StoreError> {
    Ok(dead_letters::table.count().get_result(conn)?)
}
