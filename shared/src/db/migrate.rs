//! Brings a service's tables up to date at start, one process at a time.

use super::{DbConn, DbError, Target};
use diesel::backend::Backend;
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::migration::{MigrationSource, MigrationVersion};
use diesel::sql_types::Text;
use diesel::{PgConnection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};
use std::fs::File;
use std::path::Path;

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
        let _alone = target.folder().map(alone).transpose()?;
        let mut conn = target.connect().map_err(|cause| DbError::Unavailable(cause.to_string()))?;
        match &mut conn {
            DbConn::Sqlite(conn) => bring_up(conn, self.sqlite).map_err(|cause| fail(&cause))?,
            DbConn::Postgres(conn) => {
                let Target::Postgres { schema, .. } = target else { return Ok(()) };
                check_encoding(conn)?;
                // The session lock goes with this connection, which ends right after.
                conn.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})"))?;
                conn.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}"))?;
                bring_up(conn, self.postgres).map_err(|cause| fail(&cause))?;
            }
        }
        Ok(())
    }
}

/// Waits until no other process prepares the files of this folder; until the answer is dropped none does. SQLite itself
/// refuses a second one that changes the journal's form, instead of letting it wait.
fn alone(folder: &Path) -> Result<File, DbError> {
    let locked = File::open(folder).and_then(|folder| folder.lock().map(|()| folder));
    locked.map_err(|cause| DbError::Unavailable(format!("{}: {cause}", folder.display())))
}

/// Refuses a database that cannot hold every text. In `SQL_ASCII` bytes are kept as they are.
fn check_encoding(conn: &mut PgConnection) -> Result<(), DbError> {
    let encoding: String = diesel::select(sql::<Text>("current_setting('server_encoding')")).first(conn)?;
    if ["UTF8", "SQL_ASCII"].contains(&encoding.as_str()) {
        return Ok(());
    }
    Err(DbError::Unavailable(format!("the database's encoding is {encoding}: make one with ENCODING 'UTF8'")))
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

#[cfg(test)]
mod tests {
    use super::*;
    use diesel::Connection;

    #[test]
    fn a_database_that_cannot_hold_every_text_is_refused() {
        let Ok(url) = std::env::var(crate::testing::POSTGRES_URL) else { return };
        let mut conn = PgConnection::establish(&url).unwrap();
        check_encoding(&mut conn).unwrap();
        let name = format!("latin_{}", uuid::Uuid::new_v4().simple());
        let latin = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0";
        conn.batch_execute(&format!("CREATE DATABASE {name} {latin}")).unwrap();
        let (server, _) = url.rsplit_once('/').unwrap();
        let refused = check_encoding(&mut PgConnection::establish(&format!("{server}/{name}")).unwrap());
        conn.batch_execute(&format!("DROP DATABASE {name}")).unwrap();
        assert!(refused.unwrap_err().to_string().ends_with("is LATIN1: make one with ENCODING 'UTF8'"));
    }
}
