//! A page of the v2 list in the making: rows read in chunks, checked, put in order, until the limit is reached.

use super::find::push_time_bounds;
use super::key::{key, scope};
use super::read::{Patience, STORED, StoredEvent, load_stored, meets};
use super::{StoreError, term};
use crate::model::{EventFilter, Operator, Order, Seen, TraitFilter, Visibility};
use diesel::sql_types::{BigInt, Text};
use diesel::{Queryable, RunQueryDsl};
use shared::db::{DbConn, Direction, Piece, Sql};
use shared::on_backend;

/// Fewest and most rows that one statement of a filtered scan reads.
const CHUNK: std::ops::RangeInclusive<usize> = 64..=1000;

/// Where an event stands in time.
#[derive(Debug, Clone, Queryable)]
pub(super) struct Place {
    pub(super) id: i64,
    pub(super) generated: i64,
}

/// Runs a statement that reads `id, generated`.
pub(super) fn load_places(conn: &mut DbConn, sql: Sql) -> Result<Vec<Place>, StoreError> {
    let sql = sql.typed::<(BigInt, BigInt)>();
    Ok(on_backend!(conn, c => sql.load::<Place>(c))?)
}

/// What a scan by time reads.
enum Driver {
    /// The trait index of one value.
    Term(TraitFilter),
    /// The events of a project, and those of none.
    Scopes(String),
    /// The events by time, event type and time, or member and time: the database chooses by the conditions.
    Events,
}

/// What conditions on columns are for.
#[derive(Debug, Clone, Copy)]
enum Columns {
    /// The database may choose an index by them.
    Chosen,
    /// The rows come from elsewhere, so no index is offered: a database that knows nothing of a new table yet would walk
    /// through all events of a member for each row.
    Checked,
}

/// Rows that one statement read, and where it ended.
struct Chunk {
    rows: Vec<StoredEvent>,
    /// Instants of all rows that were read, also of those that did not meet the conditions.
    instants: Vec<i64>,
    is_end: bool,
}

/// A page in the making.
pub(super) struct Page<'f> {
    filter: &'f EventFilter,
    visibility: &'f Visibility,
    after: Option<Seen>,
    /// On traits, checked on the stored text.
    residual: Vec<TraitFilter>,
    events: Vec<StoredEvent>,
    /// Of the events.
    bytes: usize,
    patience: Patience,
    /// Chunks read so far; they grow while conditions leave little of them.
    chunks: u32,
    /// Most rows that the next statement reads: few after one that was cut, because a database sends all the same what
    /// is not read.
    most_rows: usize,
}

impl<'f> Page<'f> {
    pub(super) fn new(visibility: &'f Visibility, filter: &'f EventFilter, after: Option<Seen>) -> Self {
        Self {
            filter,
            visibility,
            after,
            residual: filter.traits.clone(),
            events: Vec::new(),
            bytes: 0,
            patience: Patience::new(),
            chunks: 0,
            most_rows: usize::MAX,
        }
    }

    pub(super) fn into_piece(self) -> Piece<StoredEvent> {
        Piece { is_cut: self.bytes >= self.filter.bytes, rows: self.events }
    }

    /// The event with this message id, if it meets the conditions.
    pub(super) fn one(&mut self, conn: &mut DbConn, message_id: &str) -> Result<(), StoreError> {
        let mut sql = self.statement("events e", "e.generated", Columns::Checked);
        self.push_after(&mut sql);
        sql.push(" AND e.message_id = ").bind(key(message_id));
        let found = self.load(conn, sql)?;
        self.keep(found.rows);
        Ok(())
    }

    /// Reads gathered events in order, some at a time.
    pub(super) fn gathered(&mut self, conn: &mut DbConn, mut places: Vec<Place>) -> Result<(), StoreError> {
        match self.filter.order {
            Order::Generated(by_time, _) => {
                places.sort_by(|a, b| by_time.turn(a.generated.cmp(&b.generated)));
            }
            Order::MessageId(direction) => self.sort_by_message_id(conn, &mut places, direction)?,
        }
        let mut rest = places.as_slice();
        while !rest.is_empty() && self.wanted() > 0 {
            self.patience.check()?;
            let (chunk, later) = rest.split_at(self.chunk_end(rest));
            let mut piece = self.rows_at(conn, chunk)?;
            if piece.is_cut && chunk.len() > 1 {
                // Too large to be put in order here: fewer of them, or those of one instant in the order of an index.
                if let (Order::Generated(_, by_id), [first, .., last]) = (self.filter.order, chunk)
                    && first.generated == last.generated
                {
                    let after = self.after.clone().filter(|seen| seen.generated == first.generated);
                    let after = after.map(|seen| seen.message_id);
                    self.scan_instant(conn, &Driver::Events, by_id, first.generated, after)?;
                    rest = later;
                }
                continue;
            }
            self.sort(&mut piece.rows);
            self.keep(piece.rows);
            rest = later;
        }
        Ok(())
    }

    /// Puts gathered events in the order of their message ids, which an index of terms does not know.
    fn sort_by_message_id(
        &self,
        conn: &mut DbConn,
        places: &mut Vec<Place>,
        direction: Direction,
    ) -> Result<(), StoreError> {
        let mut sql = Sql::new("SELECT e.id, e.message_id FROM events e WHERE e.id");
        sql.among(places.iter().map(|place| place.id).collect());
        self.push_after(&mut sql);
        let sql = sql.typed::<(BigInt, Text)>();
        let mut named: Vec<(i64, String)> = on_backend!(conn, c => sql.load(c))?;
        named.sort_by(|a, b| direction.turn(a.1.cmp(&b.1)));
        *places = named.into_iter().map(|(id, _)| Place { id, generated: 0 }).collect();
        Ok(())
    }

    /// Reads an index that has the order of the list.
    pub(super) fn scanned(&mut self, conn: &mut DbConn) -> Result<(), StoreError> {
        match self.filter.order {
            Order::MessageId(direction) => self.scan_ids(conn, direction),
            Order::Generated(by_time, by_id) => {
                let driver = self.driver();
                if let Driver::Term(condition) = &driver {
                    self.residual.retain(|other| other != condition);
                }
                self.scan_times(conn, &driver, by_time, by_id)
            }
        }
    }

    fn driver(&self) -> Driver {
        if let Some(condition) =
            self.filter.traits.iter().find(|condition| condition.operator == Operator::Eq)
        {
            return Driver::Term(condition.clone());
        }
        match self.visibility {
            Visibility::Project(project) if self.filter.event_type.is_none() => {
                Driver::Scopes(scope(project))
            }
            Visibility::All | Visibility::Project(_) | Visibility::Member { .. } => Driver::Events,
        }
    }

    /// The start of a statement over `tables`, without the driver's own condition, the page's start, order and limit.
    fn statement(&self, tables: &str, generated: &str, columns: Columns) -> Sql {
        let mut sql = Sql::new(STORED);
        sql.push(tables).push(" WHERE 1 = 1").append(self.conditions(columns));
        push_time_bounds(&mut sql, generated, self.filter);
        sql
    }

    /// Conditions on an event's own columns. No index is ever chosen for those of a project: the events of none belong to it.
    fn conditions(&self, columns: Columns) -> Sql {
        let column = |name: &str| match columns {
            Columns::Chosen => format!(" AND e.{name} = "),
            Columns::Checked => format!(" AND (e.{name} || '') = "),
        };
        let mut sql = Sql::default();
        match self.visibility {
            Visibility::All => {}
            Visibility::Project(project) => {
                sql.push(" AND (e.scope || '') IN ('', ").bind(scope(project)).push(")");
            }
            Visibility::Member { project, user } => {
                sql.push(&column("scope")).bind(scope(project)).push(&column("user_id")).bind(key(user));
            }
        }
        if let Some(event_type) = &self.filter.event_type {
            sql.push(&column("event_type")).bind(key(event_type));
        }
        sql
    }

    /// The start of a statement over the events that have this trait.
    fn term_statement(&self, condition: &TraitFilter) -> Sql {
        // CROSS JOIN: SQLite must read the trait index first.
        let mut sql = self.statement("trait_index t CROSS JOIN events e", "t.generated", Columns::Checked);
        sql.push(" AND e.id = t.event_id AND t.term = ");
        sql.bind(term::term(&condition.name, &condition.value));
        sql
    }

    /// The condition that goes on after the last event seen.
    fn push_after(&self, sql: &mut Sql) {
        let Some(Seen { generated: time, message_id }) = &self.after else { return };
        match self.filter.order {
            Order::MessageId(direction) => {
                sql.push(&format!(" AND e.message_id {} ", direction.beyond())).bind(message_id.as_str());
            }
            Order::Generated(by_time, by_id) => {
                sql.push(&format!(" AND e.generated {}= ", by_time.beyond())).bind(*time);
                sql.push(&format!(" AND (e.generated {} ", by_time.beyond())).bind(*time);
                sql.push(&format!(" OR e.message_id {} ", by_id.beyond()))
                    .bind(message_id.as_str())
                    .push(")");
            }
        }
    }

    /// Runs a statement, up to the bytes of a piece.
    fn load(&mut self, conn: &mut DbConn, sql: Sql) -> Result<Piece<StoredEvent>, StoreError> {
        let piece = load_stored(conn, sql, self.filter.bytes)?;
        self.most_rows = match piece.is_cut {
            true => (self.most_rows.min(piece.rows.len()) / 2).max(1),
            false => self.most_rows.saturating_mul(2),
        };
        Ok(piece)
    }

    fn wanted(&self) -> usize {
        if self.bytes >= self.filter.bytes { 0 } else { self.filter.limit.saturating_sub(self.events.len()) }
    }

    /// Rows that the next statement reads: what is missing, and more when many will not meet the conditions.
    fn chunk(&self) -> usize {
        if self.residual.is_empty() && self.chunks == 0 {
            return self.wanted().min(self.most_rows);
        }
        let grown = self.wanted().saturating_mul(2 << self.chunks.min(5));
        grown.clamp(*CHUNK.start(), *CHUNK.end().max(&self.wanted())).min(self.most_rows)
    }

    /// Keeps the rows that meet the conditions on traits, as long as more are wanted.
    fn keep(&mut self, rows: Vec<StoredEvent>) {
        for row in rows {
            if self.wanted() == 0 {
                break;
            }
            if self.residual.iter().all(|condition| meets(&row.head, condition)) {
                self.bytes += row.bytes();
                self.events.push(row);
            }
        }
    }

    /// Puts rows in the order of the list.
    fn sort(&self, rows: &mut [StoredEvent]) {
        rows.sort_by(|a, b| {
            let by_id = |direction: Direction| direction.turn(a.message_id.cmp(&b.message_id));
            match self.filter.order {
                Order::MessageId(direction) => by_id(direction),
                Order::Generated(time, id) => {
                    time.turn(a.generated.cmp(&b.generated)).then_with(|| by_id(id))
                }
            }
        });
    }

    /// The events at these places that meet the conditions on columns.
    fn rows_at(&mut self, conn: &mut DbConn, places: &[Place]) -> Result<Piece<StoredEvent>, StoreError> {
        if places.is_empty() {
            return Ok(Piece { rows: Vec::new(), is_cut: false });
        }
        let ids: Vec<i64> = places.iter().map(|place| place.id).collect();
        let mut sql = self.statement("events e", "e.generated", Columns::Checked);
        self.push_after(&mut sql);
        sql.push(" AND e.id").among(ids);
        self.load(conn, sql)
    }

    /// How many gathered places to read next: enough for the page, and never part of those of one instant, whose
    /// order among each other only their message ids tell.
    fn chunk_end(&self, places: &[Place]) -> usize {
        let enough = self.wanted().clamp(*CHUNK.start(), *CHUNK.end());
        let enough = enough.min(self.most_rows).min(places.len());
        if let Order::MessageId(_) = self.filter.order {
            return enough;
        }
        let last = places.get(enough.saturating_sub(1)).map(|place| place.generated);
        let ties = places.iter().skip(enough).take_while(|place| Some(place.generated) == last).count();
        enough + ties
    }

    fn scan_ids(&mut self, conn: &mut DbConn, direction: Direction) -> Result<(), StoreError> {
        while self.wanted() > 0 {
            self.patience.check()?;
            let chunk = self.chunk();
            let mut sql = self.statement("events e", "e.generated", Columns::Chosen);
            self.push_after(&mut sql);
            sql.push(&format!(" ORDER BY e.message_id {} LIMIT {chunk}", direction.word()));
            let Piece { rows, is_cut } = self.load(conn, sql)?;
            let is_end = !is_cut && rows.len() < chunk;
            self.after = rows.last().map(Seen::from);
            self.keep(rows);
            if is_end {
                break;
            }
        }
        Ok(())
    }

    /// Reads by time alone. The events of an instant at which a chunk ends are read again by message id, for the
    /// chunk may hold only some of them.
    fn scan_times(
        &mut self,
        conn: &mut DbConn,
        driver: &Driver,
        by_time: Direction,
        by_id: Direction,
    ) -> Result<(), StoreError> {
        let mut after = None;
        if let Some(seen) = self.after.take() {
            self.scan_instant(conn, driver, by_id, seen.generated, Some(seen.message_id))?;
            after = Some(seen.generated);
        }
        while self.wanted() > 0 {
            self.patience.check()?;
            let mut chunk = self.read_chunk(conn, driver, by_time, after)?;
            self.chunks += 1;
            let last = chunk.instants.last().copied();
            if !chunk.is_end {
                chunk.rows.retain(|row| Some(row.generated) != last);
            }
            self.sort(&mut chunk.rows);
            self.keep(chunk.rows);
            let before_last = chunk.instants.iter().rev().find(|instant| Some(**instant) != last);
            match (before_last, last) {
                _ if chunk.is_end => break,
                (Some(instant), _) => after = Some(*instant),
                (None, Some(instant)) => {
                    self.scan_instant(conn, driver, by_id, instant, None)?;
                    after = Some(instant);
                }
                (None, None) => break,
            }
        }
        Ok(())
    }

    /// The next rows in the order of time. The narrow indexes give places; whole rows are read by those, so that no
    /// merge and, on PostgreSQL, no join has to carry them. SQLite's join is a walk that carries nothing.
    fn read_chunk(
        &mut self,
        conn: &mut DbConn,
        driver: &Driver,
        by_time: Direction,
        after: Option<i64>,
    ) -> Result<Chunk, StoreError> {
        let (size, filter) = (self.chunk() + 1, self.filter);
        let end = |generated: &str| format!(" ORDER BY {generated} {} LIMIT {size}", by_time.word());
        let bounds = |sql: &mut Sql, generated: &str| {
            push_time_bounds(sql, generated, filter);
            if let Some(after) = after {
                sql.push(&format!(" AND {generated} {} ", by_time.beyond())).bind(after);
            }
        };
        let whole = |page: &mut Self, conn: &mut DbConn, mut sql: Sql, generated: &str| {
            bounds(&mut sql, generated);
            sql.push(&end(generated));
            let Piece { rows, is_cut } = page.load(conn, sql)?;
            let instants: Vec<i64> = rows.iter().map(|row| row.generated).collect();
            Ok(Chunk { is_end: !is_cut && rows.len() < size, rows, instants })
        };
        let mut places = match (driver, &mut *conn) {
            (Driver::Events, _) => {
                let sql = self.statement("events e", "e.generated", Columns::Chosen);
                return whole(self, conn, sql, "e.generated");
            }
            (Driver::Term(condition), DbConn::Sqlite(_)) => {
                let sql = self.term_statement(condition);
                return whole(self, conn, sql, "t.generated");
            }
            (Driver::Term(condition), DbConn::Postgres(_)) => {
                let mut sql = Sql::new("SELECT event_id, generated FROM trait_index WHERE term = ");
                sql.bind(term::term(&condition.name, &condition.value));
                bounds(&mut sql, "generated");
                sql.push(&end("generated"));
                load_places(conn, sql)?
            }
            (Driver::Scopes(project), _) => {
                let mut sql = Sql::default();
                for (number, scope) in [project.as_str(), ""].into_iter().enumerate() {
                    sql.push(if number == 0 { "" } else { " UNION ALL " });
                    sql.push("SELECT * FROM (SELECT id, generated FROM events WHERE scope = ").bind(scope);
                    bounds(&mut sql, "generated");
                    sql.push(&end("generated")).push(&format!(") part{number}"));
                }
                sql.push(&end("generated"));
                load_places(conn, sql)?
            }
        };
        let mut is_end = places.len() < size;
        loop {
            let Piece { rows, is_cut } = self.rows_at(conn, &places)?;
            if !is_cut || places.len() == 1 {
                let instants = places.iter().map(|place| place.generated).collect();
                return Ok(Chunk { rows, instants, is_end });
            }
            // Those that were read are any of them, not the first.
            places.truncate(places.len() / 2);
            is_end = false;
        }
    }

    /// Reads the events of one instant in the order of their message ids.
    fn scan_instant(
        &mut self,
        conn: &mut DbConn,
        driver: &Driver,
        by_id: Direction,
        instant: i64,
        mut after: Option<String>,
    ) -> Result<(), StoreError> {
        while self.wanted() > 0 {
            self.patience.check()?;
            let chunk = self.chunk();
            let mut sql = match driver {
                Driver::Term(condition) => {
                    let mut sql = self.term_statement(condition);
                    sql.push(" AND t.generated = ").bind(instant);
                    sql
                }
                Driver::Scopes(_) | Driver::Events => {
                    let mut sql = self.statement("events e", "e.generated", Columns::Chosen);
                    sql.push(" AND e.generated = ").bind(instant);
                    sql
                }
            };
            if let Some(after) = &after {
                sql.push(&format!(" AND e.message_id {} ", by_id.beyond())).bind(after.as_str());
            }
            sql.push(&format!(" ORDER BY e.message_id {} LIMIT {chunk}", by_id.word()));
            let Piece { rows, is_cut } = self.load(conn, sql)?;
            let is_end = !is_cut && rows.len() < chunk;
            after = rows.last().map(|row| row.message_id.clone());
            self.keep(rows);
            if is_end {
                break;
            }
        }
        Ok(())
    }
}

impl From<&StoredEvent> for Seen {
    fn from(event: &StoredEvent) -> Self {
        Self { generated: event.generated, message_id: event.message_id.clone() }
    }
}
