//! The present by the database's clock, for what several processes compare: those of their machines may differ.

use super::DbConn;

/// Reads the present, in microseconds since 1970, in a statement on this connection.
#[must_use]
pub fn present(conn: &DbConn) -> &'static str {
    match conn {
        DbConn::Postgres(_) => "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)",
        DbConn::Sqlite(_) => "CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER)",
    }
}
