//! `notabene`: publishes what earlier handlers left in the notes of the run to a message broker.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use shared::datetime;

use super::{Env, Events, Handler, HandlerError, Outlet, Params, World, params};

/// A broker with an exchange; equal ones may share a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct Broker {
    /// Host name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
    /// Virtual host.
    pub vhost: String,
    /// Exchange, declared durable.
    pub exchange: String,
    /// `topic`, `direct`, `fanout` or `headers`.
    pub exchange_type: String,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 5672,
            user: "guest".to_owned(),
            password: "guest".to_owned(),
            vhost: "/".to_owned(),
            exchange: String::new(),
            exchange_type: "topic".to_owned(),
        }
    }
}

/// A message for a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where to.
    pub broker: Arc<Broker>,
    /// Queue, declared durable and bound with its own name, which is also the routing key.
    pub queue: String,
    /// JSON text.
    pub body: String,
}

#[derive(Deserialize)]
struct NotabeneParams {
    #[serde(flatten)]
    broker: Broker,
    queue_name: Option<String>,
    #[serde(default, deserialize_with = "params::texts")]
    env_keys: Vec<String>,
}

/// Builds the handler; `exchange` and `queue_name` are required.
pub(super) fn build(params: &Params, world: &World) -> Result<Box<dyn Handler>, HandlerError> {
    let NotabeneParams { broker, queue_name, env_keys } = params::read(params)?;
    let queue = queue_name.ok_or_else(|| HandlerError::new("no 'queue_name' given"))?;
    if broker.exchange.is_empty() {
        return Err(HandlerError::new("no 'exchange' given"));
    }
    let outlet = Arc::clone(&world.outlet);
    Ok(Box::new(Notabene { broker: Arc::new(broker), queue, env_keys, pending: Vec::new(), outlet }))
}

struct Notabene {
    broker: Arc<Broker>,
    queue: String,
    env_keys: Vec<String>,
    pending: Vec<String>,
    outlet: Arc<dyn Outlet>,
}

impl Handler for Notabene {
    fn handle_events(&mut self, events: Events, env: &mut Env) -> Result<Events, HandlerError> {
        self.pending.clear();
        for key in &self.env_keys {
            match env.get(key) {
                None => {}
                Some(Json::Array(notifications)) => {
                    self.pending.extend(notifications.iter().map(|item| with_plain_times(item).to_string()));
                }
                Some(_) => return Err(HandlerError::new(format_args!("'{key}' in the notes is no list"))),
            }
        }
        Ok(events)
    }

    /// A message that cannot be published is logged; the others still go out.
    fn commit(&mut self) -> Result<(), HandlerError> {
        for body in self.pending.drain(..) {
            let message = Message { broker: Arc::clone(&self.broker), queue: self.queue.clone(), body };
            if let Err(error) = self.outlet.publish(&message) {
                log::error!(queue = self.queue.as_str(); "message not published: {error}");
            }
        }
        Ok(())
    }
}

/// The same with times as `YYYY-MM-DD HH:MM:SS.ffffff`.
fn with_plain_times(json: &Json) -> Json {
    match json {
        Json::Array(items) => items.iter().map(with_plain_times).collect(),
        Json::Object(members) => plain_time(members).unwrap_or_else(|| {
            Json::Object(
                members.iter().map(|(name, value)| (name.clone(), with_plain_times(value))).collect(),
            )
        }),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => json.clone(),
    }
}

fn plain_time(members: &Map<String, Json>) -> Option<Json> {
    let instant = datetime::parse(members.get("datetime")?.as_str()?)?;
    (members.get("__type__")? == "datetime")
        .then(|| instant.format("%Y-%m-%d %H:%M:%S%.6f").to_string().into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pipeline::tests::{Script, params};

    fn built(given: Json) -> Result<(), String> {
        build(&params(given), &Script::default().world()).map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn exchange_and_queue_are_required() {
        assert_eq!(built(json!({ "exchange": "e" })), Err("no 'queue_name' given".to_owned()));
        assert_eq!(built(json!({ "queue_name": "q" })), Err("no 'exchange' given".to_owned()));
        assert_eq!(built(json!({ "exchange": "e", "queue_name": "q", "library": "librabbitmq" })), Ok(()));
    }

    #[test]
    fn lists_of_the_notes_are_published_with_plain_times() {
        let script = Script::default();
        let given =
            json!({ "exchange": "e", "queue_name": "q", "env_keys": ["usage_notifications", "absent"] });
        let mut handler = build(&params(given), &script.world()).unwrap();
        let mut env = Env::new(7, "t");
        let time = |text| json!({ "__type__": "datetime", "datetime": text });
        env.set(
            "usage_notifications",
            json!([{ "at": time("2015-02-27T00:00:00"), "in": [time("2015-02-27T00:00:00.5")] }]),
        );
        handler.handle_events(Vec::new(), &mut env).unwrap();
        assert!(script.messages().is_empty());
        handler.commit().unwrap();
        let broker = Broker { exchange: "e".to_owned(), ..Broker::default() };
        assert_eq!((broker.host.as_str(), broker.port, broker.user.as_str()), ("localhost", 5672, "guest"));
        let body = r#"{"at":"2015-02-27 00:00:00.000000","in":["2015-02-27 00:00:00.500000"]}"#.to_owned();
        assert_eq!(script.messages(), [Message { broker: broker.into(), queue: "q".to_owned(), body }]);
    }

    #[test]
    fn note_that_is_no_list_fails_the_pipeline() {
        let given = json!({ "exchange": "e", "queue_name": "q", "env_keys": ["stream_id"] });
        let mut handler = build(&params(given), &Script::default().world()).unwrap();
        let error = handler.handle_events(Vec::new(), &mut Env::new(7, "t")).unwrap_err();
        assert_eq!(error.to_string(), "'stream_id' in the notes is no list");
    }
}
