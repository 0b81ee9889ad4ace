//! The path language of trait definitions: which places of a notification a trait is taken from.
//!
//! It is the language of two Python packages, `jsonpath-rw` and its extension `jsonpath-rw-ext`, with
//! their precedences and their peculiarities, since definition files are written against them. A path is
//! parsed once ([`Path::parse`]) and then walked over documents ([`Path::visit`]); a walk hands each match
//! to a callback and can be stopped by it, so the common case, the first match, does no more work than
//! needed and allocates nothing.
//!
//! Where the originals fail on a document (an index into a number, the parent of the root), nothing
//! matches.

mod eval;
mod lexer;
mod operators;
mod parser;

use std::ops::ControlFlow;

use regex::Regex;
use serde_json::Value;

pub(super) use eval::Place;

/// Which of the two packages' languages a path is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grammar {
    /// `jsonpath-rw`.
    Plain,
    /// `jsonpath-rw-ext`: filters, sorting, arithmetic, `` `len` ``, `` `sub` ``, `` `split` ``.
    Extended,
}

/// A parsed path.
#[derive(Debug)]
pub(super) enum Path {
    /// `$`
    Root,
    /// `` `this` `` or `@`
    This,
    /// `` `parent` ``
    Parent,
    /// `a`, `a,b`
    Fields(Vec<String>),
    /// `*`
    AnyField,
    /// `[0]`, from the end if negative
    Index(i64),
    /// `[0:2]`, `[*]`
    Slice(Option<i64>, Option<i64>),
    /// `a.b`
    Child(Box<Self>, Box<Self>),
    /// `a..b`
    Descendants(Box<Self>, Box<Self>),
    /// `a|b`, and lists of paths
    Union(Box<Self>, Box<Self>),
    /// `a where b`
    Where(Box<Self>, Box<Self>),
    /// `[?a=1 & b]`
    Filter(Vec<Condition>),
    /// `[/a,\b]`: keys and whether each is descending; none for `` `sorted` ``
    Sort(Vec<(Self, bool)>),
    /// `` `len` ``
    Len,
    /// `` `split(., 0, -1)` ``: separator, segment, most cuts (`None`: no limit)
    Split(char, usize, Option<usize>),
    /// `` `sub(/regex/, replacement)` ``
    Sub(Regex, operators::Replacement),
    /// `a + b`
    Arithmetic(Operand, char, Operand),
}

/// One side of an arithmetic operation.
#[derive(Debug)]
pub(super) enum Operand {
    /// A number; or a lone name, which stands for itself as text and not for a field.
    Constant(Value),
    /// Anything longer.
    Path(Box<Path>),
}

/// One condition of a filter.
#[derive(Debug)]
pub(super) struct Condition {
    target: Path,
    /// Without a test it is enough that the target exists.
    test: Option<operators::Test>,
}

/// A walk was stopped because it took too many steps; see [`eval::MAX_STEPS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooManySteps;

impl Path {
    /// Parses a path.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn parse(text: &str, grammar: Grammar) -> Result<Self, String> {
        parser::parse(text, grammar)
    }

    /// The matches of one path after those of another.
    pub(super) fn or(self, other: Self) -> Self {
        Self::Union(Box::new(self), Box::new(other))
    }

    /// Hands every match to `found`, in order, until it breaks.
    ///
    /// # Errors
    /// [`TooManySteps`] if the walk had to be given up; the matches handed over before are good.
    pub(super) fn visit(
        &self,
        document: &Value,
        found: &mut dyn FnMut(&Place<'_>) -> ControlFlow<()>,
    ) -> Result<(), TooManySteps> {
        eval::visit(self, document, found)
    }
}

#[cfg(test)]
mod tests;
