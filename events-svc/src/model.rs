//! Domain types of the event store: an event, its traits and their values.
//!
//! No diesel and no actix here. The two wire forms (v1 flat objects, v2 trait lists) are written by
//! [`crate::wire`], so that every reader of an event sees the same text.

use chrono::NaiveDateTime;
use serde_json::value::RawValue;
use shared::db::Direction;

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

/// Which events a v2 caller may see (events-v2.md, section 5). Every query of events asks for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visibility {
    /// All events: v1, and an admin who asks for all tenants.
    All,
    /// An admin's view: events of this project, and events with text traits but no project.
    Project(String),
    /// Anybody else: events of this project made by this user.
    Member {
        /// Project id.
        project: String,
        /// User id.
        user: String,
    },
}

/// How a trait is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Less than.
    Lt,
    /// Less than or equal.
    Le,
    /// Equal.
    Eq,
    /// Present, and not equal.
    Ne,
    /// Greater than or equal.
    Ge,
    /// Greater than.
    Gt,
}

/// A condition on a trait: it looks only at traits of the name and of the type of `value`.
#[derive(Debug, Clone, PartialEq)]
pub struct TraitFilter {
    /// Trait name.
    pub name: String,
    /// Comparison.
    pub operator: Operator,
    /// What the trait is compared with.
    pub value: TraitValue,
}

/// Order of a v2 list. Message ids are unique, so nothing after them matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By time, equal times by message id.
    Generated(Direction, Direction),
    /// By message id.
    MessageId(Direction),
}

/// An event that a list has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Microseconds since 1970.
    pub generated: i64,
    /// Its message id as the store knows it.
    pub message_id: String,
}

/// Bytes of events that one reading of a list takes into memory, and one event more. Of usual events they are some 1000.
pub const PIECE_BYTES: usize = 4 << 20;

/// What `GET /v2/events` asks for. All conditions hold together.
#[derive(Debug, Clone, PartialEq)]
pub struct EventFilter {
    /// Exact event type.
    pub event_type: Option<String>,
    /// Exact message id.
    pub message_id: Option<String>,
    /// Generated at or after.
    pub start: Option<NaiveDateTime>,
    /// Generated at or before.
    pub end: Option<NaiveDateTime>,
    /// Conditions on traits.
    pub traits: Vec<TraitFilter>,
    /// Order of the list.
    pub order: Order,
    /// Message id of the last event already seen; the list starts after it.
    pub marker: Option<String>,
    /// The last event of the piece before, which counts instead of the marker: it may be removed meanwhile.
    pub after: Option<Seen>,
    /// Most events to return.
    pub limit: usize,
    /// Bytes of events after which reading ends although `limit` is not reached: a piece of the list.
    pub bytes: usize,
}

impl Default for EventFilter {
    /// Everything, oldest first, 100 at most: what a bare `GET /v2/events` means.
    fn default() -> Self {
        Self {
            event_type: None,
            message_id: None,
            start: None,
            end: None,
            traits: Vec::new(),
            order: Order::Generated(Direction::Ascending, Direction::Ascending),
            marker: None,
            after: None,
            limit: 100,
            bytes: PIECE_BYTES,
        }
    }
}

/// What `GET /v1/events` asks for. All conditions hold together.
#[derive(Debug, Clone, PartialEq)]
pub struct FlatFilter {
    /// Exact event type.
    pub event_type: Option<String>,
    /// Generated after (exclusive).
    pub after: Option<NaiveDateTime>,
    /// Generated at or before (inclusive, as the original does).
    pub until: Option<NaiveDateTime>,
    /// For each trait name the values that match: a text stands for every type it can be read as.
    pub traits: Vec<(String, Vec<TraitValue>)>,
    /// Id of the last event already seen; the list starts after it.
    pub mark: Option<i64>,
    /// By id, which is the order of storage.
    pub direction: Direction,
    /// Most events to return.
    pub limit: usize,
    /// Bytes of events after which reading ends although `limit` is not reached: a piece of the list.
    pub bytes: usize,
}

impl Default for FlatFilter {
    /// Everything, newest first, 200 at most: what a bare `GET /v1/events` means.
    fn default() -> Self {
        Self {
            event_type: None,
            after: None,
            until: None,
            traits: Vec::new(),
            mark: None,
            direction: Direction::Descending,
            limit: 200,
            bytes: PIECE_BYTES,
        }
    }
}

/// Name and type of a trait that events of some type have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize, serde::Serialize)]
pub struct TraitDescription {
    /// `string`, `integer`, `float` or `datetime`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Trait name.
    pub name: String,
}
