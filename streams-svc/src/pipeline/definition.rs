//! From `pipelines.yaml` to [`Pipelines`]. Every refusal names file, line, pipeline and handler.
//!
//! Parameters of handlers are not looked at here: a handler checks them when a pipeline is built, and a
//! pipeline that can never be built is no reason not to start.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use shared::yaml::{self, Error, Node};

use super::{Build, Handlers, Params};

/// All pipelines by name.
#[derive(Debug, Clone, Default)]
pub struct Pipelines(BTreeMap<String, Arc<Definition>>);

/// One pipeline.
#[derive(Debug)]
pub struct Definition {
    /// Its name.
    pub(super) name: String,
    /// Its handlers in order.
    pub(super) handlers: Vec<HandlerUse>,
}

/// A handler as a pipeline uses it.
#[derive(Debug)]
pub(super) struct HandlerUse {
    pub(super) name: String,
    pub(super) build: Build,
    pub(super) params: Params,
}

impl Pipelines {
    /// The pipeline with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Definition>> {
        self.0.get(name)
    }

    /// Names of all pipelines.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Definition {
    /// The name of the pipeline.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Reads a file of pipelines that use these handlers.
///
/// # Errors
/// [`Error`] if the file cannot be read, is wrong, or names a handler that is not among them.
pub fn load(path: &Path, handlers: &Handlers) -> Result<Pipelines, Error> {
    pipelines(&yaml::load(path)?, handlers)
}

/// Reads pipelines from a text; `file` is the name that errors show.
///
/// # Errors
/// [`Error`] if the text is wrong or names a handler that is not among them.
pub fn parse(file: &str, text: &str, handlers: &Handlers) -> Result<Pipelines, Error> {
    pipelines(&yaml::parse(file, text)?, handlers)
}

fn pipelines(root: &Node, handlers: &Handlers) -> Result<Pipelines, Error> {
    if root.is_null() {
        return Ok(Pipelines::default());
    }
    let entries = root
        .as_map()
        .ok_or_else(|| root.error(format_args!("a mapping of pipelines is needed, not {}", root.kind())))?;
    let mut pipelines = BTreeMap::new();
    for (key, list) in entries {
        let name = key.as_str().map(str::to_owned).or_else(|| key.as_i64().map(|number| number.to_string()));
        let name = name.ok_or_else(|| key.error("the name of a pipeline is needed"))?;
        let definition = definition(name.clone(), list, handlers)?;
        pipelines.insert(name, Arc::new(definition));
    }
    Ok(Pipelines(pipelines))
}

fn definition(name: String, list: &Node, handlers: &Handlers) -> Result<Definition, Error> {
    let items = list.as_list().ok_or_else(|| {
        list.error(format_args!("pipeline '{name}': a list of handlers is needed, not {}", list.kind()))
    })?;
    let uses = items
        .iter()
        .map(|item| {
            handler_use(item, handlers).map_err(|why| item.error(format_args!("pipeline '{name}': {why}")))
        })
        .collect::<Result<_, _>>()?;
    Ok(Definition { name, handlers: uses })
}

/// `name` or `{name: …, params: {…}}`.
fn handler_use(item: &Node, handlers: &Handlers) -> Result<HandlerUse, String> {
    if item.as_str().is_none() && item.as_map().is_none() {
        return Err(format!("a handler is needed, not {}", item.kind()));
    }
    let name = item.as_str().or_else(|| item.get("name")?.as_str()).ok_or("a handler has no name")?;
    let params = match item.get("params").map(Node::to_json) {
        None | Some(Json::Null) => Params::new(),
        Some(Json::Object(params)) => params,
        Some(_) => return Err(format!("handler '{name}': params: a mapping is needed")),
    };
    Ok(HandlerUse { name: name.to_owned(), build: handlers.find(name)?, params })
}
