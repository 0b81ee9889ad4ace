//! What the v1 and the v2 lists share: the columns they read, and the conditions that no index can check.

use super::StoreError;
use crate::model::{Operator, TraitFilter, TraitValue};
use crate::wire::v2::{trait_head, type_name};
use diesel::sql_types::{BigInt, Text};
use diesel::{Queryable, QueryableByName};
use shared::db::{DbConn, Piece, Sql, load_piece};
use std::cmp::Ordering;
use std::time::{Duration, Instant};

/// A stored event in its v2 form.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct StoredEvent {
    pub(super) id: i64,
    pub(super) generated: i64,
    pub(crate) message_id: String,
    /// The object's text up to its raw document.
    pub head: String,
    /// The raw document.
    pub raw: String,
}

/// Types of the columns of [`STORED`].
pub(super) type StoredColumns = (BigInt, BigInt, Text, Text, Text);

impl StoredEvent {
    /// Its size in memory and in an answer.
    pub(super) fn bytes(&self) -> usize {
        self.head.len() + self.raw.len()
    }
}

/// A stored event in its v1 form.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct FlatEvent {
    /// The mark is made of it.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// The object's members, without braces.
    #[diesel(sql_type = Text)]
    pub members: String,
}

/// The columns of a [`StoredEvent`] from `events e`.
pub(super) const STORED: &str = "SELECT e.id, e.generated, e.message_id, e.v2 AS head, e.raw FROM ";

/// Bounds the time of a list that reads on and on because few events meet its conditions.
pub(super) struct Patience(Instant);

impl Patience {
    /// Longest reading for one list, between two of its statements; PostgreSQL bounds each of these itself. The
    /// gateway waits 30 s.
    const MOST: Duration = Duration::from_secs(20);

    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    /// # Errors
    /// When the time is over.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.0.elapsed() < Self::MOST { Ok(()) } else { Err(StoreError::TooLong) }
    }
}

/// Runs a statement that reads [`STORED`], up to so many bytes.
pub(super) fn load_stored(
    conn: &mut DbConn,
    sql: Sql,
    bytes: usize,
) -> Result<Piece<StoredEvent>, StoreError> {
    Ok(load_piece(conn, sql.typed::<StoredColumns>(), bytes, StoredEvent::bytes)?)
}

/// Whether the stored text of an event meets a condition on a trait.
pub(super) fn meets(head: &str, filter: &TraitFilter) -> bool {
    let Some(order) = compare(head, &filter.name, &filter.value) else { return false };
    match filter.operator {
        Operator::Lt => order.is_lt(),
        Operator::Le => order.is_le(),
        Operator::Eq => order.is_eq(),
        Operator::Ne => order.is_ne(),
        Operator::Ge => order.is_ge(),
        Operator::Gt => order.is_gt(),
    }
}

/// Compares the event's trait of this name, and of the type of `wanted`, with `wanted`; `None` without such a trait.
fn compare(head: &str, name: &str, wanted: &TraitValue) -> Option<Ordering> {
    let text = value_text(head, name, type_name(wanted))?;
    match wanted {
        TraitValue::Text(wanted) => Some(text.as_str().cmp(wanted)),
        TraitValue::Integer(wanted) => Some(text.parse::<i64>().ok()?.cmp(wanted)),
        TraitValue::Float(wanted) => text.parse::<f64>().ok()?.partial_cmp(wanted),
        TraitValue::Datetime(wanted) => Some(shared::datetime::parse(&text)?.cmp(wanted)),
    }
}

/// The value of a trait in an event's stored text.
pub(super) fn value_text(head: &str, name: &str, type_name: &str) -> Option<String> {
    let start = trait_head(name, type_name);
    let value = head.get(head.find(&start)? + start.len()..)?;
    let mut is_escaped = false;
    let end = value.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })?;
    let value = value.get(..end)?;
    if value.contains('\\') {
        serde_json::from_str(&format!("\"{value}\"")).ok()
    } else {
        Some(value.to_owned())
    }
}
