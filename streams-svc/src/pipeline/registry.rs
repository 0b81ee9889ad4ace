//! Names of handlers, as configured, and the built-in handlers behind them.

use std::collections::BTreeMap;

use shared::yaml::{Error, Node};

use super::{Handler, HandlerError, Params, World, atompub, logger, notabene, usage, webhook};

/// Makes a handler from its parameters.
pub type Build = fn(&Params, &World) -> Result<Box<dyn Handler>, HandlerError>;

/// Every built-in handler: the class name that configurations know it by, the name it has when nothing is
/// configured, and the way to build it.
const BUILT_IN: [(&str, &str, Build); 5] = [
    ("winchester.pipeline_handler:LoggingHandler", "logger", logger::build),
    ("winchester.pipeline_handler:UsageHandler", "usage", usage::build),
    ("winchester.pipeline_handler:NotabeneHandler", "notabene", notabene::build),
    ("winchester.pipeline_handler:AtomPubHandler", "atompub", atompub::build),
    ("quintet:WebhookHandler", "webhook", webhook::build),
];

/// The handlers that pipelines may name.
#[derive(Debug, Clone)]
pub struct Handlers {
    by_name: BTreeMap<String, Class>,
}

/// What a name stands for.
#[derive(Debug, Clone)]
enum Class {
    BuiltIn(Build),
    /// A class that is not built in. As in the original this is no fault until a pipeline names it.
    Unknown(String),
}

impl Default for Handlers {
    /// All built-in handlers under their own names.
    fn default() -> Self {
        let by_name = BUILT_IN.map(|(_, name, build)| (name.to_owned(), Class::BuiltIn(build)));
        Self { by_name: by_name.into() }
    }
}

impl Handlers {
    /// The handlers of a mapping `{name: "module:Class"}`.
    ///
    /// # Errors
    /// [`Error`] if it is no mapping of names to class names.
    pub fn from_yaml(node: &Node) -> Result<Self, Error> {
        let wrong = |node: &Node| node.error("pipeline_handlers: names with class names are needed");
        let mut by_name = BTreeMap::new();
        for (key, value) in node.as_map().ok_or_else(|| wrong(node))? {
            let (Some(name), Some(class)) = (key.as_str(), value.as_str()) else { return Err(wrong(key)) };
            let found = match BUILT_IN.iter().find(|(known, ..)| *known == class) {
                Some((.., build)) => Class::BuiltIn(*build),
                None => {
                    log::warn!("handler '{name}': class '{class}' is not built in");
                    Class::Unknown(class.to_owned())
                }
            };
            by_name.insert(name.to_owned(), found);
        }
        Ok(Self { by_name })
    }

    /// The way to build a handler, or why there is none.
    pub(super) fn find(&self, name: &str) -> Result<Build, String> {
        match self.by_name.get(name) {
            Some(Class::BuiltIn(build)) => Ok(*build),
            Some(Class::Unknown(class)) => {
                Err(format!("handler '{name}': its class '{class}' is not built in"))
            }
            None => Err(format!("handler '{name}' is not in pipeline_handlers")),
        }
    }
}
