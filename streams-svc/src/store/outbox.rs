//! New events on their way to the event service.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use shared::db::{DbConn, DbError, Sql};

use super::{execute, id_list, load};

/// An event that the event service does not have yet, for all we know.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Outgoing {
    /// Its place in the outbox.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// The v1 object.
    #[diesel(sql_type = Text)]
    pub body: String,
}

/// The oldest events of the outbox.
///
/// # Errors
/// When the database fails.
pub fn list_outgoing(conn: &mut DbConn, limit: usize) -> Result<Vec<Outgoing>, DbError> {
    load(conn, Sql::new(&format!("SELECT id, body FROM outbox ORDER BY id LIMIT {limit}")))
}

/// Removes events that have arrived.
///
/// # Errors
/// When the database fails.
pub fn delete_outgoing(conn: &mut DbConn, ids: &[i64]) -> Result<(), DbError> {
    let sql = Sql::new(&format!("DELETE FROM outbox WHERE id IN {}", id_list(ids.iter().copied()))).once();
    execute(conn, sql).map(|_count| ())
}

pub(super) fn put_outgoing(conn: &mut DbConn, body: &str) -> Result<(), DbError> {
    let mut sql = Sql::new("INSERT INTO outbox (body) VALUES (");
    sql.bind(body).push(")");
    execute(conn, sql).map(|_one| ())
}
