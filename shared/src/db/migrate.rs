//! Brings a service's tables up to date at start, one process at a time.

use super::{DbConn, DbError, Target};
use diesel::connection::SimpleConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};

/// One service's migrations: two folders with equal version names, one per engine.
pub struct Migrations {
    /// `migrations/sqlite`, embedded.
    pub sqlite: EmbeddedMigrations,
    /// `migrations/postgres`, embedded.
    pub postgres: EmbeddedMigrations,
}

/// Key of the advisory lock that lets one process migrate at a time ("quintet" in ASCII); without it parallel
/// starts failed (shared/style.md, section 4).
const MIGRATION_LOCK: i64 = 0x71_75_69_6e_74_65_74;

impl Migrations {
    /// Applies what is missing.
    pub(super) fn run(self, target: &Target) -> Result<(), DbError> {
        let fail = |cause: &dyn std::fmt::Display| DbError::Unavailable(format!("migration: {cause}"));
        let mut conn = target.connect().map_err(|cause| DbError::Unavailable(cause.to_string()))?;
        match &mut conn {
            DbConn::Sqlite(conn) => {
                conn.run_pending_migrations(self.sqlite).map_err(|cause| fail(&cause))?;
            }
            DbConn::Postgres(conn) => {
                let Target::Postgres { schema, .. } = target else { return Ok(()) };
                // The session lock goes with this connection, which ends right after.
                conn.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})"))?;
                conn.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}"))?;
                conn.run_pending_migrations(self.postgres).map_err(|cause| fail(&cause))?;
            }
        }
        Ok(())
    }
}
