//! One run of a pipeline over the events of one stream.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{Definition, Env, Events, Handler, HandlerError, World};
use crate::counters::{Counter, TriggerCounters};

/// A pipeline built for one stream.
///
/// Call [`Run::handle`] first. If it succeeds, call [`Run::commit`]; if not, everything is rolled back.
pub struct Run {
    pipeline: String,
    handlers: Vec<(String, Box<dyn Handler>)>,
}

/// Why a pipeline failed. The text is stored with the stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pipeline '{pipeline}', handler '{handler}': {cause}")]
pub struct Failure {
    pipeline: String,
    handler: String,
    cause: HandlerError,
}

impl Run {
    /// Builds all handlers.
    ///
    /// # Errors
    /// [`Failure`] of the first that cannot be built. Nothing is rolled back, for nothing was done.
    pub fn build(definition: &Definition, world: &World) -> Result<Self, Failure> {
        let build = |used: &super::definition::HandlerUse| {
            let built = guarded(|| (used.build)(&used.params, world));
            let handler = built.map_err(|cause| Failure {
                pipeline: definition.name.clone(),
                handler: used.name.clone(),
                cause,
            })?;
            Ok((used.name.clone(), handler))
        };
        let handlers = definition.handlers.iter().map(build).collect::<Result<_, Failure>>()?;
        Ok(Self { pipeline: definition.name.clone(), handlers })
    }

    /// Lets all handlers look at the events, in the order of time, and returns the new ones: those that
    /// the last handler returned and the stream does not have.
    ///
    /// # Errors
    /// [`Failure`] of the first handler that fails or panics, after all handlers have rolled back.
    pub fn handle(
        &mut self,
        events: Events,
        env: &mut Env,
        counters: &mut TriggerCounters,
    ) -> Result<Events, Failure> {
        let old: HashSet<Arc<str>> = events.iter().map(|event| event.message_id.as_str().into()).collect();
        let mut current = events;
        for place in 0..self.handlers.len() {
            let Some((name, handler)) = self.handlers.get_mut(place) else { break };
            match guarded(|| handler.handle_events(current, env)) {
                Ok(next) => current = next,
                Err(cause) => {
                    let failure = Failure { pipeline: self.pipeline.clone(), handler: name.clone(), cause };
                    counters.count(Counter::PipelineError);
                    self.rollback(counters);
                    return Err(failure);
                }
            }
        }
        counters.count(Counter::PreCommitSuccessful);
        current.retain(|event| !old.contains(event.message_id.as_str()));
        Ok(current)
    }

    /// Commits all handlers in order; one that fails is logged, and the others still commit. Returns those that failed.
    pub fn commit(&mut self, counters: &mut TriggerCounters) -> Vec<Failure> {
        let mut failures = Vec::new();
        for (name, handler) in &mut self.handlers {
            match guarded(|| handler.commit()) {
                Ok(()) => counters.count(Counter::CommitSuccessful),
                Err(cause) => {
                    log::error!("handler '{name}' of pipeline '{}' did not commit: {cause}", self.pipeline);
                    counters.count(Counter::CommitError);
                    failures.push(Failure { pipeline: self.pipeline.clone(), handler: name.clone(), cause });
                }
            }
        }
        failures
    }

    fn rollback(&mut self, counters: &mut TriggerCounters) {
        for (name, handler) in &mut self.handlers {
            match guarded(|| handler.rollback()) {
                Ok(()) => counters.count(Counter::RollbackSuccessful),
                Err(error) => {
                    log::error!(
                        "handler '{name}' of pipeline '{}' did not roll back: {error}",
                        self.pipeline
                    );
                    counters.count(Counter::RollbackError);
                }
            }
        }
    }
}

/// A handler that panics has failed, and harms nobody else.
fn guarded<T>(work: impl FnOnce() -> Result<T, HandlerError>) -> Result<T, HandlerError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(HandlerError::new("the handler panicked")))
}
