//! Words of messages, and searches for them. Both engines index the words that are cut here, so both find the same.
//!
//! A word is a run of letters and digits in any script, in lower case. Everything else separates.

use super::query::QueryError;

/// Words of one message that are indexed; what follows is not found.
const MAX_WORDS: usize = 10_000;

/// Characters of a word that count.
const MAX_WORD_CHARS: usize = 64;

/// Bytes of indexed words; PostgreSQL's tsvector holds a megabyte together with the places.
const MAX_BYTES: usize = 400_000;

/// Characters of a message from which on PostgreSQL may have forgotten the place of a word: it keeps 255 of each, and so
/// many of the shortest word with something between them are not longer.
pub const SURELY_PLACED_CHARS: usize = 510;

/// Terms of one search.
const MAX_TERMS: usize = 32;

/// The words of a text, at most [`MAX_WORDS`].
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let mut bytes = 0;
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(MAX_WORD_CHARS).flat_map(char::to_lowercase).collect::<String>())
        .take(MAX_WORDS)
        .take_while(|word| {
            bytes += word.len();
            bytes <= MAX_BYTES
        })
        .collect()
}

/// A search for words, all of which must be there. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Vec<Term>);

/// Words one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    words: Vec<String>,
    /// Whether the last one may go on.
    is_prefix: bool,
}

impl Words {
    /// Reads a search: words, `begin*`, `"a phrase"`.
    ///
    /// # Errors
    /// [`QueryError::EmptyMessage`] when there is no word in it.
    pub fn parse(search: &str) -> Result<Self, QueryError> {
        let mut terms = Vec::new();
        for (place, part) in search.split('"').enumerate() {
            // Every second part stands between quotes; the last quote may be missing.
            if place % 2 == 1 {
                terms.push(Term { words: words(part), is_prefix: part.ends_with('*') });
            } else {
                let term = |word: &str| Term { words: words(word), is_prefix: word.ends_with('*') };
                terms.extend(part.split_whitespace().map(term));
            }
        }
        terms.retain(|term| !term.words.is_empty());
        if terms.is_empty() {
            return Err(QueryError::EmptyMessage);
        }
        if terms.len() > MAX_TERMS {
            return Err(QueryError::Invalid(format!("a search may have at most {MAX_TERMS} words")));
        }
        Ok(Self(terms))
    }

    /// Asks for the words of `other` too.
    pub(super) fn and(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether a message has them.
    #[must_use]
    pub fn match_message(&self, message: &str) -> bool {
        let message = words(message);
        self.0.iter().all(|term| message.windows(term.words.len()).any(|window| term.meets(window)))
    }

    /// The search in SQLite's FTS5 language.
    #[must_use]
    pub fn fts5(&self) -> String {
        let term =
            |term: &Term| format!("\"{}\"{}", term.words.join(" "), if term.is_prefix { " *" } else { "" });
        self.0.iter().map(term).collect::<Vec<_>>().join(" AND ")
    }

    /// The search as PostgreSQL's tsquery.
    #[must_use]
    pub fn tsquery(&self) -> String {
        self.tsquery_with(" <-> ")
    }

    /// Whether words must follow each other.
    #[must_use]
    pub fn has_phrase(&self) -> bool {
        self.0.iter().any(|term| term.words.len() > 1)
    }

    /// The search as PostgreSQL's tsquery, wherever in the message the words of a phrase are.
    #[must_use]
    pub fn loose_tsquery(&self) -> String {
        self.tsquery_with(" & ")
    }

    fn tsquery_with(&self, between: &str) -> String {
        let term = |term: &Term| {
            let quoted: Vec<String> = term.words.iter().map(|word| format!("'{word}'")).collect();
            format!("({}{})", quoted.join(between), if term.is_prefix { ":*" } else { "" })
        };
        self.0.iter().map(term).collect::<Vec<_>>().join(" & ")
    }
}

impl Term {
    fn meets(&self, window: &[String]) -> bool {
        let last = self.words.len().saturating_sub(1);
        self.words.iter().zip(window).enumerate().all(|(place, (wanted, word))| {
            if self.is_prefix && place == last { word.starts_with(wanted.as_str()) } else { word == wanted }
        })
    }
}

/// A message's words with their places, as PostgreSQL's tsvector.
#[must_use]
pub fn tsvector(message: &str) -> String {
    let placed =
        words(message).into_iter().enumerate().map(|(place, word)| format!("'{word}':{}", place + 1));
    placed.collect::<Vec<_>>().join(" ")
}
