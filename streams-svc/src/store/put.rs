//! The rows that a piece of the feed writes: one statement a table with one array a column on PostgreSQL, row by
//! row with prepared statements on SQLite, which is as fast as each engine goes.

use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text};
use diesel::{PgConnection, QueryResult, QueryableByName, RunQueryDsl, SqliteConnection};
use shared::datetime::to_micros;
use shared::db::{DbConn, DbError, statement};

use super::join::Slot;
use super::term::stored_terms;
use crate::engine::State;

/// Writes all streams that a piece touches; new ones get their ids in the order of their first events.
pub(super) fn put_slots(conn: &mut DbConn, slots: &mut [Slot<'_>], at: i64) -> Result<(), DbError> {
    match conn {
        DbConn::Postgres(conn) => postgres::put(conn, slots, at)?,
        DbConn::Sqlite(conn) => sqlite::put(conn, slots, at)?,
    }
    Ok(())
}

impl Slot<'_> {
    /// The key it is stored with.
    fn active_key(&self) -> Option<&[u8]> {
        self.is_current.then_some(self.key)
    }

    fn distinguishing(&self) -> String {
        self.stream.distinguishing.to_json().to_string()
    }

    fn terms(&self) -> Vec<Vec<u8>> {
        self.stream.distinguishing.iter().flat_map(|(name, value)| stored_terms(name, value)).collect()
    }
}

mod postgres {
    use super::*;

    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = BigInt)]
        id: i64,
    }

    const TAKE_IDS: &str = concat!(
        "WITH noted AS MATERIALIZED (",
        shared::noted!("stream_ids"),
        ") SELECT nextval('stream_ids') AS id FROM noted, generate_series(1, ?)"
    );

    pub(super) fn put(conn: &mut PgConnection, slots: &mut [Slot<'_>], at: i64) -> QueryResult<()> {
        let (mut old, mut new): (Vec<&mut Slot<'_>>, Vec<_>) =
            slots.iter_mut().partition(|slot| slot.id.is_some());
        update_old(conn, &mut old)?;
        if !new.is_empty() {
            let ids: Vec<Id> = statement(TAKE_IDS)
                .bind::<BigInt, _>(i64::try_from(new.len()).unwrap_or(i64::MAX))
                .load(conn)?;
            for (slot, row) in new.iter_mut().zip(ids) {
                slot.id = Some(row.id);
            }
            insert_new(conn, &new)?;
            insert_terms(conn, &new)?;
            insert_history(conn, &new, at)?;
        }
        insert_members(conn, slots)
    }

    fn ids(slots: &[&mut Slot<'_>]) -> Vec<i64> {
        slots.iter().filter_map(|slot| slot.id).collect()
    }

    fn times(slots: &[&mut Slot<'_>], time: fn(&Slot<'_>) -> chrono::NaiveDateTime) -> Vec<i64> {
        slots.iter().map(|slot| to_micros(time(slot))).collect()
    }

    fn fire_times(slots: &[&mut Slot<'_>]) -> Vec<Option<i64>> {
        slots.iter().map(|slot| slot.stream.fire_timestamp.map(to_micros)).collect()
    }

    fn fire_counts(slots: &[&mut Slot<'_>]) -> Vec<String> {
        slots.iter().map(|slot| slot.stream.fire_counts.to_string()).collect()
    }

    /// Before any insert, for a new stream may need the key of an old one.
    fn update_old(conn: &mut PgConnection, old: &mut [&mut Slot<'_>]) -> QueryResult<()> {
        if old.is_empty() {
            return Ok(());
        }
        let keys: Vec<Option<&[u8]>> = old.iter().map(|slot| slot.active_key()).collect();
        statement(
            "UPDATE streams SET active_key = batch.active_key, first_event = batch.first_event, \
             last_event = batch.last_event, expire_timestamp = batch.expire_timestamp, \
             fire_timestamp = batch.fire_timestamp, fire_counts = batch.fire_counts \
             FROM unnest(?, ?, ?, ?, ?, ?, ?) AS batch \
             (id, active_key, first_event, last_event, expire_timestamp, fire_timestamp, fire_counts) \
             WHERE streams.id = batch.id",
        )
        .bind::<Array<BigInt>, _>(ids(old))
        .bind::<Array<Nullable<Binary>>, _>(keys)
        .bind::<Array<BigInt>, _>(times(old, |slot| slot.stream.first_event))
        .bind::<Array<BigInt>, _>(times(old, |slot| slot.stream.last_event))
        .bind::<Array<BigInt>, _>(times(old, |slot| slot.stream.expire_timestamp))
        .bind::<Array<Nullable<BigInt>>, _>(fire_times(old))
        .bind::<Array<Text>, _>(fire_counts(old))
        .execute(conn)
        .map(|_count| ())
    }

    fn insert_new(conn: &mut PgConnection, new: &[&mut Slot<'_>]) -> QueryResult<()> {
        statement(
            "INSERT INTO streams (id, active_key, trigger_name, distinguishing, state, serial, first_event, \
             last_event, expire_timestamp, fire_timestamp, fire_counts) \
             SELECT id, active_key, trigger_name, distinguishing, 1, 0, first_event, last_event, \
             expire_timestamp, fire_timestamp, fire_counts FROM unnest(?, ?, ?, ?, ?, ?, ?, ?, ?) \
             AS batch (id, active_key, trigger_name, distinguishing, first_event, last_event, \
             expire_timestamp, fire_timestamp, fire_counts)",
        )
        .bind::<Array<BigInt>, _>(ids(new))
        .bind::<Array<Nullable<Binary>>, _>(new.iter().map(|slot| slot.active_key()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(new.iter().map(|slot| slot.stream.name.as_str()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(new.iter().map(|slot| slot.distinguishing()).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(times(new, |slot| slot.stream.first_event))
        .bind::<Array<BigInt>, _>(times(new, |slot| slot.stream.last_event))
        .bind::<Array<BigInt>, _>(times(new, |slot| slot.stream.expire_timestamp))
        .bind::<Array<Nullable<BigInt>>, _>(fire_times(new))
        .bind::<Array<Text>, _>(fire_counts(new))
        .execute(conn)
        .map(|_count| ())
    }

    fn insert_terms(conn: &mut PgConnection, new: &[&mut Slot<'_>]) -> QueryResult<()> {
        let (terms, ids): (Vec<_>, Vec<_>) = new
            .iter()
            .flat_map(|slot| slot.terms().into_iter().map(|term| (term, slot.id.unwrap_or_default())))
            .unzip();
        statement(
            "INSERT INTO stream_traits (term, stream_id) SELECT * FROM unnest(?, ?) ON CONFLICT DO NOTHING",
        )
        .bind::<Array<Binary>, _>(terms)
        .bind::<Array<BigInt>, _>(ids)
        .execute(conn)
        .map(|_count| ())
    }

    fn insert_history(conn: &mut PgConnection, new: &[&mut Slot<'_>], at: i64) -> QueryResult<()> {
        statement(
            "INSERT INTO history (stream_id, trigger_name, serial, at, state) \
             SELECT id, name, 0, ?, ? FROM unnest(?, ?) AS batch (id, name)",
        )
        .bind::<BigInt, _>(at)
        .bind::<BigInt, _>(i64::from(State::Active.number()))
        .bind::<Array<BigInt>, _>(ids(new))
        .bind::<Array<Text>, _>(new.iter().map(|slot| slot.stream.name.as_str()).collect::<Vec<_>>())
        .execute(conn)
        .map(|_count| ())
    }

    fn insert_members(conn: &mut PgConnection, slots: &[Slot<'_>]) -> QueryResult<()> {
        let rows: Vec<_> = slots
            .iter()
            .flat_map(|slot| slot.events.iter().map(|event| (slot.id.unwrap_or_default(), *event)))
            .collect();
        let times: Vec<i64> = rows.iter().map(|(_, one)| to_micros(one.event.timestamp)).collect();
        statement(
            "INSERT INTO members (stream_id, event_id, timestamp, body) SELECT * FROM unnest(?, ?, ?, ?) \
             ON CONFLICT DO NOTHING",
        )
        .bind::<Array<BigInt>, _>(rows.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(rows.iter().map(|(_, one)| one.event_id).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(times)
        .bind::<Array<Text>, _>(rows.iter().map(|(_, one)| &*one.body).collect::<Vec<_>>())
        .execute(conn)
        .map(|_count| ())
    }
}

mod sqlite {
    use super::*;
    use crate::schema::{history, members, stream_traits, streams};
    use diesel::{ExpressionMethods, QueryDsl};

    pub(super) fn put(conn: &mut SqliteConnection, slots: &mut [Slot<'_>], at: i64) -> QueryResult<()> {
        // Old ones first, for a new stream may need the key of an old one.
        for slot in slots.iter().filter(|slot| slot.id.is_some()) {
            update_old(conn, slot)?;
        }
        for slot in slots {
            let id = match slot.id {
                Some(id) => id,
                None => insert_new(conn, slot, at)?,
            };
            for one in &slot.events {
                let row = (
                    members::stream_id.eq(id),
                    members::event_id.eq(one.event_id),
                    members::timestamp.eq(to_micros(one.event.timestamp)),
                    members::body.eq(&*one.body),
                );
                diesel::insert_into(members::table)
                    .values(row)
                    .on_conflict((members::stream_id, members::event_id))
                    .do_nothing()
                    .execute(conn)?;
            }
        }
        Ok(())
    }

    fn update_old(conn: &mut SqliteConnection, slot: &Slot<'_>) -> QueryResult<()> {
        // The engine writes anew the indexes of every column that is set, so only what changes is.
        let key_is_free = (!slot.is_current).then(|| streams::active_key.eq(None::<Vec<u8>>));
        let (expire_before, fire_before) = slot.times_before;
        let (expire, fire) = (slot.stream.expire_timestamp, slot.stream.fire_timestamp);
        let expires =
            (expire_before != Some(expire)).then(|| streams::expire_timestamp.eq(to_micros(expire)));
        let fires = (fire_before != fire).then(|| streams::fire_timestamp.eq(fire.map(to_micros)));
        diesel::update(streams::table.filter(streams::id.eq(slot.id.unwrap_or_default())))
            .set((
                key_is_free,
                expires,
                fires,
                streams::first_event.eq(to_micros(slot.stream.first_event)),
                streams::last_event.eq(to_micros(slot.stream.last_event)),
                streams::fire_counts.eq(slot.stream.fire_counts.to_string()),
            ))
            .execute(conn)
            .map(|_count| ())
    }

    fn insert_new(conn: &mut SqliteConnection, slot: &Slot<'_>, at: i64) -> QueryResult<i64> {
        let active = i64::from(State::Active.number());
        let id: i64 = diesel::insert_into(streams::table)
            .values((
                streams::active_key.eq(slot.active_key()),
                streams::trigger_name.eq(&slot.stream.name),
                streams::distinguishing.eq(slot.distinguishing()),
                streams::state.eq(active),
                streams::serial.eq(0),
                streams::first_event.eq(to_micros(slot.stream.first_event)),
                streams::last_event.eq(to_micros(slot.stream.last_event)),
                streams::expire_timestamp.eq(to_micros(slot.stream.expire_timestamp)),
                streams::fire_timestamp.eq(slot.stream.fire_timestamp.map(to_micros)),
                streams::fire_counts.eq(slot.stream.fire_counts.to_string()),
            ))
            .returning(streams::id)
            .get_result(conn)?;
        for term in slot.terms() {
            diesel::insert_into(stream_traits::table)
                .values((stream_traits::term.eq(term), stream_traits::stream_id.eq(id)))
                .on_conflict((stream_traits::term, stream_traits::stream_id))
                .do_nothing()
                .execute(conn)?;
        }
        diesel::insert_into(history::table)
            .values((
                history::stream_id.eq(id),
                history::trigger_name.eq(&slot.stream.name),
                history::serial.eq(0),
                history::at.eq(at),
                history::state.eq(active),
            ))
            .execute(conn)?;
        Ok(id)
    }
}
