//! The statements of a search.

use super::row::{COLUMNS, column};
use super::search::{Order, Place, Search};
use super::span::LONGEST;
use crate::model::{Condition, Field, SURELY_PLACED_CHARS, Verb, Window, Words};
use shared::db::{Bind, DbConn, Sql};
use uuid::Uuid;

/// Messages with given words are counted up to here; more, and the words are not the best way in.
pub(super) const WORD_PROBE: i64 = 2000;

/// One page of a list.
pub(super) fn list(conn: &DbConn, search: &Search, by_words: bool, after: Option<Place>, rows: usize) -> Sql {
    match (&search.conditions.words, search.visible.named()) {
        (Some(words), _) if by_words => having_words(conn, search, words, after, rows),
        (_, Some(ids)) => among(conn, search, ids, after, rows),
        _ => in_window(conn, search, after, rows),
    }
}

/// Best matches of the words first.
pub(super) fn relevant(conn: &DbConn, search: &Search, rows: usize) -> Sql {
    let Some(words) = &search.conditions.words else { return in_window(conn, search, None, rows) };
    let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM "));
    match conn {
        DbConn::Postgres(_) => {
            sql.push("annotations, CAST(").bind(words.tsquery()).push(" AS tsquery) asked WHERE ");
            placed(&mut sql, words);
        }
        DbConn::Sqlite(_) => {
            sql.push("annotation_words CROSS JOIN annotations ON seq = annotation_words.rowid ");
            sql.push("WHERE annotation_words MATCH ").bind(words.fts5());
        }
    }
    let binds = &mut Binds::new(conn);
    active(&mut sql, binds, search.window);
    let conditions: Vec<&Condition> = search.conditions.fields.iter().collect();
    plain(&mut sql, binds, &conditions);
    sql.push(match conn {
        DbConn::Postgres(_) => " ORDER BY ts_rank(words, asked) DESC",
        DbConn::Sqlite(_) => " ORDER BY annotation_words.rank",
    });
    sql.push(&format!(", start_us DESC, id LIMIT {rows}"));
    sql.once()
}

/// Messages with the words, and long ones of which PostgreSQL does not know all places: those are looked at again
/// (`store/search.rs`).
fn placed(sql: &mut Sql, words: &Words) {
    sql.push("(words @@ CAST(").bind(words.tsquery()).push(" AS tsquery)");
    if words.has_phrase() {
        sql.push(" OR words @@ CAST(").bind(words.loose_tsquery());
        sql.push(&format!(" AS tsquery) AND length(message) > {SURELY_PLACED_CHARS}"));
    }
    sql.push(")");
}

/// How many messages have the words, up to [`WORD_PROBE`].
pub(super) fn count_words(conn: &DbConn, words: &Words) -> Sql {
    let mut sql = Sql::new("SELECT count(*) AS number FROM (SELECT 1 AS one FROM ");
    match conn {
        DbConn::Postgres(_) => {
            sql.push("annotations WHERE ");
            placed(&mut sql, words);
        }
        DbConn::Sqlite(_) => {
            sql.push("annotation_words WHERE annotation_words MATCH ").bind(words.fts5());
        }
    }
    sql.push(&format!(" LIMIT {WORD_PROBE}) found"));
    sql
}

/// Starts from the few messages that have the words.
fn having_words(conn: &DbConn, search: &Search, words: &Words, after: Option<Place>, rows: usize) -> Sql {
    let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM annotations WHERE "));
    match conn {
        DbConn::Postgres(_) => {
            placed(&mut sql, words);
        }
        DbConn::Sqlite(_) => {
            sql.push("seq IN (SELECT rowid FROM annotation_words WHERE annotation_words MATCH ");
            sql.bind(words.fts5()).push(")");
        }
    }
    let binds = &mut Binds::new(conn);
    active(&mut sql, binds, search.window);
    let conditions: Vec<&Condition> = search.conditions.fields.iter().collect();
    plain(&mut sql, binds, &conditions);
    beyond(&mut sql, binds, search.order, after);
    sql.push(&ending(search.order, rows));
    sql.once()
}

/// Starts from the few annotations that the caller may see.
fn among(conn: &DbConn, search: &Search, ids: &[Uuid], after: Option<Place>, rows: usize) -> Sql {
    let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM annotations WHERE id IN ("));
    let mut binds = Binds::new(conn);
    for (place, id) in ids.iter().enumerate() {
        sql.push(if place == 0 { "" } else { ", " });
        binds.push(&mut sql, id.as_bytes().to_vec().into());
    }
    sql.push(")");
    active(&mut sql, &mut binds, search.window);
    let conditions: Vec<&Condition> = search.conditions.fields.iter().collect();
    plain(&mut sql, &mut binds, &conditions);
    beyond(&mut sql, &mut binds, search.order, after);
    sql.push(&ending(search.order, rows));
    sql.once()
}

/// One range read for each class of durations, merged: annotations of a class that are active in the window start in
/// a known range. Every read comes in the order of its index and ends at the limit.
fn in_window(conn: &DbConn, search: &Search, after: Option<Place>, rows: usize) -> Sql {
    let (driver, others) = split(&search.conditions.fields);
    let mut part = Part { search, driver, others: &others, after, binds: Binds::new(conn) };
    let ending = ending(search.order, rows);
    let mut sql = Sql::default();
    match conn {
        // Planned once for all classes: as a part of the statement for each, planning takes longer than reading.
        DbConn::Postgres(_) => {
            let classes = LONGEST.iter().enumerate().map(|(class, longest)| format!("({class}, {longest})"));
            let classes: Vec<String> = classes.collect();
            sql.push(&format!(
                "SELECT found.* FROM (VALUES {}) AS class (span, longest), ",
                classes.join(", ")
            ));
            sql.push(&format!("LATERAL (SELECT {COLUMNS} FROM annotations WHERE "));
            part.push(&mut sql, "class.span", "class.longest");
            sql.push(&ending).push(") AS found");
        }
        // Nothing but the parts: SQLite then merges them as they come. With an order of its own it would sort each.
        DbConn::Sqlite(_) => {
            let index = driver.map(named_index).unwrap_or_default();
            for (class, longest) in LONGEST.iter().enumerate() {
                sql.push(if class == 0 { "" } else { " UNION ALL " });
                sql.push(&format!("SELECT {COLUMNS} FROM annotations{index} WHERE "));
                part.push(&mut sql, &class.to_string(), &longest.to_string());
            }
        }
    }
    sql.push(&ending);
    if others.len() > 1 { sql.once() } else { sql }
}

/// What is asked of the annotations of one class.
struct Part<'a> {
    search: &'a Search,
    driver: Option<&'a Condition>,
    others: &'a [&'a Condition],
    after: Option<Place>,
    binds: Binds,
}

impl Part<'_> {
    fn push(&mut self, sql: &mut Sql, class: &str, longest: &str) {
        let Self { search, driver, others, after, binds } = self;
        sql.push(&format!("span = {class}"));
        active(sql, binds, search.window);
        sql.push(" AND start_us >= ");
        binds.push(sql, search.window.start.into());
        sql.push(&format!(" - {longest}"));
        if let Some(condition) = driver {
            indexed(sql, binds, condition);
        }
        plain(sql, binds, others);
        beyond(sql, binds, search.order, *after);
        binds.repeat();
    }
}

/// The condition to read an index by, and the others, in one order whatever the client's.
fn split(conditions: &[Condition]) -> (Option<&Condition>, Vec<&Condition>) {
    let mut others: Vec<&Condition> = conditions.iter().collect();
    others.sort_by_key(|condition| condition.field);
    let driver = others.iter().position(|condition| condition.verb == Verb::Is);
    let driver = driver.map(|place| others.remove(place));
    (driver, others)
}

/// Values of a statement that repeats its parts: each is bound in the first part, and referred to by its number in
/// the others.
struct Binds {
    mark: char,
    next: usize,
    is_first: bool,
}

impl Binds {
    fn new(conn: &DbConn) -> Self {
        let mark = match conn {
            DbConn::Postgres(_) => '$',
            DbConn::Sqlite(_) => '?',
        };
        Self { mark, next: 1, is_first: true }
    }

    fn push(&mut self, sql: &mut Sql, value: Bind) {
        if self.is_first {
            sql.bind(value);
        } else {
            sql.push(&format!("{}{}", self.mark, self.next));
        }
        self.next += 1;
    }

    /// The next part has the same values.
    fn repeat(&mut self) {
        (self.next, self.is_first) = (1, false);
    }
}

/// Annotations that are active in the window.
fn active(sql: &mut Sql, binds: &mut Binds, window: Window) {
    sql.push(" AND start_us <= ");
    binds.push(sql, window.end.into());
    sql.push(" AND end_us >= ");
    binds.push(sql, window.start.into());
}

/// Characters of a value that are in its index.
const INDEXED_CHARS: usize = 200;

/// SQLite knows nothing of how many rows have a value, and then takes the index of times: it is told which to take.
fn named_index(condition: &Condition) -> String {
    // Almost no annotation has a URL; those that have none are in no index of their own.
    let has_index = condition.field != Field::Url || !condition.value.is_empty();
    if has_index { format!(" INDEXED BY annotations_{}", column(condition.field)) } else { String::new() }
}

/// Written as the index is, so that this one condition, and no other, is read from an index.
fn indexed(sql: &mut Sql, binds: &mut Binds, condition: &Condition) {
    let Condition { field, value, .. } = condition;
    let column = column(*field);
    let beginning: String = value.chars().take(INDEXED_CHARS).collect();
    let is_whole = value.chars().nth(INDEXED_CHARS - 1).is_none();
    sql.push(&format!(" AND substr({column}, 1, {INDEXED_CHARS}) = "));
    binds.push(sql, beginning.into());
    if !is_whole {
        // Not the column alone: SQLite would put the value in its place above too, and not see the index any more.
        sql.push(&format!(" AND ({column} || '') = "));
        binds.push(sql, value.as_str().into());
    }
    if *field == Field::Url && !value.is_empty() {
        sql.push(" AND url <> ''");
    }
}

fn plain(sql: &mut Sql, binds: &mut Binds, conditions: &[&Condition]) {
    for Condition { field, verb, value } in conditions {
        let operator = if *verb == Verb::Is { "=" } else { "<>" };
        sql.push(&format!(" AND {} {operator} ", column(*field)));
        binds.push(sql, value.as_str().into());
    }
}

fn beyond(sql: &mut Sql, binds: &mut Binds, order: Order, after: Option<Place>) {
    let Some(Place { start, id }) = after else { return };
    let beyond = if order == Order::Oldest { ">" } else { "<" };
    sql.push(&format!(" AND (start_us, id) {beyond} ("));
    binds.push(sql, start.into());
    sql.push(", ");
    binds.push(sql, id.as_bytes().to_vec().into());
    sql.push(")");
}

fn ending(order: Order, rows: usize) -> String {
    match order {
        Order::Oldest => format!(" ORDER BY start_us, id LIMIT {rows}"),
        Order::Newest => format!(" ORDER BY start_us DESC, id DESC LIMIT {rows}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DbError, MIGRATIONS};
    use super::*;
    use diesel::QueryableByName;
    use diesel::sql_types::Text;
    use shared::db::{Db, Target};

    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    /// What `SQLite` does for a list, step by step; an index that is named and cannot be used is an error.
    fn plan(conn: &mut DbConn, search: &Search) -> Result<Vec<String>, DbError> {
        let mut sql = Sql::new("EXPLAIN QUERY PLAN ");
        sql.append(list(conn, search, false, None, 100));
        let steps: Vec<Step> = sql.rows(conn)?;
        Ok(steps.into_iter().map(|step| step.detail).collect())
    }

    #[test]
    fn a_condition_is_read_from_its_own_index_in_the_order_of_the_answer() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::Sqlite { file: folder.path().join("annotate.sqlite") };
        let db = Db::open(target, 2, MIGRATIONS).unwrap();
        let fields =
            [Field::CreationUser, Field::Url, Field::Source, Field::Host, Field::Owner, Field::Category];
        let long = "é".repeat(INDEXED_CHARS + 1);
        for (field, value) in
            fields.into_iter().flat_map(|field| ["", "x", &long].map(|value| (field, value)))
        {
            let condition = Condition { field, verb: Verb::Is, value: value.to_owned() };
            let not = Condition { field: Field::Owner, verb: Verb::IsNot, value: "y".to_owned() };
            let mut search = Search { window: Window { start: 0, end: 86_400_000_000 }, ..Search::default() };
            search.conditions.fields = vec![not, condition];
            let steps = db.write_blocking(|conn| plan(conn, &search)).unwrap();
            let own = if value.is_empty() && field == Field::Url { "time" } else { column(field) };
            let reads = steps.iter().filter(|step| step.starts_with("SEARCH"));
            let index = format!("USING INDEX annotations_{own} ");
            assert!(reads.clone().all(|step| step.contains(&index)), "{field:?} {value}: {steps:?}");
            assert_eq!(reads.count(), LONGEST.len(), "{field:?} {value}");
            assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{field:?} {value}: {steps:?}");
        }
    }
}
