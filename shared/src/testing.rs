//! An own database for each test, on the engine that `QUINTET_TEST_POSTGRES_URL` chooses (unset: SQLite).

use crate::db::{Db, Migrations, Target};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};

/// Address of a PostgreSQL that tests may use; its user must be allowed to make schemas.
pub const POSTGRES_URL: &str = "QUINTET_TEST_POSTGRES_URL";

/// A database that goes away with this value.
pub struct TestDb {
    /// The open database.
    pub db: Db,
    place: Place,
}

enum Place {
    Folder(tempfile::TempDir),
    Schema { url: String, schema: String },
}

impl TestDb {
    /// A fresh database with `migrations` applied.
    ///
    /// # Panics
    /// When it cannot be made: the test cannot go on.
    #[must_use]
    #[expect(clippy::unwrap_used, reason = "a test without its database has failed")]
    pub fn new(migrations: Migrations) -> Self {
        let (target, place) = match std::env::var(POSTGRES_URL) {
            Ok(url) => {
                let schema = format!("test_{}", uuid::Uuid::new_v4().simple());
                (Target::postgres(&url, &schema).unwrap(), Place::Schema { url, schema })
            }
            Err(_unset) => {
                let folder = tempfile::tempdir().unwrap();
                (Target::Sqlite { file: folder.path().join("test.sqlite") }, Place::Folder(folder))
            }
        };
        Self { db: Db::open(target, 4, migrations).unwrap(), place }
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        match &self.place {
            Place::Folder(folder) => log::debug!("removing {}", folder.path().display()),
            Place::Schema { url, schema } => {
                let dropped =
                    PgConnection::establish(url).map_err(|cause| cause.to_string()).and_then(|mut c| {
                        c.batch_execute(&format!("DROP SCHEMA {schema} CASCADE"))
                            .map_err(|cause| cause.to_string())
                    });
                if let Err(cause) = dropped {
                    log::warn!("test schema {schema} stays: {cause}");
                }
            }
        }
    }
}
