//! What the arguments of `GET /v2/events` mean (events-v2.md, sections 3.2, 3.3 and 5).

use super::access::Caller;
use super::error::Fault;
use super::query::{Arguments, Query};
use crate::config::Config;
use crate::distill::python;
use crate::model::{EventFilter, Operator, Order, TraitFilter, TraitValue, Visibility};
use chrono::NaiveDateTime;
use shared::datetime::parse_iso8601;
use shared::db::Direction;

const OPERATORS: [(&str, Operator); 6] = [
    ("lt", Operator::Lt),
    ("le", Operator::Le),
    ("eq", Operator::Eq),
    ("ne", Operator::Ne),
    ("ge", Operator::Ge),
    ("gt", Operator::Gt),
];

/// Special fields, each with the one operator it takes.
const FIELDS: [(&str, &str); 4] =
    [("event_type", "eq"), ("message_id", "eq"), ("start_timestamp", "ge"), ("end_timestamp", "le")];

/// Words that mean yes, in any letter case.
const TRUE_WORDS: [&str; 6] = ["1", "t", "true", "on", "y", "yes"];

/// What the original compares with when a filter has no value.
const ABSENT: &str = "Unset";

/// The filter of the list, and whose events it looks at.
///
/// # Errors
/// [`Fault::Invalid`] with the original's text: first for the filters, then for limit and sort. Whether the marker
/// exists is found out by the store.
pub(super) fn read(
    caller: &Caller,
    arguments: Arguments,
    config: &Config,
) -> Result<(Visibility, EventFilter), Fault> {
    let mut filters =
        Filters { visibility: caller.visibility(), special: Default::default(), traits: Vec::new() };
    for query in arguments.q.unwrap_or_default() {
        filters.add(query)?;
    }
    let [event_type, message_id, start, end] = filters.special;
    let filter = EventFilter {
        event_type: searchable("event_type", event_type)?,
        message_id: searchable("message_id", message_id)?,
        start: start.map(|text| timestamp(&text)).transpose()?,
        end: end.map(|text| timestamp(&text)).transpose()?,
        traits: filters.traits,
        limit: limit(arguments.limit.flatten(), config)?,
        order: order(&arguments.sort.unwrap_or_default())?,
        marker: marker(arguments.marker.flatten())?,
        ..EventFilter::default()
    };
    Ok((filters.visibility, filter))
}

/// Filters sorted by what they look at.
struct Filters {
    visibility: Visibility,
    /// Values of [`FIELDS`], the last of each.
    special: [Option<String>; 4],
    traits: Vec<TraitFilter>,
}

impl Filters {
    fn add(&mut self, query: Query) -> Result<(), Fault> {
        let (word, operator) = operator(query.op.as_deref())?;
        let Some(field) = query.field.as_deref() else {
            return Err(Fault::Invalid("a filter has no field".into()));
        };
        let place = FIELDS.iter().zip(&mut self.special).find(|((name, _), _)| *name == field);
        if let Some(((_, only), place)) = place {
            if word != *only {
                return Err(Fault::Invalid(format!(
                    "Operator {word} is not supported. Only `{only}' operator is available for field {field}"
                )));
            }
            *place = query.value.filter(|value| !value.is_empty());
        } else if field == "all_tenants" && matches!(self.visibility, Visibility::Project(_)) {
            let word = query.value.unwrap_or_default().trim().to_lowercase();
            if TRUE_WORDS.contains(&word.as_str()) {
                self.visibility = Visibility::All;
            }
        } else {
            self.traits.push(condition(field, operator, &query)?);
        }
        Ok(())
    }
}

fn operator(given: Option<&str>) -> Result<(&str, Operator), Fault> {
    let given = given.filter(|op| !op.is_empty()).unwrap_or("eq");
    OPERATORS.into_iter().find(|(word, _)| *word == given).ok_or_else(|| {
        Fault::Invalid(format!(
            "Operator {given} is not supported. The supported operators are: ('lt', 'le', 'eq', 'ne', 'ge', 'gt')"
        ))
    })
}

fn condition(name: &str, operator: Operator, query: &Query) -> Result<TraitFilter, Fault> {
    let kind = query.kind.as_deref().filter(|kind| !kind.is_empty()).unwrap_or("string");
    let text = query.value.as_deref().unwrap_or(ABSENT);
    let value = match kind {
        "string" => Some(TraitValue::Text(text.to_owned())),
        "datetime" => parse_iso8601(text).map(TraitValue::Datetime),
        // Quirk: without a value the original blames the type.
        "integer" | "float" if query.value.is_none() => return Err(unsupported(kind)),
        "integer" => {
            let number = python::integer(&text.into()).and_then(|number| i64::try_from(number).ok());
            number.map(TraitValue::Integer)
        }
        "float" => python::float(&text.into()).map(TraitValue::Float),
        _ => return Err(unsupported(kind)),
    };
    let value = value.ok_or_else(|| {
        Fault::Invalid(format!("Unable to convert the value {text} to the expected data type {kind}."))
    })?;
    let name = name.to_owned();
    if let TraitValue::Float(number) = value
        && number.is_nan()
    {
        // Nothing compares with a NaN, and no stored number is beyond infinity.
        return Ok(TraitFilter { name, operator: Operator::Gt, value: TraitValue::Float(f64::INFINITY) });
    }
    Ok(TraitFilter { name, operator, value })
}

fn unsupported(kind: &str) -> Fault {
    Fault::Invalid(format!(
        "The data type {kind} is not supported. The supported data type list is: \
         ['integer', 'float', 'string', 'datetime']"
    ))
}

/// A text that the database can be asked for.
fn searchable(field: &str, value: Option<String>) -> Result<Option<String>, Fault> {
    if value.as_ref().is_some_and(|value| value.contains('\0')) {
        return Err(Fault::Invalid(format!("the value of {field} contains a NUL character")));
    }
    Ok(value)
}

fn timestamp(text: &str) -> Result<NaiveDateTime, Fault> {
    let fault = || Fault::Invalid(format!("Unable to parse date string {}", python::repr(&text.into())));
    parse_iso8601(text).ok_or_else(fault)
}

fn limit(given: Option<i128>, config: &Config) -> Result<usize, Fault> {
    match given {
        None | Some(0) => Ok(config.default_return_limit),
        Some(limit) if limit < 0 => Err(Fault::Invalid(format!(
            "Invalid input for field/attribute limit. Value: '{limit}'. the limit should be a positive integer."
        ))),
        Some(limit) => Ok(usize::try_from(limit).unwrap_or(usize::MAX).min(config.max_page)),
    }
}

/// The order that sort keys ask for. Equal times go by message id, so that paging is stable.
fn order(sort: &[String]) -> Result<Order, Fault> {
    let keys = sort.iter().map(|text| sort_key(text)).collect::<Result<Vec<_>, _>>()?;
    let by_id = keys.iter().position(|(key, _)| *key == Key::MessageId);
    let by_time = keys.iter().position(|(key, _)| *key == Key::Generated);
    let direction = |place: Option<usize>| {
        place.and_then(|place| keys.get(place)).map_or(Direction::Ascending, |(_, direction)| *direction)
    };
    match (by_time, by_id) {
        // Message ids are unique: no key after them matters.
        (None, Some(_)) => Ok(Order::MessageId(direction(by_id))),
        (Some(time), Some(id)) if id < time => Ok(Order::MessageId(direction(by_id))),
        _ => Ok(Order::Generated(direction(by_time), direction(by_id))),
    }
}

#[derive(PartialEq)]
enum Key {
    MessageId,
    Generated,
}

fn sort_key(text: &str) -> Result<(Key, Direction), Fault> {
    let fault = |what: &str, supported: &str| {
        Fault::Invalid(format!(
            "Invalid input for field/attribute {what}. Value: '{text}'. the sort parameter should be a pair of sort \
             key and sort dir combined with ':', or only sort key specified and sort dir will be default 'asc', \
             the supported sort {supported}"
        ))
    };
    let (key, direction) = text.split_once(':').unwrap_or((text, ""));
    let key = match key {
        "message_id" => Key::MessageId,
        "generated" => Key::Generated,
        _ => return Err(fault("sort", "keys are: ('message_id', 'generated')")),
    };
    match direction {
        "" | "asc" => Ok((key, Direction::Ascending)),
        "desc" => Ok((key, Direction::Descending)),
        _ => Err(fault("sort direction", "directions are: ('asc', 'desc')")),
    }
}

fn marker(given: Option<String>) -> Result<Option<String>, Fault> {
    match given.filter(|marker| !marker.is_empty()) {
        // The database cannot be asked for it.
        Some(marker) if marker.contains('\0') => Err(Fault::Invalid(format!("Marker {marker} not found."))),
        marker => Ok(marker),
    }
}
