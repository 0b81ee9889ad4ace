//! The distiller: turns notifications into events by the rules of `event_definitions.yaml`.
//!
//! The files and their rules are those of two programs, stackdistiller and ceilometer; [`Dialect`] says
//! which. Contracts: `streams-events-v1.md`, sections 8, 9 and 14; `events-v2.md`, sections 14 and 15.
//!
//! The order of work: a notification is read and, for ceilometer, rewritten ([`notification`]); the last
//! definition whose globs match its type is chosen ([`definitions`]); each trait's paths are walked
//! ([`path`]), its plugin is asked ([`plugins`]) and the value converted ([`convert`]). Everything that can
//! be prepared is prepared when the file is loaded.

mod convert;
mod definitions;
mod dialect;
mod notification;
mod path;
mod plugins;
pub(crate) mod python;
mod winchester;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use chrono::NaiveDateTime;
use serde_json::Value;
use serde_json::value::to_raw_value;
use shared::yaml::{self, Error};

use definitions::Definition;
pub use definitions::TraitError;
pub use dialect::Dialect;
use dialect::{BadValue, Rules};
use notification::Notification;
pub use notification::unwrap_envelope;
pub use plugins::{Factory, Match, Parameters, Plugins, TraitPlugin};

use crate::model::Event;

/// Used when no definitions are configured.
const BUILTIN: &str = include_str!("builtin.yaml");

/// Turns notifications into events. One is shared by all threads.
#[derive(Debug)]
pub struct Distiller {
    /// In the order they are searched.
    definitions: Vec<Definition>,
    rules: Rules,
    /// Priorities, in lower case, whose notifications are kept whole in `raw`.
    store_raw: Vec<String>,
    chosen: Chosen,
}

/// What became of a notification.
#[derive(Debug)]
pub struct Distilled {
    /// The event, or why there is none.
    pub outcome: Outcome,
    /// Traits that could not be made, for the log; an event is good without them.
    pub warnings: Vec<TraitError>,
}

/// The event, or why there is none.
#[derive(Debug)]
pub enum Outcome {
    /// To be stored.
    Event(Event),
    /// No definition wants notifications of this type.
    Dropped,
    /// The notification is wrong; in words.
    Invalid(String),
}

impl Distiller {
    /// Loads `event_definitions.yaml` with the plugins of its dialect.
    ///
    /// With `catch_all` a notification that no definition matches becomes an event with the default traits;
    /// without, it is dropped.
    ///
    /// # Errors
    /// The file cannot be read, is not YAML, or a definition is wrong; names file and line.
    pub fn load(path: &Path, dialect: Dialect, catch_all: bool) -> Result<Self, Error> {
        Self::load_with(path, dialect, catch_all, &dialect.plugins())
    }

    /// As [`Distiller::load`], with other plugins.
    ///
    /// # Errors
    /// As [`Distiller::load`].
    pub fn load_with(
        path: &Path,
        dialect: Dialect,
        catch_all: bool,
        plugins: &Plugins,
    ) -> Result<Self, Error> {
        let definitions = definitions::read(&yaml::load(path)?, dialect, plugins, catch_all)?;
        Ok(Self::new(definitions, dialect.rules()))
    }

    /// Loads the definitions that a `winchester.yaml` names; `None` when it names none.
    ///
    /// # Errors
    /// As [`Distiller::load`], for both files; or the named file is nowhere on `config_path`.
    pub fn from_winchester(path: &Path) -> Result<Option<Self>, Error> {
        winchester::load(path)
    }

    /// Small built-in definitions: every notification becomes an event, with traits that most OpenStack
    /// services have. They are in ceilometer's dialect, but text is kept whole and a value that cannot be
    /// converted spoils its trait alone.
    ///
    /// # Errors
    /// Never, unless the built-in file is broken.
    pub fn builtin() -> Result<Self, Error> {
        let dialect = Dialect::Ceilometer;
        let root = yaml::parse("builtin.yaml", BUILTIN)?;
        let definitions = definitions::read(&root, dialect, &dialect.plugins(), true)?;
        let rules = Rules { text_limit: None, bad_value: BadValue::SpoilsTrait, ..dialect.rules() };
        Ok(Self::new(definitions, rules))
    }

    /// Keeps notifications of these priorities whole in `raw`; letter case does not matter, and a
    /// notification without a priority is `info`.
    #[must_use]
    pub fn with_store_raw(mut self, priorities: &[String]) -> Self {
        self.store_raw = priorities.iter().map(|priority| priority.to_lowercase()).collect();
        self
    }

    fn new(definitions: Vec<Definition>, rules: Rules) -> Self {
        Self { definitions, rules, store_raw: Vec::new(), chosen: Chosen::default() }
    }

    /// Turns a notification, in its envelope or without, into an event. One without a time of its own
    /// happened `now`.
    #[must_use]
    pub fn distill(&self, notification: &Value, now: NaiveDateTime) -> Distilled {
        let mut warnings = Vec::new();
        let outcome = match Notification::read(notification, self.rules.shape, now) {
            Ok(notification) => self.event(notification, &mut warnings),
            Err(reason) => Outcome::Invalid(reason),
        };
        Distilled { outcome, warnings }
    }

    fn event(&self, notification: Notification<'_>, errors: &mut Vec<TraitError>) -> Outcome {
        let Some(definition) = self.definition(&notification.event_type) else { return Outcome::Dropped };
        let traits = definition.traits(&notification.document, &self.rules, errors);
        if self.rules.bad_value == BadValue::SpoilsNotification
            && let Some(error) = errors.iter().find(|error| error.is_wrong)
        {
            return Outcome::Invalid(error.to_string());
        }
        if traits.is_empty() && self.rules.needs_traits {
            return Outcome::Invalid("no trait could be made".to_owned());
        }
        let keep = self.store_raw.contains(&notification.priority);
        Outcome::Event(Event {
            raw: keep.then(|| to_raw_value(&*notification.document).ok()).flatten(),
            message_id: notification.message_id,
            event_type: notification.event_type,
            generated: notification.generated,
            traits,
        })
    }

    fn definition(&self, event_type: &str) -> Option<&Definition> {
        let search = || self.definitions.iter().position(|definition| definition.matches(event_type));
        self.chosen.get_or(event_type, search).and_then(|place| self.definitions.get(place))
    }
}

/// Which definition an event type has, for types seen before.
#[derive(Debug, Default)]
struct Chosen(RwLock<HashMap<String, Option<usize>>>);

impl Chosen {
    /// There are some hundred types in a cloud; what comes after these is searched for each time.
    const MAX_TYPES: usize = 4096;
    const MAX_TYPE_BYTES: usize = 255;

    fn get_or(&self, event_type: &str, search: impl FnOnce() -> Option<usize>) -> Option<usize> {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(event_type) {
            return *known;
        }
        let found = search();
        let mut types = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if types.len() < Self::MAX_TYPES && event_type.len() <= Self::MAX_TYPE_BYTES {
            types.insert(event_type.to_owned(), found);
        }
        found
    }
}

#[cfg(test)]
mod tests;
