//! Messages that could not be read or converted, kept with the reason.

use super::StoreError;
use crate::schema::dead_letters;
use diesel::prelude::*;
use shared::db::DbConn;

/// A message that could not become an event.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = dead_letters)]
pub struct DeadLetter {
    /// Number of the letter; 0 before it is stored.
    #[diesel(skip_insertion)]
    pub id: i64,
    /// Where it came from: `http`, or the queue's name.
    pub source: String,
    /// Why it could not be used.
    pub reason: String,
    /// The message as it came.
    pub body: Vec<u8>,
    /// When it came, microseconds since 1970.
    pub received: i64,
}

/// Stores letters in one transaction, as long as no more than `most` are kept.
///
/// # Errors
/// When the database fails.
pub fn put_dead_letters(conn: &mut DbConn, letters: &[DeadLetter], most: i64) -> Result<(), StoreError> {
    conn.transaction(|conn| {
        let room = usize::try_from(most - count_dead_letters(conn)?).unwrap_or(0);
        for letter in letters.iter().take(room) {
            diesel::insert_into(dead_letters::table).values(letter).execute(conn)?;
        }
        if letters.len() > room {
            log::warn!("{} dead letters dropped: {most} are kept already", letters.len() - room);
        }
        Ok(())
    })
}

/// Letters after the id `after`, oldest first, at most `limit`.
///
/// # Errors
/// When the database fails.
pub fn list_dead_letters(conn: &mut DbConn, after: i64, limit: i64) -> Result<Vec<DeadLetter>, StoreError> {
    let query = dead_letters::table.filter(dead_letters::id.gt(after)).order(dead_letters::id).limit(limit);
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

/// Removes a letter; tells whether there was one.
///
/// # Errors
/// When the database fails.
pub fn delete_dead_letter(conn: &mut DbConn, id: i64) -> Result<bool, StoreError> {
    Ok(diesel::delete(dead_letters::table.find(id)).execute(conn)? > 0)
}

/// How many letters are kept.
///
/// # Errors
/// When the database fails.
pub fn count_dead_letters(conn: &mut DbConn) -> Result<i64, StoreError> {
    Ok(dead_letters::table.count().get_result(conn)?)
}
