//! The one door to the database: SQLite and PostgreSQL behind one connection type, one pool and one set of rules.
//!
//! diesel blocks, so every query runs on the blocking pool: [`Db::read`] and [`Db::write`] are the only ways in.
//! On SQLite there is exactly one writing connection (the engine allows no more) beside several readers; on
//! PostgreSQL both kinds come from one pool.

mod connection;
mod manager;
mod migrate;
mod sql;

pub use connection::DbConn;
pub use diesel_migrations::{EmbeddedMigrations, embed_migrations};
pub use manager::Target;
pub use migrate::Migrations;
pub use sql::{Bind, Sql, Typed};

use manager::Manager;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

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

/// Longest wait for a free connection; then the answer is 503.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(5);

/// Calls that may wait for a connection, for each connection; more are turned away at once.
const WAITING_PER_CONNECTION: usize = 64;

/// What can go wrong on the way to a connection, or with a query.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection in time, too many waiting, or the database is away.
    #[error("no database connection: {0}")]
    Unavailable(String),
    /// The database refused the statement.
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
}

/// Connections of one service to its own tables. Cloning shares them.
#[derive(Clone)]
pub struct Db {
    readers: Pool,
    writers: Pool,
    target: Target,
}

#[derive(Clone)]
struct Pool {
    pool: r2d2::Pool<Manager>,
    /// Bounds the calls that run on the blocking pool or wait for it.
    places: Arc<Semaphore>,
    waited: Option<prometheus::Histogram>,
}

impl Db {
    /// Opens the pools and brings the tables up to date.
    ///
    /// `connections` is the most that one pool holds open, 2 to 64.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when the database cannot be reached or a migration fails.
    pub fn open(target: Target, connections: u32, migrations: Migrations) -> Result<Self, DbError> {
        target.prepare()?;
        migrations.run(&target)?;
        let readers = Pool::open(&target, connections)?;
        let writers = match target {
            Target::Sqlite { .. } => Pool::open(&target, 1)?,
            Target::Postgres { .. } => readers.clone(),
        };
        Ok(Self { readers, writers, target })
    }

    /// Where the tables are.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Measures the waits for a reading and a writing connection.
    #[must_use]
    pub fn observed(mut self, read: prometheus::Histogram, write: prometheus::Histogram) -> Self {
        self.readers.waited = Some(read);
        self.writers.waited = Some(write);
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

    /// The writing side for a thread that already blocks (group commit); not for request handlers.
    ///
    /// # Errors
    /// What `query` answers, or [`DbError::Unavailable`].
    pub fn write_blocking<T, E: From<DbError>>(
        &self,
        query: impl FnOnce(&mut DbConn) -> Result<T, E>,
    ) -> Result<T, E> {
        self.writers.with_connection(query)
    }
}

impl Pool {
    fn open(target: &Target, connections: u32) -> Result<Self, DbError> {
        let pool = r2d2::Pool::builder()
            .max_size(connections)
            .min_idle(Some(0))
            // A ping at every use cost 36 % (shared/spec/storage-notes.md); broken connections are dropped after use.
            .test_on_check_out(false)
            .connection_timeout(CHECKOUT_TIMEOUT)
            .error_handler(Box::new(LogFailure))
            .build(Manager::new(target.clone()))
            .map_err(|cause| DbError::Unavailable(cause.to_string()))?;
        let places = usize::try_from(connections).unwrap_or(1) * (1 + WAITING_PER_CONNECTION);
        Ok(Self { pool, places: Arc::new(Semaphore::new(places)), waited: None })
    }

    async fn run<T, E, F>(&self, query: F) -> Result<T, E>
    where
        F: FnOnce(&mut DbConn) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Err(DbError::Unavailable("too many calls are waiting".into()).into());
        };
        let pool = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _place = place;
            pool.with_connection(query)
        });
        task.await.unwrap_or_else(|cause| Err(DbError::Unavailable(cause.to_string()).into()))
    }

    fn with_connection<T, E: From<DbError>>(
        &self,
        query: impl FnOnce(&mut DbConn) -> Result<T, E>,
    ) -> Result<T, E> {
        let asked = Instant::now();
        let mut conn = self.pool.get().map_err(|cause| DbError::Unavailable(cause.to_string()))?;
        if let Some(waited) = &self.waited {
            waited.observe(asked.elapsed().as_secs_f64());
        }
        query(&mut conn)
    }
}

/// Connection failures of the pool's own threads: one warning each, the request sees its own time-out.
#[derive(Debug)]
struct LogFailure;

impl r2d2::HandleError<manager::ConnectError> for LogFailure {
    fn handle_error(&self, cause: manager::ConnectError) {
        log::warn!("database connection failed: {cause}");
    }
}
