//! New events on their way to the event service.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use shared::db::{DbConn, DbError, Sql};

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
    Sql::new(&format!("SELECT id, body FROM outbox ORDER BY id LIMIT {limit}")).rows(conn)
}

/// Removes events that have arrived.
///
/// # Errors
/// When the database fails.
pub fn delete_outgoing(conn: &mut DbConn, ids: &[i64]) -> Result<(), DbError> {
    let mut sql = Sql::new("DELETE FROM outbox WHERE id");
    sql.among(ids.to_vec());
    sql.run(conn).map(|_count| ())
}

pub(super) fn put_outgoing(conn: &mut DbConn, body: &str) -> Result<(), DbError> {
    let mut sql = Sql::new("INSERT INTO outbox (body) VALUES (");
    sql.bind(body).push(")");
    sql.run(conn).map(|_one| ())
}
