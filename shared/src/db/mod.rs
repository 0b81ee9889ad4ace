//! The one door to the database: SQLite and PostgreSQL behind one connection type, one pool and one set of rules.
//!
//! diesel blocks, so every query runs on the blocking pool: [`Db::read`] and [`Db::write`] are the only ways in.
//! On SQLite there is exactly one writing connection (the engine allows no more) beside several readers. On
//! PostgreSQL writers have connections of their own too, so that slow reads never keep writes waiting.

mod connection;
mod direction;
mod error;
mod in_flight;
mod manager;
mod migrate;
mod order;
mod piece;
mod pool;
mod present;
mod sql;
mod statement;

pub use connection::DbConn;
pub use diesel_migrations::{EmbeddedMigrations, embed_migrations};
pub use direction::Direction;
pub use error::DbError;
pub(crate) use error::says_nothing;
pub use in_flight::complete_up_to;
pub use manager::Target;
pub use migrate::Migrations;
pub use order::{OPEN, Place, WRITING, continue_numbers, continue_order};
pub use piece::{Piece, load_piece};
pub use present::present;
pub use sql::{Bind, Sql, Typed};
pub use statement::{And, Statement, statement};

use crate::metrics::Metrics;
use pool::{Pool, Purpose};

/// Runs one diesel expression on whichever engine the connection is. For `ON CONFLICT`, batch inserts and
/// `as_returning()`, which `MultiConnection` does not derive.
#[macro_export]
macro_rules! on_backend {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn {
            $crate::db::DbConn::Postgres($c) => $body,
            $crate::db::DbConn::Sqlite($c) => $body,
        }
    };
}

/// Threads of group commit that write side by side, so that one can fill its rows while another waits for the disk. On
/// PostgreSQL each has a connection; SQLite has one writing connection.
pub(crate) const COMMITTERS: u8 = 2;

/// Connections of one service to its own tables. Cloning shares them.
#[derive(Clone)]
pub struct Db {
    readers: Pool,
    writers: Pool,
    committers: Pool,
    target: Target,
}

impl Db {
    /// Opens the pools and brings the tables up to date.
    ///
    /// `connections` is the most that reads hold open, 2 to 64; on PostgreSQL writes have half as many more, and group
    /// commit two.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when the database cannot be reached or a migration fails.
    pub fn open(target: Target, connections: u32, migrations: Migrations) -> Result<Self, DbError> {
        target.prepare()?;
        migrations.run(&target)?;
        let readers = Pool::open(&target, Purpose::Read, connections)?;
        let (writers, committers) = match target {
            Target::Sqlite { .. } => {
                let writer = Pool::open(&target, Purpose::Write, 1)?;
                (writer.clone(), writer)
            }
            Target::Postgres { .. } => (
                Pool::open(&target, Purpose::Write, (connections / 2).max(2))?,
                Pool::open(&target, Purpose::Commit, COMMITTERS.into())?,
            ),
        };
        Ok(Self { readers, writers, committers, target })
    }

    /// Where the tables are.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Measures the waits for a reading and a writing connection.
    #[must_use]
    pub fn observed(mut self, metrics: &Metrics) -> Self {
        let (read, write) = (metrics.connection_waits("read"), metrics.connection_waits("write"));
        self.readers.observe(read);
        self.writers.observe(write.clone());
        self.committers.observe(write);
        self
    }

    /// Runs a query that changes nothing.
    ///
    /// # Errors
    /// What `query` answers, or [`DbError::Unavailable`].
    pub async fn read<T, E, F>(&self, query: F) -> Result<T, E>
    where
        F: FnOnce(&mut DbConn) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        self.readers.run(query).await
    }

    /// Runs a query that may change something.
    ///
    /// # Errors
    /// What `query` answers, or [`DbError::Unavailable`].
    pub async fn write<T, E, F>(&self, query: F) -> Result<T, E>
    where
        F: FnOnce(&mut DbConn) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        self.writers.run(query).await
    }

    /// The writing side for a thread that already blocks; not for request handlers.
    ///
    /// # Errors
    /// What `query` answers, or [`DbError::Unavailable`].
    pub fn write_blocking<T, E: From<DbError>>(
        &self,
        query: impl FnOnce(&mut DbConn) -> Result<T, E>,
    ) -> Result<T, E> {
        self.writers.with_connection(query)
    }

    /// The writing side for the threads of group commit. On PostgreSQL every statement is planned once for all values
    /// and never reads whole tables, so it must be one that finds its rows by a key.
    ///
    /// # Errors
    /// What `query` answers, or [`DbError::Unavailable`].
    pub fn commit_blocking<T, E: From<DbError>>(
        &self,
        query: impl FnOnce(&mut DbConn) -> Result<T, E>,
    ) -> Result<T, E> {
        self.committers.with_connection(query)
    }
}
