//! Domain types of the event store: an event, its traits and their values.
//!
//! No diesel and no actix here. The two wire forms (v1 flat objects, v2 trait lists) are written by
//! [`crate::wire`], so that every reader of an event sees the same text.

use chrono::NaiveDateTime;
use serde_json::value::RawValue;

/// The value of a trait, in one of the four types both APIs know.
#[derive(Debug, Clone, PartialEq)]
pub enum TraitValue {
    /// Text of any length, without `\0`.
    Text(String),
    /// 64 bit integer.
    Integer(i64),
    /// Finite double.
    Float(f64),
    /// Instant in UTC, whole microseconds.
    Datetime(NaiveDateTime),
}

/// A named, typed property of an event. A name may occur once per type in one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Trait {
    /// Name as the definition or the publisher spells it.
    pub name: String,
    /// Typed value.
    pub value: TraitValue,
}

/// One event, ready to be stored.
#[derive(Debug, Clone)]
pub struct Event {
    /// Unique over the whole store; a repeat is dropped.
    pub message_id: String,
    /// Dotted type, for instance `compute.instance.create.end`.
    pub event_type: String,
    /// When it happened: UTC, whole microseconds.
    pub generated: NaiveDateTime,
    /// Traits in the order they were made.
    pub traits: Vec<Trait>,
    /// JSON document that comes back as `raw` in v2; `{}` when absent.
    pub raw: Option<Box<RawValue>>,
}
