//! The arguments of `GET /v2/events` in all their forms (events-v2.md, sections 3.1 and 3.3): taken apart and of the
//! right JSON type, but not yet checked for what they mean ([`super::filter`]).
//!
//! The order of the checks is the order in which the original finds faults, so that of several faults in one request
//! the same one is told.

use super::error::Fault;
use super::received::{Pairs, Received, refuse_unknown};
use crate::distill::python;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashSet};
use std::fmt::Display;

/// Most filters of one request; the original on SQLite fails beyond as many, the most tables that a join may have.
const MAX_FILTERS: usize = 64;

/// Attributes of a filter, in the order in which the original reads them.
const ATTRIBUTES: [&str; 4] = ["type", "field", "op", "value"];

/// One filter as given; what is absent has its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// Special field or trait name.
    pub(super) field: Option<String>,
    /// Operator.
    pub(super) op: Option<String>,
    /// What to compare with.
    pub(super) value: Option<String>,
    /// Type of the trait.
    pub(super) kind: Option<String>,
}

impl Query {
    fn set(&mut self, attribute: &str, text: &str) {
        let place = match attribute {
            "type" => &mut self.kind,
            "field" => &mut self.field,
            "op" => &mut self.op,
            _ => &mut self.value,
        };
        *place = Some(text.to_owned());
    }
}

/// The arguments of the list; `None` when not given at all.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    /// Filters.
    pub(super) q: Option<Vec<Query>>,
    /// Most events wanted; inside, `None` is an explicit null.
    pub(super) limit: Option<Option<i128>>,
    /// Keys with directions.
    pub(super) sort: Option<Vec<String>>,
    /// Id of the last event already seen.
    pub(super) marker: Option<Option<String>>,
}

impl Arguments {
    /// Reads URL, form and JSON body.
    ///
    /// # Errors
    /// [`Fault`] with the original's text.
    pub(super) fn read(received: &Received) -> Result<Self, Fault> {
        let pairs = received.pairs()?;
        let mut arguments = Self::of_pairs(&pairs)?;
        let members = received.object()?;
        let in_body = Self::of_members(&members)?;
        for name in members.keys() {
            let is_twice = match name.as_str() {
                "q" => arguments.q.is_some(),
                "limit" => arguments.limit.is_some(),
                "sort" => arguments.sort.is_some(),
                _ => arguments.marker.is_some(),
            };
            if is_twice {
                return Err(Fault::Invalid(format!("Parameter {name} was given several times")));
            }
        }
        arguments.q = arguments.q.or(in_body.q);
        arguments.limit = arguments.limit.or(in_body.limit);
        arguments.sort = arguments.sort.or(in_body.sort);
        arguments.marker = arguments.marker.or(in_body.marker);
        Ok(arguments)
    }

    fn of_pairs(pairs: &Pairs) -> Result<Self, Fault> {
        refuse_plain_q(pairs)?;
        let limit = url_limit(pairs)?;
        let mut known: HashSet<String> = ["limit", "sort", "marker"].map(str::to_owned).into();
        let q = match parallel(pairs, &mut known)? {
            Some(queries) => Some(queries),
            None => indexed(pairs, &mut known)?,
        };
        let sort = pairs.all("sort");
        let sort = if sort.is_empty() { indexed_sort(pairs, &mut known)? } else { sort };
        let marker = pairs.last("marker").map(|marker| Some(marker.to_owned()));
        refuse_unknown(pairs.names().filter(|name| !known.contains(*name)))?;
        let sort = (!sort.is_empty()).then(|| sort.into_iter().map(str::to_owned).collect());
        Ok(Self { q, limit: limit.map(Some), sort, marker })
    }

    fn of_members(members: &Map<String, Value>) -> Result<Self, Fault> {
        let mut arguments = Self::default();
        let mut unknown = Vec::new();
        for (name, value) in members {
            match name.as_str() {
                "q" => arguments.q = Some(queries(value)?),
                "limit" => arguments.limit = Some(json_limit(value)?),
                "sort" => arguments.sort = Some(json_sort(value)?),
                "marker" => {
                    let marker = (!value.is_null()).then(|| python::text(value).into_owned());
                    arguments.marker = Some(marker);
                }
                _ => unknown.push(name.as_str()),
            }
        }
        refuse_unknown(unknown.into_iter())?;
        Ok(arguments)
    }
}

fn invalid(field: &str, value: &dyn Display, text: &dyn Display) -> Fault {
    Fault::Invalid(format!("Invalid input for field/attribute {field}. Value: '{value}'. {text}"))
}

/// The text of several values of a name, which the original takes for a list.
fn listed(values: &[&str]) -> Value {
    match values {
        [one] => (*one).into(),
        many => many.to_vec().into(),
    }
}

fn refuse_plain_q(pairs: &Pairs) -> Result<(), Fault> {
    let plain = pairs.all("q");
    if plain.is_empty() {
        return Ok(());
    }
    let text =
        "unable to convert to ArrayType. Error: Base.__init__() takes 1 positional argument but 2 were given";
    Err(invalid("q", &python::text(&listed(&plain)), &text))
}

/// A limit that Python's `int` would read; beyond 128 bits it would, too, but no machine holds as many events.
fn url_limit(pairs: &Pairs) -> Result<Option<i128>, Fault> {
    let given = pairs.in_url("limit");
    let given = if given.is_empty() { pairs.all("limit") } else { given };
    if given.is_empty() {
        return Ok(None);
    }
    let value = listed(&given);
    let convert = |cause: String| {
        invalid("limit", &python::text(&value), &format!("unable to convert to int. Error: {cause}"))
    };
    integer(&value).map(Some).map_err(convert)
}

/// A number, or in Python's words why it is none.
fn integer(value: &Value) -> Result<i128, String> {
    python::integer(value).ok_or_else(|| {
        if value.is_string() {
            return format!("invalid literal for int() with base 10: {}", python::repr(value));
        }
        let class = class(value);
        format!("int() argument must be a string, a bytes-like object or a real number, not '{class}'")
    })
}

fn json_limit(value: &Value) -> Result<Option<i128>, Fault> {
    if value.is_null() {
        return Ok(None);
    }
    integer(value).map(Some).map_err(|cause| invalid("limit", &python::text(value), &cause))
}

fn json_sort(value: &Value) -> Result<Vec<String>, Fault> {
    if value.is_null() {
        return Ok(Vec::new());
    }
    let items = list("sort", value)?;
    items.iter().map(|item| text("sort", item).map(Option::unwrap_or_default)).collect()
}

fn list<'v>(name: &str, value: &'v Value) -> Result<&'v [Value], Fault> {
    let text = python::text(value);
    let fault = || invalid(name, &text, &format!("Value not a valid list: {text}"));
    value.as_array().map(Vec::as_slice).ok_or_else(fault)
}

/// A text or null.
fn text(name: &str, value: &Value) -> Result<Option<String>, Fault> {
    if value.is_null() {
        return Ok(None);
    }
    let fault = || {
        let class = class(value);
        let text = format!("Wrong type. Expected '<class 'str'>', got '<class '{class}'>'");
        invalid(name, &python::text(value), &text)
    };
    value.as_str().map(|text| Some(text.to_owned())).ok_or_else(fault)
}

/// Python's name of a JSON value's type.
fn class(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

fn refuse_many(filters: usize) -> Result<(), Fault> {
    if filters > MAX_FILTERS {
        return Err(Fault::Invalid(format!(
            "{filters} filters are too many: at most {MAX_FILTERS} are taken"
        )));
    }
    Ok(())
}

/// Parallel arrays: the n-th `q.field`, `q.op`, `q.value` and `q.type` belong together.
///
/// The first attribute that occurs fixes how many filters there are. A later one with fewer entries leaves the rest
/// at their defaults; with more it is refused.
fn parallel(pairs: &Pairs, known: &mut HashSet<String>) -> Result<Option<Vec<Query>>, Fault> {
    let is_attribute =
        |name: &str| name.strip_prefix("q.").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('.'));
    if !pairs.names().any(is_attribute) {
        return Ok(None);
    }
    let mut queries: Vec<Query> = Vec::new();
    for attribute in ATTRIBUTES {
        let name = format!("q.{attribute}");
        let values = pairs.all(&name);
        known.insert(name);
        if queries.is_empty() {
            refuse_many(values.len())?;
            queries = vec![Query::default(); values.len()];
        } else if values.len() > queries.len() {
            let (many, few) = (values.len(), queries.len());
            return Err(Fault::Invalid(format!("q.{attribute} is given {many} times for {few} filters")));
        }
        for (query, value) in queries.iter_mut().zip(values) {
            query.set(attribute, value);
        }
    }
    Ok(Some(queries))
}

/// The indexes of `name[<index>]…`, each once.
fn indexes(pairs: &Pairs, name: &str) -> BTreeSet<u64> {
    let index = |given: &str| {
        let (digits, _) = given.strip_prefix(name)?.strip_prefix('[')?.split_once(']')?;
        if digits.bytes().all(|digit| digit.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    pairs.names().filter_map(index).collect()
}

/// `q[0].field=…&q[0].value=…`, in the order of the indexes.
fn indexed(pairs: &Pairs, known: &mut HashSet<String>) -> Result<Option<Vec<Query>>, Fault> {
    let indexes = indexes(pairs, "q");
    if indexes.is_empty() {
        return Ok(None);
    }
    refuse_many(indexes.len())?;
    let query = |index: u64| {
        let mut query = Query::default();
        for attribute in ATTRIBUTES {
            let name = format!("q[{index}].{attribute}");
            if let Some(value) = pairs.last(&name) {
                query.set(attribute, value);
            }
            known.insert(name);
        }
        query
    };
    Ok(Some(indexes.into_iter().map(query).collect()))
}

/// `sort[0]=…`, in the order of the indexes.
fn indexed_sort<'p>(pairs: &'p Pairs, known: &mut HashSet<String>) -> Result<Vec<&'p str>, Fault> {
    let indexes = indexes(pairs, "sort");
    refuse_many(indexes.len())?;
    let names: Vec<String> = indexes.into_iter().map(|index| format!("sort[{index}]")).collect();
    let keys = names.iter().filter_map(|name| pairs.last(name)).collect();
    known.extend(names);
    Ok(keys)
}

/// The filters of a JSON body.
fn queries(value: &Value) -> Result<Vec<Query>, Fault> {
    if value.is_null() {
        return Ok(Vec::new());
    }
    let items = list("q", value)?;
    refuse_many(items.len())?;
    items.iter().map(query).collect()
}

fn query(item: &Value) -> Result<Query, Fault> {
    let Value::Object(members) = item else {
        return Err(invalid("q", &python::text(item), &"Value not a valid filter"));
    };
    let unknown: Vec<&str> =
        members.keys().map(String::as_str).filter(|name| !ATTRIBUTES.contains(name)).collect();
    if !unknown.is_empty() {
        let plural = if unknown.len() > 1 { "s" } else { "" };
        return Err(Fault::Invalid(format!(
            "Unknown attribute{plural} for argument q: {}",
            unknown.join(", ")
        )));
    }
    let member = |name: &str| members.get(name).map_or(Ok(None), |value| text(name, value));
    let query = Query {
        kind: member("type")?,
        field: member("field")?,
        op: operator(members),
        value: member("value")?,
    };
    if !members.contains_key("value") {
        return Err(invalid("value", &"None", &"Mandatory field missing."));
    }
    Ok(query)
}

/// Quirk: an operator of any type is taken; what Python calls false means the default.
fn operator(members: &Map<String, Value>) -> Option<String> {
    let given = members.get("op")?;
    let is_false = match given {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) | Value::String(_) => false,
    };
    (!is_false).then(|| python::text(given).into_owned())
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
