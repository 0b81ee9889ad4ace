//! Runs pipelines on threads of their own, each within its time.
//!
//! A thread cannot be ended from outside. A handler that does not come back in time has failed; its thread is left
//! behind, and keeps the place it runs in until it ends.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use shared::clock::SharedClock;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Net;
use crate::counters::Counters;
use crate::definitions::Loaded;
use crate::engine::Plan;
use crate::model::Event;
use crate::pipeline::{Env, Events, Run, World};
use crate::store::Taken;

/// What handlers get to notice that their time is over, beyond it.
const GRACE: Duration = Duration::from_secs(1);

/// Bytes of a reason that are kept.
const MOST_REASON: usize = 2000;

/// Runs pipelines.
pub(super) struct Threads {
    timeout: Duration,
    net: Arc<Net>,
    clock: SharedClock,
}

/// What a pipeline has made of a stream.
pub(super) struct Ran {
    /// What it brought, or why it failed.
    pub(super) outcome: Result<Brought, String>,
    /// Whether another try may end better: not when trigger or pipeline do not exist.
    pub(super) may_retry: bool,
    pub(super) counters: Counters,
    /// Its thread, if that did not end.
    pub(super) left_behind: Option<JoinHandle<()>>,
}

/// What a pipeline that succeeded has brought.
#[derive(Default)]
pub(super) struct Brought {
    /// New events as JSON texts.
    pub(super) new_events: Vec<String>,
    /// Which handlers did not commit, and why.
    pub(super) complaint: Option<String>,
}

impl Ran {
    fn failed(why: String) -> Self {
        Self { outcome: Err(why), may_retry: true, counters: Counters::default(), left_behind: None }
    }
}

impl Threads {
    pub(super) fn new(timeout: Duration, net: Arc<Net>, clock: SharedClock) -> Self {
        Self { timeout, net, clock }
    }

    /// Runs what is planned for a stream over its events, which are JSON texts in the order of time.
    pub(super) async fn run(&self, loaded: Arc<Loaded>, taken: Taken, bodies: Vec<String>) -> Ran {
        let (clock, deadline) = (Arc::clone(&self.clock), Instant::now() + self.timeout);
        let world = World {
            new_id: Arc::new(Uuid::new_v4),
            now: Arc::new(move || clock.now_naive()),
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
                log::error!("a pipeline of trigger '{name}' does not end; its thread keeps its place");
                let why = format!("the pipeline took longer than {} s", self.timeout.as_secs());
                Ran { left_behind: Some(thread), ..Ran::failed(why) }
            }
        }
    }
}

/// Waits for a thread that was left behind.
pub(super) async fn ended(thread: JoinHandle<()>) {
    while !thread.is_finished() {
        tokio::time::sleep(GRACE).await;
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
            Ok(Brought::default())
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
                let failures: Vec<_> = run.commit(counters).iter().map(ToString::to_string).collect();
                Ok(Brought {
                    new_events: new.iter().map(|event| event.to_json().to_string()).collect(),
                    complaint: (!failures.is_empty()).then(|| bounded(failures.join("; "))),
                })
            })
        }
    };
    match &outcome {
        Ok(_brought) => counters.count(task.success()),
        Err(why) => {
            log::error!(stream_id = taken.id; "stream {} of trigger '{}' failed: {why}", taken.id, taken.name);
        }
    }
    Ran { outcome: outcome.map_err(bounded), may_retry, counters: all, left_behind: None }
}

/// A reason short enough to be kept.
fn bounded(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(MOST_REASON));
    reason
}

fn read(body: &str) -> Result<Arc<Event>, String> {
    let json = serde_json::from_str(body).map_err(|cause| format!("a stored event is damaged: {cause}"))?;
    Event::from_json(json).map(Arc::new).map_err(|cause| format!("a stored event is damaged: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reason_is_cut_between_characters() {
        assert_eq!(bounded("short".to_owned()), "short");
        // 667 characters of three bytes are one byte too many.
        assert_eq!(bounded("€".repeat(1000)), "€".repeat(666));
    }
}
