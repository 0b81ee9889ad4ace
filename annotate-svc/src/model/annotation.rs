//! The annotation and its wire form (annotate.md, section 2).

use super::stamp::{Form, Stamp};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

/// The texts of an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Free text.
    Message,
    /// The person; empty for machines.
    CreationUser,
    /// A link.
    Url,
    /// The system that made it.
    Source,
    /// Host name.
    Host,
    /// Team.
    Owner,
    /// Kind of thing.
    Category,
}

impl Field {
    /// All of them, in the order of the wire form.
    pub const ALL: [Self; 7] =
        [Self::Message, Self::CreationUser, Self::Url, Self::Source, Self::Host, Self::Owner, Self::Category];

    /// Those whose values are counted and listed.
    pub const COUNTED: [Self; 6] =
        [Self::CreationUser, Self::Url, Self::Source, Self::Host, Self::Owner, Self::Category];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "Message",
            Self::CreationUser => "CreationUser",
            Self::Url => "Url",
            Self::Source => "Source",
            Self::Host => "Host",
            Self::Owner => "Owner",
            Self::Category => "Category",
        }
    }

    /// The field of exactly this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// The seven texts; "" when empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts([String; 7]);

impl Texts {
    /// One of them.
    #[must_use]
    pub fn get(&self, field: Field) -> &str {
        let [message, user, url, source, host, owner, category] = &self.0;
        match field {
            Field::Message => message,
            Field::CreationUser => user,
            Field::Url => url,
            Field::Source => source,
            Field::Host => host,
            Field::Owner => owner,
            Field::Category => category,
        }
    }

    /// Sets one of them.
    pub fn set(&mut self, field: Field, text: String) {
        let [message, user, url, source, host, owner, category] = &mut self.0;
        *match field {
            Field::Message => message,
            Field::CreationUser => user,
            Field::Url => url,
            Field::Source => source,
            Field::Host => host,
            Field::Owner => owner,
            Field::Category => category,
        } = text;
    }

    /// All of them with their names, in the order of the wire form.
    pub fn iter(&self) -> impl Iterator<Item = (Field, &str)> {
        Field::ALL.into_iter().zip(self.0.iter().map(String::as_str))
    }
}

/// An annotation as it is stored. Its own serialization is that of the history; the wire has [`Annotation::wire`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// Given by the service.
    pub id: Uuid,
    /// The seven texts.
    pub texts: Texts,
    /// Begin.
    pub start: Stamp,
    /// End, never before the begin.
    pub end: Stamp,
    /// Tags of an imported annotation, as they came; empty for all others.
    pub tags: Vec<String>,
}

impl Annotation {
    /// Its tags for clients that know tags: those of its import, else its category, owner, host and source.
    #[must_use]
    pub fn shown_tags(&self) -> Vec<String> {
        if !self.tags.is_empty() {
            return self.tags.clone();
        }
        let fields = [Field::Category, Field::Owner, Field::Host, Field::Source];
        let values = fields.into_iter().map(|field| self.texts.get(field));
        values.filter(|value| !value.is_empty()).map(str::to_owned).collect()
    }

    /// The object in one of the two forms of dates.
    #[must_use]
    pub fn wire(&self, form: Form) -> Wire<'_> {
        Wire { annotation: self, form }
    }
}

/// An annotation with what the store knows about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The annotation.
    pub annotation: Annotation,
    /// Number in the order of creation; Grafana's id.
    pub seq: i64,
    /// 1 when new, one more with every change.
    pub version: i64,
}

/// The wire form: ten members, always all of them, in this order.
#[derive(Debug, Clone, Copy)]
pub struct Wire<'a> {
    annotation: &'a Annotation,
    form: Form,
}

impl Serialize for Wire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Annotation { id, texts, start, end, .. } = self.annotation;
        let mut map = serializer.serialize_map(Some(10))?;
        map.serialize_entry("Id", id)?;
        for (field, text) in texts.iter() {
            map.serialize_entry(field.name(), text)?;
        }
        for (name, date) in [("StartDate", start), ("EndDate", end)] {
            match self.form {
                Form::Rfc3339 => map.serialize_entry(name, &date.rfc3339())?,
                Form::Epoch => map.serialize_entry(name, &date.secs())?,
            }
        }
        map.end()
    }
}

/// What a client sent: any part of an annotation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// "" when not set.
    pub id: String,
    /// The texts that were sent.
    pub texts: Vec<(Field, String)>,
    /// Begin, if set.
    pub start: Option<Stamp>,
    /// End, if set.
    pub end: Option<Stamp>,
    /// Tags, if it is an import.
    pub tags: Option<Vec<String>>,
    /// The form its dates had, and the answer's will have.
    pub form: Form,
}

impl Draft {
    /// Makes the whole annotation: what is missing becomes "", a missing date the other one, both missing `now`.
    ///
    /// # Errors
    /// When it would end before it starts.
    pub fn complete(self, id: Uuid, now: Stamp) -> Result<Annotation, EndsBeforeStart> {
        let (start, end) = match (self.start, self.end) {
            (Some(start), Some(end)) => (start, end),
            (Some(only), None) | (None, Some(only)) => (only, only),
            (None, None) => (now, now),
        };
        let mut annotation =
            Annotation { id, texts: Texts::default(), start, end, tags: self.tags.unwrap_or_default() };
        annotation.set(self.texts)?;
        Ok(annotation)
    }

    /// Lays what was sent over `annotation`.
    ///
    /// # Errors
    /// When it would end before it starts.
    pub fn patch(self, annotation: &mut Annotation) -> Result<(), EndsBeforeStart> {
        annotation.start = self.start.unwrap_or(annotation.start);
        annotation.end = self.end.unwrap_or(annotation.end);
        annotation.tags = self.tags.unwrap_or(std::mem::take(&mut annotation.tags));
        annotation.set(self.texts)
    }
}

impl Annotation {
    fn set(&mut self, texts: Vec<(Field, String)>) -> Result<(), EndsBeforeStart> {
        for (field, text) in texts {
            self.texts.set(field, text);
        }
        if self.end.micros < self.start.micros { Err(EndsBeforeStart) } else { Ok(()) }
    }
}

/// The end of an annotation is before its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("EndDate is before StartDate")]
pub struct EndsBeforeStart;
