//! `event_definitions.yaml`: which event types have which traits, and how a trait is made.

use std::ops::ControlFlow;

use serde_json::Value;
use shared::glob::GlobSet;
use shared::yaml::{Error, Node};

use super::convert::{Fault, TraitType, convert};
use super::dialect::{Dialect, Rules};
use super::path::{Grammar, Path, TooManySteps};
use super::plugins::{Match, Plugins, TraitPlugin};
use crate::model::{Trait, TraitValue};

/// Most paths of one trait.
const MAX_PATHS: usize = 100;

/// The traits of the event types that some globs match.
#[derive(Debug)]
pub(super) struct Definition {
    event_types: GlobSet,
    traits: Vec<TraitDefinition>,
}

/// How one trait is made.
#[derive(Debug)]
struct TraitDefinition {
    name: String,
    kind: TraitType,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// A number instead of a path is the value itself.
    Constant(Value),
    Path(Path),
    Plugin(Path, Box<dyn TraitPlugin>),
}

/// Why a trait of an event could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("trait {name}: {reason}")]
pub struct TraitError {
    /// Name of the trait.
    pub name: String,
    /// What was wrong with the value.
    pub reason: &'static str,
    /// Whether the original program fails on it too.
    pub(super) is_wrong: bool,
}

impl TraitError {
    fn new(name: &str, fault: Fault) -> Self {
        let (reason, is_wrong) = match fault {
            Fault::Wrong(reason) => (reason, true),
            Fault::Beyond(reason) => (reason, false),
        };
        Self { name: name.to_owned(), reason, is_wrong }
    }
}

/// Reads all definitions, in the order they are searched: the last of the file first.
///
/// With `catch_all` one for every event type, with the default traits alone, is added to the end of the
/// search, unless the file has a definition that takes everything.
pub(super) fn read(
    root: &Node,
    dialect: Dialect,
    plugins: &Plugins,
    catch_all: bool,
) -> Result<Vec<Definition>, Error> {
    let reader = Reader { dialect, grammar: dialect.rules().grammar, plugins };
    let list = root
        .as_list()
        .ok_or_else(|| root.error(format!("a list of definitions is expected, not {}", root.kind())))?;
    let mut definitions =
        list.iter().rev().map(|node| reader.definition(node)).collect::<Result<Vec<_>, _>>()?;
    if catch_all && !definitions.iter().any(|definition| definition.event_types.is_catch_all()) {
        let event_types = GlobSet::parse(["*"]).map_err(|error| root.error(error))?;
        definitions.push(Definition { event_types, traits: reader.default_traits(root)? });
    }
    Ok(definitions)
}

struct Reader<'a> {
    dialect: Dialect,
    grammar: Grammar,
    plugins: &'a Plugins,
}

impl Reader<'_> {
    fn definition(&self, node: &Node) -> Result<Definition, Error> {
        if node.as_map().is_none() {
            return Err(node.error(format!("a definition must be a mapping, not {}", node.kind())));
        }
        let required =
            |key| node.get(key).ok_or_else(|| node.error(format!("Required field {key} not specified")));
        let event_types = event_types(required("event_type")?)?;
        let own = required("traits")?;
        let entries =
            own.as_map().ok_or_else(|| own.error(format!("traits must be a mapping, not {}", own.kind())))?;
        let mut traits = self.default_traits(node)?;
        for (key, value) in entries {
            let name = key.as_str().filter(|name| !name.is_empty() && !name.contains('\0'));
            let name = name.ok_or_else(|| {
                let found =
                    if key.as_str().is_some() { "one that is blank or has a NUL" } else { key.kind() };
                key.error(format!("a trait name must be a text, not {found}"))
            })?;
            let definition = self.trait_definition(name, value)?;
            // An overridden default keeps its place.
            match traits.iter_mut().find(|earlier| earlier.name == name) {
                Some(earlier) => *earlier = definition,
                None => traits.push(definition),
            }
        }
        Ok(Definition { event_types, traits })
    }

    fn default_traits(&self, node: &Node) -> Result<Vec<TraitDefinition>, Error> {
        let made = |(name, paths): &(&str, &[&str])| {
            let path = self.union(paths.iter().copied()).map_err(|error| node.error(error))?;
            Ok(TraitDefinition {
                name: (*name).to_owned(),
                kind: TraitType::Text,
                source: Source::Path(path),
            })
        };
        self.dialect.default_traits().iter().map(made).collect()
    }

    fn trait_definition(&self, name: &str, node: &Node) -> Result<TraitDefinition, Error> {
        let name_owned = name.to_owned();
        if node.as_map().is_none() && self.dialect == Dialect::Ceilometer {
            return Ok(TraitDefinition {
                name: name_owned,
                kind: TraitType::Text,
                source: self.source(name, node, None)?,
            });
        }
        if node.as_map().is_none() {
            return Err(node.error(format!("trait {name} must be a mapping, not {}", node.kind())));
        }
        let plugin = node.get("plugin").map(|plugin| self.plugins.make(plugin, name)).transpose()?;
        let fields = node.get("fields");
        let fields =
            fields.ok_or_else(|| node.error(format!("The field 'fields' is required for trait {name}")))?;
        let kind = match node.get("type") {
            None => TraitType::Text,
            Some(kind) => self.trait_type(kind).ok_or_else(|| {
                kind.error(format!(
                    "Invalid trait type '{}' for trait {name}",
                    kind.as_str().unwrap_or(kind.kind())
                ))
            })?,
        };
        Ok(TraitDefinition { name: name_owned, kind, source: self.source(name, fields, plugin)? })
    }

    /// ceilometer takes the word in any case.
    fn trait_type(&self, node: &Node) -> Option<TraitType> {
        let word = node.as_str()?;
        let folded = word.to_lowercase();
        match (if self.dialect == Dialect::Ceilometer { &folded } else { word }, self.dialect) {
            ("text", _) => Some(TraitType::Text),
            ("int", _) => Some(TraitType::Int),
            ("float", _) => Some(TraitType::Float),
            ("datetime", _) => Some(TraitType::Datetime),
            ("none", Dialect::Ceilometer) => Some(TraitType::Untyped),
            _ => None,
        }
    }

    fn source(
        &self,
        name: &str,
        fields: &Node,
        plugin: Option<Box<dyn TraitPlugin>>,
    ) -> Result<Source, Error> {
        let fields = match fields.as_list() {
            Some([only]) => only,
            _ => fields,
        };
        if self.dialect == Dialect::Ceilometer && (fields.as_i64().is_some() || fields.as_bool().is_some()) {
            return Ok(Source::Constant(fields.to_json()));
        }
        let paths = fields.as_list().unwrap_or(std::slice::from_ref(fields));
        let text = |path: &'_ Node| {
            let kind = path.kind();
            path.as_str()
                .map(str::to_owned)
                .ok_or_else(|| path.error(format!("a path of trait {name} must be a text, not {kind}")))
        };
        let paths = paths.iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let path = self.union(paths.iter().map(String::as_str)).map_err(|error| {
            fields.error(format!("Parse error in JSONPath specification {error} for trait {name}"))
        })?;
        Ok(match plugin {
            Some(plugin) => Source::Plugin(path, plugin),
            None => Source::Path(path),
        })
    }

    fn union<'p>(&self, paths: impl ExactSizeIterator<Item = &'p str>) -> Result<Path, String> {
        if paths.len() > MAX_PATHS {
            return Err(format!("of more than {MAX_PATHS} paths"));
        }
        let mut parsed =
            paths.map(|path| Path::parse(path, self.grammar).map_err(|error| format!("'{path}' ({error})")));
        let first = parsed.next().ok_or("without a path")??;
        parsed.try_fold(first, |union, path| Ok(union.or(path?)))
    }
}

fn event_types(node: &Node) -> Result<GlobSet, Error> {
    let list = node.as_list().unwrap_or(std::slice::from_ref(node));
    let glob = |node: &'_ Node| {
        let wrong =
            || node.error(format!("event_type must be a text or a list of texts, not {}", node.kind()));
        node.as_str().map(str::to_owned).ok_or_else(wrong)
    };
    let globs = list.iter().map(glob).collect::<Result<Vec<_>, _>>()?;
    GlobSet::parse(globs).map_err(|error| node.error(error))
}

impl Definition {
    pub(super) fn matches(&self, event_type: &str) -> bool {
        self.event_types.matches(event_type)
    }

    /// Makes the traits of a document; what could not be made goes to `errors`.
    pub(super) fn traits(&self, document: &Value, rules: &Rules, errors: &mut Vec<TraitError>) -> Vec<Trait> {
        let mut traits = Vec::with_capacity(self.traits.len());
        for definition in &self.traits {
            match definition.extract(document, rules) {
                Ok(Some(value)) => traits.push(Trait { name: definition.name.clone(), value }),
                Ok(None) => {}
                Err(fault) => errors.push(TraitError::new(&definition.name, fault)),
            }
        }
        traits
    }
}

impl TraitDefinition {
    fn extract(&self, document: &Value, rules: &Rules) -> Result<Option<TraitValue>, Fault> {
        match &self.source {
            Source::Constant(value) => convert(value, self.kind, rules),
            Source::Path(path) => {
                let mut value = Ok(None);
                let walked = path.visit(document, &mut |place| {
                    if place.value.is_null() {
                        return ControlFlow::Continue(());
                    }
                    value = convert(place.value, self.kind, rules);
                    ControlFlow::Break(())
                });
                walked.map_err(too_many_steps)?;
                value
            }
            Source::Plugin(path, plugin) => {
                let mut matches = Vec::new();
                let walked = path.visit(document, &mut |place| {
                    if !place.value.is_null() {
                        matches.push(Match { path: place.dotted(), value: place.value.clone() });
                    }
                    ControlFlow::Continue(())
                });
                walked.map_err(too_many_steps)?;
                let values = plugin.trait_values(&matches);
                let value = values.iter().find(|value| !value.is_null());
                value.map_or(Ok(None), |value| convert(value, self.kind, rules))
            }
        }
    }
}

fn too_many_steps(_: TooManySteps) -> Fault {
    Fault::Beyond("its path takes too many steps in this document")
}
