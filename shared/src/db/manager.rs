//! Opens connections. The engine is chosen by the settings, never by guessing at a text: diesel's own manager
//! opens a *file* named after a mistyped address.

use super::{DbConn, DbError};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use std::path::PathBuf;

/// Where a service's tables are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file of this service alone.
    Sqlite {
        /// Path of the file; its folder is made when missing.
        file: PathBuf,
    },
    /// A schema of this service alone in one database.
    Postgres {
        /// `postgres://…`
        url: PostgresUrl,
        /// Schema name.
        schema: String,
    },
}

/// A PostgreSQL address; its password never shows in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

impl std::fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("postgres://********")
    }
}

impl Target {
    /// `None` when `url` is no PostgreSQL address or `schema` is not made of lower-case letters, digits and `_`.
    #[must_use]
    pub fn postgres(url: &str, schema: &str) -> Option<Self> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
        (is_postgres && !schema.is_empty() && schema.chars().all(is_plain))
            .then(|| Self::Postgres { url: PostgresUrl(url.to_owned()), schema: schema.to_owned() })
    }

    /// Makes the folder of a SQLite file.
    pub(super) fn prepare(&self) -> Result<(), DbError> {
        if let Self::Sqlite { file } = self
            && let Some(folder) = file.parent()
        {
            std::fs::create_dir_all(folder)
                .map_err(|cause| DbError::Unavailable(format!("{}: {cause}", folder.display())))?;
        }
        Ok(())
    }

    /// Opens one connection with everything set that the rest of the code relies on.
    pub(super) fn connect(&self) -> Result<DbConn, ConnectError> {
        match self {
            Self::Sqlite { file } => {
                let mut conn = SqliteConnection::establish(&file.to_string_lossy())?;
                // busy_timeout first: switching to WAL takes a lock. FULL: what is acknowledged survives a power cut.
                // Mapped pages are shared by all connections; a large cache for each would not be.
                conn.batch_execute(
                    "PRAGMA busy_timeout=5000; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; \
                     PRAGMA foreign_keys=ON; PRAGMA cache_size=-8000; \
                     PRAGMA mmap_size=1073741824; PRAGMA journal_size_limit=67108864;",
                )?;
                Ok(DbConn::Sqlite(conn))
            }
            Self::Postgres { url, schema } => {
                let mut conn = PgConnection::establish(&url.0)?;
                // The schema name is checked in `Target::postgres`. Plans are made for the values at hand: one plan for
                // all values sorted whole time ranges to answer with a page. Random reads are cheap on today's disks.
                conn.batch_execute(&format!(
                    "SET search_path TO {schema}; SET TIME ZONE 'UTC'; \
                     SET plan_cache_mode = force_custom_plan; SET random_page_cost = 1.1"
                ))?;
                Ok(DbConn::Postgres(conn))
            }
        }
    }
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error(transparent)]
    Connect(#[from] diesel::ConnectionError),
    #[error(transparent)]
    Setup(#[from] diesel::result::Error),
}

/// r2d2's door to [`Target::connect`].
#[derive(Debug)]
pub(super) struct Manager(Target);

impl Manager {
    pub(super) fn new(target: Target) -> Self {
        Self(target)
    }
}

impl r2d2::ManageConnection for Manager {
    type Connection = DbConn;
    type Error = ConnectError;

    fn connect(&self) -> Result<DbConn, ConnectError> {
        self.0.connect()
    }

    fn is_valid(&self, conn: &mut DbConn) -> Result<(), ConnectError> {
        Ok(conn.batch_execute("SELECT 1")?)
    }

    fn has_broken(&self, conn: &mut DbConn) -> bool {
        // A panic inside a transaction leaves it open; such a connection, or one the server closed, is not used again.
        std::thread::panicking() || crate::on_backend!(conn, c => diesel::r2d2::R2D2Connection::is_broken(c))
    }
}
