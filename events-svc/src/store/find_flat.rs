//! The v1 list and count: in order of ids, which is the order of storage.
//!
//! Events of a trait value are gathered from the trait index and put in order here; a value that very many events
//! have is cheaper to meet while reading the newest events.

use super::read::{FlatEvent, Patience, meets};
use super::types::count_events;
use super::{StoreError, key::key, term};
use crate::model::{FlatFilter, Operator, TraitFilter, TraitValue};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use shared::datetime::to_micros;
use shared::db::{DbConn, Direction, Piece, Sql, complete_up_to, load_piece};
use std::collections::HashSet;

/// Most events that are gathered from the trait index. Reading newest events instead visits about
/// `limit * all / matching` rows, so that beyond this share the scan is the cheaper way at a million events.
const GATHER: usize = 20_000;

/// Fewest and most rows that one statement reads when the list is filtered afterwards.
const CHUNK: std::ops::RangeInclusive<usize> = 64..=1000;

/// Events that meet every condition, at most `filter.limit`, and not many more bytes than `filter.bytes`. An ascending
/// list ends before the first id that is still under way, so that who goes on behind its last event misses none.
///
/// # Errors
/// When the database fails.
pub fn list_flat_events(conn: &mut DbConn, filter: &FlatFilter) -> Result<Piece<FlatEvent>, StoreError> {
    if filter.limit == 0 {
        return Ok(Piece { rows: Vec::new(), is_cut: false });
    }
    match filter.direction {
        Direction::Descending => list(conn, filter),
        Direction::Ascending => {
            let complete = complete_up_to(conn, "events_id_seq")?;
            let Piece { mut rows, is_cut } = list(conn, filter)?;
            let read = rows.len();
            rows.retain(|event| event.id <= complete);
            Ok(Piece { is_cut: is_cut && rows.len() == read, rows })
        }
    }
}

fn list(conn: &mut DbConn, filter: &FlatFilter) -> Result<Piece<FlatEvent>, StoreError> {
    if filter.traits.is_empty() {
        return list_by_columns(conn, filter);
    }
    match gather(conn, filter)? {
        Some(ids) => list_gathered(conn, filter, ids),
        None => list_scanned(conn, filter),
    }
}

/// The event with exactly this message id.
///
/// # Errors
/// When the database fails.
pub fn find_flat_event(conn: &mut DbConn, message_id: &str) -> Result<Option<FlatEvent>, StoreError> {
    let mut sql = Sql::new("SELECT e.id, e.v1 AS members FROM events e WHERE e.message_id = ");
    sql.bind(key(message_id));
    Ok(sql.rows(conn)?.pop())
}

/// How many events meet every condition; `limit` does not matter, `mark` does.
///
/// # Errors
/// When the database fails.
pub fn count_flat_events(conn: &mut DbConn, filter: &FlatFilter) -> Result<i64, StoreError> {
    let is_plain =
        filter.traits.is_empty() && filter.after.is_none() && filter.until.is_none() && filter.mark.is_none();
    if is_plain {
        return count_events(conn, filter.event_type.as_deref());
    }
    let mut sql = Sql::new("SELECT count(*) AS number FROM events e WHERE 1 = 1");
    push_columns(&mut sql, filter);
    for values in &filter.traits {
        sql.push(" AND e.id IN (SELECT event_id FROM trait_index WHERE ").append(any_term(values)).push(")");
    }
    Ok(sql.number(conn)?)
}

#[derive(Debug, QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Conditions on an event's own columns, the mark's among them.
fn push_columns(sql: &mut Sql, filter: &FlatFilter) {
    if let Some(event_type) = &filter.event_type {
        sql.push(" AND e.event_type = ").bind(key(event_type));
    }
    if let Some(after) = filter.after {
        sql.push(" AND e.generated > ").bind(to_micros(after));
    }
    if let Some(until) = filter.until {
        sql.push(" AND e.generated <= ").bind(to_micros(until));
    }
    if let Some(mark) = filter.mark {
        sql.push(&format!(" AND e.id {} ", filter.direction.beyond())).bind(mark);
    }
}

/// `term IN (…)` over the values that match a pair. A pair that nothing can match matches nothing.
fn any_term((name, values): &(String, Vec<TraitValue>)) -> Sql {
    let mut sql = Sql::new("term IN (NULL");
    for value in values {
        sql.push(", ").bind(term::term(name, value));
    }
    sql.push(")");
    sql
}

fn list_by_columns(conn: &mut DbConn, filter: &FlatFilter) -> Result<Piece<FlatEvent>, StoreError> {
    let order = format!(" ORDER BY e.id {} LIMIT {}", filter.direction.word(), filter.limit);
    let mut sql = Sql::new("SELECT e.id, e.v1 AS members FROM events e WHERE ");
    if filter.event_type.is_none() && (filter.after.is_some() || filter.until.is_some()) {
        // The ids of a time window come from the narrow index alone; only the page's rows are read whole.
        sql.push("e.id IN (SELECT e.id FROM events e WHERE 1 = 1");
        push_columns(&mut sql, filter);
        sql.push(&order).push(")").push(&order);
    } else {
        sql.push("1 = 1");
        push_columns(&mut sql, filter);
        sql.push(&order);
    }
    Ok(load_piece(conn, sql, filter.bytes, |event: &FlatEvent| event.members.len())?)
}

/// Ids of the events that meet all trait conditions which few enough events meet; `None` when none is such.
fn gather(conn: &mut DbConn, filter: &FlatFilter) -> Result<Option<Gathered>, StoreError> {
    let mut gathered: Option<Gathered> = None;
    for (place, values) in filter.traits.iter().enumerate() {
        let mut sql = Sql::new("SELECT event_id AS id FROM trait_index WHERE ");
        sql.append(any_term(values));
        if let Some(after) = filter.after {
            sql.push(" AND generated > ").bind(to_micros(after));
        }
        if let Some(until) = filter.until {
            sql.push(" AND generated <= ").bind(to_micros(until));
        }
        sql.push(&format!(" LIMIT {}", GATHER + 1));
        let ids: HashSet<i64> = sql.rows::<Id>(conn)?.into_iter().map(|row| row.id).collect();
        if ids.len() <= GATHER {
            let gathered = gathered.get_or_insert_with(|| Gathered { ids: ids.clone(), met: HashSet::new() });
            gathered.ids.retain(|id| ids.contains(id));
            gathered.met.insert(place);
        }
    }
    Ok(gathered)
}

/// Ids that meet the trait conditions at the places `met`.
struct Gathered {
    ids: HashSet<i64>,
    met: HashSet<usize>,
}

fn list_gathered(
    conn: &mut DbConn,
    filter: &FlatFilter,
    gathered: Gathered,
) -> Result<Piece<FlatEvent>, StoreError> {
    let rest = filter.traits.iter().enumerate().filter(|(place, _)| !gathered.met.contains(place));
    let rest: Vec<_> = rest.map(|(_, values)| values.clone()).collect();
    let mut ids: Vec<i64> = gathered.ids.into_iter().collect();
    ids.sort_unstable_by(|a, b| filter.direction.turn(a.cmp(b)));
    if let Some(mark) = filter.mark {
        ids.retain(|id| filter.direction.turn(id.cmp(&mark)).is_gt());
    }
    let mut taken = Taken::new(filter);
    let mut left = ids.as_slice();
    let (patience, mut most) = (Patience::new(), filter.limit.clamp(1, *CHUNK.end()));
    while !left.is_empty() && !taken.is_full() {
        patience.check()?;
        let (chunk, later) = left.split_at(left.len().min(most));
        let mut sql = Sql::new(WITH_HEAD);
        sql.push("e.id").among(chunk.to_vec());
        push_columns(&mut sql, filter);
        sql.push(&format!(" ORDER BY e.id {}", filter.direction.word()));
        let piece = load_piece(conn, sql, filter.bytes, WithHead::bytes)?;
        most = next_chunk(most, &piece);
        let last = piece.rows.last().filter(|_| piece.is_cut).map(|row| row.id);
        left = last.map_or(later, |last| {
            let read = left.iter().position(|id| *id == last).map_or(chunk.len(), |place| place + 1);
            left.get(read..).unwrap_or_default()
        });
        taken.add(piece.rows, &rest);
    }
    Ok(taken.into_piece())
}

fn list_scanned(conn: &mut DbConn, filter: &FlatFilter) -> Result<Piece<FlatEvent>, StoreError> {
    let mut window = filter.clone();
    let mut taken = Taken::new(filter);
    let patience = Patience::new();
    let mut most = filter.limit.saturating_mul(4).clamp(*CHUNK.start(), *CHUNK.end());
    loop {
        patience.check()?;
        let mut sql = Sql::new(WITH_HEAD);
        sql.push("1 = 1");
        push_columns(&mut sql, &window);
        sql.push(&format!(" ORDER BY e.id {} LIMIT {most}", filter.direction.word()));
        let piece = load_piece(conn, sql, filter.bytes, WithHead::bytes)?;
        let is_end = !piece.is_cut && piece.rows.len() < most;
        most = next_chunk(most, &piece);
        let rows = piece.rows;
        window.mark = rows.last().map(|row| row.id);
        taken.add(rows, &filter.traits);
        if is_end || taken.is_full() {
            return Ok(taken.into_piece());
        }
    }
}

/// Rows that the next statement reads: few after one that was cut, because a database sends all the same what is not read.
fn next_chunk(most: usize, piece: &Piece<WithHead>) -> usize {
    if piece.is_cut { piece.rows.len().max(1) } else { most.saturating_mul(2).min(*CHUNK.end()) }
}

const WITH_HEAD: &str = "SELECT e.id, e.v1 AS members, e.v2 AS head FROM events e WHERE ";

/// A row with the text on which trait conditions are checked.
#[derive(QueryableByName)]
struct WithHead {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    members: String,
    #[diesel(sql_type = Text)]
    head: String,
}

impl WithHead {
    fn bytes(&self) -> usize {
        self.members.len() + self.head.len()
    }

    fn has(&self, (name, values): &(String, Vec<TraitValue>)) -> bool {
        values.iter().any(|value| {
            let filter = TraitFilter { name: name.clone(), operator: Operator::Eq, value: value.clone() };
            meets(&self.head, &filter)
        })
    }
}

/// A list in the making.
struct Taken<'f> {
    filter: &'f FlatFilter,
    events: Vec<FlatEvent>,
    /// Of the events.
    bytes: usize,
}

impl<'f> Taken<'f> {
    fn new(filter: &'f FlatFilter) -> Self {
        Self { filter, events: Vec::new(), bytes: 0 }
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.filter.limit || self.bytes >= self.filter.bytes
    }

    /// Adds the rows that meet `conditions` until it is full.
    fn add(&mut self, rows: Vec<WithHead>, conditions: &[(String, Vec<TraitValue>)]) {
        for row in rows {
            if self.is_full() {
                break;
            }
            if conditions.iter().all(|condition| row.has(condition)) {
                self.bytes += row.members.len();
                self.events.push(FlatEvent { id: row.id, members: row.members });
            }
        }
    }

    fn into_piece(self) -> Piece<FlatEvent> {
        Piece { is_cut: self.bytes >= self.filter.bytes, rows: self.events }
    }
}
