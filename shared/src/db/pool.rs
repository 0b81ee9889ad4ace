//! Connections kept open, and the rule that none of them is dead when a query gets it.
//!
//! A server that restarts closes every connection, and diesel notices only those inside a transaction. So a connection
//! is asked whether it lives when it has rested, when another was found dead since its last use, and after a failure.

use super::manager::{ConnectError, Kept, Manager};
use super::{DbConn, DbError, Target};
use crate::logging::Seldom;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Longest wait for a free connection; then the answer is 503.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(5);

/// Calls that may wait for a connection, for each connection; more are turned away at once.
const WAITING_PER_CONNECTION: usize = 64;

/// A connection used this short a time ago is taken to live: a ping at every use cost 36 %
/// (shared/spec/storage-notes.md).
const FRESH: Duration = Duration::from_secs(1);

/// What connections are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Queries that change nothing; each has its time.
    Read,
    /// Group commit: the same few statements over and over.
    Commit,
    /// Everything else.
    Write,
}

/// Connections of one kind. Cloning shares them.
#[derive(Clone)]
pub(super) struct Pool {
    pool: r2d2::Pool<Manager>,
    /// Bounds the calls that run on the blocking pool or wait for it.
    places: Arc<Semaphore>,
    waited: Option<prometheus::Histogram>,
    /// How often a connection was found dead.
    losses: Arc<AtomicU64>,
}

impl Pool {
    pub(super) fn open(target: &Target, purpose: Purpose, connections: u32) -> Result<Self, DbError> {
        let pool = r2d2::Pool::builder()
            .max_size(connections)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .connection_timeout(CHECKOUT_TIMEOUT)
            .error_handler(Box::new(LogFailure))
            .build(Manager::new(target.clone(), purpose))
            .map_err(|cause| DbError::Unavailable(cause.to_string()))?;
        let places = usize::try_from(connections).unwrap_or(1) * (1 + WAITING_PER_CONNECTION);
        Ok(Self { pool, places: Arc::new(Semaphore::new(places)), waited: None, losses: Arc::default() })
    }

    /// Measures the waits for a connection.
    pub(super) fn observe(&mut self, waited: prometheus::Histogram) {
        self.waited = Some(waited);
    }

    pub(super) async fn run<T, E, F>(&self, query: F) -> Result<T, E>
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

    pub(super) fn with_connection<T, E: From<DbError>>(
        &self,
        query: impl FnOnce(&mut DbConn) -> Result<T, E>,
    ) -> Result<T, E> {
        let asked = Instant::now();
        let mut kept = self.checkout()?;
        if let Some(waited) = &self.waited {
            waited.observe(asked.elapsed().as_secs_f64());
        }
        let outcome = query(&mut kept.conn);
        kept.used = Instant::now();
        if outcome.is_err() && !kept.lives() {
            self.losses.fetch_add(1, Relaxed);
            return Err(DbError::Unavailable("the connection was lost".into()).into());
        }
        outcome
    }

    /// A connection that lives. Dead ones go; there are at most as many as the pool holds.
    fn checkout(&self) -> Result<r2d2::PooledConnection<Manager>, DbError> {
        loop {
            let mut kept = self.pool.get().map_err(|cause| DbError::Unavailable(cause.to_string()))?;
            let losses = self.losses.load(Relaxed);
            let is_known = kept.losses == losses && kept.used.elapsed() < FRESH;
            if is_known || kept.lives() {
                kept.losses = losses;
                return Ok(kept);
            }
            self.losses.fetch_add(1, Relaxed);
        }
    }
}

impl Kept {
    /// Whether the server still answers on it; once it does not, the pool drops it.
    fn lives(&mut self) -> bool {
        use diesel::connection::SimpleConnection;
        self.is_dead = self.is_dead || self.conn.batch_execute("SELECT 1").is_err();
        !self.is_dead
    }
}

/// Connection failures of the pool's own threads; the requests see their own time-outs.
#[derive(Debug)]
struct LogFailure;

impl r2d2::HandleError<ConnectError> for LogFailure {
    fn handle_error(&self, cause: ConnectError) {
        static FAILED: Seldom = Seldom::new();
        FAILED.say(|held_back| {
            let cause = cause.to_string().replace(['\n', '\t'], " ");
            log::warn!(held_back; "database connection failed: {cause}");
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::POSTGRES_URL;
    use diesel::{RunQueryDsl, sql_query};
    use std::sync::Barrier;

    const CONNECTIONS: u32 = 4;

    fn run(conn: &mut DbConn, statement: &str) -> Result<usize, DbError> {
        Ok(crate::on_backend!(conn, c => sql_query(statement).execute(c))?)
    }

    /// Uses every connection of the pool at once, so that all are open and fresh.
    fn open_all(pool: &Pool) {
        let all = Barrier::new(usize::try_from(CONNECTIONS).unwrap());
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| {
                    let at_once = |conn: &mut DbConn| {
                        all.wait();
                        run(conn, "SELECT 1")
                    };
                    pool.with_connection(at_once).unwrap();
                });
            }
        });
    }

    /// A restart of the server closes all connections at once.
    #[test]
    fn closed_connections_are_found_out_and_replaced() {
        let Ok(url) = std::env::var(POSTGRES_URL) else { return };
        let name = format!("pool_{}", uuid::Uuid::new_v4().simple());
        let separator = if url.contains('?') { '&' } else { '?' };
        let target = Target::postgres(&format!("{url}{separator}application_name={name}"), "none").unwrap();
        let pool = Pool::open(&target, Purpose::Read, CONNECTIONS).unwrap();
        open_all(&pool);
        let closing = format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = '{name}'"
        );
        let other = Pool::open(&Target::postgres(&url, "none").unwrap(), Purpose::Write, 1).unwrap();
        other.with_connection(|conn| run(conn, &closing)).unwrap();
        // The first was used a moment ago: its loss is told apart from a refusal, and no other query fails.
        let lost = pool.with_connection(|conn| run(conn, "SELECT 1"));
        assert!(matches!(lost, Err(DbError::Unavailable(_))), "{lost:?}");
        for _ in 0..2 * CONNECTIONS {
            pool.with_connection(|conn| run(conn, "SELECT 1")).unwrap();
        }
    }

    #[test]
    fn a_refusal_stays_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::Sqlite { file: folder.path().join("x.sqlite") };
        let pool = Pool::open(&target, Purpose::Write, 1).unwrap();
        let refused = pool.with_connection(|conn| run(conn, "SELECT nonsense"));
        assert!(matches!(refused, Err(DbError::Query(_))));
        pool.with_connection(|conn| run(conn, "SELECT 1")).unwrap();
    }
}
