//! The operators of the extended grammar that look into values: filter tests, `` `split` ``, `` `sub` ``,
//! sorting and arithmetic.

use std::cmp::Ordering;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

use super::super::python::{self, Number};
use super::Path;

/// How a filter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Comparison {
    /// `=` or `==`
    Eq,
    /// `!=`
    Ne,
    /// `<=`
    Le,
    /// `<`
    Lt,
    /// `>=`
    Ge,
    /// `>`
    Gt,
    /// `~`: the regular expression matches at the start of the text
    Like,
}

impl Comparison {
    const SIGNS: [(&'static str, Self); 8] = [
        ("==", Self::Eq),
        ("!=", Self::Ne),
        ("<=", Self::Le),
        (">=", Self::Ge),
        ("=", Self::Eq),
        ("<", Self::Lt),
        (">", Self::Gt),
        ("~", Self::Like),
    ];

    /// The comparison a text starts with, and what follows it.
    pub(super) fn read(text: &str) -> Option<(Self, &str)> {
        Self::SIGNS.iter().find_map(|(sign, own)| text.strip_prefix(sign).map(|rest| (*own, rest)))
    }

    /// Its sign, for messages.
    pub(super) fn sign(self) -> &'static str {
        Self::SIGNS.iter().find(|(_, own)| *own == self).map_or("", |(sign, _)| sign)
    }
}

/// The right side of a condition in a filter.
#[derive(Debug)]
pub(in super::super) enum Test {
    /// Compared as it is.
    Value(Comparison, Value),
    /// The value is first made an integer, as is a boolean on the right side.
    Integer(Comparison, Value),
    /// `~`
    Like(Regex),
}

impl Test {
    pub(super) fn text(comparison: Comparison, text: &str) -> Result<Self, String> {
        if comparison == Comparison::Like {
            return regex(&format!(r"\A(?:{text})")).map(Self::Like);
        }
        Ok(Self::Value(comparison, text.into()))
    }

    pub(super) fn integer(comparison: Comparison, number: i64) -> Self {
        Self::Integer(comparison, number.into())
    }

    pub(super) fn float(comparison: Comparison, number: f64) -> Self {
        Self::Value(comparison, number.into())
    }

    /// Whether a value passes; null never does, and what cannot be compared does not.
    pub(super) fn holds(&self, value: &Value) -> bool {
        match self {
            _ if value.is_null() => false,
            Self::Value(comparison, right) => holds(*comparison, value, right),
            Self::Integer(comparison, right) => match python::integer(value) {
                Some(whole) => holds(*comparison, &Number::Int(whole).into_value(), right),
                None => false,
            },
            Self::Like(regex) => value.as_str().is_some_and(|text| regex.is_match(text)),
        }
    }
}

fn holds(comparison: Comparison, left: &Value, right: &Value) -> bool {
    let ordered = |wanted: fn(Ordering) -> bool| python::compare(left, right).is_some_and(wanted);
    match comparison {
        Comparison::Eq => python::equal(left, right),
        Comparison::Ne => !python::equal(left, right),
        Comparison::Le => ordered(Ordering::is_le),
        Comparison::Lt => ordered(Ordering::is_lt),
        Comparison::Ge => ordered(Ordering::is_ge),
        Comparison::Gt => ordered(Ordering::is_gt),
        Comparison::Like => false,
    }
}

/// Regular expressions run in linear time here, so look-around and back references are refused.
fn regex(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| format!("regular expression: {error}"))
}

/// Parses `split(SEPARATOR, SEGMENT, MOST CUTS)`; -1 cuts without limit.
pub(super) fn parse_split(call: &str) -> Result<Path, String> {
    static FORM: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\Asplit\((.),\s+([0-9]+),\s+(-1|[0-9]+)\)").ok());
    let wrong = || format!("'{call}' is not split(SEPARATOR, SEGMENT, MAX)");
    let found = FORM.as_ref().and_then(|form| form.captures(call)).ok_or_else(wrong)?;
    let (_, [separator, segment, cuts]) = found.extract();
    let separator = separator.chars().next().ok_or_else(wrong)?;
    let segment = segment.parse().ok().ok_or_else(wrong)?;
    let cuts = if cuts == "-1" { None } else { Some(cuts.parse().ok().ok_or_else(wrong)?) };
    Ok(Path::Split(separator, segment, cuts))
}

/// The segment of a text cut at a separator, at most `cuts` times.
pub(super) fn split(text: &str, separator: char, segment: usize, cuts: Option<usize>) -> Option<&str> {
    match cuts.and_then(|cuts| cuts.checked_add(1)) {
        Some(pieces) => text.splitn(pieces, separator).nth(segment),
        None => text.split(separator).nth(segment),
    }
}

/// Parses `sub(/REGEX/, REPLACEMENT)`.
pub(super) fn parse_sub(call: &str) -> Result<Path, String> {
    static FORM: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\Asub\(/(.*)/,\s+(.*)\)").ok());
    let wrong = || format!("'{call}' is not sub(/REGEX/, REPLACEMENT)");
    let found = FORM.as_ref().and_then(|form| form.captures(call)).ok_or_else(wrong)?;
    let (_, [pattern, replacement]) = found.extract();
    Ok(Path::Sub(regex(pattern.trim())?, Replacement::parse(replacement.trim())?))
}

/// What `sub` puts in the place of a match.
#[derive(Debug)]
pub(in super::super) struct Replacement(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    /// `\1`, `\g<1>`
    Group(usize),
    /// `\g<name>`
    Named(String),
}

impl Replacement {
    fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, escaped)) = rest.split_once('\\') {
            pieces.push(Piece::Text(before.to_owned()));
            let (piece, after) = Piece::parse(escaped).ok_or_else(|| format!("bad escape in '{text}'"))?;
            pieces.push(piece);
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    fn write(&self, captures: &Captures<'_>, out: &mut String) {
        for piece in &self.0 {
            out.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Group(number) => captures.get(*number).map_or("", |group| group.as_str()),
                Piece::Named(name) => captures.name(name).map_or("", |group| group.as_str()),
            });
        }
    }
}

impl Piece {
    /// The piece after a backslash, and what follows it.
    fn parse(escaped: &str) -> Option<(Self, &str)> {
        if let Some(named) = escaped.strip_prefix("g<") {
            let (name, rest) = named.split_once('>')?;
            return Some((name.parse().map_or_else(|_| Self::Named(name.to_owned()), Self::Group), rest));
        }
        let digits = escaped.chars().take(2).take_while(char::is_ascii_digit).count();
        if let Some((number, rest)) = escaped.split_at_checked(digits).filter(|_| digits > 0) {
            return Some((Self::Group(number.parse().ok()?), rest));
        }
        let (first, rest) = escaped.split_at_checked(escaped.chars().next()?.len_utf8())?;
        let text = match first {
            "n" => "\n",
            "r" => "\r",
            "t" => "\t",
            letter if letter.starts_with(|c: char| c.is_ascii_alphabetic()) => return None,
            "\\" => "\\",
            sign => return Some((Self::Text(format!("\\{sign}")), rest)),
        };
        Some((Self::Text(text.to_owned()), rest))
    }
}

/// The text with every match replaced; `None` if that changes nothing.
pub(super) fn substitute(text: &str, regex: &Regex, replacement: &Replacement) -> Option<String> {
    let replaced = regex.replace_all(text, |captures: &Captures<'_>| {
        let mut out = String::new();
        replacement.write(captures, &mut out);
        out
    });
    (replaced != text).then(|| replaced.into_owned())
}

/// `left SIGN right` as Python has it for numbers, texts and lists; `None` where it has nothing.
pub(super) fn calculate(left: &Value, sign: char, right: &Value, limit: usize) -> Option<Value> {
    match (left, sign, right) {
        (Value::String(left), '+', Value::String(right)) => Some(format!("{left}{right}").into()),
        (Value::Array(left), '+', Value::Array(right)) => Some(left.iter().chain(right).cloned().collect()),
        (text @ (Value::String(_) | Value::Array(_)), '*', times)
        | (times, '*', text @ (Value::String(_) | Value::Array(_))) => repeat(text, times, limit),
        _ => {
            let result = match (Number::of(left)?, Number::of(right)?) {
                (Number::Int(left), Number::Int(right)) => Number::Int(match sign {
                    '+' => left.checked_add(right)?,
                    '-' => left.checked_sub(right)?,
                    _ => left.checked_mul(right)?,
                }),
                (left, right) => {
                    let (left, right) = (left.as_f64(), right.as_f64());
                    Number::Float(match sign {
                        '+' => left + right,
                        '-' => left - right,
                        _ => left * right,
                    })
                }
            };
            Some(result.into_value())
        }
    }
}

/// A text or list several times over, if no longer than `limit` then.
fn repeat(value: &Value, times: &Value, limit: usize) -> Option<Value> {
    let Number::Int(times) = Number::of(times)? else { return None };
    let times = usize::try_from(times.max(0)).ok()?;
    if size(value).checked_mul(times)? > limit {
        return None;
    }
    match value {
        Value::String(text) => Some(text.repeat(times).into()),
        Value::Array(items) => Some(std::iter::repeat_n(items, times).flatten().cloned().collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// How many values and bytes of text a copy has.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        Value::String(text) => 1 + text.len(),
        Value::Array(items) => items.iter().fold(1, |sum, item| sum + size(item)),
        Value::Object(members) => {
            members.iter().fold(1, |sum, (name, member)| sum + name.len() + size(member))
        }
    }
}

/// A stable merge sort that gives up when two items have no order. The standard sort must not be used:
/// the order that sort keys give is not always total, and then it may panic.
pub(super) fn merge_sort<T: Copy>(
    items: &[T],
    is_less: &mut dyn FnMut(T, T) -> Option<bool>,
) -> Option<Vec<T>> {
    if items.len() < 2 {
        return Some(items.to_vec());
    }
    let (left, right) = items.split_at_checked(items.len() / 2)?;
    let (left, right) = (merge_sort(left, is_less)?, merge_sort(right, is_less)?);
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    let mut merged = Vec::with_capacity(items.len());
    while let (Some(first), Some(second)) = (left.peek(), right.peek()) {
        let next = if is_less(*second, *first)? { right.next() } else { left.next() };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    Some(merged)
}
