//! The door through which all events enter the store: by group commit, and counted.

use crate::metrics::ingested;
use crate::store::{Inserted, Prepared, put_events};
use prometheus::IntCounterVec;
use shared::commit::{CommitError, Committers, Write};
use shared::db::{Db, DbConn, DbError};
use tokio::sync::watch;

/// Events that may wait for their commit; further writers wait for room.
const QUEUE_EVENTS: usize = 50_000;

/// Events or notifications of one request, at most: a body of few bytes can hold millions, each of which costs memory
/// and time, and its transaction holds up all others.
pub const LARGEST_BATCH: usize = QUEUE_EVENTS;

/// The door. Cloning gives the same one.
#[derive(Clone)]
pub struct Ingest {
    committers: Committers<Batch>,
    counters: IntCounterVec,
}

/// One caller's events: stored together or not at all.
struct Batch(Vec<Prepared>);

impl Write for Batch {
    type Outcome = Inserted;

    fn weight(&self) -> usize {
        self.0.len()
    }

    fn put(conn: &mut DbConn, group: &[Self], shard: i16) -> Result<Vec<Inserted>, DbError> {
        let events: Vec<&Prepared> = group.iter().flat_map(|batch| &batch.0).collect();
        let mut is_new = put_events(conn, &events, shard)?.is_new.into_iter();
        let own = |batch: &Self| Inserted { is_new: is_new.by_ref().take(batch.0.len()).collect() };
        Ok(group.iter().map(own).collect())
    }
}

impl Ingest {
    /// Starts the committers; they end when the last clone of the answer is dropped.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(db: &Db) -> std::io::Result<Self> {
        let counters = ingested().map_err(std::io::Error::other)?;
        Ok(Self { committers: Committers::start(db, QUEUE_EVENTS)?, counters })
    }

    /// Stores events in one transaction; returns when they are durable.
    ///
    /// # Errors
    /// [`CommitError`]; nothing of `events` is stored then.
    pub async fn store(&self, events: Vec<Prepared>) -> Result<Inserted, CommitError> {
        if events.is_empty() {
            return Ok(Inserted::default());
        }
        let places = events.len();
        let inserted = self.committers.submit(Batch(events), places).await?;
        self.count("saved", inserted.saved());
        self.count("duplicate", inserted.is_new.len() - inserted.saved());
        Ok(inserted)
    }

    /// Counts events by what became of them: `saved`, `duplicate`, `dropped`, `invalid`.
    pub fn count(&self, outcome: &str, events: usize) {
        let events = u64::try_from(events).unwrap_or(u64::MAX);
        self.counters.with_label_values(&[outcome]).inc_by(events);
    }

    /// Events taken in, by outcome; the callers count what never reached the store.
    #[must_use]
    pub fn counters(&self) -> &IntCounterVec {
        &self.counters
    }

    /// Events that wait for their commit.
    #[must_use]
    pub fn queue_depth(&self) -> usize {
        self.committers.taken()
    }

    /// Changes after every commit of this process: whoever waits for new events is woken by it.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.committers.commits()
    }
}
