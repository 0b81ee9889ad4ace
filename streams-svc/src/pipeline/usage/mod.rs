//! `usage`: checks each `compute.instance.exists` against the events before it, and says so in events.
//!
//! The events before each exists form its block. Every exists gives a `.verified` or a `.failed`; events
//! after the last exists give one `.failed` with code U0; warnings give a `.warnings` besides.

mod checks;
mod report;

use std::sync::Arc;

use serde_json::Value as Json;
use uuid::Uuid;

use self::checks::Fault;
use super::{Env, Events, Handler, HandlerError, Params, World};
use crate::model::Event;

const EXISTS: &str = "compute.instance.exists";

/// Note of the run in which older releases left what is now returned as events.
const NOTIFICATIONS: &str = "usage_notifications";

/// Builds the handler; it has no parameters.
pub(super) fn build(_: &Params, world: &World) -> Result<Box<dyn Handler>, HandlerError> {
    Ok(Box::new(Usage { new_id: Arc::clone(&world.new_id) }))
}

struct Usage {
    new_id: Arc<dyn Fn() -> Uuid + Send + Sync>,
}

impl Handler for Usage {
    fn handle_events(&mut self, mut events: Events, env: &mut Env) -> Result<Events, HandlerError> {
        let stream_id = env.stream_id();
        let (mut warnings, mut reports) = (Vec::new(), Vec::new());
        let mut block: Vec<&Event> = Vec::new();
        for event in &events {
            if event.event_type == EXISTS {
                self.examine(&block, event, stream_id, &mut warnings, &mut reports)?;
                block.clear();
            } else {
                block.push(event);
            }
        }
        if let Some(first) = block.first() {
            reports.push(report::without_exists(first, (self.new_id)(), stream_id));
        }
        env.set(NOTIFICATIONS, Json::Array(reports.iter().map(report::notification).collect()));
        events.extend(reports.into_iter().map(Arc::new));
        Ok(events)
    }
}

impl Usage {
    /// One exists with its block. `warnings` are those of the whole stream so far.
    fn examine(
        &self,
        block: &[&Event],
        exists: &Event,
        stream_id: i64,
        warnings: &mut Vec<String>,
        reports: &mut Vec<Event>,
    ) -> Result<(), HandlerError> {
        let fault = checks::check(block, exists, warnings)?;
        if let Some(Fault { code, text }) = &fault {
            log::warn!(
                stream_id = stream_id, message_id = exists.message_id.as_str();
                "usage of stream {stream_id} not verified: {code} {text}"
            );
        }
        if !warnings.is_empty() {
            reports.push(report::warnings(exists, warnings, (self.new_id)(), stream_id));
        }
        reports.push(report::verdict(exists, fault.as_ref(), stream_id)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
