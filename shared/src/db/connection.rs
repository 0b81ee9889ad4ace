//! The derived connection type, alone in its file because the derive writes undocumented items.
#![allow(missing_docs, reason = "the derive writes public items without docs")]

use diesel::{PgConnection, SqliteConnection};

/// A connection to either engine.
#[derive(diesel::MultiConnection)]
pub enum DbConn {
    /// PostgreSQL, the production store.
    Postgres(PgConnection),
    /// SQLite, the embedded default.
    Sqlite(SqliteConnection),
}
