//! Trait plugins: small converters between the matches of a trait's paths and its value.
//!
//! The built-in ones are those of the two originals. Winchester's `distiller_trait_plugins` named Python
//! classes; here it can give the built-in ones other names.

mod bitfield;
mod map;
mod split;
mod timedelta;

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;
use shared::yaml::{Error, Node};

/// A field that a trait's paths matched.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// Dotted path: `payload.state`, `payload.nics.[0].mac`.
    pub path: String,
    /// Its value, never null.
    pub value: Value,
}

/// Converts the matches of a trait into values; of these the first that is not null becomes the trait.
///
/// It is asked also when nothing matched.
pub trait TraitPlugin: fmt::Debug + Send + Sync {
    /// The values, null for "no trait".
    fn trait_values(&self, matches: &[Match]) -> Vec<Value>;
}

/// Makes a plugin from its parameters, or refuses them.
pub type Factory = fn(&Parameters<'_>) -> Result<Box<dyn TraitPlugin>, Error>;

/// The parameters of a plugin in a definition. Unknown ones are ignored, as in the originals.
#[derive(Debug, Clone, Copy)]
pub struct Parameters<'a> {
    /// What errors point at.
    trait_node: &'a Node,
    parameters: Option<&'a Node>,
}

impl<'a> Parameters<'a> {
    /// A parameter, if it is given and not null.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a Node> {
        self.raw(name).filter(|node| !node.is_null())
    }

    /// A parameter, if it is given, null or not.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'a Node> {
        self.parameters?.get(name)
    }

    /// An error that points at the trait.
    #[must_use]
    pub fn error(&self, message: impl fmt::Display) -> Error {
        self.trait_node.error(message)
    }

    fn integer(&self, name: &str) -> Result<Option<i64>, Error> {
        let wrong = |node: &Node| node.error(format!("{name} must be an integer, not {}", node.kind()));
        self.get(name).map(|node| node.as_i64().ok_or_else(|| wrong(node))).transpose()
    }
}

/// Plugins by the name that definitions use.
#[derive(Debug, Clone)]
pub struct Plugins(HashMap<String, Plugin>);

#[derive(Debug, Clone)]
enum Plugin {
    Known(Factory),
    /// A Python class this program does not have.
    Foreign(String),
}

impl Plugins {
    /// `split` (of the first match alone) and `bitfield`.
    #[must_use]
    pub fn stackdistiller() -> Self {
        Self::of(&[("split", split::first_match), ("bitfield", bitfield::new)])
    }

    /// `split`, `bitfield`, `timedelta` and `map`.
    #[must_use]
    pub fn ceilometer() -> Self {
        Self::of(&[
            ("split", split::every_match),
            ("bitfield", bitfield::new),
            ("timedelta", timedelta::new),
            ("map", map::new),
        ])
    }

    fn of(plugins: &[(&str, Factory)]) -> Self {
        Self(plugins.iter().map(|(name, factory)| ((*name).to_owned(), Plugin::Known(*factory))).collect())
    }

    /// Gives a Python class a name, as `distiller_trait_plugins` does. The classes of the originals are
    /// known here; a definition that uses another one is refused.
    pub fn register_class(&mut self, name: &str, class: &str) {
        let plugin = match class.trim() {
            "stackdistiller.trait_plugins:SplitterTraitPlugin" => Plugin::Known(split::first_match),
            "ceilometer.event.trait_plugins:SplitterTraitPlugin" => Plugin::Known(split::every_match),
            "stackdistiller.trait_plugins:BitfieldTraitPlugin"
            | "ceilometer.event.trait_plugins:BitfieldTraitPlugin" => Plugin::Known(bitfield::new),
            "ceilometer.event.trait_plugins:TimedeltaPlugin" => Plugin::Known(timedelta::new),
            "ceilometer.event.trait_plugins:MapTraitPlugin" => Plugin::Known(map::new),
            foreign => Plugin::Foreign(foreign.to_owned()),
        };
        self.0.insert(name.to_owned(), plugin);
    }

    /// Makes the plugin that a trait's `plugin` key asks for: a name, or `{name, parameters}`.
    pub(super) fn make(&self, plugin: &Node, trait_name: &str) -> Result<Box<dyn TraitPlugin>, Error> {
        let unnamed =
            || plugin.error(format!("Plugin specified, but no plugin name supplied for trait {trait_name}"));
        let name = plugin.as_str().or_else(|| plugin.get("name")?.as_str()).ok_or_else(unnamed)?;
        let parameters = plugin.get("parameters").filter(|node| !node.is_null());
        if let Some(node) = parameters.filter(|node| node.as_map().is_none()) {
            return Err(
                node.error(format!("parameters of plugin {name} must be a mapping, not {}", node.kind()))
            );
        }
        match self.0.get(name) {
            Some(Plugin::Known(factory)) => factory(&Parameters { trait_node: plugin, parameters }),
            Some(Plugin::Foreign(class)) => Err(plugin.error(format!(
                "plugin {name} for trait {trait_name} is the Python class {class}, which does not run here"
            ))),
            None => Err(plugin.error(format!("No plugin named {name} available for trait {trait_name}"))),
        }
    }
}

#[cfg(test)]
mod tests;
