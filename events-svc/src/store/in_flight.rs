//! Up to which id every event is there that ever will be.
//!
//! On PostgreSQL ids are given before commits, so an event with a small id may appear after one with a greater id. Who
//! follows `/v1/events` with ascending marks remembers the greatest id and would lose it for good. So every batch notes,
//! before it takes its first id, how far ids had been given (`store/insert.rs`). The note is a shared advisory lock with
//! the last 31 bits of the id; it ends with the batch's transaction, commit or not, and after its rows are visible. Up to
//! the lowest note nothing can appear any more.
//!
//! SQLite has one writer: its ids are in the order of commits.

use super::StoreError;
use super::read::load;
use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use shared::db::{DbConn, Sql};

/// The id given last is read first: a batch whose note is not there when the notes are read takes greater ids.
const COMPLETE: &str = "\
    SELECT last - coalesce((SELECT max((last - objid::bigint) & 2147483647) FROM pg_locks \
        WHERE locktype = 'advisory' AND objsubid = 2 AND classid = 'events'::regclass::oid \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
        AND (last - objid::bigint) & 2147483647 < 1073741824), 0) AS id \
    FROM (SELECT coalesce(pg_sequence_last_value('events_id_seq'), 0) AS last OFFSET 0) AS given";

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// The greatest id up to which nothing can appear any more. What is read after this call has all of it.
///
/// # Errors
/// When the database fails.
pub(super) fn complete_up_to(conn: &mut DbConn) -> Result<i64, StoreError> {
    if let DbConn::Sqlite(_) = conn {
        return Ok(i64::MAX);
    }
    Ok(load::<Id>(conn, Sql::new(COMPLETE))?.first().map_or(0, |row| row.id))
}
