//! Brings a service's tables up to date at start, one process at a time.

use super::{DbConn, DbError, Target};
use diesel::backend::Backend;
use diesel::connection::SimpleConnection;
use diesel::migration::{MigrationSource, MigrationVersion};
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
            DbConn::Sqlite(conn) => bring_up(conn, self.sqlite).map_err(|cause| fail(&cause))?,
            DbConn::Postgres(conn) => {
                let Target::Postgres { schema, .. } = target else { return Ok(()) };
                // The session lock goes with this connection, which ends right after.
                conn.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})"))?;
                conn.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}"))?;
                bring_up(conn, self.postgres).map_err(|cause| fail(&cause))?;
            }
        }
        Ok(())
    }
}

/// Applies what is missing. Tables that a newer version has changed are used as they are, so that replicas can be replaced
/// one by one, but whoever went back to an older one should know.
fn bring_up<DB: Backend>(
    conn: &mut impl MigrationHarness<DB>,
    migrations: EmbeddedMigrations,
) -> diesel::migration::Result<()> {
    let known = MigrationSource::<DB>::migrations(&migrations)?;
    conn.run_pending_migrations(migrations)?;
    let is_known = |version: &MigrationVersion<'_>| known.iter().any(|own| own.name().version() == *version);
    let newer = conn.applied_migrations()?.into_iter().find(|version| !is_known(version));
    if let Some(version) = newer {
        log::warn!(
            "a newer version of this program has changed the tables ({version}): this one may not work with them"
        );
    }
    Ok(())
}
