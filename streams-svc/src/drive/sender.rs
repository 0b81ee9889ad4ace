//! Brings new events from the outbox to the event service, which drops those it has: at least once on the way is
//! exactly once there.

use std::time::Duration;

use shared::stop::Stop;

use super::{DriveError, backoff};
use crate::State;
use crate::store::{self, Outgoing};

/// Most events, and about the most bytes, of one call.
const MOST: usize = 500;
const MOST_BYTES: usize = 4 << 20;

/// How often the outbox is looked at for what another process has left there.
const POLL: Duration = Duration::from_secs(1);

/// One sender. More than one do each other no harm.
pub struct Sender {
    state: State,
}

impl Sender {
    /// A sender for the outbox of this store.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self { state }
    }

    /// Sends until `stop`.
    pub async fn run(self, stop: Stop) {
        let mut failures = 0;
        while !stop.is_stopped() {
            let pause = match self.step().await {
                Ok(0) => {
                    failures = 0;
                    POLL
                }
                Ok(_sent) => continue,
                Err(cause) => {
                    log::warn!("new events are not sent, trying again: {cause}");
                    failures += 1;
                    backoff(failures)
                }
            };
            tokio::select! {
                () = stop.stopped() => break,
                () = self.state.outgoing.notified(), if failures == 0 => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Sends what is in the outbox, up to a bound; how many events that was.
    ///
    /// # Errors
    /// When the event service or the database fails; the events stay then.
    pub async fn step(&self) -> Result<usize, DriveError> {
        let listed = self.state.db.read(|conn| store::list_outgoing(conn, MOST)).await?;
        let mut bytes = 0;
        let mut fits = |event: &Outgoing| {
            let is_first = bytes == 0;
            bytes += event.body.len();
            is_first || bytes <= MOST_BYTES
        };
        let batch: Vec<Outgoing> = listed.into_iter().take_while(|event| fits(event)).collect();
        if batch.is_empty() {
            return Ok(0);
        }
        let (ids, bodies): (Vec<i64>, Vec<String>) =
            batch.into_iter().map(|event| (event.id, event.body)).unzip();
        let count = ids.len();
        self.state.events.store(bodies).await?;
        self.state.db.write(move |conn| store::delete_outgoing(conn, &ids)).await?;
        Ok(count)
    }
}
