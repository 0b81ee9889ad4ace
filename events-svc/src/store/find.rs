//! The v2 list: pages in a total order over one index, without ever reading what lies before the page.
//!
//! A list is driven in one of two ways. *Gather*: a condition that few events meet gives their ids from the trait
//! index, which are then put in order here. *Scan*: an index that already has the order of the list is read from
//! the page's start; what it does not cover is checked row by row. Conditions on several traits at once, ranges and
//! `ne` are checked on the stored text, which costs less than asking the index for every row
//! (`events-svc/benches/README.md`).

use super::read::{STORED, StoredEvent, beyond, id_list, load, meets, word};
use super::{StoreError, key::key, term};
use crate::model::{Direction, EventFilter, Operator, Order, TraitFilter, Visibility};
use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use shared::datetime::to_micros;
use shared::db::{DbConn, Sql};

/// Most events that are gathered from the trait index instead of scanned for.
const GATHER: usize = 2000;

/// Fewest and most rows that one statement of a filtered scan reads.
const CHUNK: std::ops::RangeInclusive<usize> = 64..=1000;

/// Events that meet every condition, in order, at most `filter.limit`.
///
/// # Errors
/// [`StoreError::MarkerNotFound`] when the marker is no event; it need not be visible to the caller.
pub fn list_events(
    conn: &mut DbConn,
    visibility: &Visibility,
    filter: &EventFilter,
) -> Result<Vec<StoredEvent>, StoreError> {
    let after = filter.marker.as_deref().map(|id| find_marker(conn, id)).transpose()?;
    let mut page = Page { filter, conditions: conditions(visibility, filter), after, events: Vec::new() };
    if let Some(id) = &filter.message_id {
        let mut sql = page.statement("events e", "e.generated");
        sql.push(" AND e.message_id = ").bind(key(id));
        page.take(conn, sql, &filter.traits)?;
    } else if let Some((driver, places)) = gather(conn, filter)? {
        page.gathered(conn, driver, places)?;
    } else {
        page.scanned(conn, visibility)?;
    }
    Ok(page.events)
}

/// One event, if the caller may see it.
///
/// # Errors
/// When the database fails.
pub fn find_event(
    conn: &mut DbConn,
    visibility: &Visibility,
    message_id: &str,
) -> Result<Option<StoredEvent>, StoreError> {
    let filter = EventFilter { message_id: Some(message_id.to_owned()), limit: 1, ..EventFilter::default() };
    Ok(list_events(conn, visibility, &filter)?.pop())
}

/// Where an event stands in every order.
#[derive(Debug, Clone, QueryableByName)]
struct Place {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    generated: i64,
}

/// The last event already seen.
#[derive(Debug, Clone)]
struct Seen {
    generated: i64,
    message_id: String,
}

fn find_marker(conn: &mut DbConn, id: &str) -> Result<Seen, StoreError> {
    let mut sql = Sql::new("SELECT id, generated FROM events WHERE message_id = ");
    sql.bind(key(id));
    let place = load::<Place>(conn, sql)?.pop().ok_or_else(|| StoreError::MarkerNotFound(id.to_owned()))?;
    Ok(Seen { generated: place.generated, message_id: key(id) })
}

/// Conditions on an event's own columns. Written so that no index is chosen for them.
fn conditions(visibility: &Visibility, filter: &EventFilter) -> Sql {
    let mut sql = Sql::default();
    match visibility {
        Visibility::All => {}
        Visibility::Project(project) => {
            sql.push(" AND (e.scope || '') IN ('', ").bind(key(project)).push(")");
        }
        Visibility::Member { project, user } => {
            sql.push(" AND e.scope = ").bind(key(project)).push(" AND e.user_id = ").bind(key(user));
        }
    }
    if let Some(event_type) = &filter.event_type {
        sql.push(" AND e.event_type = ").bind(key(event_type));
    }
    sql
}

/// The events of the condition that fewest meet, if any condition is met by few enough.
///
/// One `eq` condition alone is not gathered: the trait index already has its events in order of time.
fn gather<'f>(
    conn: &mut DbConn,
    filter: &'f EventFilter,
) -> Result<Option<(&'f TraitFilter, Vec<Place>)>, StoreError> {
    if let ([TraitFilter { operator: Operator::Eq, .. }], Order::Generated(..)) =
        (filter.traits.as_slice(), filter.order)
    {
        return Ok(None);
    }
    let mut best: Option<(&TraitFilter, Vec<Place>)> = None;
    for condition in filter.traits.iter().filter(|condition| condition.operator != Operator::Ne) {
        let most = best.as_ref().map_or(GATHER, |(_, places)| places.len());
        let mut sql = Sql::new("SELECT event_id AS id, generated FROM trait_index WHERE ");
        push_term_condition(&mut sql, condition);
        push_time_bounds(&mut sql, "generated", filter);
        sql.push(&format!(" LIMIT {}", most + 1));
        let places = load::<Place>(conn, sql)?;
        if places.len() <= most {
            best = Some((condition, places));
        }
    }
    Ok(best)
}

fn push_term_condition(sql: &mut Sql, condition: &TraitFilter) {
    let exact = term::term(&condition.name, &condition.value);
    let (first, end) = term::span(&condition.name, &condition.value);
    match condition.operator {
        Operator::Eq => sql.push("term = ").bind(exact),
        Operator::Lt => sql.push("term >= ").bind(first).push(" AND term < ").bind(exact),
        Operator::Le => sql.push("term >= ").bind(first).push(" AND term <= ").bind(exact),
        Operator::Ge => sql.push("term >= ").bind(exact).push(" AND term < ").bind(end),
        Operator::Gt => sql.push("term > ").bind(exact).push(" AND term < ").bind(end),
        Operator::Ne => sql.push("term >= ").bind(first).push(" AND term < ").bind(end),
    };
}

fn push_time_bounds(sql: &mut Sql, column: &str, filter: &EventFilter) {
    if let Some(start) = filter.start {
        sql.push(&format!(" AND {column} >= ")).bind(to_micros(start));
    }
    if let Some(end) = filter.end {
        sql.push(&format!(" AND {column} <= ")).bind(to_micros(end));
    }
}

/// A page in the making.
struct Page<'f> {
    filter: &'f EventFilter,
    conditions: Sql,
    after: Option<Seen>,
    events: Vec<StoredEvent>,
}

impl Page<'_> {
    /// The start of a statement over `tables`, with everything but the driver's own condition, order and limit.
    fn statement(&self, tables: &str, generated: &str) -> Sql {
        let mut sql = Sql::new(STORED);
        sql.push(tables).push(" WHERE 1 = 1").append(self.conditions.clone());
        push_time_bounds(&mut sql, generated, self.filter);
        self.push_after(&mut sql, generated);
        sql
    }

    /// The condition that goes on after the last event seen.
    fn push_after(&self, sql: &mut Sql, generated: &str) {
        let Some(Seen { generated: time, message_id }) = &self.after else { return };
        match self.filter.order {
            Order::MessageId(direction) => {
                sql.push(&format!(" AND e.message_id {} ", beyond(direction))).bind(message_id.as_str());
            }
            Order::Generated(by_time, by_id) => {
                // The first comparison is implied by the second; it lets the index start at the right place.
                sql.push(&format!(" AND {generated} {}= ", beyond(by_time))).bind(*time);
                sql.push(&format!(" AND ({generated} {} ", beyond(by_time))).bind(*time);
                sql.push(&format!(" OR e.message_id {} ", beyond(by_id))).bind(message_id.as_str()).push(")");
            }
        }
    }

    fn order(&self, generated: &str) -> String {
        match self.filter.order {
            Order::Generated(by_time, by_id) => {
                format!("{generated} {}, e.message_id {}", word(by_time), word(by_id))
            }
            Order::MessageId(direction) => format!("e.message_id {}", word(direction)),
        }
    }

    fn wanted(&self) -> usize {
        self.filter.limit.saturating_sub(self.events.len())
    }

    /// Runs a statement and keeps the rows that meet `residual`; answers how many rows it read.
    fn take(&mut self, conn: &mut DbConn, sql: Sql, residual: &[TraitFilter]) -> Result<usize, StoreError> {
        let rows: Vec<StoredEvent> = load(conn, sql)?;
        let read = rows.len();
        if let Some(last) = rows.last() {
            self.after = Some(Seen { generated: last.generated, message_id: last.message_id.clone() });
        }
        let wanted = self.wanted();
        let met = rows.into_iter().filter(|row| residual.iter().all(|condition| meets(&row.head, condition)));
        self.events.extend(met.take(wanted));
        Ok(read)
    }

    /// Reads gathered events in order, some at a time.
    fn gathered(
        &mut self,
        conn: &mut DbConn,
        driver: &TraitFilter,
        mut places: Vec<Place>,
    ) -> Result<(), StoreError> {
        let residual: Vec<TraitFilter> =
            self.filter.traits.iter().filter(|condition| *condition != driver).cloned().collect();
        match self.filter.order {
            // Ids say nothing about the order of message ids: read all that were gathered.
            Order::MessageId(_) => {}
            Order::Generated(Direction::Ascending, _) => places.sort_by_key(|place| place.generated),
            Order::Generated(Direction::Descending, _) => {
                places.sort_by_key(|place| std::cmp::Reverse(place.generated));
            }
        }
        let mut rest = places.as_slice();
        while !rest.is_empty() && self.wanted() > 0 {
            let (chunk, later) = rest.split_at(self.chunk_end(rest));
            let ids: Vec<i64> = chunk.iter().map(|place| place.id).collect();
            let mut sql = self.statement("events e", "e.generated");
            sql.push(" AND e.id IN ")
                .push(&id_list(&ids))
                .push(" ORDER BY ")
                .push(&self.order("e.generated"));
            self.take(conn, sql.once(), &residual)?;
            rest = later;
        }
        Ok(())
    }

    /// How many gathered places to read next: enough for the page, and never part of those of one instant, whose
    /// order among each other only their message ids tell.
    fn chunk_end(&self, places: &[Place]) -> usize {
        if let Order::MessageId(_) = self.filter.order {
            return places.len();
        }
        let enough = self.wanted().clamp(*CHUNK.start(), *CHUNK.end()).min(places.len());
        let last = places.get(enough.saturating_sub(1)).map(|place| place.generated);
        let ties = places.iter().skip(enough).take_while(|place| Some(place.generated) == last).count();
        enough + ties
    }

    /// Reads an index that has the order of the list.
    fn scanned(&mut self, conn: &mut DbConn, visibility: &Visibility) -> Result<(), StoreError> {
        let driver = self.driver(visibility);
        let residual: Vec<TraitFilter> = match &driver {
            Driver::Term(condition) => {
                self.filter.traits.iter().filter(|other| *other != condition).cloned().collect()
            }
            Driver::Scopes(_) | Driver::Events => self.filter.traits.clone(),
        };
        while self.wanted() > 0 {
            let chunk = if residual.is_empty() {
                self.wanted()
            } else {
                (self.wanted() * 4).clamp(*CHUNK.start(), *CHUNK.end())
            };
            let sql = self.scan(&driver, chunk);
            if self.take(conn, sql, &residual)? < chunk {
                break;
            }
        }
        Ok(())
    }

    fn driver(&self, visibility: &Visibility) -> Driver {
        if let Order::MessageId(_) = self.filter.order {
            return Driver::Events;
        }
        if let Some(condition) =
            self.filter.traits.iter().find(|condition| condition.operator == Operator::Eq)
        {
            return Driver::Term(condition.clone());
        }
        match visibility {
            Visibility::Project(project) if self.filter.event_type.is_none() => Driver::Scopes(key(project)),
            Visibility::All | Visibility::Project(_) | Visibility::Member { .. } => Driver::Events,
        }
    }

    fn scan(&self, driver: &Driver, rows: usize) -> Sql {
        let end = |generated| format!(" ORDER BY {} LIMIT {rows}", self.order(generated));
        match driver {
            Driver::Term(condition) => {
                // CROSS JOIN: SQLite must read the trait index first.
                let mut sql = self.statement("trait_index t CROSS JOIN events e", "t.generated");
                sql.push(" AND e.id = t.event_id AND t.term = ")
                    .bind(term::term(&condition.name, &condition.value));
                sql.push(&end("t.generated"));
                sql
            }
            Driver::Events => {
                let mut sql = self.statement("events e", "e.generated");
                sql.push(&end("e.generated"));
                sql
            }
            Driver::Scopes(project) => {
                // Two ordered reads, merged: an index cannot give the order of both at once.
                let mut sql = Sql::new("SELECT * FROM (");
                for (part, scope) in [project.as_str(), ""].into_iter().enumerate() {
                    sql.push(if part == 0 { "SELECT * FROM (" } else { " UNION ALL SELECT * FROM (" });
                    sql.append(self.statement("events e", "e.generated"));
                    sql.push(" AND e.scope = ").bind(scope).push(&end("e.generated")).push(") part");
                    sql.push(&part.to_string());
                }
                sql.push(") e").push(&end("e.generated"));
                sql
            }
        }
    }
}

/// What a scan reads.
enum Driver {
    /// The trait index of one value.
    Term(TraitFilter),
    /// The events of a project, and those of none.
    Scopes(String),
    /// The events by time, event type and time, member and time, or message id: the database chooses by the
    /// conditions.
    Events,
}
