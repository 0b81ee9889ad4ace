//! An event as the engine sees it, and its form in JSON.
//!
//! The JSON is that of the public `/v1/events`: one flat object with all traits, `message_id`,
//! `event_type` and `timestamp`; times as `{"__type__": "datetime", …}`, ranges as
//! `{"__type__": "timex.TimeRange", …}`.

use std::borrow::Cow;

use chrono::NaiveDateTime;
use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};
use shared::datetime;

use crate::timex::{Times, Variables};

/// Members of the JSON object that are not traits. They win over traits of the same name.
const MESSAGE_ID: &str = "message_id";
const EVENT_TYPE: &str = "event_type";
const TIMESTAMP: &str = "timestamp";

/// One event with its traits in the order they came.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Unique over the whole event store.
    pub message_id: String,
    /// Dotted type, for instance `compute.instance.create.end`.
    pub event_type: String,
    /// When it happened: UTC, whole microseconds.
    pub timestamp: NaiveDateTime,
    /// Traits by name.
    pub traits: IndexMap<String, Value>,
}

/// The value of a trait, or of a distinguishing trait.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text of any length.
    Text(String),
    /// 64 bit integer.
    Int(i64),
    /// Finite double.
    Float(f64),
    /// Instant in UTC, whole microseconds.
    Datetime(NaiveDateTime),
    /// Range of time; only among distinguishing traits.
    Range {
        /// First instant.
        begin: NaiveDateTime,
        /// First instant after it.
        end: NaiveDateTime,
    },
}

/// Why a JSON value is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not an object at all.
    #[error("an event is a JSON object")]
    NoObject,
    /// A fixed member is missing or of the wrong type.
    #[error("the event has no usable '{0}'")]
    Missing(&'static str),
}

impl Event {
    /// Reads the flat JSON object. Null members and `_mark` are left out.
    ///
    /// # Errors
    /// [`EventError`] if it is no object or one of the three fixed members is missing.
    pub fn from_json(json: Json) -> Result<Self, EventError> {
        let Json::Object(members) = json else { return Err(EventError::NoObject) };
        let (mut message_id, mut event_type, mut timestamp) = (None, None, None);
        let mut traits = IndexMap::with_capacity(members.len());
        for (name, value) in members {
            match (name.as_str(), Value::from_json(value)) {
                (MESSAGE_ID, value) => message_id = value,
                (EVENT_TYPE, value) => event_type = value,
                (TIMESTAMP, value) => timestamp = value,
                ("_mark", _) | (_, None) => {}
                (_, Some(value)) => {
                    traits.insert(name, value);
                }
            }
        }
        Ok(Self {
            message_id: text(message_id).ok_or(EventError::Missing(MESSAGE_ID))?,
            event_type: text(event_type).ok_or(EventError::Missing(EVENT_TYPE))?,
            timestamp: instant(timestamp).ok_or(EventError::Missing(TIMESTAMP))?,
            traits,
        })
    }

    /// The flat JSON object, fixed members last as they win over traits of their name.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut members: Map<_, _> =
            self.traits.iter().map(|(name, value)| (name.clone(), value.to_json())).collect();
        members.insert(MESSAGE_ID.to_owned(), self.message_id.as_str().into());
        members.insert(EVENT_TYPE.to_owned(), self.event_type.as_str().into());
        members.insert(TIMESTAMP.to_owned(), datetime_json(self.timestamp));
        Json::Object(members)
    }

    /// A member by name: one of the three fixed ones, or a trait.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'_, Value>> {
        match name {
            TIMESTAMP => Some(Cow::Owned(Value::Datetime(self.timestamp))),
            MESSAGE_ID => Some(Cow::Owned(Value::Text(self.message_id.clone()))),
            EVENT_TYPE => Some(Cow::Owned(Value::Text(self.event_type.clone()))),
            _ => self.traits.get(name).map(Cow::Borrowed),
        }
    }

    /// Whether the event has a member of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        matches!(name, TIMESTAMP | MESSAGE_ID | EVENT_TYPE) || self.traits.contains_key(name)
    }
}

/// All times of the event are variables of time expressions; `$timestamp` is its own time.
impl Variables for Event {
    fn instant(&self, name: &str) -> Option<NaiveDateTime> {
        if name == TIMESTAMP {
            return Some(self.timestamp);
        }
        self.traits.get(name).and_then(Value::as_datetime)
    }
}

impl Value {
    /// Reads a member; `None` for null. What has no type of its own among traits (booleans, lists, unknown
    /// objects) becomes text, as the distiller would make it.
    #[must_use]
    pub fn from_json(json: Json) -> Option<Self> {
        match json {
            Json::Null => None,
            Json::Bool(truth) => Some(Self::Text(if truth { "True" } else { "False" }.to_owned())),
            Json::Number(number) => match number.as_i64() {
                Some(int) => Some(Self::Int(int)),
                None => number.as_f64().filter(|float| float.is_finite()).map(Self::Float),
            },
            Json::String(text) => Some(Self::Text(text)),
            Json::Object(members) => {
                Some(typed(&members).unwrap_or_else(|| Self::Text(Json::Object(members).to_string())))
            }
            list @ Json::Array(_) => Some(Self::Text(list.to_string())),
        }
    }

    /// The value in the public JSON encoding.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Int(int) => (*int).into(),
            Self::Float(float) => (*float).into(),
            Self::Datetime(instant) => datetime_json(*instant),
            Self::Range { begin, end } => json!({
                "__type__": "timex.TimeRange",
                "begin": datetime::iso(*begin),
                "end": datetime::iso(*end),
            }),
        }
    }

    /// The instant, if it is one.
    #[must_use]
    pub fn as_datetime(&self) -> Option<NaiveDateTime> {
        if let Self::Datetime(instant) = self { Some(*instant) } else { None }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The text that Python's `str` makes of it; times are `YYYY-MM-DD HH:MM:SS[.ffffff]`.
    #[must_use]
    pub fn to_plain_text(&self) -> String {
        let plain = |instant| datetime::iso(instant).replace('T', " ");
        match self {
            Self::Text(text) => text.clone(),
            Self::Int(int) => int.to_string(),
            Self::Float(float) => format!("{float:?}"),
            Self::Datetime(instant) => plain(*instant),
            Self::Range { begin, end } => format!("{} to {}", plain(*begin), plain(*end)),
        }
    }

    /// Whether it counts as nothing where Python programs ask `if value`: empty text or zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Int(int) => *int == 0,
            Self::Float(float) => *float == 0.0,
            Self::Datetime(_) | Self::Range { .. } => false,
        }
    }
}

/// An instant in the public JSON encoding.
#[must_use]
pub fn datetime_json(instant: NaiveDateTime) -> Json {
    json!({ "__type__": "datetime", "datetime": datetime::iso(instant) })
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// The result of a time expression as a value: a plain instant stays one.
impl From<Times> for Value {
    fn from(times: Times) -> Self {
        match times {
            Times::Stamp(instant) => Self::Datetime(instant),
            Times::Range(range) => Self::Range { begin: range.begin(), end: range.end() },
        }
    }
}

/// An object with a known `__type__`.
fn typed(members: &Map<String, Json>) -> Option<Value> {
    let instant = |name| members.get(name).and_then(Json::as_str).and_then(datetime::parse);
    match members.get("__type__").and_then(Json::as_str)? {
        "datetime" => instant("datetime").map(Value::Datetime),
        "timex.Timestamp" => instant("timestamp").map(Value::Datetime),
        "timex.TimeRange" => Some(Value::Range { begin: instant("begin")?, end: instant("end")? }),
        _ => None,
    }
}

fn text(value: Option<Value>) -> Option<String> {
    if let Some(Value::Text(text)) = value { Some(text) } else { None }
}

/// A time, also one in plain text.
fn instant(value: Option<Value>) -> Option<NaiveDateTime> {
    match value? {
        Value::Datetime(instant) => Some(instant),
        Value::Text(text) => datetime::parse(&text),
        Value::Int(_) | Value::Float(_) | Value::Range { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exists() -> Json {
        json!({
            "instance_id": "86def971-f2a2-4b1d-b379-fca1b0ddf0d7",
            "memory_mb": 512,
            "load": 2.0,
            "audit_period_beginning": { "__type__": "datetime", "datetime": "2015-02-27T00:00:00" },
            "day": { "__type__": "timex.TimeRange", "begin": "2015-02-27T00:00:00", "end": "2015-02-28T00:00:00" },
            "message_id": "a16aa892-6e62-47fd-8aee-5183ef71d605",
            "event_type": "compute.instance.exists",
            "timestamp": { "__type__": "datetime", "datetime": "2015-02-28T00:27:18.603932" },
        })
    }

    #[test]
    fn event_reads_and_writes_the_same_object() {
        let event = Event::from_json(exists()).unwrap();
        assert_eq!(event.to_json(), exists());
        assert_eq!(event.traits["memory_mb"], Value::Int(512));
        assert_eq!(event.traits["load"], Value::Float(2.0));
        assert_eq!(event.traits.len(), 5);
    }

    #[test]
    fn float_keeps_its_point_in_json() {
        assert_eq!(Value::Float(2.0).to_json().to_string(), "2.0");
        assert_eq!(Value::Int(2).to_json().to_string(), "2");
    }

    #[test]
    fn mark_and_nulls_are_no_traits() {
        let mut json = exists();
        json["_mark"] = "280".into();
        json["deleted_at"] = Json::Null;
        assert_eq!(Event::from_json(json).unwrap().to_json(), exists());
    }

    #[test]
    fn timestamp_object_of_timex_reads_as_plain_datetime() {
        let json = json!({ "__type__": "timex.Timestamp", "timestamp": "2015-02-27T00:00:00" });
        let expected = json!({ "__type__": "datetime", "datetime": "2015-02-27T00:00:00" });
        assert_eq!(Value::from_json(json).unwrap().to_json(), expected);
    }

    #[test]
    fn event_without_its_fixed_members_is_refused() {
        for name in [MESSAGE_ID, EVENT_TYPE, TIMESTAMP] {
            for wrong in [Json::Null, json!(7), json!("soon")] {
                if name != TIMESTAMP && wrong.is_string() {
                    continue;
                }
                let mut json = exists();
                json[name] = wrong;
                assert_eq!(Event::from_json(json), Err(EventError::Missing(name)));
            }
        }
        assert_eq!(Event::from_json(json!([exists()])), Err(EventError::NoObject));
    }

    #[test]
    fn fixed_members_can_be_asked_like_traits() {
        let event = Event::from_json(exists()).unwrap();
        assert_eq!(event.get("event_type").unwrap().as_text(), Some("compute.instance.exists"));
        assert_eq!(event.get("timestamp").unwrap().as_datetime(), Some(event.timestamp));
        assert!(event.has("timestamp") && event.has("load") && !event.has("deleted_at"));
        assert_eq!(event.instant("timestamp"), Some(event.timestamp));
        assert_eq!(event.instant("memory_mb"), None);
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            "[a-z_]{0,9}".prop_map(Json::from),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::vec(("[a-z_]{0,9}", inner), 0..4)
                    .prop_map(|members| Json::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_member_becomes_a_value_that_comes_back_the_same(json in any_json()) {
            if let Some(value) = Value::from_json(json) {
                prop_assert_eq!(Value::from_json(value.to_json()), Some(value));
            }
        }

        #[test]
        fn any_json_is_an_event_or_refused(json in any_json()) {
            let _ = Event::from_json(json);
        }
    }
}
