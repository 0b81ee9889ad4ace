//! From a notification's text to a stored event: read, convert, prepare, commit. HTTP and AMQP both come through here.

use super::{Ingest, IngestError};
use crate::distill::{Distiller, Outcome};
use crate::store::{DeadLetter, Inserted, Prepared, prepare, put_dead_letters};
use shared::clock::SharedClock;
use shared::datetime::to_micros;
use shared::db::Db;
use std::sync::Arc;

/// What became of a batch of notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepted {
    /// Notifications in the batch.
    pub received: usize,
    /// Stored as new events.
    pub saved: usize,
    /// Their message id was stored before; dropped in silence.
    pub duplicate: usize,
    /// No definition matched, or no trait was left.
    pub dropped: usize,
    /// Could not be read or converted; kept as dead letters.
    pub invalid: usize,
}

impl Accepted {
    fn count(&mut self, inserted: &Inserted) {
        self.saved = inserted.saved();
        self.duplicate = inserted.is_new.len() - self.saved;
    }
}

/// Converts notifications and stores the events. Cloning shares everything.
#[derive(Clone)]
pub struct Notifications {
    distiller: Arc<Distiller>,
    ingest: Ingest,
    db: Db,
    clock: SharedClock,
    max_dead_letters: i64,
}

/// One notification, converted or not.
enum Converted {
    Event(Box<Prepared>),
    Dropped,
    Invalid(String),
}

impl Notifications {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        distiller: Distiller,
        ingest: Ingest,
        db: Db,
        clock: SharedClock,
        max_dead_letters: i64,
    ) -> Self {
        Self { distiller: Arc::new(distiller), ingest, db, clock, max_dead_letters }
    }

    /// Converts and stores a batch; returns when its events are durable. A bad notification becomes a dead letter
    /// from `source` and spoils nothing.
    ///
    /// # Errors
    /// [`IngestError`] when storing failed; nothing of the batch is stored then.
    pub async fn accept(&self, texts: Vec<Vec<u8>>, source: &str) -> Result<Accepted, IngestError> {
        let mut accepted = Accepted { received: texts.len(), ..Accepted::default() };
        let (events, letters) = self.convert(texts, source, &mut accepted).await?;
        accepted.count(&self.ingest.store(events).await?);
        self.ingest.count("dropped", accepted.dropped);
        self.ingest.count("invalid", accepted.invalid);
        self.keep(letters).await?;
        Ok(accepted)
    }

    /// Tries a dead letter again, without making another one of it.
    ///
    /// # Errors
    /// As [`Notifications::accept`].
    pub async fn replay(&self, text: Vec<u8>) -> Result<Accepted, IngestError> {
        let mut accepted = Accepted { received: 1, ..Accepted::default() };
        let (events, _letters) = self.convert(vec![text], "replay", &mut accepted).await?;
        accepted.count(&self.ingest.store(events).await?);
        Ok(accepted)
    }

    /// Converting is work: it happens on the blocking pool.
    async fn convert(
        &self,
        texts: Vec<Vec<u8>>,
        source: &str,
        accepted: &mut Accepted,
    ) -> Result<(Vec<Prepared>, Vec<DeadLetter>), IngestError> {
        let (distiller, now) = (Arc::clone(&self.distiller), self.clock.now_naive());
        let converted = tokio::task::spawn_blocking(move || {
            let convert = |text: Vec<u8>| (convert(&distiller, &text, now), text);
            texts.into_iter().map(convert).collect::<Vec<_>>()
        });
        let converted = converted.await.map_err(|cause| IngestError::Storage(cause.to_string()))?;
        let (mut events, mut letters) = (Vec::with_capacity(converted.len()), Vec::new());
        for (outcome, body) in converted {
            match outcome {
                Converted::Event(event) => events.push(*event),
                Converted::Dropped => accepted.dropped += 1,
                Converted::Invalid(reason) => {
                    accepted.invalid += 1;
                    log::warn!(source; "notification is not valid: {reason}");
                    let (source, received) = (source.to_owned(), to_micros(now));
                    letters.push(DeadLetter { id: 0, source, reason, body, received });
                }
            }
        }
        Ok((events, letters))
    }

    /// Keeps dead letters, up to the bound; what does not fit was logged.
    async fn keep(&self, letters: Vec<DeadLetter>) -> Result<(), IngestError> {
        if letters.is_empty() {
            return Ok(());
        }
        let most = self.max_dead_letters;
        let kept = self.db.write(move |conn| put_dead_letters(conn, &letters, most)).await;
        kept.map_err(|cause| IngestError::Storage(cause.to_string()))
    }
}

fn convert(distiller: &Distiller, text: &[u8], now: chrono::NaiveDateTime) -> Converted {
    let notification = match serde_json::from_slice::<serde_json::Value>(text) {
        Ok(notification) => notification,
        Err(cause) => return Converted::Invalid(format!("not valid JSON: {cause}")),
    };
    let distilled = distiller.distill(&notification, now);
    for warning in &distilled.warnings {
        log::warn!("trait left out: {warning}");
    }
    match distilled.outcome {
        Outcome::Event(event) => match prepare(&event) {
            Ok(prepared) => Converted::Event(Box::new(prepared)),
            Err(cause) => Converted::Invalid(cause.to_string()),
        },
        Outcome::Dropped => Converted::Dropped,
        Outcome::Invalid(reason) => Converted::Invalid(reason),
    }
}
