//! How far the feed was followed, in fixed partitions of the streams, and who follows which.
//!
//! Who holds a partition only saves work: what is right decides the comparison of cursors in [`super::add_events`].

use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::{Connection, QueryableByName};
use shared::datetime::{from_micros, to_micros};
use shared::db::{DbConn, DbError, Place, Sql, present};

use super::replica::alive;

/// Partitions on PostgreSQL: so many replicas can share the work. SQLite has one writer.
const POSTGRES_PARTITIONS: i64 = 4;

/// How far a partition has followed the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The partition.
    pub partition: i64,
    /// The place that it has reached.
    pub place: Place,
    /// In a replay, the time that it is there; none before the first event.
    pub present: Option<NaiveDateTime>,
}

#[derive(QueryableByName)]
struct CursorRow {
    #[diesel(sql_type = BigInt)]
    partition: i64,
    #[diesel(sql_type = Text)]
    cursor: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    present: Option<i64>,
}

#[derive(QueryableByName)]
struct PresentRow {
    #[diesel(sql_type = Nullable<BigInt>)]
    present: Option<i64>,
}

#[derive(QueryableByName)]
struct HolderRow {
    #[diesel(sql_type = BigInt)]
    partition: i64,
    #[diesel(sql_type = Nullable<Text>)]
    holder: Option<String>,
}

/// Makes the partitions if they are not there; how many there are.
///
/// # Errors
/// When the database fails.
pub fn start_partitions(conn: &mut DbConn) -> Result<i64, DbError> {
    let count = match conn {
        DbConn::Postgres(_) => POSTGRES_PARTITIONS,
        DbConn::Sqlite(_) => 1,
    };
    for partition in 0..count {
        let mut sql = Sql::new("INSERT INTO cursors (partition, cursor) VALUES (");
        sql.bind(partition).push(", '0-0') ON CONFLICT (partition) DO NOTHING");
        sql.run(conn)?;
    }
    Ok(count)
}

/// The cursors, by partition.
///
/// # Errors
/// When the database fails.
pub fn list_cursors(conn: &mut DbConn) -> Result<Vec<Cursor>, DbError> {
    let rows: Vec<CursorRow> =
        Sql::new("SELECT partition, cursor, present FROM cursors ORDER BY partition").rows(conn)?;
    let cursor = |row: CursorRow| Cursor {
        partition: row.partition,
        place: row.cursor.parse().unwrap_or_default(),
        present: row.present.map(from_micros),
    };
    Ok(rows.into_iter().map(cursor).collect())
}

/// The time of a replay up to which the events of all partitions are in their streams; none as long as a partition has
/// had no event.
///
/// # Errors
/// When the database fails.
pub fn find_present(conn: &mut DbConn) -> Result<Option<NaiveDateTime>, DbError> {
    let sql = "SELECT CASE WHEN count(*) = count(present) THEN min(present) END AS present FROM cursors";
    let rows: Vec<PresentRow> = Sql::new(sql).rows(conn)?;
    Ok(rows.first().and_then(|row| row.present).map(from_micros))
}

/// Moves a partition from a place to its next cursor; false when it is not at `from` any more.
pub(super) fn move_cursor(conn: &mut DbConn, from: Place, to: &Cursor) -> Result<bool, DbError> {
    let mut sql = Sql::new("UPDATE cursors SET cursor = ");
    sql.bind(to.place.to_string()).push(", present = ");
    sql.bind_or_null(to.present.map(to_micros));
    sql.push(" WHERE partition = ").bind(to.partition).push(" AND cursor = ").bind(from.to_string());
    Ok(sql.run(conn)? == 1)
}

/// Says that `me` is alive, and gives it its fair share of the partitions; who was silent for `silence` microseconds holds
/// none.
///
/// # Errors
/// When the database fails.
pub fn share_partitions(conn: &mut DbConn, me: &str, silence: i64) -> Result<Vec<i64>, DbError> {
    conn.transaction(|conn| {
        lock_sharing(conn)?;
        let mut sql = Sql::new("INSERT INTO holders (holder, seen) VALUES (");
        sql.bind(me)
            .push(", ")
            .push(present(conn))
            .push(") ON CONFLICT (holder) DO UPDATE SET seen = excluded.seen");
        sql.run(conn)?;
        let mut sql = Sql::new("DELETE FROM holders WHERE seen NOT BETWEEN ");
        sql.append(alive(conn, silence));
        sql.run(conn)?;
        Sql::new("UPDATE cursors SET holder = NULL WHERE holder NOT IN (SELECT holder FROM holders)")
            .run(conn)?;
        let holders = Sql::new("SELECT count(*) AS number FROM holders").number(conn)?.max(1);
        let rows: Vec<HolderRow> =
            Sql::new("SELECT partition, holder FROM cursors ORDER BY partition").rows(conn)?;
        let count = i64::try_from(rows.len()).unwrap_or(1);
        let share = usize::try_from((count + holders - 1) / holders).unwrap_or(1);
        let is_mine = |row: &&HolderRow| row.holder.as_deref() == Some(me);
        let mut mine: Vec<i64> = rows.iter().filter(is_mine).map(|row| row.partition).collect();
        let surplus = mine.split_off(share.min(mine.len()));
        let free = rows.iter().filter(|row| row.holder.is_none()).map(|row| row.partition);
        let taken: Vec<i64> = free.take(share - mine.len()).collect();
        for (partitions, holder) in [(&surplus, None), (&taken, Some(me))] {
            for partition in partitions {
                let mut sql = Sql::new("UPDATE cursors SET holder = ");
                sql.bind_or_null(holder).push(" WHERE partition = ").bind(*partition);
                sql.run(conn)?;
            }
        }
        mine.extend(taken);
        Ok(mine)
    })
}

/// Gives back everything that `me` holds.
///
/// # Errors
/// When the database fails.
pub fn leave_partitions(conn: &mut DbConn, me: &str) -> Result<(), DbError> {
    conn.transaction(|conn| {
        lock_sharing(conn)?;
        let mut sql = Sql::new("UPDATE cursors SET holder = NULL WHERE holder = ");
        sql.bind(me);
        sql.run(conn)?;
        let mut sql = Sql::new("DELETE FROM holders WHERE holder = ");
        sql.bind(me);
        sql.run(conn).map(|_one| ())
    })
}

/// Lets one replica at a time share the partitions or leave. Before a replica's own row, which another may be about to
/// delete.
fn lock_sharing(conn: &mut DbConn) -> Result<(), DbError> {
    Sql::new("UPDATE cursors SET holder = holder WHERE partition = 0").run(conn).map(|_one| ())
}
