//! From notifications to stored events: convert, commit, keep what could not be used. HTTP, AMQP and replayed dead
//! letters all come through here.
//!
//! Nothing is answered or acknowledged before it is durable: first the events, then the dead letters. When one of
//! these steps fails the caller sends the whole batch again; events and letters that were stored are recognised.

use super::conversion::{Converted, LeftOut, Recent, convert};
use super::{Ingest, TOLD};
use crate::distill::Distiller;
use crate::store::{DeadLetter, Room, StoreError, put_dead_letters};
use shared::clock::SharedClock;
use shared::commit::CommitError;
use shared::datetime::to_micros;
use shared::db::Db;
use std::ops::AddAssign;
use std::sync::Arc;

/// Source of what is posted.
pub const HTTP: &str = "http";

/// The notifications of one batch, shared so that a batch can be tried again.
pub type Texts = Arc<[Vec<u8>]>;

/// What became of a batch of notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepted {
    /// Notifications in the batch.
    pub received: usize,
    /// Stored as new events.
    pub saved: usize,
    /// Their message id was stored before; dropped in silence.
    pub duplicate: usize,
    /// No definition matched.
    pub dropped: usize,
    /// Could not be read, converted or stored; kept as dead letters.
    pub invalid: usize,
}

/// What became of one notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Stored as a new event.
    Saved,
    /// Its message id was stored before.
    Duplicate,
    /// No definition matched.
    Dropped,
    /// Could not be used, and why.
    Invalid(String),
}

impl<'f> FromIterator<&'f Fate> for Accepted {
    fn from_iter<I: IntoIterator<Item = &'f Fate>>(fates: I) -> Self {
        let mut accepted = Self::default();
        for fate in fates {
            accepted.received += 1;
            *match fate {
                Fate::Saved => &mut accepted.saved,
                Fate::Duplicate => &mut accepted.duplicate,
                Fate::Dropped => &mut accepted.dropped,
                Fate::Invalid(_) => &mut accepted.invalid,
            } += 1;
        }
        accepted
    }
}

/// What became of a delivered batch.
#[derive(Debug, Default)]
pub struct Delivered {
    /// The counts.
    pub accepted: Accepted,
    /// Dead letters that found no room: the batch must not be acknowledged before they are kept.
    pub unkept: Vec<DeadLetter>,
}

impl AddAssign for Delivered {
    fn add_assign(&mut self, other: Self) {
        self.accepted.received += other.accepted.received;
        self.accepted.saved += other.accepted.saved;
        self.accepted.duplicate += other.accepted.duplicate;
        self.accepted.dropped += other.accepted.dropped;
        self.accepted.invalid += other.accepted.invalid;
        self.unkept.extend(other.unkept);
    }
}

/// Converts notifications and stores the events. Cloning shares everything.
#[derive(Clone)]
pub struct Notifications {
    distiller: Arc<Distiller>,
    ingest: Ingest,
    db: Db,
    clock: SharedClock,
    room: Room,
}

impl Notifications {
    /// Puts the parts together.
    #[must_use]
    pub fn new(distiller: Distiller, ingest: Ingest, db: Db, clock: SharedClock, room: Room) -> Self {
        Self { distiller: Arc::new(distiller), ingest, db, clock, room }
    }

    /// Converts and stores a batch whose sender hears what became of it. A bad notification becomes a dead letter
    /// from `source` and spoils nothing; when no more letters can be kept it is logged, counted and told.
    ///
    /// # Errors
    /// [`CommitError`]; the batch may then be sent again as a whole.
    pub async fn accept(&self, texts: impl Into<Texts>, source: &str) -> Result<Accepted, CommitError> {
        let delivered = self.deliver(&texts.into(), source, None).await?;
        if !delivered.unkept.is_empty() {
            let lost = delivered.unkept.len();
            log::warn!(source; "{lost} dead letters not kept: there is no room for more");
            self.ingest.count("lost", lost);
        }
        Ok(delivered.accepted)
    }

    /// Converts and stores a batch from a sender that hears nothing: what could not be kept is given back. `recent`
    /// learns the messages that were taken, and only those.
    ///
    /// # Errors
    /// [`CommitError`]; the batch may then be delivered again as a whole.
    pub async fn deliver(
        &self,
        texts: &Texts,
        source: &str,
        mut recent: Option<&mut Recent>,
    ) -> Result<Delivered, CommitError> {
        match self.deliver_together(texts, source, recent.as_deref_mut()).await {
            // One event that the database refuses must not hold up the others.
            Err(CommitError::Storage(_)) => self.deliver_singly(texts, source, recent).await,
            outcome => outcome,
        }
    }

    /// Stores dead letters as long as there is room; returns those that found none.
    ///
    /// # Errors
    /// [`CommitError::Unavailable`]; nothing is stored then.
    pub async fn keep(&self, letters: Vec<DeadLetter>) -> Result<Vec<DeadLetter>, CommitError> {
        if letters.is_empty() {
            return Ok(letters);
        }
        // Who may post must not be able to stop the queues, so half of the room is theirs alone.
        let is_posted = letters.iter().all(|letter| letter.source == HTTP);
        let room = if is_posted { self.room.half() } else { self.room };
        let kept = self.db.write(move |conn| put_dead_letters(conn, &letters, room)).await;
        kept.map_err(|cause: StoreError| CommitError::Unavailable(format!("dead letters: {cause}")))
    }

    /// Tries dead letters again, without making others of them; answers what became of each. What is saved,
    /// duplicate or dropped now may be removed.
    ///
    /// # Errors
    /// [`CommitError`] when the database is away.
    pub async fn replay(&self, bodies: &Texts) -> Result<Vec<Fate>, CommitError> {
        match self.take(bodies, None).await {
            Err(CommitError::Storage(_)) => (),
            outcome => return outcome,
        }
        let mut fates = Vec::with_capacity(bodies.len());
        for body in bodies.iter() {
            match self.take(&[body.clone()].into(), None).await {
                Err(CommitError::Storage(cause)) => fates.push(Fate::Invalid(refused(&cause))),
                outcome => fates.extend(outcome?),
            }
        }
        Ok(fates)
    }

    async fn deliver_together(
        &self,
        texts: &Texts,
        source: &str,
        recent: Option<&mut Recent>,
    ) -> Result<Delivered, CommitError> {
        let fates = self.take(texts, recent).await?;
        let invalid = texts.iter().zip(&fates).filter_map(|(text, fate)| match fate {
            Fate::Invalid(reason) => Some(self.letter(text, source, reason)),
            Fate::Saved | Fate::Duplicate | Fate::Dropped => None,
        });
        let unkept = self.keep(invalid.collect()).await?;
        let accepted: Accepted = fates.iter().collect();
        log_invalid(&fates, accepted.invalid, source);
        self.ingest.count("dropped", accepted.dropped);
        self.ingest.count("invalid", accepted.invalid);
        Ok(Delivered { accepted, unkept })
    }

    async fn deliver_singly(
        &self,
        texts: &Texts,
        source: &str,
        mut recent: Option<&mut Recent>,
    ) -> Result<Delivered, CommitError> {
        let mut all = Delivered::default();
        for text in texts.iter() {
            let delivered =
                self.deliver_together(&[text.clone()].into(), source, recent.as_deref_mut()).await;
            all += match delivered {
                Err(CommitError::Storage(cause)) => {
                    // A letter that can be stored shows that the database works: it refuses this event.
                    let fate = Fate::Invalid(refused(&cause));
                    log_invalid(std::slice::from_ref(&fate), 1, source);
                    let unkept = self.keep(vec![self.letter(text, source, &refused(&cause))]).await?;
                    self.ingest.count("invalid", 1);
                    Delivered {
                        accepted: Accepted { received: 1, invalid: 1, ..Accepted::default() },
                        unkept,
                    }
                }
                delivered => delivered?,
            };
        }
        Ok(all)
    }

    /// Converts a batch and stores its events in one transaction; answers what became of each notification.
    async fn take(&self, texts: &Texts, recent: Option<&mut Recent>) -> Result<Vec<Fate>, CommitError> {
        let (distiller, now, texts) =
            (Arc::clone(&self.distiller), self.clock.now_naive(), Arc::clone(texts));
        let mut seen = recent.as_deref().cloned();
        // Converting is work: it happens on the blocking pool.
        let converted = tokio::task::spawn_blocking(move || {
            let mut left_out = LeftOut::default();
            let convert = |text: &Vec<u8>| convert(&distiller, text, now, seen.as_mut(), &mut left_out);
            let converted: Vec<_> = texts.iter().map(convert).collect();
            left_out.tell();
            (converted, seen)
        });
        let (converted, seen) = converted.await.map_err(|cause| CommitError::Storage(cause.to_string()))?;
        let mut events = Vec::with_capacity(converted.len());
        let mut fates = Vec::with_capacity(converted.len());
        for outcome in converted {
            fates.push(match outcome {
                Converted::Event(event) => {
                    events.push(*event);
                    Fate::Saved
                }
                Converted::Repeat => Fate::Duplicate,
                Converted::Dropped => Fate::Dropped,
                Converted::Invalid(reason) => Fate::Invalid(reason),
            });
        }
        let inserted = self.ingest.store(events).await?;
        let stored = fates.iter_mut().filter(|fate| **fate == Fate::Saved);
        for (fate, is_new) in stored.zip(inserted.is_new) {
            if !is_new {
                *fate = Fate::Duplicate;
            }
        }
        if let (Some(recent), Some(seen)) = (recent, seen) {
            *recent = seen;
        }
        Ok(fates)
    }

    fn letter(&self, text: &[u8], source: &str, reason: &str) -> DeadLetter {
        DeadLetter {
            id: 0,
            source: source.to_owned(),
            reason: reason.to_owned(),
            body: text.to_vec(),
            received: to_micros(self.clock.now_naive()),
        }
    }
}

fn refused(cause: &str) -> String {
    format!("could not be stored: {cause}")
}

/// Tells why the first bad notifications of a batch could not be used: all of them are in the dead letters, and a log
/// must not grow faster than what comes in.
fn log_invalid(fates: &[Fate], invalid: usize, source: &str) {
    let reasons = fates.iter().filter_map(|fate| match fate {
        Fate::Invalid(reason) => Some(reason),
        Fate::Saved | Fate::Duplicate | Fate::Dropped => None,
    });
    for reason in reasons.take(TOLD) {
        log::warn!(source; "notification is not valid: {reason}");
    }
    if invalid > TOLD {
        log::warn!(source; "{} more notifications of this batch are not valid", invalid - TOLD);
    }
}
