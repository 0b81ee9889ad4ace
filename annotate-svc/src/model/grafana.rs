//! Grafana's own annotations, as an import path (annotate.md, section 11): text, times in milliseconds, tags.
//!
//! A tag `owner:sre` sets the field; the first tag that names no field becomes the category. All tags are kept as
//! they came and go out again.

use super::annotation::{Draft, Field, Stored};
use super::stamp::Stamp;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// Most tags of an annotation.
const MAX_TAGS: usize = 100;

/// Body of a create, update or patch. Other members (dashboards, panels) are not kept.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Import {
    #[serde(default)]
    time: Option<i64>,
    #[serde(rename = "timeEnd", default)]
    time_end: Option<i64>,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    text: Option<String>,
}

/// Body of a Graphite event.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct GraphiteImport {
    #[serde(default)]
    what: String,
    #[serde(default)]
    when: Option<i64>,
    #[serde(default, deserialize_with = "list_or_words")]
    tags: Vec<String>,
    #[serde(default)]
    data: Option<String>,
}

/// Tags as a list, or in one text with blanks between them, as older Graphite has them.
fn list_or_words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        List(Vec<String>),
        Text(String),
        Nothing(()),
    }
    Ok(match Form::deserialize(deserializer)? {
        Form::List(list) => list,
        Form::Text(text) => text.split_whitespace().map(str::to_owned).collect(),
        Form::Nothing(()) => Vec::new(),
    })
}

/// What an import changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A new annotation: it needs a text.
    Create,
    /// All of an annotation: it needs a text, and dates that are not given stay.
    Update,
    /// Some of an annotation.
    Patch,
}

impl Import {
    /// The draft of it.
    ///
    /// # Errors
    /// Says what cannot be used.
    pub fn draft(self, purpose: Purpose) -> Result<Draft, String> {
        let text = self.text.filter(|text| !text.is_empty());
        if text.is_none() && purpose != Purpose::Patch {
            return Err("text field should not be empty".into());
        }
        let mut draft = Draft {
            start: date("time", self.time)?,
            end: date("timeEnd", self.time_end)?,
            ..Draft::default()
        };
        if purpose != Purpose::Patch && draft.start.is_some() && draft.end.is_none() {
            draft.end = draft.start;
        }
        if purpose == Purpose::Create {
            draft.texts.push((Field::Source, "grafana".to_owned()));
        }
        draft.texts.extend(text.map(|text| (Field::Message, text)));
        let tags = if purpose == Purpose::Patch { self.tags } else { Some(self.tags.unwrap_or_default()) };
        tagged(draft, tags)
    }
}

impl GraphiteImport {
    /// The draft of it.
    ///
    /// # Errors
    /// Says what cannot be used.
    pub fn draft(self) -> Result<Draft, String> {
        if self.what.is_empty() {
            return Err("what field should not be empty".into());
        }
        let data = self.data.filter(|data| !data.is_empty());
        let text = data.map_or(self.what.clone(), |data| format!("{}\n{data}", self.what));
        let when = match self.when {
            None | Some(0) => None,
            Some(secs) => Some(Stamp::epoch(secs).ok_or("when is out of range")?),
        };
        let texts = vec![(Field::Source, "graphite".to_owned()), (Field::Message, text)];
        tagged(Draft { start: when, end: when, texts, ..Draft::default() }, Some(self.tags))
    }
}

/// Milliseconds; 0 means not given, as in Grafana.
fn date(name: &str, millis: Option<i64>) -> Result<Option<Stamp>, String> {
    let Some(millis) = millis.filter(|millis| *millis != 0) else { return Ok(None) };
    Stamp::epoch_millis(millis).map(Some).ok_or_else(|| format!("{name} is out of range"))
}

fn tagged(mut draft: Draft, tags: Option<Vec<String>>) -> Result<Draft, String> {
    let Some(tags) = tags else { return check(draft) };
    if tags.len() > MAX_TAGS {
        return Err(format!("at most {MAX_TAGS} tags"));
    }
    let mut category = None;
    for tag in &tags {
        match tag.split_once(':').and_then(|(key, value)| Some((keyword(key)?, value))) {
            Some((field, value)) => draft.texts.push((field, value.to_owned())),
            None => category = category.or(Some(tag)),
        }
    }
    if let Some(tag) = category
        && !draft.texts.iter().any(|(field, _)| *field == Field::Category)
    {
        draft.texts.push((Field::Category, tag.clone()));
    }
    draft.tags = Some(tags);
    check(draft)
}

fn check(draft: Draft) -> Result<Draft, String> {
    let tags = draft.tags.iter().flatten();
    let has_nul = draft.texts.iter().map(|(_, text)| text).chain(tags).any(|text| text.contains('\0'));
    if has_nul { Err("a text contains the character U+0000".into()) } else { Ok(draft) }
}

fn keyword(key: &str) -> Option<Field> {
    match key {
        "owner" => Some(Field::Owner),
        "user" => Some(Field::CreationUser),
        "host" => Some(Field::Host),
        "category" => Some(Field::Category),
        "source" => Some(Field::Source),
        "url" => Some(Field::Url),
        _ => None,
    }
}

/// An annotation as Grafana lists it. What only Grafana has (dashboards, alerts) is empty.
#[must_use]
pub fn grafana_object(stored: &Stored) -> Value {
    let annotation = &stored.annotation;
    json!({
        "id": stored.seq, "alertId": 0, "alertName": "", "dashboardId": 0, "panelId": 0, "userId": 0,
        "newState": "", "prevState": "",
        "time": annotation.start.millis(), "timeEnd": annotation.end.millis(),
        "text": annotation.texts.get(Field::Message), "tags": annotation.shown_tags(),
        "login": annotation.texts.get(Field::CreationUser), "email": "", "avatarUrl": "", "data": {},
    })
}

/// An annotation as Graphite lists events.
#[must_use]
pub fn graphite_object(stored: &Stored) -> Value {
    let annotation = &stored.annotation;
    let message = annotation.texts.get(Field::Message);
    let (what, data) = message.split_once('\n').unwrap_or((message, ""));
    json!({
        "id": stored.seq, "what": what, "when": annotation.start.secs(), "tags": annotation.shown_tags(),
        "data": data,
    })
}
