//! Changes as they happen, for many listeners: one reader of the store, a bounded ring of the latest changes, and
//! listeners that follow it at their own pace. Who falls behind the ring is cut off and can come back with the place
//! it had reached; the store still has what it missed.

use crate::engine::Writes;
use crate::store::{Archived, Cursor, DbError, last_change, list_changes};
use shared::db::Db;
use shared::stop::Stop;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Most changes of the ring.
const RING_CHANGES: usize = 10_000;

/// Most bytes of texts in the ring.
const RING_BYTES: usize = 32 << 20;

/// Changes read at once.
const PAGE: usize = 200;

/// Bytes of texts after which a listener gets no further change in one piece.
const PIECE_BYTES: usize = 256 << 10;

/// How often the store is asked for changes that other processes have made.
const POLL: Duration = Duration::from_millis(250);

/// Where listeners come to. Cloning shares it.
#[derive(Clone)]
pub struct Changes {
    db: Db,
    ring: Arc<Mutex<Ring>>,
    /// Changes whenever the ring got something, or the number of listeners changed.
    moved: watch::Sender<u64>,
    places: Arc<Semaphore>,
    most: usize,
}

#[derive(Default)]
struct Ring {
    changes: VecDeque<(Arc<Archived>, usize)>,
    bytes: usize,
    /// Everything after it, up to the last change read, is in the ring; `None` while nobody listens.
    since: Option<Cursor>,
}

impl Ring {
    fn push(&mut self, changed: Archived) {
        let bytes = changed.stored.annotation.texts.iter().map(|(_, text)| text.len()).sum();
        self.bytes += bytes;
        self.changes.push_back((Arc::new(changed), bytes));
        while self.bytes > RING_BYTES || self.changes.len() > RING_CHANGES {
            let Some((oldest, bytes)) = self.changes.pop_front() else { return };
            self.bytes -= bytes;
            self.since = Some(Cursor::of(&oldest));
        }
    }

    /// The place after the last change.
    fn end(&self) -> Option<Cursor> {
        self.changes.back().map(|(changed, _)| Cursor::of(changed)).or(self.since)
    }
}

/// Why there are no more changes.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The listener fell too far behind.
    #[error("too slow: come back with the id of the last change")]
    TooSlow,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] DbError),
    /// The service stops.
    #[error("the service is stopping")]
    Stopping,
}

impl Changes {
    /// A place for at most `most` listeners at a time.
    #[must_use]
    pub fn new(db: Db, most: usize) -> Self {
        let (moved, places) = (watch::Sender::new(0), Arc::new(Semaphore::new(most)));
        Self { db, ring: Arc::default(), moved, places, most }
    }

    /// Reads the store for all listeners until `stop`; does nothing while there is none.
    pub async fn run(self, writes: Writes, stop: Stop) {
        let (mut moved, mut commits) = (self.moved.subscribe(), writes.commits());
        loop {
            if self.listeners() == 0 {
                *self.lock() = Ring::default();
                tokio::select! { () = stop.stopped() => break, _ = moved.changed() => continue }
            }
            commits.mark_unchanged();
            match self.read().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(cause) => log::warn!("changes cannot be read, trying again: {cause}"),
            }
            let more = tokio::time::timeout(POLL, commits.changed());
            tokio::select! { () = stop.stopped() => break, _ = more => () }
        }
        // Listeners end when they see that there is no place after the ring any more.
        self.places.close();
        self.moved.send_modify(|count| *count += 1);
    }

    /// Reads a page into the ring; answers whether there may be more at once.
    async fn read(&self) -> Result<bool, DbError> {
        let end = self.lock().end();
        let Some(end) = end else {
            let last = self.db.read(last_change).await?;
            self.lock().since = Some(last);
            self.moved.send_modify(|count| *count += 1);
            return Ok(true);
        };
        let changes = self.db.read(move |conn| list_changes(conn, end, PAGE)).await?;
        let (is_any, is_full) = (!changes.is_empty(), changes.len() == PAGE);
        if is_any {
            let mut ring = self.lock();
            changes.into_iter().for_each(|changed| ring.push(changed));
            drop(ring);
            self.moved.send_modify(|count| *count += 1);
        }
        Ok(is_full)
    }

    /// Begins to listen after `after`, or at the present end. `None` when there are too many listeners.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn listen(&self, after: Option<Cursor>) -> Result<Option<Listener>, DbError> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return Ok(None) };
        let moved = self.moved.subscribe();
        self.moved.send_modify(|count| *count += 1);
        let cursor = match after {
            Some(after) => after,
            None => self.db.read(last_change).await?,
        };
        Ok(Some(Listener { changes: self.clone(), cursor, moved, is_behind: true, _place: place }))
    }

    /// How many listen now.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.most.saturating_sub(self.places.available_permits())
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who follows the changes.
pub struct Listener {
    changes: Changes,
    cursor: Cursor,
    moved: watch::Receiver<u64>,
    /// What it has to see first comes from the store, not from the ring.
    is_behind: bool,
    _place: OwnedSemaphorePermit,
}

/// What the ring has for a listener.
enum Ahead {
    Changes(Vec<Arc<Archived>>),
    Nothing,
    Lost,
}

impl Listener {
    /// The place it has reached.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Waits for the next changes.
    ///
    /// # Errors
    /// [`Ended`]; nothing comes after it.
    pub async fn next(&mut self) -> Result<Vec<Arc<Archived>>, Ended> {
        loop {
            if self.changes.places.is_closed() {
                return Err(Ended::Stopping);
            }
            self.moved.mark_unchanged();
            let found = match self.ahead() {
                Ahead::Changes(found) => found,
                Ahead::Lost if self.is_behind => self.stored().await?,
                Ahead::Lost => return Err(Ended::TooSlow),
                Ahead::Nothing => {
                    // The sender is a part of `self.changes`, so this cannot fail.
                    let _ = self.moved.changed().await;
                    continue;
                }
            };
            if let Some(last) = found.last() {
                self.cursor = Cursor::of(last);
                return Ok(found);
            }
        }
    }

    /// What the ring has after the listener's place.
    fn ahead(&mut self) -> Ahead {
        let ring = self.changes.lock();
        // Nobody has read yet, or this listener's place was dropped from the ring.
        let Some(since) = ring.since else { return Ahead::Nothing };
        if since > self.cursor {
            return Ahead::Lost;
        }
        let first = ring.changes.partition_point(|(changed, _)| Cursor::of(changed) <= self.cursor);
        let mut room = PIECE_BYTES;
        let fits = |(_, bytes): &&(Arc<Archived>, usize)| {
            let has_room = room > 0;
            room = room.saturating_sub(*bytes);
            has_room
        };
        let found: Vec<_> = ring.changes.range(first..).take(PAGE).take_while(fits).collect();
        let found: Vec<_> = found.into_iter().map(|(changed, _)| Arc::clone(changed)).collect();
        drop(ring);
        self.is_behind = false;
        if found.is_empty() { Ahead::Nothing } else { Ahead::Changes(found) }
    }

    /// What the store has after the listener's place. An empty answer means that the ring's beginning is reached.
    async fn stored(&mut self) -> Result<Vec<Arc<Archived>>, DbError> {
        let after = self.cursor;
        let found = self.changes.db.read(move |conn| list_changes(conn, after, PAGE)).await?;
        if found.is_empty() {
            // Nothing lies between, although the ring begins later.
            let since = self.changes.lock().since;
            self.cursor = self.cursor.max(since.unwrap_or(self.cursor));
        }
        Ok(found.into_iter().map(Arc::new).collect())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The reader looks whether anybody is left.
        self.changes.moved.send_modify(|count| *count += 1);
    }
}
