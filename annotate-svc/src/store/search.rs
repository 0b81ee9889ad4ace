//! The annotations of a window that meet conditions, page by page in the order of time.

use super::DbError;
use super::counts::list_values;
use super::row::load_stored;
use super::statement::{self, WORD_PROBE};
use crate::model::{Condition, Conditions, Field, Filter, Stored, Verb, Visible, Window};
use shared::db::DbConn;
use std::ops::RangeInclusive;
use uuid::Uuid;

/// Rows of one statement when some are left out afterwards.
const CHUNK: RangeInclusive<usize> = 200..=2000;

/// Rows that one page reads at most; a page may hold less than was asked for because of it.
const MAX_SCANNED: usize = 20_000;

/// Values that are looked through for those that an exact term of a filter means.
const MAX_VALUES: usize = 10_000;

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// When.
    pub window: Window,
    /// All must hold.
    pub conditions: Conditions,
    /// Must hold too.
    pub filter: Option<Filter>,
    /// Tags that must be there.
    pub tags: Vec<String>,
    /// One of them is enough.
    pub matches_any_tag: bool,
    /// Which annotations may be shown at all.
    pub visible: Visible,
    /// Order of the list.
    pub order: Order,
}

/// Orders of a list: by start, then by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Oldest first.
    #[default]
    Oldest,
    /// Newest first.
    Newest,
}

/// A place in the order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Begin of the annotation there, microseconds since 1970.
    pub start: i64,
    /// Its id.
    pub id: Uuid,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its annotations.
    pub found: Vec<Stored>,
    /// Where to go on; `None` when this was the last.
    pub next: Option<Place>,
}

impl Place {
    fn of(stored: &Stored) -> Self {
        Self { start: stored.annotation.start.micros, id: stored.annotation.id }
    }
}

/// Annotations that meet `search`, those after `after`, at most `most`. May be shorter and still not the last.
///
/// # Errors
/// When the database fails.
pub fn list_annotations(
    conn: &mut DbConn,
    search: &Search,
    after: Option<Place>,
    most: usize,
) -> Result<Page, DbError> {
    let mut found = Vec::new();
    let mut search = search.clone();
    narrow(conn, &mut search)?;
    if search.is_impossible() || most == 0 {
        return Ok(Page { found, next: None });
    }
    let by_words = is_rare(conn, &search)?;
    let has_residual = search.has_residual(by_words);
    let chunk =
        if has_residual { (most * 4).clamp(*CHUNK.start(), *CHUNK.end()) } else { most.saturating_add(1) };
    let (mut after, mut scanned) = (after, 0);
    loop {
        let sql = statement::list(conn, &search, by_words, after, chunk);
        let rows = load_stored(conn, sql)?;
        let is_last = rows.len() < chunk;
        scanned += rows.len();
        for stored in rows {
            let place = Place::of(&stored);
            if !has_residual || search.meets(&stored, by_words) {
                if found.len() == most {
                    return Ok(Page { found, next: after });
                }
                found.push(stored);
            }
            after = Some(place);
        }
        if is_last {
            return Ok(Page { found, next: None });
        }
        if scanned >= MAX_SCANNED {
            return Ok(Page { found, next: after });
        }
    }
}

/// Annotations with the words of `search`, best first, at most `most`.
///
/// # Errors
/// When the database fails.
pub fn list_relevant(conn: &mut DbConn, search: &Search, most: usize) -> Result<Vec<Stored>, DbError> {
    if search.is_impossible() {
        return Ok(Vec::new());
    }
    let sql = statement::relevant(conn, search, most);
    let found = load_stored(conn, sql)?.into_iter();
    Ok(found.filter(|stored| search.meets(stored, true)).collect())
}

/// Whether the words that are asked for are in so few messages that they are the best way in.
fn is_rare(conn: &mut DbConn, search: &Search) -> Result<bool, DbError> {
    let Some(words) = &search.conditions.words else { return Ok(false) };
    let sql = statement::count_words(conn, words);
    Ok(sql.number(conn)? < WORD_PROBE)
}

/// Makes exact terms of the filter into conditions that an index can answer: values that differ only in their letter
/// case are few, and the counters know them.
fn narrow(conn: &mut DbConn, search: &mut Search) -> Result<(), DbError> {
    let Some(filter) = &search.filter else { return Ok(()) };
    for (field, wanted) in filter.exact() {
        if !Field::COUNTED.contains(&field) || wanted.is_empty() || wanted == "empty" {
            continue;
        }
        let values = list_values(conn, field, MAX_VALUES)?;
        let is_complete = values.len() < MAX_VALUES;
        let mut meant =
            values.into_iter().map(|(value, _)| value).filter(|value| value.to_lowercase() == wanted);
        match (meant.next(), meant.next()) {
            (None, _) if is_complete => search.conditions.is_impossible = true,
            (Some(value), None) if is_complete => {
                // Beyond the bound of conditions the filter alone decides, as it does anyway.
                let _ = search.conditions.add(Condition { field, verb: Verb::Is, value });
            }
            (None | Some(_), _) => {}
        }
    }
    Ok(())
}

impl Search {
    /// Whether an annotation meets everything but the window.
    #[must_use]
    pub fn describes(&self, stored: &Stored) -> bool {
        let texts = &stored.annotation.texts;
        let meets = |condition: &Condition| {
            (texts.get(condition.field) == condition.value) == (condition.verb == Verb::Is)
        };
        !self.conditions.is_impossible
            && self.conditions.fields.iter().all(meets)
            && self.meets(stored, false)
    }

    /// Whether it is known without a look that nothing is found.
    fn is_impossible(&self) -> bool {
        self.conditions.is_impossible || self.visible.named().is_some_and(<[_]>::is_empty)
    }

    /// Whether some rows that the statement finds have to be left out afterwards.
    fn has_residual(&self, by_words: bool) -> bool {
        let has_words = self.conditions.words.as_ref().is_some_and(|words| !by_words || words.has_phrase());
        has_words
            || !self.conditions.without.is_empty()
            || self.filter.is_some()
            || !self.tags.is_empty()
            || !self.visible.is_all()
    }

    /// Whether an annotation meets what the statement did not check.
    fn meets(&self, stored: &Stored, by_words: bool) -> bool {
        let texts = &stored.annotation.texts;
        let message = texts.get(Field::Message);
        self.visible.has(stored.annotation.id)
            && self.filter.as_ref().is_none_or(|filter| filter.matches(texts))
            && self
                .conditions
                .words
                .as_ref()
                .is_none_or(|words| (by_words && !words.has_phrase()) || words.match_message(message))
            && !self.conditions.without.iter().any(|words| words.match_message(message))
            && self.has_tags(stored)
    }

    fn has_tags(&self, stored: &Stored) -> bool {
        if self.tags.is_empty() {
            return true;
        }
        let own = stored.annotation.shown_tags();
        let mut tags = self.tags.iter();
        if self.matches_any_tag {
            tags.any(|tag| own.contains(tag))
        } else {
            tags.all(|tag| own.contains(tag))
        }
    }
}
