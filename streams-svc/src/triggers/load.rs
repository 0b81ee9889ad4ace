//! From `triggers.yaml` to [`Triggers`]. Every refusal names file, line, trigger and key.
//!
//! Keys nobody knows are ignored, as the original does: its own sample has a misspelt one. They are told, though: a
//! trigger whose `distinguished_by` is misspelt puts every event into one stream.

use std::collections::HashSet;
use std::fmt::{self, Display};
use std::path::Path;
use std::sync::Arc;

use chrono::TimeDelta;
use indexmap::IndexMap;
use sha2::{Digest, Sha256};
use shared::glob::GlobSet;
use shared::yaml::{self, Error, Node, Value as Yaml};

use super::comparison::{Comparison, Sign};
use super::criteria::Criteria;
use super::distinguishing::Distinguisher;
use super::{Trigger, Triggers};
use crate::model::{Value, hex};
use crate::timex::Expression;

/// Longest fire delay either way, a hundred years; longer ones are mistakes.
const MAX_FIRE_DELAY_SECS: f64 = 100.0 * 365.0 * 86_400.0;

/// Longest name of a trigger: as event types had in the original's tables (streams-events-v1.md, section 8).
const MAX_NAME_CHARS: usize = 255;

/// Keys of a trigger (streams-events-v1.md, section 11).
const TRIGGER_KEYS: [&str; 10] = [
    "name",
    "debug_level",
    "distinguished_by",
    "expiration",
    "fire_pipeline",
    "expire_pipeline",
    "fire_delay",
    "fire_criteria",
    "match_criteria",
    "load_criteria",
];

/// Keys of a trigger that hold lists of criteria.
const CRITERIA_LISTS: [&str; 3] = ["match_criteria", "fire_criteria", "load_criteria"];

/// Keys of a criteria.
const CRITERIA_KEYS: [&str; 5] = ["event_type", "number", "timestamp", "map_distinguished_by", "traits"];

/// Most unknown keys of a file that are told.
const MAX_UNKNOWN: usize = 20;

/// Reads a file of trigger definitions; also tells keys that nobody knows, which count for nothing.
///
/// # Errors
/// [`Error`] if the file cannot be read or a definition is wrong.
pub fn load(path: &Path) -> Result<(Triggers, Vec<Error>), Error> {
    let root = yaml::load(path)?;
    Ok((triggers(&root)?, unknown_keys(&root)))
}

/// Reads trigger definitions from a text; `file` is the name that errors show.
///
/// # Errors
/// [`Error`] if a definition is wrong.
pub fn parse(file: &str, text: &str) -> Result<Triggers, Error> {
    triggers(&yaml::parse(file, text)?)
}

fn triggers(root: &Node) -> Result<Triggers, Error> {
    if root.is_null() {
        return Ok(Triggers::default());
    }
    let definitions = root
        .as_list()
        .ok_or_else(|| root.error(format!("a list of triggers is needed, not {}", root.kind())))?;
    let mut names = HashSet::new();
    let mut triggers = Vec::with_capacity(definitions.len());
    for (index, definition) in definitions.iter().enumerate() {
        let trigger = trigger(definition, index)?;
        if !names.insert(trigger.name.clone()) {
            return Err(definition.error(format!("trigger '{}': name: given twice", trigger.name)));
        }
        triggers.push(Arc::new(trigger));
    }
    Ok(Triggers(triggers))
}

/// The keys of definitions that are good otherwise which nobody knows, each with its place.
fn unknown_keys(root: &Node) -> Vec<Error> {
    let unknown = root.as_list().unwrap_or_default().iter().flat_map(|trigger| {
        let name = trigger.get("name").and_then(scalar_text).unwrap_or_default();
        let place = Place { node: trigger, way: format!("trigger '{name}': ") };
        let lists = CRITERIA_LISTS.into_iter().filter_map(|key| place.get(key)?.items().ok());
        let criteria: Vec<Error> = lists.flatten().flat_map(|one| one.unknown(&CRITERIA_KEYS)).collect();
        place.unknown(&TRIGGER_KEYS).into_iter().chain(criteria)
    });
    unknown.take(MAX_UNKNOWN).collect()
}

/// A node and the way to it, for refusals.
struct Place<'a> {
    node: &'a Node,
    way: String,
}

impl<'a> Place<'a> {
    /// The value of a key, unless it is missing or null.
    fn get(&self, key: &str) -> Option<Place<'a>> {
        let node = self.node.get(key).filter(|node| !node.is_null())?;
        Some(Place { node, way: self.way_to(key) })
    }

    fn require(&self, key: &str) -> Result<Place<'a>, Error> {
        self.get(key).ok_or_else(|| self.node.error(format!("{}: required, and missing", self.way_to(key))))
    }

    fn way_to(&self, key: &str) -> String {
        let joint = if self.way.ends_with(": ") { "" } else { "." };
        format!("{}{joint}{key}", self.way)
    }

    fn refuse(&self, why: impl Display) -> Error {
        self.node.error(format!("{}: {why}", self.way))
    }

    fn wrong(&self, wanted: &str) -> Error {
        self.refuse(format_args!("{wanted} is needed, not {}", self.node.kind()))
    }

    fn items(&self) -> Result<Vec<Place<'a>>, Error> {
        let items = self.node.as_list().ok_or_else(|| self.wrong("a list"))?;
        let item = |(index, node)| Place { node, way: format!("{}[{index}]", self.way) };
        Ok(items.iter().enumerate().map(item).collect())
    }

    fn entries(&self) -> Result<Vec<(String, Place<'a>)>, Error> {
        let entries = self.node.as_map().ok_or_else(|| self.wrong("a mapping"))?;
        let entry = |(key, node): &'a (Node, Node)| {
            let key = scalar_text(key).ok_or_else(|| self.refuse("keys must be names"))?;
            let way = self.way_to(&key);
            Ok((key, Place { node, way }))
        };
        entries.iter().map(entry).collect()
    }

    /// What to tell of keys that are not among the known.
    fn unknown(&self, known: &[&str]) -> Vec<Error> {
        let keys = self.node.as_map().unwrap_or_default().iter().map(|(key, _)| key);
        let unknown = keys.filter(|key| !key.as_str().is_some_and(|key| known.contains(&key)));
        let told = unknown.map(|key| {
            let shown: String = scalar_text(key).unwrap_or_default().chars().take(80).collect();
            key.error(format_args!("{}: unknown key, which counts for nothing", self.way_to(&shown)))
        });
        told.collect()
    }

    /// A name; numbers are taken as they are written.
    fn text(&self) -> Result<String, Error> {
        scalar_text(self.node).ok_or_else(|| self.wrong("a text"))
    }

    fn expression(&self) -> Result<Expression, Error> {
        let text = self.node.as_str().ok_or_else(|| self.wrong("a time expression"))?;
        Expression::parse(text).map_err(|error| self.refuse(Quoted(text, &error)))
    }
}

/// A text that is wrong, shortened, and why.
struct Quoted<'a>(&'a str, &'a dyn Display);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.0.chars().take(80).collect();
        write!(f, "'{shown}' is no time expression: {}", self.1)
    }
}

fn scalar_text(node: &Node) -> Option<String> {
    match node.value() {
        Yaml::Text(text) => Some(text.clone()),
        Yaml::Int(int) => Some(int.to_string()),
        Yaml::Float(float) => Some(format!("{float:?}")),
        Yaml::Null | Yaml::Bool(_) | Yaml::List(_) | Yaml::Map(_) => None,
    }
}

fn trigger(node: &Node, index: usize) -> Result<Trigger, Error> {
    if node.as_map().is_none() {
        return Err(node.error(format!("trigger {}: a mapping is needed, not {}", index + 1, node.kind())));
    }
    let unnamed = Place { node, way: format!("trigger {}: ", index + 1) };
    let name = name(&unnamed.require("name")?)?;
    let place = Place { node, way: format!("trigger '{name}': ") };
    let pipeline = |key| place.get(key).map(|place| place.text()).transpose();
    let (fire_pipeline, expire_pipeline) = (pipeline("fire_pipeline")?, pipeline("expire_pipeline")?);
    let given = |pipeline: &Option<String>| pipeline.as_ref().is_some_and(|name| !name.is_empty());
    if !given(&fire_pipeline) && !given(&expire_pipeline) {
        return Err(place.node.error(format!("{}fire_pipeline or expire_pipeline: required", place.way)));
    }
    let fire_criteria = place.require("fire_criteria")?;
    if let Some(load_criteria) = place.get("load_criteria") {
        criteria_list(&load_criteria)?;
    }
    Ok(Trigger {
        debug_level: debug_level(&place)?,
        distinguished_by: distinguished_by(&place)?,
        expiration: place.require("expiration")?.expression()?,
        fire_delay: fire_delay(&place)?,
        match_criteria: criteria_list(&place.require("match_criteria")?)?,
        fire_fingerprint: fingerprint(fire_criteria.node).into(),
        fire_criteria: criteria_list(&fire_criteria)?,
        fire_pipeline: fire_pipeline.filter(|name| !name.is_empty()),
        expire_pipeline: expire_pipeline.filter(|name| !name.is_empty()),
        name,
    })
}

/// A trigger's name as the tables can hold it: PostgreSQL takes no NUL, and no index a text without end.
fn name(place: &Place<'_>) -> Result<String, Error> {
    let name = place.text()?;
    if name.trim().is_empty() || name.contains(char::is_control) {
        return Err(place.refuse("a text without control characters is needed"));
    }
    if name.chars().count() > MAX_NAME_CHARS {
        return Err(place.refuse(format_args!("longer than {MAX_NAME_CHARS} characters")));
    }
    Ok(name)
}

/// Digits that differ when the criteria do.
fn fingerprint(node: &Node) -> String {
    let digest = Sha256::digest(node.to_json().to_string());
    hex(&digest).chars().take(12).collect()
}

/// A number, or text that is one.
fn debug_level(place: &Place<'_>) -> Result<u8, Error> {
    let Some(level) = place.get("debug_level") else { return Ok(0) };
    let number = level.node.as_i64().or_else(|| level.node.as_str()?.trim().parse().ok());
    number
        .filter(|number| *number >= 0)
        .map(|number| u8::try_from(number).unwrap_or(u8::MAX))
        .ok_or_else(|| level.wrong("0, 1 or 2"))
}

fn fire_delay(place: &Place<'_>) -> Result<TimeDelta, Error> {
    let Some(delay) = place.get("fire_delay") else { return Ok(TimeDelta::zero()) };
    let seconds = delay.node.as_f64().ok_or_else(|| delay.wrong("a number of seconds"))?;
    if seconds.is_nan() || seconds.abs() > MAX_FIRE_DELAY_SECS {
        return Err(delay.refuse("longer than a hundred years"));
    }
    #[expect(clippy::as_conversions, reason = "the bound above keeps it within i64")]
    Ok(TimeDelta::microseconds((seconds * 1e6).round() as i64))
}

fn distinguished_by(place: &Place<'_>) -> Result<Vec<Distinguisher>, Error> {
    let Some(list) = place.get("distinguished_by") else { return Ok(Vec::new()) };
    list.items()?.iter().map(distinguisher).collect()
}

fn distinguisher(place: &Place<'_>) -> Result<Distinguisher, Error> {
    if place.node.as_map().is_none() {
        return Ok(Distinguisher { trait_name: place.text()?, expression: None });
    }
    match place.entries()?.as_slice() {
        [(name, expression)] => {
            Ok(Distinguisher { trait_name: name.clone(), expression: Some(expression.expression()?) })
        }
        _ => Err(place.refuse("exactly one trait with its time expression is needed")),
    }
}

fn criteria_list(place: &Place<'_>) -> Result<Vec<Criteria>, Error> {
    place.items()?.iter().map(criteria).collect()
}

fn criteria(place: &Place<'_>) -> Result<Criteria, Error> {
    if place.node.as_map().is_none() {
        return Err(place.wrong("a mapping"));
    }
    let mapping = place.get("map_distinguished_by").map_or(Ok(Vec::new()), |mapping| mapping.entries())?;
    let traits = place.get("traits").map_or(Ok(Vec::new()), |traits| traits.entries())?;
    Ok(Criteria {
        event_types: event_types(place)?,
        number: number(place)?,
        timestamp: place.get("timestamp").map(|place| place.expression()).transpose()?,
        map_distinguished_by: mapping
            .into_iter()
            .map(|(name, source)| Ok((name, source.text()?)))
            .collect::<Result<_, Error>>()?,
        traits: traits
            .into_iter()
            .map(|(name, demand)| Ok((name, comparison(&demand)?)))
            .collect::<Result<IndexMap<_, _>, Error>>()?,
    })
}

fn event_types(place: &Place<'_>) -> Result<GlobSet, Error> {
    let Some(globs) = place.get("event_type") else {
        return GlobSet::parse(["*"]).map_err(|error| place.refuse(error));
    };
    let texts = match globs.node.as_str() {
        Some(one) => vec![one.to_owned()],
        None => globs.items()?.iter().map(Place::text).collect::<Result<_, _>>()?,
    };
    GlobSet::parse(texts).map_err(|error| globs.refuse(error))
}

fn number(place: &Place<'_>) -> Result<u32, Error> {
    let Some(number) = place.get("number") else { return Ok(1) };
    let value = number.node.as_i64().and_then(|value| u32::try_from(value).ok());
    value.ok_or_else(|| number.wrong("a number of events"))
}

/// A constant, or one kind of comparison with its operand.
fn comparison(place: &Place<'_>) -> Result<Comparison, Error> {
    if place.node.as_map().is_none() {
        return constant(place).map(Comparison::Constant);
    }
    let entries = place.entries()?;
    let [(kind, operand)] = entries.as_slice() else {
        return Err(place.refuse("exactly one kind of comparison is needed"));
    };
    match kind.as_str() {
        "int" => numeric(operand, whole_number),
        "float" | "numeric" => numeric(operand, |text| {
            text.parse().ok().filter(|float: &f64| float.is_finite()).map(Value::Float)
        }),
        "datetime" => operand.expression().map(Comparison::Time),
        "string" | "text" => constant(operand).map(Comparison::Constant),
        _ => Err(operand.refuse("unknown kind of comparison (int, float, numeric, datetime, string, text)")),
    }
}

fn constant(place: &Place<'_>) -> Result<Value, Error> {
    match place.node.value() {
        Yaml::Text(text) => Ok(Value::Text(text.clone())),
        Yaml::Int(int) => Ok(Value::Int(*int)),
        Yaml::Float(float) => Ok(Value::Float(*float)),
        // Quirk: in Python `True == 1`, so the original's files may say true for 1.
        Yaml::Bool(truth) => Ok(Value::Int(i64::from(*truth))),
        Yaml::Null | Yaml::List(_) | Yaml::Map(_) => Err(place.wrong("a text or a number")),
    }
}

/// A whole number; one beyond 64 bits only has to be beyond them.
fn whole_number(text: &str) -> Option<Value> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().map(Value::Int).or_else(|_| text.parse().map(Value::Float)).ok().filter(|_| is_whole)
}

/// `7`, `"7"` or `"> 7"`.
fn numeric(place: &Place<'_>, read: fn(&str) -> Option<Value>) -> Result<Comparison, Error> {
    match place.node.value() {
        Yaml::Int(int) => return Ok(Comparison::Number(Sign::Equal, Value::Int(*int))),
        Yaml::Float(float) if float.is_finite() => {
            return Ok(Comparison::Number(Sign::Equal, Value::Float(*float)));
        }
        Yaml::Float(_) => return Err(place.refuse("a finite number is needed")),
        Yaml::Text(_) | Yaml::Null | Yaml::Bool(_) | Yaml::List(_) | Yaml::Map(_) => {}
    }
    let text = place.node.as_str().ok_or_else(|| place.wrong("a number or a comparison with one"))?.trim();
    let split = text.find(char::is_whitespace).or_else(|| text.find(|c| !"<>=!".contains(c)));
    let (sign, number) = match split.and_then(|at| text.split_at_checked(at)) {
        Some(("", _)) | None => (Sign::Equal, text),
        Some((sign, number)) => (Sign::parse(sign), number.trim_start()),
    };
    let number =
        read(number).ok_or_else(|| place.refuse(format_args!("'{text}' compares with no number")))?;
    Ok(Comparison::Number(sign, number))
}
