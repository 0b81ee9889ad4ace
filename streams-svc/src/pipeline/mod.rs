//! Pipelines: what is done with the events of a stream that fires or expires.
//!
//! A pipeline is a list of [`Handler`]s. All look at the events in turn ([`Handler::handle_events`]); when all
//! have succeeded all [`Handler::commit`], else all [`Handler::rollback`]. [`Run`] is one such round.
//!
//! # A handler of your own
//!
//! Write a file with a type that implements [`Handler`] and a function of the type [`Build`] that makes it
//! from its parameters, and add one line to the table in `registry.rs`. `logger.rs` is the shortest example.

mod atompub;
mod definition;
mod logger;
mod notabene;
mod params;
mod registry;
mod run;
mod usage;
mod webhook;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDateTime;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

pub use self::definition::{Definition, Pipelines, load, parse};
pub use self::notabene::{Broker, Message};
pub use self::registry::{Build, Handlers};
pub use self::run::{Failure, Run};

use crate::model::Event;

/// One step of a pipeline. Built fresh for every stream.
pub trait Handler: Send {
    /// Looks at the events, in the order of time, and returns those that the next handler gets; events it
    /// adds are stored when the pipeline succeeds. It should have no effect outside: keep what is needed,
    /// and act in [`Handler::commit`].
    ///
    /// # Errors
    /// Any error fails the pipeline: all handlers roll back and the stream goes to its error state.
    fn handle_events(&mut self, events: Events, env: &mut Env) -> Result<Events, HandlerError>;

    /// Acts, after all handlers of the pipeline have handled the events.
    ///
    /// # Errors
    /// Errors are logged, counted and noted in the stream's history, and change nothing else: the other handlers still
    /// commit, and the stream is done.
    fn commit(&mut self) -> Result<(), HandlerError> {
        Ok(())
    }

    /// Cleans up, after a handler of the pipeline (this one, an earlier or a later one) has failed.
    ///
    /// # Errors
    /// Errors are logged and counted, and change nothing.
    fn rollback(&mut self) -> Result<(), HandlerError> {
        Ok(())
    }
}

/// Events of a stream, in the order of their time.
pub type Events = Vec<Arc<Event>>;

/// Parameters of a handler, as written in `pipelines.yaml`.
pub type Params = Map<String, Json>;

/// Why a handler failed. The text is stored with the stream and shown to users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HandlerError(String);

impl HandlerError {
    /// An error with this text.
    pub fn new(text: impl Display) -> Self {
        Self(text.to_string())
    }
}

/// What a handler may use of the world. In tests it is a script.
#[derive(Clone)]
pub struct World {
    /// Makes random ids.
    pub new_id: Arc<dyn Fn() -> Uuid + Send + Sync>,
    /// Tells the machine's time: what leaves this process is dated by it, also in a replay.
    pub now: Arc<dyn Fn() -> NaiveDateTime + Send + Sync>,
    /// The way out of this process.
    pub outlet: Arc<dyn Outlet>,
}

/// The way out of this process. Calls block; each has a bound in time.
pub trait Outlet: Send + Sync {
    /// Publishes a message to a broker, declaring exchange and queue durable; connections are pooled.
    ///
    /// # Errors
    /// [`HandlerError`] if the broker did not take it.
    fn publish(&self, message: &Message) -> Result<(), HandlerError>;

    /// Sends an HTTP POST.
    ///
    /// # Errors
    /// [`HandlerError`] if no answer came in time.
    fn post(&self, request: &Post) -> Result<Answer, HandlerError>;

    /// Waits before another try.
    ///
    /// # Errors
    /// [`HandlerError`] if the pipeline has no time left.
    fn wait(&self, time: Duration) -> Result<(), HandlerError>;
}

/// An HTTP POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Where to.
    pub url: String,
    /// Names and values of headers.
    pub headers: Vec<(String, String)>,
    /// Body in UTF-8.
    pub body: String,
    /// How long to wait for the answer.
    pub timeout: Duration,
}

/// Answer to a [`Post`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Body, cut at a bound.
    pub body: String,
}

impl Answer {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Notes of one run that handlers leave for those after them; starts with `stream_id` and `stream_name`.
#[derive(Debug, Clone, PartialEq)]
pub struct Env {
    stream_id: i64,
    notes: BTreeMap<String, Json>,
}

impl Env {
    /// The notes at the begin of a run.
    #[must_use]
    pub fn new(stream_id: i64, stream_name: &str) -> Self {
        let notes = [("stream_id", Json::from(stream_id)), ("stream_name", Json::from(stream_name))];
        Self { stream_id, notes: notes.into_iter().map(|(key, note)| (key.to_owned(), note)).collect() }
    }

    /// Id of the stream.
    #[must_use]
    pub fn stream_id(&self) -> i64 {
        self.stream_id
    }

    /// A note.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.notes.get(key)
    }

    /// Leaves a note. Times in it are written as in the API.
    pub fn set(&mut self, key: &str, note: Json) {
        self.notes.insert(key.to_owned(), note);
    }
}

#[cfg(test)]
mod tests;
