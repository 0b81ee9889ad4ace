//! The one transaction that takes a piece of the feed: the cursor moves, and the events of the piece join their
//! streams; or nothing of it happens.
//!
//! A partition's cursor is compared before it is moved. So of two that take the same piece one finds it taken, and
//! no event can join twice, whoever believes to hold the partition.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::NaiveDateTime;
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text};
use diesel::{Connection, QueryableByName, RunQueryDsl};
use shared::datetime::from_micros;
use shared::db::{DbConn, DbError, Place, Sql, statement};

use super::cursor::{Cursor, move_cursor};
use super::{list_events, put};
use crate::counters::Counters;
use crate::engine::Stream;
use crate::model::Event;
use crate::triggers::{FireCounts, Match};
use crate::unjoined::Unjoined;

/// An event that a trigger takes.
#[derive(Debug, Clone)]
pub struct Joining {
    /// Id in the event store.
    pub event_id: i64,
    /// The event.
    pub event: Arc<Event>,
    /// Its JSON text, as it came.
    pub body: Arc<str>,
    /// Trigger and distinguishing values.
    pub found: Match,
    /// Key of the stream that takes it ([`super::active_key`]).
    pub key: Vec<u8>,
    /// The present, to the engine.
    pub now: NaiveDateTime,
}

/// What a piece of the feed has brought.
#[derive(Debug, Default)]
pub struct Added {
    /// Whether a stream has become ready to fire.
    pub became_ready: bool,
    /// What was counted on the way.
    pub counters: Counters,
}

/// A stream that the piece touches.
pub(super) struct Slot<'a> {
    /// Its id; a new one has none yet.
    pub(super) id: Option<i64>,
    pub(super) key: &'a [u8],
    /// Whether it is the stream of its key, and not one whose time is over.
    pub(super) is_current: bool,
    pub(super) stream: Stream,
    /// When it would have expired and fired before; a new one, never.
    pub(super) times_before: (Option<NaiveDateTime>, Option<NaiveDateTime>),
    /// Events that join it now.
    pub(super) events: Vec<&'a Joining>,
}

#[derive(QueryableByName)]
struct CurrentRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Binary)]
    active_key: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    first_event: i64,
    #[diesel(sql_type = BigInt)]
    last_event: i64,
    #[diesel(sql_type = BigInt)]
    expire_timestamp: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    fire_timestamp: Option<i64>,
    #[diesel(sql_type = Text)]
    fire_counts: String,
}

/// Takes the piece of the feed from a place up to the next cursor of a partition; `joining` is what of it belongs there,
/// in the order of the feed. `at` is the present in microseconds, for the history.
///
/// `None` when the partition is not at `from` any more: somebody else has taken the piece.
///
/// # Errors
/// When the database fails; nothing has happened then.
pub fn add_events(
    conn: &mut DbConn,
    from: Place,
    to: &Cursor,
    joining: &[Joining],
    at: i64,
) -> Result<Option<Added>, DbError> {
    conn.transaction(|conn| {
        if !move_cursor(conn, from, to)? {
            return Ok(None);
        }
        if joining.is_empty() {
            return Ok(Some(Added::default()));
        }
        let (mut slots, mut added) = (current_streams(conn, joining)?, Added::default());
        join_all(&mut slots, joining, &mut added);
        slots.retain(|slot| !slot.events.is_empty() || !slot.is_current);
        put::put_slots(conn, &mut slots, at)?;
        Ok(Some(added))
    })
}

/// Lets the events join in memory.
fn join_all<'a>(slots: &mut Vec<Slot<'a>>, joining: &'a [Joining], added: &mut Added) {
    let mut places: HashMap<&[u8], usize> =
        slots.iter().enumerate().map(|(place, slot)| (slot.key, place)).collect();
    let mut unjoined = Unjoined::default();
    for one in joining {
        let trigger = &one.found.trigger;
        let place = places.get(one.key.as_slice()).copied();
        let current = place.and_then(|place| slots.get(place)).map(|slot| slot.stream.clone());
        let counters = added.counters.of(trigger.name(), trigger.debug_level());
        let joined = match Stream::join(current, &one.found, &one.event, one.now, counters) {
            Ok(joined) => joined,
            Err(why) => {
                unjoined.note(trigger.name(), &one.event.message_id, format_args!("expiration: {why}"));
                continue;
            }
        };
        added.became_ready |= joined.became_ready;
        match place.and_then(|place| slots.get_mut(place)) {
            Some(slot) if !joined.is_new => {
                slot.stream = joined.stream;
                slot.events.push(one);
                continue;
            }
            Some(over) => over.is_current = false,
            None => {}
        }
        places.insert(&one.key, slots.len());
        slots.push(Slot {
            id: None,
            key: &one.key,
            is_current: true,
            stream: joined.stream,
            times_before: (None, None),
            events: vec![one],
        });
    }
    unjoined.end();
}

/// The stored streams of the keys, locked.
fn current_streams<'a>(conn: &mut DbConn, joining: &'a [Joining]) -> Result<Vec<Slot<'a>>, DbError> {
    let by_key: HashMap<&[u8], &'a Joining> = joining.iter().map(|one| (one.key.as_slice(), one)).collect();
    let keys: BTreeSet<&[u8]> = by_key.keys().copied().collect();
    let mut slots = Vec::with_capacity(keys.len());
    for row in current_rows(conn, keys)? {
        if let Some(one) = by_key.get(row.active_key.as_slice()) {
            let stream = stored_stream(conn, &row, &one.found)?;
            slots.push(Slot {
                id: Some(row.id),
                key: &one.key,
                is_current: true,
                times_before: (Some(stream.expire_timestamp), stream.fire_timestamp),
                stream,
                events: Vec::new(),
            });
        }
    }
    Ok(slots)
}

macro_rules! select_current {
    ($condition:literal) => {
        concat!(
            "SELECT id, active_key, first_event, last_event, expire_timestamp, fire_timestamp, fire_counts \
             FROM streams WHERE active_key = ",
            $condition
        )
    };
}

fn current_rows(conn: &mut DbConn, keys: BTreeSet<&[u8]>) -> Result<Vec<CurrentRow>, DbError> {
    match conn {
        DbConn::Postgres(conn) => Ok(statement(select_current!("ANY(?) ORDER BY id FOR UPDATE"))
            .bind::<Array<Binary>, _>(keys.into_iter().collect::<Vec<_>>())
            .load(conn)?),
        DbConn::Sqlite(_) => {
            let mut rows = Vec::new();
            for key in keys {
                let mut sql = Sql::new(select_current!(""));
                sql.bind(key.to_vec());
                rows.extend(sql.rows::<CurrentRow>(conn)?);
            }
            Ok(rows)
        }
    }
}

fn stored_stream(conn: &mut DbConn, row: &CurrentRow, found: &Match) -> Result<Stream, DbError> {
    let trigger = &found.trigger;
    let fire_counts = match FireCounts::parse(&row.fire_counts, trigger) {
        Some(counts) => counts,
        // Nothing counts any more.
        None if row.fire_timestamp.is_some() => FireCounts::new(trigger),
        // The criteria were changed since.
        None => {
            let bodies = list_events(conn, row.id)?;
            let read = |body: &String| Event::from_json(serde_json::from_str(body).ok()?).ok();
            let events: Vec<Event> = bodies.iter().filter_map(read).collect();
            FireCounts::recount(trigger, &events)
        }
    };
    Ok(Stream {
        name: trigger.name().to_owned(),
        distinguishing: found.distinguishing.clone(),
        first_event: from_micros(row.first_event),
        last_event: from_micros(row.last_event),
        expire_timestamp: from_micros(row.expire_timestamp),
        fire_timestamp: row.fire_timestamp.map(from_micros),
        fire_counts,
    })
}
