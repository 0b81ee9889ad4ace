//! Takes streams that are due, runs their pipelines, and lets them go.
//!
//! What is in hand is kept by a lease, which is renewed as long as this process lives; if it dies, the streams
//! return to their retry states. Streams that end at about the same time share a transaction.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use shared::datetime::to_micros;
use shared::db::DbError;
use shared::stop::Stop;

use super::pipelines::{Ran, Threads};
use crate::State;
use crate::counters::{Counter, Counters};
use crate::engine::Task;
use crate::store::{self, Finished, Outcome, Taken};

/// Streams in hand for each thread: some wait while others run.
const IN_HAND_PER_THREAD: usize = 8;

/// Streams that are let go in one transaction.
const GROUP: usize = 64;

/// What the worker gets to end the streams in hand after a stop.
const LAST_MOMENTS: Duration = Duration::from_secs(8);

/// What was made of a stream; nothing if its events could not be read.
type Done = (i64, Option<Finished>);

/// One worker. More than one, anywhere, do each other no harm.
pub struct Worker {
    state: State,
    threads: Arc<Threads>,
    running: FuturesUnordered<BoxFuture<'static, Done>>,
    in_hand: HashSet<i64>,
}

impl Worker {
    /// A worker that has nothing in hand.
    #[must_use]
    pub fn new(state: State) -> Self {
        let (config, net, now) = (&state.config, Arc::clone(&state.net), Arc::clone(&state.now));
        let threads = Threads::new(config.pipeline_threads, config.pipeline_timeout(), net, now);
        let running = FuturesUnordered::new();
        Self { state, threads: Arc::new(threads), running, in_hand: HashSet::new() }
    }

    /// Works until `stop`, and then ends what is in hand if that is soon done.
    pub async fn run(mut self, stop: Stop) {
        let mut renewal = tokio::time::interval(Duration::from_secs(self.state.config.lease_secs) / 3);
        renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !stop.is_stopped() {
            let is_idle = self.logged_take().await == 0;
            if !is_idle && self.running.len() < self.room() / 2 {
                continue;
            }
            let delay = self.state.definitions.current().part.pipeline_worker_delay;
            tokio::select! {
                () = stop.stopped() => break,
                Some(done) = self.running.next() => self.finish(done).await,
                _ = renewal.tick() => self.renew().await,
                () = self.state.ready.notified() => {}
                () = tokio::time::sleep(delay) => {}
            }
        }
        let last = async {
            while let Some(done) = self.running.next().await {
                self.finish(done).await;
            }
        };
        if tokio::time::timeout(LAST_MOMENTS, last).await.is_err() {
            log::warn!("streams in hand are left to the next worker");
        }
    }

    /// One round: takes what is due, once, and works on it to the end. How many streams that were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn round(&mut self) -> Result<usize, DbError> {
        let at = to_micros(self.state.clock.now_naive());
        self.state.db.write(move |conn| store::return_lost(conn, at)).await?;
        let count = self.take().await?;
        while let Some(done) = self.running.next().await {
            self.finish(done).await;
        }
        Ok(count)
    }

    async fn logged_take(&mut self) -> usize {
        self.state.now.ask().await;
        self.take().await.unwrap_or_else(|cause| {
            log::warn!("streams are not taken, trying again: {cause}");
            0
        })
    }

    /// Most streams in hand.
    fn room(&self) -> usize {
        let batch = self.state.definitions.current().part.pipeline_worker_batch_size;
        batch.min(self.state.config.pipeline_threads.saturating_mul(IN_HAND_PER_THREAD)).max(1)
    }

    /// Takes streams that are due; how many. A quarter of the room is kept for those that expire.
    async fn take(&mut self) -> Result<usize, DbError> {
        let room = self.room().saturating_sub(self.running.len());
        if room == 0 || room < self.room() / 2 {
            return Ok(0);
        }
        if self.threads.is_exhausted() {
            log::error!("too many pipelines do not end: nothing more is run");
            return Ok(0);
        }
        let now = to_micros(self.state.now.now());
        let at = to_micros(self.state.clock.now_naive());
        let lease = self.lease_until();
        let taken = self.state.db.write(move |conn| {
            let mut taken = store::take(conn, Task::Fire, now, (at, lease), room - room / 4)?;
            let rest = room - taken.len();
            taken.extend(store::take(conn, Task::Expire, now, (at, lease), rest)?);
            Ok::<_, DbError>(taken)
        });
        let taken = taken.await?;
        let count = taken.len();
        for one in taken {
            self.in_hand.insert(one.id);
            self.running.push(work_on(self.state.clone(), Arc::clone(&self.threads), one).boxed());
        }
        Ok(count)
    }

    /// Lets a stream go, together with those that are done by now.
    async fn finish(&mut self, first: Done) {
        let mut done = vec![first];
        while done.len() < GROUP
            && let Some(Some(more)) = self.running.next().now_or_never()
        {
            done.push(more);
        }
        for (id, _) in &done {
            self.in_hand.remove(id);
        }
        let finished: Vec<Finished> = done.into_iter().filter_map(|(_, finished)| finished).collect();
        let has_new = finished.iter().any(|one| !one.new_events.is_empty());
        let at = to_micros(self.state.clock.now_naive());
        match self.state.db.write(move |conn| store::finish(conn, &finished, at)).await {
            Ok(lost) => {
                let mut counters = Counters::default();
                (0..lost).for_each(|_| counters.of_unknown().count(Counter::Locked));
                self.state.statistics.add(counters);
            }
            // Their leases will be over some time.
            Err(cause) => log::error!("streams are not let go: {cause}"),
        }
        if has_new {
            self.state.outgoing.notify_one();
        }
    }

    /// Keeps what is in hand, and returns what others have lost.
    async fn renew(&mut self) {
        let (ids, lease) = (self.in_hand.iter().copied().collect::<Vec<_>>(), self.lease_until());
        let at = to_micros(self.state.clock.now_naive());
        let renewed = self.state.db.write(move |conn| {
            if !ids.is_empty() {
                store::renew(conn, &ids, lease)?;
            }
            store::return_lost(conn, at)
        });
        match renewed.await {
            Ok(0) => {}
            Ok(lost) => log::warn!("{lost} streams of a worker that is gone return"),
            Err(cause) => log::warn!("leases are not renewed, trying again: {cause}"),
        }
    }

    fn lease_until(&self) -> i64 {
        let lease =
            TimeDelta::seconds(i64::try_from(self.state.config.lease_secs).unwrap_or(i64::MAX / 2000));
        to_micros(self.state.clock.now_naive() + lease)
    }
}

/// Runs what is planned for a stream.
async fn work_on(state: State, threads: Arc<Threads>, taken: Taken) -> Done {
    let id = taken.id;
    let bodies = match state.db.read(move |conn| store::list_events(conn, id)).await {
        Ok(bodies) => bodies,
        Err(cause) => {
            log::error!(stream_id = id; "events of stream {id} cannot be read, its lease will end: {cause}");
            return (id, None);
        }
    };
    let loaded = state.definitions.current();
    let purges = loaded.part.purge_completed_streams;
    let ran = threads.run(loaded, taken.clone(), bodies).await;
    let outcome = outcome(&state, &taken, &ran, purges);
    state.statistics.add(ran.counters);
    (id, Some(Finished { taken, outcome, new_events: ran.outcome.unwrap_or_default() }))
}

fn outcome(state: &State, taken: &Taken, ran: &Ran, purges: bool) -> Outcome {
    let why = match &ran.outcome {
        Ok(_new) if purges => return Outcome::Purged,
        Ok(_new) => return Outcome::Completed,
        Err(why) => why.clone(),
    };
    let failures = taken.failures.saturating_add(1);
    let next = state.config.retry().next(failures, state.now.now()).filter(|_| ran.may_retry);
    match next {
        Some(at) => Outcome::Retried(why, to_micros(at)),
        None => Outcome::Failed(why),
    }
}
