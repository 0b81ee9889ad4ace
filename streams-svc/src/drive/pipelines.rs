//! Runs pipelines on threads of their own, so many at a time, each within its time.
//!
//! A thread cannot be ended from outside. A handler that does not come back in time has failed, and its place goes
//! to the next; its thread is left behind, and so many may be left behind before nothing more is run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;

use super::Net;
use super::now::Now;
use crate::counters::Counters;
use crate::definitions::Loaded;
use crate::engine::Plan;
use crate::model::Event;
use crate::pipeline::{Env, Events, Run, World};
use crate::store::Taken;

/// Most threads that are left behind.
const MOST_ABANDONED: usize = 64;

/// What handlers get to notice that their time is over, beyond it.
const GRACE: Duration = Duration::from_secs(1);

/// Runs pipelines.
pub(super) struct Threads {
    places: Semaphore,
    abandoned: Arc<AtomicUsize>,
    timeout: Duration,
    net: Arc<Net>,
    now: Arc<Now>,
}

/// What a pipeline has made of a stream.
pub(super) struct Ran {
    /// Its new events, or why it failed.
    pub(super) outcome: Result<Vec<String>, String>,
    /// Whether another try may end better: not when trigger or pipeline do not exist.
    pub(super) may_retry: bool,
    pub(super) counters: Counters,
}

impl Ran {
    fn failed(why: String) -> Self {
        Self { outcome: Err(why), may_retry: true, counters: Counters::default() }
    }
}

impl Threads {
    pub(super) fn new(threads: usize, timeout: Duration, net: Arc<Net>, now: Arc<Now>) -> Self {
        Self { places: Semaphore::new(threads), abandoned: Arc::default(), timeout, net, now }
    }

    /// Whether threads were left behind beyond the bound.
    pub(super) fn is_exhausted(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) >= MOST_ABANDONED
    }

    /// Runs what is planned for a stream over its events, which are JSON texts in the order of time.
    pub(super) async fn run(&self, loaded: Arc<Loaded>, taken: Taken, bodies: Vec<String>) -> Ran {
        let Ok(_place) = self.places.acquire().await else {
            return Ran::failed("the service is stopping".to_owned());
        };
        let (now, deadline) = (Arc::clone(&self.now), Instant::now() + self.timeout);
        let world = World {
            new_id: Arc::new(Uuid::new_v4),
            now: Arc::new(move || now.now()),
            outlet: Arc::new(self.net.outlet(deadline)),
        };
        let (answer, ran) = oneshot::channel();
        let name = taken.name.clone();
        let work = move || {
            // Nobody listens any more when the time is over.
            let _ = answer.send(work_on(&loaded, &taken, &bodies, &world));
        };
        let thread = match std::thread::Builder::new().name("pipeline".to_owned()).spawn(work) {
            Ok(thread) => thread,
            Err(cause) => return Ran::failed(format!("no thread for the pipeline: {cause}")),
        };
        match tokio::time::timeout(self.timeout + GRACE, ran).await {
            Ok(Ok(ran)) => ran,
            Ok(Err(_gone)) => Ran::failed("the pipeline panicked".to_owned()),
            Err(_elapsed) => {
                log::error!("a pipeline of trigger '{name}' does not end; its thread is left behind");
                let abandoned = Arc::clone(&self.abandoned);
                abandoned.fetch_add(1, Ordering::Relaxed);
                tokio::task::spawn(async move {
                    while !thread.is_finished() {
                        tokio::time::sleep(GRACE).await;
                    }
                    abandoned.fetch_sub(1, Ordering::Relaxed);
                });
                Ran::failed(format!("the pipeline took longer than {} s", self.timeout.as_secs()))
            }
        }
    }
}

fn work_on(loaded: &Loaded, taken: &Taken, bodies: &[String], world: &World) -> Ran {
    let (part, task) = (&loaded.part, taken.task);
    let trigger = part.triggers.get(&taken.name);
    let mut all = Counters::default();
    let counters = match trigger {
        Some(trigger) => all.of(trigger.name(), trigger.debug_level()),
        None => all.of_unknown(),
    };
    let mut may_retry = true;
    let outcome = match task.plan(&taken.name, trigger.map(Arc::as_ref), &part.pipelines) {
        Plan::Nothing => {
            counters.count(task.no_pipeline(&taken.name));
            Ok(Vec::new())
        }
        Plan::Impossible(counter) => {
            counters.count(counter);
            may_retry = false;
            Err(counter.to_string())
        }
        Plan::Run(definition) => {
            Run::build(definition, world).map_err(|why| why.to_string()).and_then(|mut run| {
                let events: Events = bodies.iter().map(|body| read(body)).collect::<Result<_, _>>()?;
                let mut env = Env::new(taken.id, &taken.name);
                let new = run.handle(events, &mut env, counters).map_err(|why| why.to_string())?;
                run.commit(counters);
                Ok(new.iter().map(|event| event.to_json().to_string()).collect())
            })
        }
    };
    match &outcome {
        Ok(_new) => counters.count(task.success()),
        Err(why) => {
            log::error!(stream_id = taken.id; "stream {} of trigger '{}' failed: {why}", taken.id, taken.name);
        }
    }
    Ran { outcome, may_retry, counters: all }
}

fn read(body: &str) -> Result<Arc<Event>, String> {
    let json = serde_json::from_str(body).map_err(|cause| format!("a stored event is damaged: {cause}"))?;
    Event::from_json(json).map(Arc::new).map_err(|cause| format!("a stored event is damaged: {cause}"))
}
