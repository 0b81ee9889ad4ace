//! The one transaction that stores events: rows, index terms and counters, or nothing.

use super::StoreError;
use super::prepared::{Prepared, Shape};
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, SmallInt, Text};
use diesel::{PgConnection, QueryResult, QueryableByName, RunQueryDsl, SqliteConnection};
use shared::db::{DbConn, DbError, statement};
use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inserted {
    /// For each event of the batch, in its order, whether it was new; a repeat was dropped.
    pub is_new: Vec<bool>,
}

impl Inserted {
    /// How many were new.
    #[must_use]
    pub fn saved(&self) -> usize {
        self.is_new.iter().filter(|is_new| **is_new).count()
    }
}

/// Stores a batch in one transaction. Of events with one message id the first stays, stored before or in this batch.
///
/// `shard` chooses the counters to write; callers that commit at the same time use different ones, 0 to 31.
///
/// # Errors
/// When the database fails; nothing is stored then.
pub fn put_events<P: Borrow<Prepared>>(
    conn: &mut DbConn,
    batch: &[P],
    shard: i16,
) -> Result<Inserted, DbError> {
    let mut seen = HashSet::new();
    let batch = batch.iter().map(Borrow::borrow);
    let unique: Vec<&Prepared> = batch.clone().filter(|event| seen.insert(&event.message_id)).collect();
    let mut stored: HashMap<String, i64> = match conn {
        DbConn::Postgres(conn) => postgres::put(conn, &unique, shard)?,
        DbConn::Sqlite(conn) => conn.immediate_transaction(|conn| sqlite::put(conn, &unique, shard))?,
    };
    // Taken out when met: the second of two equal ids in this batch is a repeat.
    let is_new = batch.map(|event| stored.remove(&event.message_id).is_some()).collect();
    Ok(Inserted { is_new })
}

/// [`put_events`] inside a transaction that the caller has opened, PostgreSQL only; answers the new events' ids.
///
/// # Errors
/// When the database fails.
pub fn put_postgres_events(
    conn: &mut PgConnection,
    batch: &[Prepared],
    shard: i16,
) -> Result<Vec<i64>, StoreError> {
    let unique: Vec<&Prepared> = batch.iter().collect();
    Ok(postgres::put(conn, &unique, shard)?.into_values().collect())
}

/// One statement for everything, with one array per column (shared/spec/storage-notes.md, "Writing"): a commit of a few
/// events costs more for its round trips and its planning than for its rows. Events are numbered in the order of the
/// batch, but they and the counters are written in the order of their keys: concurrent batches that hold the same then
/// wait for each other instead of locking each other out.
mod postgres {
    use super::*;

    const PUT: &str = concat!(
        "WITH noted AS MATERIALIZED (",
        shared::noted!("events_id_seq"),
        "), stored AS ( \
            INSERT INTO events (id, message_id, event_type, generated, scope, user_id, shape, v1, v2, raw, is_emitted) \
            OVERRIDING SYSTEM VALUE SELECT * FROM ( \
                SELECT nextval('events_id_seq') AS id, batch.* FROM noted, unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
                AS batch (message_id, event_type, generated, scope, user_id, shape, v1, v2, raw, is_emitted) \
            ) AS numbered ORDER BY message_id \
            ON CONFLICT (message_id) DO NOTHING RETURNING id, message_id, generated, shape \
        ), indexed AS ( \
            INSERT INTO trait_index (term, generated, event_id) \
            SELECT term, generated, id FROM unnest(?, ?) AS terms (term, place) \
            JOIN unnest(?) WITH ORDINALITY AS batch (message_id, place) USING (place) \
            JOIN stored USING (message_id) \
            ORDER BY term, generated, id \
        ), counted AS ( \
            INSERT INTO event_shapes (id, shard, event_type, name, traits, events) \
            SELECT id, ?, event_type, name, traits, events \
            FROM unnest(?, ?, ?, ?) AS shapes (id, event_type, name, traits) \
            JOIN (SELECT shape AS id, count(*) AS events FROM stored GROUP BY shape) AS counts USING (id) ORDER BY id \
            ON CONFLICT (id, shard) DO UPDATE SET events = event_shapes.events + excluded.events \
        ) SELECT id, message_id FROM stored"
    );

    #[derive(QueryableByName)]
    struct New {
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(sql_type = Text)]
        message_id: String,
    }

    pub(super) fn put(
        conn: &mut PgConnection,
        unique: &[&Prepared],
        shard: i16,
    ) -> QueryResult<HashMap<String, i64>> {
        let texts = |column: fn(&Prepared) -> &str| -> Vec<&str> {
            unique.iter().map(|event| column(event)).collect()
        };
        let options = |column: fn(&Prepared) -> Option<&str>| -> Vec<Option<&str>> {
            unique.iter().map(|event| column(event)).collect()
        };
        let (times, shapes): (Vec<i64>, Vec<i64>) =
            unique.iter().map(|event| (event.generated, event.shape.id)).unzip();
        // A place, not the id: 50 000 events with 12 traits each would send their ids 600 000 times.
        let (terms, places): (Vec<&[u8]>, Vec<i64>) = (1..)
            .zip(unique)
            .flat_map(|(place, event)| event.terms.iter().map(move |term| (term.as_slice(), place)))
            .unzip();
        let known: BTreeMap<i64, &Prepared> = unique.iter().map(|event| (event.shape.id, *event)).collect();
        let shape_texts = |column: fn(&Prepared) -> &str| -> Vec<&str> {
            known.values().map(|event| column(event)).collect()
        };
        let rows: Vec<New> = statement(PUT)
            .bind::<Array<Text>, _>(texts(|event| &event.message_id))
            .bind::<Array<Text>, _>(texts(|event| &event.event_type))
            .bind::<Array<BigInt>, _>(times)
            .bind::<Array<Nullable<Text>>, _>(options(|event| event.scope.as_deref()))
            .bind::<Array<Nullable<Text>>, _>(options(|event| event.user_id.as_deref()))
            .bind::<Array<BigInt>, _>(shapes)
            .bind::<Array<Text>, _>(texts(|event| &event.v1))
            .bind::<Array<Text>, _>(texts(|event| &event.v2))
            .bind::<Array<Text>, _>(texts(|event| &event.raw))
            .bind::<Array<Bool>, _>(unique.iter().map(|event| event.is_emitted).collect::<Vec<bool>>())
            .bind::<Array<Binary>, _>(terms)
            .bind::<Array<BigInt>, _>(places)
            .bind::<Array<Text>, _>(texts(|event| &event.message_id))
            .bind::<SmallInt, _>(shard)
            .bind::<Array<BigInt>, _>(known.keys().copied().collect::<Vec<i64>>())
            .bind::<Array<Text>, _>(shape_texts(|event| &event.event_type))
            .bind::<Array<Text>, _>(shape_texts(|event| &event.shape.name))
            .bind::<Array<Text>, _>(shape_texts(|event| &event.shape.traits))
            .load(conn)?;
        Ok(rows.into_iter().map(|row| (row.message_id, row.id)).collect())
    }
}

/// Row by row with prepared statements, which is as fast as the engine goes inside a transaction.
mod sqlite {
    use super::*;
    use crate::schema::{event_shapes, events, trait_index};
    use diesel::upsert::excluded;
    use diesel::{ExpressionMethods, OptionalExtension};

    pub(super) fn put(
        conn: &mut SqliteConnection,
        unique: &[&Prepared],
        shard: i16,
    ) -> QueryResult<HashMap<String, i64>> {
        let mut stored = HashMap::new();
        for event in unique {
            if let Some(id) = put_row(conn, event)? {
                stored.insert(event.message_id.clone(), id);
            }
        }
        for (term, time, id) in terms(unique, &stored) {
            let row =
                (trait_index::term.eq(term), trait_index::generated.eq(time), trait_index::event_id.eq(id));
            diesel::insert_into(trait_index::table).values(row).execute(conn)?;
        }
        for (event, count) in shapes(unique, &stored).into_values() {
            put_shape(conn, &event.event_type, &event.shape, count, shard)?;
        }
        Ok(stored)
    }

    fn put_row(conn: &mut SqliteConnection, event: &Prepared) -> QueryResult<Option<i64>> {
        diesel::insert_into(events::table)
            .values((
                events::message_id.eq(&event.message_id),
                events::event_type.eq(&event.event_type),
                events::generated.eq(event.generated),
                events::scope.eq(&event.scope),
                events::user_id.eq(&event.user_id),
                events::shape.eq(event.shape.id),
                events::v1.eq(&event.v1),
                events::v2.eq(&event.v2),
                events::raw.eq(&event.raw),
                events::is_emitted.eq(event.is_emitted),
            ))
            .on_conflict(events::message_id)
            .do_nothing()
            .returning(events::id)
            .get_result(conn)
            .optional()
    }

    fn put_shape(
        conn: &mut SqliteConnection,
        event_type: &str,
        shape: &Shape,
        count: i64,
        shard: i16,
    ) -> QueryResult<usize> {
        diesel::insert_into(event_shapes::table)
            .values((
                event_shapes::id.eq(shape.id),
                event_shapes::shard.eq(shard),
                event_shapes::event_type.eq(event_type),
                event_shapes::name.eq(&shape.name),
                event_shapes::traits.eq(&shape.traits),
                event_shapes::events.eq(count),
            ))
            .on_conflict((event_shapes::id, event_shapes::shard))
            .do_update()
            .set(event_shapes::events.eq(event_shapes::events + excluded(event_shapes::events)))
            .execute(conn)
    }

    /// The new events' index rows in index order, which keeps a batch's writes together.
    fn terms<'b>(unique: &[&'b Prepared], stored: &HashMap<String, i64>) -> Vec<(&'b [u8], i64, i64)> {
        let new = unique.iter().filter_map(|event| Some((event, *stored.get(&event.message_id)?)));
        let mut rows: Vec<_> = new
            .flat_map(|(event, id)| {
                event.terms.iter().map(move |term| (term.as_slice(), event.generated, id))
            })
            .collect();
        rows.sort_unstable();
        rows
    }

    /// How many new events there are of each shape, in the order of the counters' key: concurrent batches then wait
    /// for each other instead of locking each other out.
    fn shapes<'b>(
        unique: &[&'b Prepared],
        stored: &HashMap<String, i64>,
    ) -> BTreeMap<i64, (&'b Prepared, i64)> {
        let mut counts = BTreeMap::new();
        for event in unique.iter().filter(|event| stored.contains_key(&event.message_id)) {
            counts.entry(event.shape.id).or_insert((*event, 0)).1 += 1;
        }
        counts
    }
}
