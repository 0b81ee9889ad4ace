//! The door through which everything that changes annotations goes: by group commit, and counted.

use crate::metrics::written;
use crate::store::{Change, Refusal, Write, Written, apply};
use prometheus::IntCounterVec;
use shared::commit::{self, CommitError, Committers};
use shared::db::{Db, DbConn, DbError};
use tokio::sync::watch;

/// Kilobytes of writes that may wait for their commit; further writers wait for room.
const QUEUE_KILOBYTES: usize = 128 << 10;

/// Why a write was not done.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The client may not, or cannot.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// Nothing of this write is stored.
    #[error(transparent)]
    Failed(#[from] CommitError),
}

/// The door. Cloning gives the same one.
#[derive(Clone)]
pub struct Writes {
    committers: Committers<Write>,
    counters: IntCounterVec,
}

impl commit::Write for Write {
    type Outcome = Result<Written, Refusal>;

    fn weight(&self) -> usize {
        match &self.change {
            Change::Create(annotations) => annotations.len(),
            Change::Replace(_) | Change::Patch(..) | Change::Delete(_) | Change::Restore(_) => 1,
        }
    }

    fn put(conn: &mut DbConn, group: &[Self], shard: i16) -> Result<Vec<Self::Outcome>, DbError> {
        apply(conn, group, shard)
    }
}

impl Writes {
    /// Starts the committers; they end when the last clone of the answer is dropped.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(db: &Db) -> std::io::Result<Self> {
        let counters = written().map_err(std::io::Error::other)?;
        Ok(Self { committers: Committers::start(db, QUEUE_KILOBYTES)?, counters })
    }

    /// Does a write in a transaction; returns when it is durable. `bytes` is about the memory it takes.
    ///
    /// # Errors
    /// [`WriteError`]; nothing of the write is stored then.
    pub async fn submit(&self, write: Write, bytes: usize) -> Result<Written, WriteError> {
        let action = write.change.name();
        let outcome = self.committers.submit(write, bytes / 1024 + 1).await;
        let label = match &outcome {
            Ok(Ok(written)) if written.is_replay => "replayed",
            Ok(Ok(_)) => "done",
            Ok(Err(_refusal)) => "refused",
            Err(_failure) => "failed",
        };
        let annotations = outcome.as_ref().ok().and_then(|done| done.as_ref().ok());
        let annotations = annotations.map_or(1, |written| written.stored.len());
        self.counters
            .with_label_values(&[action, label])
            .inc_by(u64::try_from(annotations).unwrap_or(u64::MAX));
        outcome?.map_err(WriteError::Refused)
    }

    /// Annotations written, by action and outcome.
    #[must_use]
    pub fn counters(&self) -> &IntCounterVec {
        &self.counters
    }

    /// Kilobytes of writes that wait for their commit.
    #[must_use]
    pub fn queue_kilobytes(&self) -> usize {
        self.committers.taken()
    }

    /// Changes after every commit of this process: whoever waits for changes is woken by it.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.committers.commits()
    }
}

impl Change {
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
