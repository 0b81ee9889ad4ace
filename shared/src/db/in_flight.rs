//! Up to which id every row is there that ever will be.
//!
//! On PostgreSQL ids are given before commits, so a row with a small id may appear after one with a greater id. A client
//! that follows a list by id remembers the greatest one and would lose it for good. So every transaction notes, before it
//! takes its first id of a sequence, how far ids had been given ([`noted!`](crate::noted)). The note is a shared advisory
//! lock with the last 31 bits of the id; it ends with the transaction, commit or not, and after its rows are visible. Up
//! to the lowest note nothing can appear any more.
//!
//! SQLite has one writer: its ids are in the order of commits.

use super::{DbConn, DbError, Sql};
use diesel::sql_types::BigInt;
use diesel::{QueryableByName, RunQueryDsl};

/// A query of one row that takes the note of a sequence. It must run before `nextval`: in the same statement as a
/// materialized `WITH`, of which the rows to number are made.
#[macro_export]
macro_rules! noted {
    ($sequence:literal) => {
        concat!(
            "SELECT pg_advisory_xact_lock_shared('",
            $sequence,
            "'::regclass::oid::int, (last & 2147483647)::int) FROM (SELECT coalesce(pg_sequence_last_value('",
            $sequence,
            "'), 0) AS last) AS given"
        )
    };
}

#[derive(QueryableByName)]
struct Complete {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// The greatest id of a sequence up to which nothing can appear any more; what is read after this call has all of it.
/// `sequence` is a name of the program's own.
///
/// The id given last is read first: a transaction whose note is not there when the notes are read takes greater ids.
///
/// # Errors
/// When the database fails.
pub fn complete_up_to(conn: &mut DbConn, sequence: &'static str) -> Result<i64, DbError> {
    let DbConn::Postgres(conn) = conn else { return Ok(i64::MAX) };
    let complete: Vec<Complete> = Sql::new(&format!(
        "SELECT last - coalesce((SELECT max((last - objid::bigint) & 2147483647) FROM pg_locks \
             WHERE locktype = 'advisory' AND objsubid = 2 AND classid = '{sequence}'::regclass::oid \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND (last - objid::bigint) & 2147483647 < 1073741824), 0) AS id \
         FROM (SELECT coalesce(pg_sequence_last_value('{sequence}'), 0) AS last OFFSET 0) AS given"
    ))
    .load(conn)?;
    Ok(complete.first().map_or(0, |row| row.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::POSTGRES_URL;
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, PgConnection, QueryResult, sql_query};

    const TAKE: &str = concat!(
        "WITH noted AS MATERIALIZED (",
        noted!("in_flight_ids"),
        ") SELECT nextval('in_flight_ids') AS id FROM noted"
    );

    fn take(conn: &mut PgConnection) -> QueryResult<i64> {
        Ok(sql_query(TAKE).get_result::<Complete>(conn)?.id)
    }

    #[test]
    fn ids_are_complete_below_the_lowest_that_is_under_way() {
        let Ok(url) = std::env::var(POSTGRES_URL) else { return };
        let schema = format!("test_{}", uuid::Uuid::new_v4().simple());
        let connect = || {
            let mut conn = PgConnection::establish(&url).unwrap();
            conn.batch_execute(&format!("SET search_path TO {schema}")).unwrap();
            conn
        };
        let (mut slow, mut fast, mut reader) = (connect(), connect(), DbConn::Postgres(connect()));
        fast.batch_execute(&format!("CREATE SCHEMA {schema}; CREATE SEQUENCE in_flight_ids")).unwrap();
        let mut complete = || complete_up_to(&mut reader, "in_flight_ids").unwrap();
        assert_eq!(complete(), 0);
        slow.batch_execute("BEGIN").unwrap();
        assert_eq!(take(&mut slow), Ok(1));
        assert_eq!((take(&mut fast), complete()), (Ok(2), 0), "1 is under way");
        slow.batch_execute("COMMIT; BEGIN").unwrap();
        assert_eq!(complete(), 2);
        assert_eq!((take(&mut slow), take(&mut fast), complete()), (Ok(3), Ok(4), 2));
        slow.batch_execute("ROLLBACK").unwrap();
        assert_eq!(complete(), 4, "3 will never be");
        // Beyond the 31 bits that a note has room for.
        fast.batch_execute("SELECT setval('in_flight_ids', 2147483647)").unwrap();
        slow.batch_execute("BEGIN").unwrap();
        assert_eq!((take(&mut slow), take(&mut fast)), (Ok(2_147_483_648), Ok(2_147_483_649)));
        assert_eq!(complete(), 2_147_483_647);
        slow.batch_execute(&format!("COMMIT; DROP SCHEMA {schema} CASCADE")).unwrap();
    }
}
