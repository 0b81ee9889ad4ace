//! Takes streams that are due, runs their pipelines, and lets them go.
//!
//! What is in hand is kept by a lease, which is renewed as long as this process lives; if it dies, the streams
//! return to their retry states. Streams that end at about the same time share a transaction.
//!
//! Of the places in hand and of the threads a pipeline gets only a part ([`Places`]): one that hangs holds up nobody
//! else, and its streams that are not taken are there for others.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use shared::datetime::to_micros;
use shared::db::DbError;
use shared::stop::Stop;

use super::pipelines::{Ran, Threads, ended};
use super::places::Places;
use crate::State;
use crate::counters::{Counter, Counters};
use crate::definitions::Loaded;
use crate::engine::Task;
use crate::store::{self, Due, Finished, Outcome, Room, Taken};

/// Streams in hand for each thread: some wait while others run.
const IN_HAND_PER_THREAD: usize = 8;

/// Streams that are let go in one transaction.
const GROUP: usize = 64;

/// What the worker gets to end the pipelines that run after a stop.
const LAST_MOMENTS: Duration = Duration::from_secs(8);

/// A stream in hand.
struct Held {
    taken: Taken,
    /// Name of its pipeline.
    pipeline: String,
}

/// What was made of a stream.
struct Done {
    id: i64,
    pipeline: String,
    /// Nothing if its events could not be read.
    finished: Option<Finished>,
    /// The thread of a pipeline that did not end.
    left_behind: Option<JoinHandle<()>>,
}

/// One worker. More than one, anywhere, do each other no harm.
pub struct Worker {
    state: State,
    threads: Arc<Threads>,
    /// Streams that wait for a thread.
    queue: VecDeque<Held>,
    running: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Pipelines whose threads were left behind.
    left_behind: FuturesUnordered<BoxFuture<'static, String>>,
    /// Ids of the streams in hand.
    ids: HashSet<i64>,
    /// Their places.
    in_hand: Places,
    /// The threads.
    slots: Places,
}

impl Worker {
    /// A worker that has nothing in hand.
    #[must_use]
    pub fn new(state: State) -> Self {
        let (config, net, clock) = (&state.config, Arc::clone(&state.net), Arc::clone(state.clock.get_ref()));
        let threads = Threads::new(config.pipeline_timeout(), net, clock);
        Self {
            threads: Arc::new(threads),
            queue: VecDeque::new(),
            running: FuturesUnordered::new(),
            left_behind: FuturesUnordered::new(),
            ids: HashSet::new(),
            in_hand: Places::new(config.pipeline_threads.saturating_mul(IN_HAND_PER_THREAD)),
            slots: Places::new(config.pipeline_threads),
            state,
        }
    }

    /// Works until `stop`; then gives back what has not begun, and ends what runs if that is soon done.
    pub async fn run(mut self, stop: Stop) {
        let mut renewal = tokio::time::interval(Duration::from_secs(self.state.config.lease_secs) / 3);
        renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !stop.is_stopped() {
            let is_full = self.logged_take().await;
            self.begin();
            if is_full {
                continue;
            }
            let delay = self.state.definitions.current().part.pipeline_worker_delay;
            let mut rest = pin!(tokio::time::sleep(delay));
            loop {
                tokio::select! {
                    () = stop.stopped() => {}
                    Some(done) = self.running.next() => self.finish(done).await,
                    Some(pipeline) = self.left_behind.next() => self.slots.leave(&pipeline),
                    // That alone ends no rest: with a long delay nothing is looked for before its time.
                    _ = renewal.tick() => if !self.renew().await { continue },
                    () = self.state.ready.notified() => {}
                    () = &mut rest => {}
                }
                break;
            }
        }
        self.give_back().await;
        let last = async {
            while let Some(done) = self.running.next().await {
                self.finish(done).await;
            }
        };
        if tokio::time::timeout(LAST_MOMENTS, last).await.is_err() {
            log::warn!("streams whose pipelines still run are left to the next worker");
        }
    }

    /// One round: takes what is due, once, and works on it to the end. How many streams that were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn round(&mut self) -> Result<usize, DbError> {
        let at = to_micros(self.state.clock.now_naive());
        let lease = self.lease_micros();
        self.state.db.write(move |conn| store::return_lost(conn, at, lease)).await?;
        let count = self.take().await?;
        self.begin();
        while let Some(done) = self.running.next().await {
            self.finish(done).await;
            self.begin();
        }
        // Their pipelines have lost all their threads.
        self.give_back().await;
        Ok(count)
    }

    /// Takes streams that are due; whether as many as may be taken at once, so that there may be more.
    async fn logged_take(&mut self) -> bool {
        self.state.now.ask().await;
        let batch = self.state.definitions.current().part.pipeline_worker_batch_size;
        match self.take().await {
            Ok(count) => count >= batch,
            Err(cause) => {
                log::warn!("streams are not taken, trying again: {cause}");
                false
            }
        }
    }

    /// Takes streams that are due; how many.
    async fn take(&mut self) -> Result<usize, DbError> {
        let mut share = Share {
            loaded: self.state.definitions.current(),
            before: self.in_hand.clone(),
            in_hand: self.in_hand.clone(),
            taken: HashMap::new(),
        };
        let present = Arc::clone(&self.state.now);
        let at = to_micros(self.state.clock.now_naive());
        let lease = self.lease_until();
        let taken = self.state.db.write(move |conn| {
            if present.is_replay() {
                present.go_by(store::find_present(conn)?);
            }
            let now = to_micros(present.now());
            let mut due = store::list_due(conn, Task::Fire, now)?;
            due.extend(store::list_due(conn, Task::Expire, now)?);
            let taken = store::take(conn, &due, now, (at, lease), &mut share)?;
            let held = |taken: Taken| Held { pipeline: share.pipeline(taken.task, &taken.name), taken };
            Ok::<Vec<Held>, DbError>(taken.into_iter().map(held).collect())
        });
        let taken = taken.await?;
        let count = taken.len();
        for held in taken {
            self.ids.insert(held.taken.id);
            self.in_hand.hold(&held.pipeline, 1);
            self.queue.push_back(held);
        }
        Ok(count)
    }

    /// Lets run what there are threads for.
    fn begin(&mut self) {
        for held in std::mem::take(&mut self.queue) {
            if self.slots.room(&held.pipeline) == 0 {
                self.queue.push_back(held);
                continue;
            }
            self.slots.hold(&held.pipeline, 1);
            self.running.push(work_on(self.state.clone(), Arc::clone(&self.threads), held).boxed());
        }
    }

    /// Lets a stream go, together with those that are done by now.
    async fn finish(&mut self, first: Done) {
        let mut done = vec![first];
        while done.len() < GROUP
            && let Some(Some(more)) = self.running.next().now_or_never()
        {
            done.push(more);
        }
        let mut finished = Vec::with_capacity(done.len());
        for one in done {
            self.ids.remove(&one.id);
            self.in_hand.leave(&one.pipeline);
            match one.left_behind {
                Some(thread) => self.left_behind.push(ended(thread).map(|()| one.pipeline).boxed()),
                None => self.slots.leave(&one.pipeline),
            }
            finished.extend(one.finished);
        }
        let_go(&self.state, finished).await;
    }

    /// Gives back what waits for a thread.
    async fn give_back(&mut self) {
        let mut returned = Vec::with_capacity(self.queue.len());
        for Held { taken, pipeline } in std::mem::take(&mut self.queue) {
            self.ids.remove(&taken.id);
            self.in_hand.leave(&pipeline);
            returned.push(Finished { taken, outcome: Outcome::Returned, new_events: Vec::new() });
        }
        if !returned.is_empty() {
            let_go(&self.state, returned).await;
        }
    }

    /// Keeps what is in hand, and returns what others have lost; whether that was anything.
    async fn renew(&mut self) -> bool {
        let ids: Vec<i64> = self.ids.iter().copied().collect();
        let (lease, lease_until) = (self.lease_micros(), self.lease_until());
        let at = to_micros(self.state.clock.now_naive());
        let renewed = self.state.db.write(move |conn| {
            if !ids.is_empty() {
                store::renew(conn, &ids, lease_until)?;
            }
            store::return_lost(conn, at, lease)
        });
        let lost = renewed.await.unwrap_or_else(|cause| {
            log::warn!("leases are not renewed, trying again: {cause}");
            0
        });
        if lost > 0 {
            log::warn!("{lost} streams of a worker that is gone return");
        }
        lost > 0
    }

    fn lease_until(&self) -> i64 {
        to_micros(self.state.clock.now_naive()).saturating_add(self.lease_micros())
    }

    fn lease_micros(&self) -> i64 {
        i64::try_from(self.state.config.lease_secs).unwrap_or(i64::MAX).saturating_mul(1_000_000)
    }
}

/// Writes what becomes of streams.
async fn let_go(state: &State, finished: Vec<Finished>) {
    let has_new = finished.iter().any(|one| !one.new_events.is_empty());
    let at = to_micros(state.clock.now_naive());
    match state.db.write(move |conn| store::finish(conn, &finished, at)).await {
        Ok(lost) => {
            let mut counters = Counters::default();
            (0..lost).for_each(|_| counters.of_unknown().count(Counter::Locked));
            state.statistics.add(counters);
        }
        // Their leases will be over some time.
        Err(cause) => log::error!("streams are not let go: {cause}"),
    }
    if has_new {
        state.outgoing.notify_one();
    }
}

/// The room of a worker: for each pipeline its part of the places, and for each task a batch.
struct Share {
    loaded: Arc<Loaded>,
    /// Places as they were before anything was taken.
    before: Places,
    in_hand: Places,
    taken: HashMap<Task, usize>,
}

impl Share {
    /// The pipeline that a task of a trigger runs; none is as good as one without a name.
    fn pipeline(&self, task: Task, name: &str) -> String {
        let trigger = self.loaded.part.triggers.get(name);
        trigger.and_then(|trigger| task.pipeline(trigger)).unwrap_or_default().to_owned()
    }
}

impl Room for Share {
    /// None for a pipeline that has more in hand than room is left for: streams are taken by the dozen. A quarter of the
    /// room is kept for streams that expire.
    fn of(&self, due: &Due) -> usize {
        let pipeline = self.pipeline(due.task, &due.name);
        if self.before.room(&pipeline) < self.before.held(&pipeline) {
            return 0;
        }
        let room = self.in_hand.room(&pipeline);
        let room = match due.task {
            Task::Fire => room - room / 4,
            Task::Expire => room,
        };
        let taken = self.taken.get(&due.task).copied().unwrap_or(0);
        room.min(self.loaded.part.pipeline_worker_batch_size.saturating_sub(taken))
    }

    fn took(&mut self, due: &Due, count: usize) {
        let pipeline = self.pipeline(due.task, &due.name);
        self.in_hand.hold(&pipeline, count);
        *self.taken.entry(due.task).or_default() += count;
    }
}

/// Runs what is planned for a stream.
async fn work_on(state: State, threads: Arc<Threads>, Held { taken, pipeline }: Held) -> Done {
    let id = taken.id;
    let bodies = match state.db.read(move |conn| store::list_events(conn, id)).await {
        Ok(bodies) => bodies,
        Err(cause) => {
            log::error!(stream_id = id; "events of stream {id} cannot be read, its lease will end: {cause}");
            return Done { id, pipeline, finished: None, left_behind: None };
        }
    };
    let loaded = state.definitions.current();
    let purges = loaded.part.purge_completed_streams;
    let ran = threads.run(loaded, taken.clone(), bodies).await;
    let outcome = outcome(&state, &taken, &ran, purges);
    state.statistics.add(ran.counters);
    let new_events = ran.outcome.map(|brought| brought.new_events).unwrap_or_default();
    let finished = Some(Finished { taken, outcome, new_events });
    Done { id, pipeline, finished, left_behind: ran.left_behind }
}

fn outcome(state: &State, taken: &Taken, ran: &Ran, purges: bool) -> Outcome {
    let why = match &ran.outcome {
        Ok(brought) if purges => return Outcome::Purged(brought.complaint.clone()),
        Ok(brought) => return Outcome::Completed(brought.complaint.clone()),
        Err(why) => why.clone(),
    };
    let failures = taken.failures.saturating_add(1);
    let next = state.config.retry().next(failures, state.now.now()).filter(|_| ran.may_retry);
    match next {
        Some(at) => Outcome::Retried(why, to_micros(at)),
        None => Outcome::Failed(why),
    }
}
