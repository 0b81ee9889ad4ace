//! All runs of this service. Listeners of one script share one run, as the original has it: the first one's
//! configuration counts, and the run ends with the last listener. Whoever may not see all of a run's servers or
//! machines gets one of his own.

use super::drive::{Hub, State, drive};
use super::message::{Ending, Message};
use super::record::Record;
use super::{Fleet, Plan};
use crate::config::RunLimits;
use crate::metrics::RunMetrics;
use serde_json::Value;
use shared::clock::SharedClock;
use shared::db::Db;
use shared::identity::Principal;
use shared::stop::Stop;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Messages that wait for a listener who is slow; then the oldest are dropped for him, and counted.
const WAITING: usize = 64;

/// Why somebody cannot listen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// A limit on runs or listeners is reached; the text goes to the client.
    #[error("{0}")]
    Busy(String),
}

/// All runs. Cloning shares them.
#[derive(Clone)]
pub struct Runs {
    inner: Arc<Inner>,
}

struct Inner {
    fleet: Fleet,
    limits: RunLimits,
    record: Record,
    metrics: RunMetrics,
    runtime: Handle,
    tracker: TaskTracker,
    table: Mutex<Table>,
}

/// What is going on, under one lock that is never held for long.
#[derive(Default)]
struct Table {
    /// By script.
    runs: HashMap<String, Vec<Seated>>,
    /// Runs whose tracers have not all ended, by user.
    users: HashMap<String, usize>,
    listeners: usize,
}

/// A run that can be joined.
struct Seated {
    run: Arc<Run>,
    listeners: usize,
}

/// One run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) plan: Plan,
    pub(super) subject: String,
    pub(super) hub: Hub,
    answer: Value,
    stop: CancellationToken,
    is_recorded: AtomicBool,
}

impl Runs {
    /// No run yet. Runs are driven on `runtime`; `tracker` knows all that must end before the service does.
    #[must_use]
    pub fn new(
        fleet: Fleet,
        limits: RunLimits,
        (db, clock): (Db, SharedClock),
        metrics: RunMetrics,
        runtime: Handle,
        tracker: TaskTracker,
    ) -> Self {
        let record = Record::new(db, clock, limits.clone());
        let table = Mutex::default();
        Self { inner: Arc::new(Inner { fleet, limits, record, metrics, runtime, tracker, table }) }
    }

    /// The servers there are.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.inner.fleet
    }

    /// Keeps the audit log of runs in order until `stop`.
    pub async fn tend_record(self, stop: Stop) {
        self.inner.record.tend(&stop).await;
    }

    /// Joins the script's run, or starts one.
    ///
    /// # Errors
    /// [`JoinError::Busy`] when too many run or listen already.
    pub fn join(&self, plan: Plan, who: &Principal) -> Result<Listener, JoinError> {
        let inner = &self.inner;
        let mut table = inner.table();
        if table.listeners >= inner.limits.max_listeners {
            return Err(JoinError::Busy("too many listeners".into()));
        }
        let joined = table.find(&plan.uuid, who);
        let (run, verb) = match joined {
            Some(run) => (run, "joins"),
            None => (inner.begin(&mut table, plan, who)?, "starts"),
        };
        table.seat(&run);
        inner.metrics.listeners.inc();
        // Subscribed under the lock: the run cannot end in between.
        let listener = Listener {
            messages: run.hub.messages.subscribe(),
            state: run.hub.state.subscribe(),
            seat: Seat { inner: Arc::clone(inner), run: Arc::clone(&run) },
        };
        if verb == "starts" {
            let (inner, run) = (Arc::clone(inner), Arc::clone(&run));
            inner.tracker.clone().spawn_on(conduct(inner.clone(), run), &inner.runtime);
        }
        drop(table);
        log::info!(target: "audit", subject = who.subject, script = run.plan.uuid, run = run.id;
            "{} {verb} the run {} of script {}", who.subject, run.id, run.plan.uuid);
        Ok(listener)
    }
}

impl Inner {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for a run, within the limits.
    fn begin(&self, table: &mut Table, plan: Plan, who: &Principal) -> Result<Arc<Run>, JoinError> {
        if table.users.values().sum::<usize>() >= self.limits.max_runs {
            return Err(JoinError::Busy("too many runs".into()));
        }
        let own = table.users.entry(who.subject.clone()).or_default();
        if *own >= self.limits.max_runs_per_user {
            return Err(JoinError::Busy(format!("too many runs of {}", who.subject)));
        }
        *own += 1;
        let run = Arc::new(Run {
            id: uuid::Uuid::new_v4().to_string(),
            answer: plan.answer(),
            plan,
            subject: who.subject.clone(),
            hub: Hub {
                messages: broadcast::Sender::new(WAITING),
                state: watch::Sender::new(State::Starting),
            },
            stop: CancellationToken::new(),
            is_recorded: AtomicBool::new(false),
        });
        let seats = table.runs.entry(run.plan.uuid.clone()).or_default();
        seats.push(Seated { run: Arc::clone(&run), listeners: 0 });
        Ok(run)
    }
}

impl Table {
    fn find(&self, script: &str, who: &Principal) -> Option<Arc<Run>> {
        let runs = self.runs.get(script)?;
        runs.iter().find(|seated| seated.run.plan.is_visible_to(who)).map(|seated| Arc::clone(&seated.run))
    }

    fn seat(&mut self, run: &Run) {
        self.listeners += 1;
        let seats = self.runs.get_mut(&run.plan.uuid).into_iter().flatten();
        for seated in seats.filter(|seated| seated.run.id == run.id) {
            seated.listeners += 1;
        }
    }

    /// Takes a seat away; tells whether it was the last.
    fn unseat(&mut self, run: &Run) -> bool {
        self.listeners -= 1;
        let seats = self.runs.get_mut(&run.plan.uuid).into_iter().flatten();
        let mut is_last = false;
        for seated in seats.filter(|seated| seated.run.id == run.id) {
            seated.listeners -= 1;
            is_last = seated.listeners == 0;
        }
        if is_last {
            self.close(run);
        }
        is_last
    }

    /// Nobody can join the run any more.
    fn close(&mut self, run: &Run) {
        if let Some(seats) = self.runs.get_mut(&run.plan.uuid) {
            seats.retain(|seated| seated.run.id != run.id);
            if seats.is_empty() {
                self.runs.remove(&run.plan.uuid);
            }
        }
    }

    fn end(&mut self, run: &Run) {
        if let Some(own) = self.users.get_mut(&run.subject) {
            *own -= 1;
            if *own == 0 {
                self.users.remove(&run.subject);
            }
        }
    }
}

/// Takes a run from the audit log's first line to its last.
async fn conduct(inner: Arc<Inner>, run: Arc<Run>) {
    inner.metrics.runs.inc();
    let ending = match inner.record.begin(&run).await {
        Ok(()) => {
            let interval = std::time::Duration::from_millis(inner.limits.interval_millis);
            let driving = drive(&run.plan, &inner.fleet, interval, &run.subject, &run.hub);
            tokio::select! {
                ending = driving => ending,
                () = run.stop.cancelled() => Ending::Stopped,
            }
        }
        Err(cause) => Ending::Unavailable(cause),
    };
    inner.table().close(&run);
    // The last message first: whoever sees the state has it already.
    let _ = run.hub.messages.send(Arc::new(Message::End(ending.clone())));
    run.hub.state.send_replace(State::Over(ending.clone()));
    log::info!(target: "audit", subject = run.subject, script = run.plan.uuid, run = run.id;
        "the run {} of script {} ends: {}", run.id, run.plan.uuid, ending.word());
    inner.record.end(&run, &ending).await;
    inner.table().end(&run);
    inner.metrics.runs.dec();
    inner.metrics.endings.with_label_values(&[ending.word()]).inc();
}

/// Somebody who listens to a run. Dropping it leaves; the last one to leave ends the run.
#[derive(Debug)]
pub struct Listener {
    messages: broadcast::Receiver<Arc<Message>>,
    state: watch::Receiver<State>,
    seat: Seat,
}

/// What a listener gets next.
#[derive(Debug)]
pub enum Heard {
    /// A message.
    Message(Arc<Message>),
    /// So many messages were dropped, because the listener was slow.
    Dropped(u64),
}

impl Listener {
    /// The first answer: the run's merged configuration.
    #[must_use]
    pub fn answer(&self) -> &Value {
        &self.seat.run.answer
    }

    /// The run's id.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.seat.run.id
    }

    /// Waits until the run traces.
    ///
    /// # Errors
    /// How it ended instead.
    pub async fn started(&mut self) -> Result<(), Ending> {
        let state = self.state.wait_for(|state| *state != State::Starting).await;
        match state.as_deref() {
            // After it has traced, what it told is still to be heard.
            Ok(State::Starting | State::Tracing | State::Over(Ending::Finished | Ending::Failed(_))) => {
                Ok(())
            }
            Ok(State::Over(ending)) => Err(ending.clone()),
            Err(_gone) => Err(Ending::Stopped),
        }
    }

    /// The next message.
    pub async fn next(&mut self) -> Heard {
        match self.messages.recv().await {
            Ok(message) => Heard::Message(message),
            Err(broadcast::error::RecvError::Lagged(count)) => {
                self.seat.inner.metrics.dropped.inc_by(count);
                Heard::Dropped(count)
            }
            Err(broadcast::error::RecvError::Closed) => {
                Heard::Message(Arc::new(Message::End(Ending::Stopped)))
            }
        }
    }

    /// Keeps the run for later from now on; once is enough.
    pub fn record(&self) {
        let Seat { inner, run } = &self.seat;
        if !run.is_recorded.swap(true, Ordering::Relaxed) {
            let (keeping, messages) = (inner.record.keep(run), run.hub.messages.subscribe());
            inner.tracker.spawn_on(keeping.run(messages), &inner.runtime);
        }
    }
}

/// A place at a run; given back on drop, however the listener went.
struct Seat {
    inner: Arc<Inner>,
    run: Arc<Run>,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").field("run", &self.run.id).finish_non_exhaustive()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.inner.metrics.listeners.dec();
        if self.inner.table().unseat(&self.run) {
            self.run.stop.cancel();
        }
    }
}
