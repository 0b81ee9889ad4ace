//! Event types and the traits of their events, from the counters that every stored event keeps up to date.

use super::read::value_text;
use super::{StoreError, key::key};
use crate::model::{PIECE_BYTES, TraitDescription};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use shared::db::{DbConn, Sql, load_piece};
use std::collections::BTreeSet;

/// Names of the types that stored events have, sorted.
///
/// # Errors
/// When the database fails.
pub fn list_event_types(conn: &mut DbConn) -> Result<Vec<String>, StoreError> {
    let sql = Sql::new("SELECT name AS text FROM event_shapes GROUP BY name HAVING sum(events) > 0");
    let mut names: Vec<String> = sql.rows::<Row>(conn)?.into_iter().map(|row| row.text).collect();
    // Sorted here: by bytes on both engines.
    names.sort_unstable();
    Ok(names)
}

/// How many events are stored, of one type or in all.
///
/// # Errors
/// When the database fails.
pub fn count_events(conn: &mut DbConn, event_type: Option<&str>) -> Result<i64, StoreError> {
    // sum(bigint) is numeric on PostgreSQL.
    let mut sql = Sql::new("SELECT CAST(coalesce(sum(events), 0) AS BIGINT) AS number FROM event_shapes");
    if let Some(event_type) = event_type {
        sql.push(" WHERE event_type = ").bind(key(event_type));
    }
    Ok(sql.number(conn)?)
}

/// Name and type of every trait that events of a type have: text first, then integer, float, datetime, by name.
///
/// # Errors
/// When the database fails.
pub fn list_trait_descriptions(
    conn: &mut DbConn,
    event_type: &str,
) -> Result<Vec<TraitDescription>, StoreError> {
    let mut sql = Sql::new("SELECT traits AS text FROM event_shapes WHERE event_type = ");
    sql.bind(key(event_type)).push(" GROUP BY traits HAVING sum(events) > 0");
    let mut found = BTreeSet::new();
    for row in sql.rows::<Row>(conn)? {
        let traits: Vec<TraitDescription> = serde_json::from_str(&row.text).unwrap_or_default();
        found.extend(traits.into_iter().map(|description| (rank(&description.kind), description)));
    }
    Ok(found.into_iter().map(|(_, description)| description).collect())
}

/// Order in which Panko lists the types of traits (events-v2.md, section 6).
fn rank(kind: &str) -> usize {
    ["string", "integer", "float", "datetime"].iter().position(|name| *name == kind).unwrap_or(usize::MAX)
}

/// Values of one trait over the events of a type, in the order of storage, from the event after `after` on.
///
/// At most `rows` events are read; the second part of the answer is the id to go on after, `None` at the end.
///
/// # Errors
/// When the database fails.
pub fn list_trait_values(
    conn: &mut DbConn,
    event_type: &str,
    description: &TraitDescription,
    after: i64,
    rows: usize,
) -> Result<(Vec<String>, Option<i64>), StoreError> {
    let mut sql = Sql::new("SELECT id, v2 AS text FROM events WHERE event_type = ");
    sql.bind(key(event_type)).push(" AND id > ").bind(after).push(&format!(" ORDER BY id LIMIT {rows}"));
    let events = load_piece(conn, sql, PIECE_BYTES, |event: &Numbered| event.text.len())?;
    let is_end = !events.is_cut && events.rows.len() < rows;
    let next = events.rows.last().filter(|_| !is_end).map(|event| event.id);
    let value = |event: &Numbered| value_text(&event.text, &description.name, &description.kind);
    Ok((events.rows.iter().filter_map(value).collect(), next))
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    text: String,
}

#[derive(QueryableByName)]
struct Numbered {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    text: String,
}
