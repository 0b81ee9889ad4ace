//! Group commit: many small writes share one transaction, and each is answered after its commit, never before.
//!
//! A commit costs one disk sync whatever it holds. While one is under way the next writes gather in the queue; the
//! committer then takes them all, up to [`GROUP_WEIGHT`]. Nobody waits for a timer: under light load a write is
//! committed at once, under heavy load groups grow by themselves.

use crate::db::{COMMITTERS, Db, DbConn, DbError, says_nothing};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// Weight at which a group takes no further write.
const GROUP_WEIGHT: usize = 500;

/// Longest wait for room in the queue.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);

/// Attempts at storing one write before it fails: concurrent replicas may hit a deadlock.
const ATTEMPTS: usize = 3;

/// Something to be stored, whole or not at all, that may share its transaction with others.
pub trait Write: Sized + Send + 'static {
    /// What became of it.
    type Outcome: Send + 'static;

    /// Its part of a group: about the rows it writes.
    fn weight(&self) -> usize;

    /// Stores a group in one transaction; answers an outcome for each, in their order.
    ///
    /// `shard` chooses the counters to write; those who commit at the same time have different ones, 0 to 31.
    ///
    /// # Errors
    /// When the database fails; nothing of the group is stored then.
    fn put(conn: &mut DbConn, group: &[Self], shard: i16) -> Result<Vec<Self::Outcome>, DbError>;
}

/// Why a write was not stored.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The queue is full; the client should come again.
    #[error("too many writes are waiting to be stored")]
    Busy,
    /// The database failed; nothing of this write is stored.
    #[error("storage failed: {0}")]
    Storage(String),
    /// The database is away. When the connection broke during the commit, the write may be stored all the same: what
    /// is sent again must be recognised.
    #[error("storage unavailable: {0}")]
    Unavailable(String),
}

impl From<DbError> for CommitError {
    fn from(cause: DbError) -> Self {
        match cause {
            DbError::Unavailable(cause) => Self::Unavailable(cause),
            DbError::Query(cause) if says_nothing(&cause) => Self::Unavailable(cause.to_string()),
            DbError::Query(cause) => {
                log::error!("a write could not be stored: {cause}");
                Self::Storage(cause.to_string())
            }
        }
    }
}

/// The door through which a service's writes enter its store. Cloning gives the same door.
pub struct Committers<W: Write> {
    queue: Sender<Waiting<W>>,
    room: Arc<Semaphore>,
    places: usize,
    committed: watch::Sender<u64>,
}

impl<W: Write> Clone for Committers<W> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            room: Arc::clone(&self.room),
            places: self.places,
            committed: self.committed.clone(),
        }
    }
}

/// One caller's write.
struct Waiting<W: Write> {
    write: W,
    caller: Caller<W>,
}

/// Whoever waits for the outcome, and the room that his write takes up until then.
struct Caller<W: Write> {
    answer: oneshot::Sender<Result<W::Outcome, CommitError>>,
    _room: OwnedSemaphorePermit,
}

impl<W: Write> Caller<W> {
    /// One that went away loses the answer, not his write.
    fn tell(self, outcome: Result<W::Outcome, CommitError>) {
        let _ = self.answer.send(outcome);
    }
}

impl<W: Write> Committers<W> {
    /// Starts them, with so many places for writes that wait; they end when the last clone of the answer is dropped.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(db: &Db, places: usize) -> std::io::Result<Self> {
        let (queue, waiting) = channel();
        let (waiting, committed) = (Arc::new(Mutex::new(waiting)), watch::Sender::new(0));
        // Processes choose their counters apart, so that their commits do not wait for each other.
        let committers = i16::from(COMMITTERS);
        let first_shard = i16::from(rand::random::<u8>() % 16) * committers;
        for shard in first_shard..first_shard + committers {
            let (db, waiting, committed) = (db.clone(), Arc::clone(&waiting), committed.clone());
            std::thread::Builder::new()
                .name("committer".into())
                .spawn(move || commit_all(&db, &waiting, &committed, shard))?;
        }
        Ok(Self { queue, room: Arc::new(Semaphore::new(places)), places, committed })
    }

    /// Stores a write that takes up so many places of the queue; returns when it is durable. One that is larger than
    /// the queue has it to itself.
    ///
    /// # Errors
    /// [`CommitError`]; nothing of the write is stored then.
    pub async fn submit(&self, write: W, places: usize) -> Result<W::Outcome, CommitError> {
        let places = u32::try_from(places.min(self.places)).unwrap_or(u32::MAX);
        let room = tokio::time::timeout(ROOM_TIMEOUT, Arc::clone(&self.room).acquire_many_owned(places));
        let Ok(Ok(room)) = room.await else { return Err(CommitError::Busy) };
        let (answer, outcome) = oneshot::channel();
        let gone = || CommitError::Unavailable("the service is stopping".into());
        let caller = Caller { answer, _room: room };
        self.queue.send(Waiting { write, caller }).map_err(|_closed| gone())?;
        outcome.await.unwrap_or_else(|_closed| Err(gone()))
    }

    /// Places that are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.places - self.room.available_permits()
    }

    /// Changes after every commit of this process: whoever waits for something new is woken by it.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }
}

fn commit_all<W: Write>(
    db: &Db,
    waiting: &Mutex<Receiver<Waiting<W>>>,
    committed: &watch::Sender<u64>,
    shard: i16,
) {
    while let Some(group) = next_group(waiting) {
        commit(db, group, shard);
        committed.send_modify(|count| *count += 1);
    }
}

/// Waits for a write, then takes what else is there. `None` when no more can come.
fn next_group<W: Write>(waiting: &Mutex<Receiver<Waiting<W>>>) -> Option<Vec<Waiting<W>>> {
    let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let first = waiting.recv().ok()?;
    let mut weight = first.write.weight();
    let mut group = vec![first];
    while weight < GROUP_WEIGHT
        && let Ok(next) = waiting.try_recv()
    {
        weight += next.write.weight();
        group.push(next);
    }
    Some(group)
}

/// Stores a group in one transaction. When that fails its writes are tried one by one, so that one cannot spoil the
/// others.
fn commit<W: Write>(db: &Db, group: Vec<Waiting<W>>, shard: i16) {
    let (writes, callers): (Vec<W>, Vec<Caller<W>>) =
        group.into_iter().map(|Waiting { write, caller }| (write, caller)).unzip();
    match put(db, &writes, shard) {
        Ok(outcomes) => {
            callers.into_iter().zip(outcomes).for_each(|(caller, outcome)| caller.tell(Ok(outcome)));
        }
        Err(cause) => {
            log::warn!("group of {} writes failed, storing one by one: {cause}", writes.len());
            let away = if let DbError::Unavailable(cause) = cause { Some(cause) } else { None };
            let outcomes = one_by_one(&writes, away, |write| put_patiently(db, write, shard));
            callers.into_iter().zip(outcomes).for_each(|(caller, outcome)| caller.tell(outcome));
        }
    }
}

/// Stores writes one by one until the database is away: each further write would only wait for it again, while its
/// caller could be told. What stands in the way of one write, such as a deadlock, says nothing about the next.
fn one_by_one<W, O>(
    writes: &[W],
    mut away: Option<String>,
    mut put: impl FnMut(&W) -> Result<Option<O>, DbError>,
) -> impl Iterator<Item = Result<O, CommitError>> {
    writes.iter().map(move |write| {
        if let Some(cause) = &away {
            return Err(CommitError::Unavailable(cause.clone()));
        }
        let outcome = put(write);
        if let Err(DbError::Unavailable(cause)) = &outcome {
            away = Some(cause.clone());
        }
        outcome?.ok_or_else(|| CommitError::Storage("the write has no outcome".into()))
    })
}

fn put<W: Write>(db: &Db, group: &[W], shard: i16) -> Result<Vec<W::Outcome>, DbError> {
    db.commit_blocking(|conn| W::put(conn, group, shard))
}

fn put_patiently<W: Write>(db: &Db, write: &W, shard: i16) -> Result<Option<W::Outcome>, DbError> {
    let own = std::slice::from_ref(write);
    let mut outcomes = put(db, own, shard);
    for _ in 1..ATTEMPTS {
        if let Err(DbError::Query(_)) = &outcomes {
            outcomes = put(db, own, shard);
        }
    }
    Ok(outcomes?.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use diesel::result::{DatabaseErrorKind, Error};

    #[test]
    fn only_a_refusal_is_the_writes_own_fault() {
        let failed = |kind, text: &str| {
            CommitError::from(DbError::from(Error::DatabaseError(kind, Box::new(text.to_owned()))))
        };
        use DatabaseErrorKind::{CheckViolation, ClosedConnection, Unknown};
        for (kind, text) in
            [(ClosedConnection, "x"), (Unknown, "deadlock detected"), (Unknown, "database or disk is full")]
        {
            assert!(matches!(failed(kind, text), CommitError::Unavailable(_)), "{text}");
        }
        for kind in [CheckViolation, Unknown] {
            assert!(matches!(failed(kind, "x"), CommitError::Storage(_)));
        }
    }

    #[test]
    fn a_database_that_is_away_is_asked_once_for_a_whole_group() {
        let unavailable = || DbError::Unavailable("gone".into());
        let failed = |kind, text: &str| DbError::from(Error::DatabaseError(kind, Box::new(text.to_owned())));
        let outcomes = |first: DbError| {
            let (mut asked, mut first) = (0, Some(first));
            let put = |_: &()| {
                asked += 1;
                first.take().map_or(Ok(Some(())), Err)
            };
            let told = |outcome: Result<(), CommitError>| match outcome {
                Ok(()) => "stored",
                Err(CommitError::Unavailable(_)) => "away",
                Err(_) => "refused",
            };
            let told: Vec<_> = one_by_one(&[(); 3], None, put).map(told).collect();
            (asked, told)
        };
        assert_eq!(outcomes(unavailable()), (1, vec!["away"; 3]));
        let refused = failed(DatabaseErrorKind::CheckViolation, "x");
        assert_eq!(outcomes(refused), (3, vec!["refused", "stored", "stored"]));
        for text in ["deadlock detected", "out of memory"] {
            let passed = failed(DatabaseErrorKind::Unknown, text);
            assert_eq!(outcomes(passed), (3, vec!["away", "stored", "stored"]), "{text}");
        }
        let known: Vec<_> = one_by_one(&[()], Some("gone".into()), |()| Ok(Some(()))).collect();
        assert!(matches!(known.as_slice(), [Err(CommitError::Unavailable(_))]));
    }
}
