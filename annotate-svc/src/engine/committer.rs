//! Group commit: many small writes share one transaction, and each is answered after its commit, never before.
//!
//! A commit costs one disk sync whatever it holds. While one is under way the next writes gather in the queue; the
//! committer then takes them all, up to [`GROUP_WEIGHT`]. Nobody waits for a timer: under light load a write is
//! committed at once, under heavy load groups grow by themselves.

use crate::metrics::written;
use crate::store::{Change, Refusal, StoreError, Write, Written, apply};
use prometheus::IntCounterVec;
use shared::db::{Db, DbError};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// Annotations after which a group takes no further write.
const GROUP_WEIGHT: usize = 500;

/// Kilobytes of writes that may wait for their commit; further writers wait for room.
const QUEUE_KILOBYTES: usize = 128 << 10;

/// Longest wait for room in the queue.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);

/// Attempts at one write before it fails: concurrent replicas may hit a deadlock.
const ATTEMPTS: usize = 3;

/// Writers that commit side by side, so that one can fill its rows while another waits for the disk. SQLite has
/// one writing connection.
const COMMITTERS: i64 = 2;

/// Why a write was not done.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The client may not, or cannot.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The queue is full; the client should come again.
    #[error("too many writes are waiting to be stored")]
    Busy,
    /// The database failed; nothing of this write is stored.
    #[error("storage failed: {0}")]
    Storage(String),
    /// The database is away; nothing of this write is stored.
    #[error("storage unavailable: {0}")]
    Unavailable(String),
}

/// The door through which everything that changes annotations goes. Cloning gives the same door.
#[derive(Clone)]
pub struct Writes {
    queue: Sender<Waiting>,
    room: Arc<Semaphore>,
    committed: watch::Sender<u64>,
    counters: IntCounterVec,
}

/// One caller's write.
struct Waiting {
    write: Write,
    answer: oneshot::Sender<Result<Written, WriteError>>,
    _room: OwnedSemaphorePermit,
}

impl Writes {
    /// Starts the committers; they end when the last clone of the answer is dropped.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(db: &Db) -> std::io::Result<Self> {
        let (queue, waiting) = channel();
        let (waiting, committed) = (Arc::new(Mutex::new(waiting)), watch::Sender::new(0));
        // Processes choose their counters apart, so that their commits do not wait for each other.
        let first_shard = i64::from(rand::random::<u8>() % 16) * COMMITTERS;
        for shard in first_shard..first_shard + COMMITTERS {
            let (db, waiting, committed) = (db.clone(), Arc::clone(&waiting), committed.clone());
            std::thread::Builder::new()
                .name("committer".into())
                .spawn(move || commit_all(&db, &waiting, &committed, shard))?;
        }
        let counters = written().map_err(std::io::Error::other)?;
        Ok(Self { queue, room: Arc::new(Semaphore::new(QUEUE_KILOBYTES)), committed, counters })
    }

    /// Does a write in a transaction; returns when it is durable. `bytes` is about the memory it takes.
    ///
    /// # Errors
    /// [`WriteError`]; nothing of the write is stored then.
    pub async fn submit(&self, write: Write, bytes: usize) -> Result<Written, WriteError> {
        let action = write.change.name();
        let places = u32::try_from((bytes / 1024 + 1).min(QUEUE_KILOBYTES)).unwrap_or(u32::MAX);
        let room = tokio::time::timeout(ROOM_TIMEOUT, Arc::clone(&self.room).acquire_many_owned(places));
        let Ok(Ok(room)) = room.await else { return Err(WriteError::Busy) };
        let (answer, done) = oneshot::channel();
        let gone = || WriteError::Unavailable("the service is stopping".into());
        self.queue.send(Waiting { write, answer, _room: room }).map_err(|_closed| gone())?;
        let outcome = done.await.unwrap_or_else(|_closed| Err(gone()));
        let label = match &outcome {
            Ok(written) if written.is_replay => "replayed",
            Ok(_) => "done",
            Err(WriteError::Refused(_)) => "refused",
            Err(WriteError::Busy | WriteError::Storage(_) | WriteError::Unavailable(_)) => "failed",
        };
        let annotations = outcome.as_ref().map_or(1, |written| written.stored.len());
        self.counters
            .with_label_values(&[action, label])
            .inc_by(u64::try_from(annotations).unwrap_or(u64::MAX));
        outcome
    }

    /// Annotations written, by action and outcome.
    #[must_use]
    pub fn counters(&self) -> &IntCounterVec {
        &self.counters
    }

    /// Kilobytes of writes that wait for their commit.
    #[must_use]
    pub fn queue_kilobytes(&self) -> usize {
        QUEUE_KILOBYTES - self.room.available_permits()
    }

    /// Changes after every commit of this process: whoever waits for changes is woken by it.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }
}

fn commit_all(db: &Db, waiting: &Mutex<Receiver<Waiting>>, committed: &watch::Sender<u64>, shard: i64) {
    while let Some(group) = next_group(waiting) {
        commit(db, group, shard);
        committed.send_modify(|count| *count += 1);
    }
}

/// Waits for a write, then takes what else is there. `None` when no more can come.
fn next_group(waiting: &Mutex<Receiver<Waiting>>) -> Option<Vec<Waiting>> {
    let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let first = waiting.recv().ok()?;
    let mut weight = first.write.change.weight();
    let mut group = vec![first];
    while weight < GROUP_WEIGHT
        && let Ok(next) = waiting.try_recv()
    {
        weight += next.write.change.weight();
        group.push(next);
    }
    Some(group)
}

/// Does a group in one transaction. When that fails its writes are tried one by one, so that one cannot spoil the
/// others.
fn commit(db: &Db, group: Vec<Waiting>, shard: i64) {
    let (writes, answers): (Vec<Write>, Vec<_>) =
        group.into_iter().map(|waiting| (waiting.write, (waiting.answer, waiting._room))).unzip();
    match put(db, &writes, shard) {
        Ok(outcomes) => {
            for ((answer, _room), outcome) in answers.into_iter().zip(outcomes) {
                // A caller that went away loses the answer, not its write.
                let _ = answer.send(outcome.map_err(WriteError::Refused));
            }
        }
        Err(cause) => {
            log::warn!("group of {} writes failed, storing one by one: {cause}", writes.len());
            for ((answer, _room), write) in answers.into_iter().zip(&writes) {
                let _ = answer.send(put_patiently(db, write, shard));
            }
        }
    }
}

fn put(db: &Db, writes: &[Write], shard: i64) -> Result<Vec<Result<Written, Refusal>>, StoreError> {
    db.write_blocking(|conn| apply(conn, writes, shard))
}

fn put_patiently(db: &Db, write: &Write, shard: i64) -> Result<Written, WriteError> {
    let own = std::slice::from_ref(write);
    let mut outcome = put(db, own, shard);
    for _ in 1..ATTEMPTS {
        if let Err(StoreError::Database(DbError::Query(_))) = &outcome {
            outcome = put(db, own, shard);
        }
    }
    match outcome {
        Ok(outcomes) => match outcomes.into_iter().next() {
            Some(outcome) => outcome.map_err(WriteError::Refused),
            None => Err(WriteError::Storage("the write has no outcome".into())),
        },
        Err(StoreError::Database(DbError::Unavailable(cause))) => Err(WriteError::Unavailable(cause)),
        Err(StoreError::Database(DbError::Query(cause))) => {
            log::error!("a write could not be stored: {cause}");
            Err(WriteError::Storage(cause.to_string()))
        }
    }
}

impl Change {
    /// Annotations it writes.
    fn weight(&self) -> usize {
        match self {
            Self::Create(annotations) => annotations.len(),
            Self::Replace(_) | Self::Patch(..) | Self::Delete(_) | Self::Restore(_) => 1,
        }
    }

    /// Its name in metrics.
    fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Replace(_) => "replace",
            Self::Patch(..) => "patch",
            Self::Delete(_) => "delete",
            Self::Restore(_) => "restore",
        }
    }
}
