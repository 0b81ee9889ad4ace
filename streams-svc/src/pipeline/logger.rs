//! `logger`: one log line with the events of the stream.

use super::{Env, Events, Handler, HandlerError, Params, World};

/// Most events named in one line.
const MAX_NAMED: usize = 1000;

/// Builds the handler; it has no parameters.
pub(super) fn build(_: &Params, _: &World) -> Result<Box<dyn Handler>, HandlerError> {
    Ok(Box::new(Logger))
}

struct Logger;

impl Handler for Logger {
    fn handle_events(&mut self, events: Events, env: &mut Env) -> Result<Events, HandlerError> {
        log::info!(stream_id = env.stream_id(); "{}", line(&events));
        Ok(events)
    }
}

fn line(events: &Events) -> String {
    let names: Vec<_> = events
        .iter()
        .take(MAX_NAMED)
        .map(|event| format!("{}: {}", event.event_type, event.message_id))
        .collect();
    let rest = if events.len() > MAX_NAMED { ", …" } else { "" };
    format!("received {} events: {}{rest}", events.len(), names.join(", "))
}

#[cfg(test)]
mod tests {
    use crate::pipeline::tests::{event, events};

    #[test]
    fn line_has_count_types_and_ids() {
        let two = events([
            event("a", "m1", "2015-02-27", serde_json::json!({})),
            event("b", "m2", "2015-02-28", serde_json::json!({})),
        ]);
        assert_eq!(super::line(&two), "received 2 events: a: m1, b: m2");
    }
}
