//! Reading of request bodies: one document, or a list of documents for a bulk create (annotate.md, section 2).
//!
//! The first JSON value of the body counts, whatever follows it. Its dates are tried as RFC 3339, then as whole
//! seconds; the messages of both failures go to the client in Go's words.

use super::annotation::{Draft, Field};
use super::go::json::first_value;
use super::go::time::{int_message, parse_int, parse_rfc3339};
use super::stamp::{Form, Stamp};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What a body holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// One document.
    One(Box<Draft>),
    /// A list with at least one document.
    Many(Vec<Draft>),
}

/// Why a body cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Neither form of dates fits, or it is no annotation. The misspelling is the original's.
    #[error("Could not unmarhsal json in RFC3339 fmt or Epoch fmt: {0}, {1}")]
    Document(String, String),
    /// One document of a list.
    #[error("annotation {0}: {1}")]
    Element(usize, Box<Self>),
    /// The list is longer than this.
    #[error("a list may hold at most {0} annotations")]
    TooMany(usize),
    /// A text holds the character that no database keeps.
    #[error("{0} contains the character U+0000")]
    Nul(&'static str),
}

/// Reads a body; a list may hold up to `most` documents.
///
/// # Errors
/// [`Unreadable`]; its text goes to the client.
pub fn read_body(body: &[u8], most: usize) -> Result<Body, Unreadable> {
    let text = String::from_utf8_lossy(body);
    // A list is a bulk create only when it begins with an object; any other list fails as the original's decoder does.
    let inside = text.trim_start().strip_prefix('[').map(str::trim_start);
    if !inside.is_some_and(|inside| inside.starts_with('{')) {
        return read_draft(&text).map(|draft| Body::One(Box::new(draft)));
    }
    let value = first_value(&text).map_err(twice)?;
    let list: Vec<&RawValue> = serde_json::from_str(value).map_err(|cause| twice(cause.to_string()))?;
    if list.len() > most {
        return Err(Unreadable::TooMany(most));
    }
    let read = |(place, raw): (usize, &&RawValue)| {
        read_draft(raw.get()).map_err(|cause| Unreadable::Element(place, Box::new(cause)))
    };
    list.iter().enumerate().map(read).collect::<Result<_, _>>().map(Body::Many)
}

/// A failure that is the same for both forms of dates.
fn twice(cause: String) -> Unreadable {
    Unreadable::Document(cause.clone(), cause)
}

/// The members of an object in their order; `null` has none.
struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'t> Deserialize<'t> for Members<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'t> Visitor<'t> for Collect {
            type Value = Members<'t>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an annotation")
            }

            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

fn read_draft(text: &str) -> Result<Draft, Unreadable> {
    let value = first_value(text).map_err(twice)?;
    let members = match kind(value) {
        "object" => serde_json::from_str(value).map_err(|cause| twice(cause.to_string()))?,
        "null" => Members(Vec::new()),
        other => {
            let refused =
                |name| format!("json: cannot unmarshal {other} into Go value of type annotate.{name}");
            return Err(Unreadable::Document(refused("Annotation"), refused("EpochAnnotation")));
        }
    };
    let draft = draft(&members, Form::Rfc3339).or_else(|first| {
        draft(&members, Form::Epoch).map_err(|second| Unreadable::Document(first, second))
    })?;
    match draft.texts.iter().find(|(_, text)| text.contains('\0')) {
        Some((field, _)) => Err(Unreadable::Nul(field.name())),
        None => Ok(draft),
    }
}

/// Reads the members with their dates in one form. A bad date ends the reading, a text of another type is only
/// remembered, as in the original's decoder: so a bad date wins.
fn draft(members: &Members<'_>, form: Form) -> Result<Draft, String> {
    let mut draft = Draft { form, ..Draft::default() };
    let mut mistyped = None;
    for (name, value) in &members.0 {
        match member(name) {
            Some(Member::Start) => draft.start = date(value, form)?,
            Some(Member::End) => draft.end = date(value, form)?,
            Some(Member::Id | Member::Text(_)) if kind(value.get()) == "null" => {}
            Some(Member::Id) => match text(value) {
                Some(id) => draft.id = id,
                None => mistyped = mistyped.or_else(|| Some(wrong_type(value, form, "Id"))),
            },
            Some(Member::Text(field)) => match text(value) {
                Some(text) => draft.texts.push((field, text)),
                None => mistyped = mistyped.or_else(|| Some(wrong_type(value, form, field.name()))),
            },
            None => {}
        }
    }
    mistyped.map_or(Ok(draft), Err)
}

enum Member {
    Id,
    Start,
    End,
    Text(Field),
}

/// The member of this name in any letter case.
fn member(name: &str) -> Option<Member> {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    let fixed = [("Id", Member::Id), ("StartDate", Member::Start), ("EndDate", Member::End)];
    let fixed = fixed.into_iter().find(|(known, _)| is(known)).map(|(_, member)| member);
    fixed.or_else(|| Field::ALL.into_iter().find(|field| is(field.name())).map(Member::Text))
}

/// Reads a date; `None` when it is set to nothing.
fn date(value: &RawValue, form: Form) -> Result<Option<Stamp>, String> {
    let raw = value.get();
    let stamp = match form {
        // The text as it stands in the document: escapes are not resolved before the date is read.
        Form::Rfc3339 => match raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw) {
            "" => return Ok(None),
            inside => parse_rfc3339(inside)?,
        },
        Form::Epoch => {
            let beyond = || int_message(raw, "value out of range");
            Stamp::epoch(parse_int(raw)?).ok_or_else(beyond)?
        }
    };
    Ok((!stamp.is_unset()).then_some(stamp))
}

/// What kind of JSON value this is, in the words of Go's messages.
fn kind(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        Some(b'n') => "null",
        _ => "number",
    }
}

fn wrong_type(value: &RawValue, form: Form, field: &str) -> String {
    let owner = match form {
        Form::Rfc3339 => "Annotation",
        Form::Epoch => "EpochAnnotation",
    };
    format!(
        "json: cannot unmarshal {} into Go struct field {owner}.{field} of type string",
        kind(value.get())
    )
}

/// A string value. Half of a surrogate pair alone becomes U+FFFD, as in the original.
fn text(value: &RawValue) -> Option<String> {
    let raw = value.get();
    if !raw.starts_with('"') {
        return None;
    }
    serde_json::from_str(raw).ok().or_else(|| serde_json::from_str(&without_lone_surrogates(raw)).ok())
}

fn without_lone_surrogates(raw: &str) -> String {
    let mut units = Vec::new();
    let mut mended = String::new();
    let flush = |units: &mut Vec<u16>, mended: &mut String| {
        mended.push_str(&String::from_utf16_lossy(units));
        units.clear();
    };
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        let code = escape.get(2..6).and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let surrogate = code.filter(|code| escape.starts_with("\\u") && (0xD800..0xE000).contains(code));
        if !before.is_empty() || surrogate.is_none() {
            flush(&mut units, &mut mended);
        }
        mended.push_str(before);
        let length = match surrogate {
            Some(unit) => {
                units.push(unit);
                6
            }
            None => {
                mended.extend(escape.chars().take(2));
                2
            }
        };
        rest = escape.get(length..).unwrap_or_default();
    }
    flush(&mut units, &mut mended);
    mended + rest
}
