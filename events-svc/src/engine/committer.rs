//! Group commit: many small writes share one transaction, and each is answered after its commit, never before.
//!
//! A commit costs one disk sync whatever it holds. While one is under way the next writes gather in the queue; the
//! committer then takes them all, up to [`GROUP_EVENTS`] events. Nobody waits for a timer: under light load a write
//! is committed at once, under heavy load groups grow by themselves.

use crate::metrics::ingested;
use crate::store::{Inserted, Prepared, StoreError, put_events};
use prometheus::IntCounterVec;
use shared::db::{Db, DbError};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// Events after which a group takes no further write.
const GROUP_EVENTS: usize = 500;

/// Events that may wait for their commit; further writers wait for room.
const QUEUE_EVENTS: usize = 50_000;

/// Events or notifications of one request, at most: a body of few bytes can hold millions, each of which costs memory
/// and time, and its transaction holds up all others.
pub const LARGEST_BATCH: usize = QUEUE_EVENTS;

/// Longest wait for room in the queue.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);

/// Attempts at storing one write before it fails: concurrent replicas may hit a deadlock.
const ATTEMPTS: usize = 3;

/// Writers that commit side by side, so that one can fill its rows while another waits for the disk. SQLite has
/// one writing connection.
const COMMITTERS: i16 = 2;

/// Why events could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The queue is full; the client should come again.
    #[error("too many events are waiting to be stored")]
    Busy,
    /// The database failed; nothing of this write is stored.
    #[error("storage failed: {0}")]
    Storage(String),
    /// The database is away; nothing of this write is stored.
    #[error("storage unavailable: {0}")]
    Unavailable(String),
}

/// The door through which all events enter the store. Cloning gives the same door.
#[derive(Clone)]
pub struct Ingest {
    queue: Sender<Write>,
    room: Arc<Semaphore>,
    committed: watch::Sender<u64>,
    counters: IntCounterVec,
}

/// One caller's events: stored together or not at all.
struct Write {
    events: Vec<Prepared>,
    answer: oneshot::Sender<Result<Inserted, IngestError>>,
    _room: OwnedSemaphorePermit,
}

impl Ingest {
    /// Starts the committers; they end when the last clone of the answer is dropped.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(db: &Db) -> std::io::Result<Self> {
        let (queue, writes) = channel();
        let (writes, committed) = (Arc::new(Mutex::new(writes)), watch::Sender::new(0));
        // Processes choose their counters apart, so that their commits do not wait for each other.
        let first_shard = i16::from(rand::random::<u8>() % 16) * COMMITTERS;
        for shard in first_shard..first_shard + COMMITTERS {
            let (db, writes, committed) = (db.clone(), Arc::clone(&writes), committed.clone());
            std::thread::Builder::new()
                .name("committer".into())
                .spawn(move || commit_all(&db, &writes, &committed, shard))?;
        }
        let counters = ingested().map_err(std::io::Error::other)?;
        Ok(Self { queue, room: Arc::new(Semaphore::new(QUEUE_EVENTS)), committed, counters })
    }

    /// Stores events in one transaction; returns when they are durable.
    ///
    /// # Errors
    /// [`IngestError`]; nothing of `events` is stored then.
    pub async fn store(&self, events: Vec<Prepared>) -> Result<Inserted, IngestError> {
        if events.is_empty() {
            return Ok(Inserted::default());
        }
        let places = u32::try_from(events.len().min(QUEUE_EVENTS)).unwrap_or(u32::MAX);
        let room = tokio::time::timeout(ROOM_TIMEOUT, Arc::clone(&self.room).acquire_many_owned(places));
        let Ok(Ok(room)) = room.await else { return Err(IngestError::Busy) };
        let (answer, stored) = oneshot::channel();
        let gone = || IngestError::Unavailable("the service is stopping".into());
        self.queue.send(Write { events, answer, _room: room }).map_err(|_closed| gone())?;
        let inserted = stored.await.unwrap_or_else(|_closed| Err(gone()))?;
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
        QUEUE_EVENTS - self.room.available_permits()
    }

    /// Changes after every commit of this process: whoever waits for new events is woken by it.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }
}

fn commit_all(db: &Db, writes: &Mutex<Receiver<Write>>, committed: &watch::Sender<u64>, shard: i16) {
    while let Some(group) = next_group(writes) {
        commit(db, group, shard);
        committed.send_modify(|count| *count += 1);
    }
}

/// Waits for a write, then takes what else is there. `None` when no more can come.
fn next_group(writes: &Mutex<Receiver<Write>>) -> Option<Vec<Write>> {
    let writes = writes.lock().unwrap_or_else(PoisonError::into_inner);
    let first = writes.recv().ok()?;
    let mut events = first.events.len();
    let mut group = vec![first];
    while events < GROUP_EVENTS
        && let Ok(write) = writes.try_recv()
    {
        events += write.events.len();
        group.push(write);
    }
    Some(group)
}

/// Stores a group in one transaction. When that fails its writes are tried one by one, so that one cannot spoil
/// the others.
fn commit(db: &Db, mut group: Vec<Write>, shard: i16) {
    let mut events = Vec::with_capacity(group.iter().map(|write| write.events.len()).sum());
    let sizes: Vec<usize> = group.iter().map(|write| write.events.len()).collect();
    for write in &mut group {
        events.append(&mut write.events);
    }
    match put(db, &events, shard) {
        Ok(stored) => {
            let mut is_new = stored.is_new.into_iter();
            for (write, size) in group.into_iter().zip(sizes) {
                let inserted = Inserted { is_new: is_new.by_ref().take(size).collect() };
                // A caller that went away loses the answer, not its events.
                let _ = write.answer.send(Ok(inserted));
            }
        }
        Err(cause) => {
            log::warn!("group of {} writes failed, storing one by one: {cause}", group.len());
            let mut events = events.into_iter();
            let own = sizes.into_iter().map(|size| events.by_ref().take(size).collect()).collect();
            let away = match cause {
                StoreError::Database(DbError::Unavailable(cause)) => Some(cause),
                StoreError::Database(DbError::Query(_))
                | StoreError::MarkerNotFound(_)
                | StoreError::TooLong => None,
            };
            let outcomes = one_by_one(own, away, |events| put_patiently(db, events, shard));
            for (write, outcome) in group.into_iter().zip(outcomes) {
                let _ = write.answer.send(outcome);
            }
        }
    }
}

/// Stores writes one by one until the database is away: each further write would only wait for it again, while its
/// caller could be told.
fn one_by_one(
    writes: Vec<Vec<Prepared>>,
    mut away: Option<String>,
    mut put: impl FnMut(&[Prepared]) -> Result<Inserted, IngestError>,
) -> Vec<Result<Inserted, IngestError>> {
    let mut store = |events: Vec<Prepared>| {
        if let Some(cause) = &away {
            return Err(IngestError::Unavailable(cause.clone()));
        }
        let outcome = put(&events);
        if let Err(IngestError::Unavailable(cause)) = &outcome {
            away = Some(cause.clone());
        }
        outcome
    };
    writes.into_iter().map(&mut store).collect()
}

fn put(db: &Db, events: &[Prepared], shard: i16) -> Result<Inserted, StoreError> {
    db.write_blocking(|conn| put_events(conn, events, shard))
}

fn put_patiently(db: &Db, events: &[Prepared], shard: i16) -> Result<Inserted, IngestError> {
    let mut outcome = put(db, events, shard);
    for _ in 1..ATTEMPTS {
        if let Err(StoreError::Database(DbError::Query(_))) = &outcome {
            outcome = put(db, events, shard);
        }
    }
    outcome.map_err(failure)
}

fn failure(cause: StoreError) -> IngestError {
    match cause {
        StoreError::Database(DbError::Unavailable(cause)) => IngestError::Unavailable(cause),
        StoreError::Database(DbError::Query(cause)) if is_lost(&cause) || is_full(&cause) => {
            IngestError::Unavailable(cause.to_string())
        }
        StoreError::Database(DbError::Query(_)) | StoreError::MarkerNotFound(_) | StoreError::TooLong => {
            log::error!("events could not be stored: {cause}");
            IngestError::Storage(cause.to_string())
        }
    }
}

/// Whether the connection broke, which says nothing about the events.
fn is_lost(cause: &diesel::result::Error) -> bool {
    use diesel::result::{
        DatabaseErrorKind::{ClosedConnection, UnableToSendCommand},
        Error,
    };
    matches!(
        cause,
        Error::DatabaseError(ClosedConnection | UnableToSendCommand, _) | Error::BrokenTransactionManager
    )
}

/// Whether the disk has no room: the same events can be stored when it has. Neither engine's driver has a code for it.
fn is_full(cause: &diesel::result::Error) -> bool {
    use diesel::result::{DatabaseErrorKind::Unknown, Error::DatabaseError};
    let texts = ["database or disk is full", "No space left on device"];
    matches!(cause, DatabaseError(Unknown, said) if texts.iter().any(|text| said.message().contains(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use diesel::result::{DatabaseErrorKind, Error};

    #[test]
    fn a_broken_connection_says_nothing_about_the_events() {
        let failed = |kind| {
            let cause = Error::DatabaseError(kind, Box::new("x".to_owned()));
            failure(StoreError::Database(DbError::Query(cause)))
        };
        let lost = [DatabaseErrorKind::ClosedConnection, DatabaseErrorKind::UnableToSendCommand];
        for kind in lost {
            assert!(matches!(failed(kind), IngestError::Unavailable(_)));
        }
        assert!(matches!(failed(DatabaseErrorKind::CheckViolation), IngestError::Storage(_)));
        assert!(matches!(failed(DatabaseErrorKind::Unknown), IngestError::Storage(_)));
    }

    #[test]
    fn a_full_disk_says_nothing_about_the_events() {
        let failed = |text: &str| {
            let cause = Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(text.to_owned()));
            failure(StoreError::Database(DbError::Query(cause)))
        };
        // sqlite3_errstr(SQLITE_FULL), and PostgreSQL's text for ENOSPC.
        let full =
            ["database or disk is full", "could not extend file \"base/5/16384\": No space left on device"];
        for text in full {
            assert!(matches!(failed(text), IngestError::Unavailable(_)), "{text}");
        }
        assert!(matches!(failed("invalid input"), IngestError::Storage(_)));
    }

    #[test]
    fn a_database_that_is_away_is_asked_once_for_a_whole_group() {
        let outcomes = |refusals: &[IngestError]| {
            let mut asked = 0;
            let mut refusals = refusals.iter();
            let outcomes = one_by_one(vec![Vec::new(); 3], None, |_| {
                asked += 1;
                match refusals.next() {
                    Some(IngestError::Unavailable(cause)) => Err(IngestError::Unavailable(cause.clone())),
                    Some(_) => Err(IngestError::Storage("refused".into())),
                    None => Ok(Inserted::default()),
                }
            });
            let told = |outcome: &Result<Inserted, IngestError>| match outcome {
                Ok(_) => "stored",
                Err(IngestError::Unavailable(_)) => "away",
                Err(_) => "refused",
            };
            (asked, outcomes.iter().map(told).collect::<Vec<_>>())
        };
        assert_eq!(outcomes(&[IngestError::Unavailable("gone".into())]), (1, vec!["away"; 3]));
        assert_eq!(
            outcomes(&[IngestError::Storage(String::new())]),
            (3, vec!["refused", "stored", "stored"])
        );
        let known = one_by_one(vec![Vec::new()], Some("gone".into()), |_| Ok(Inserted::default()));
        assert!(matches!(known.as_slice(), [Err(IngestError::Unavailable(_))]));
    }
}
