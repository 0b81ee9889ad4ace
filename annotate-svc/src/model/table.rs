//! Columns and figures of Bosun's expression functions (annotate.md, section 10).

use super::annotation::{Annotation, Field};
use super::stamp::{Form, Stamp};
use serde_json::Value;

/// Characters of a link's text.
const MAX_LINK_CHARS: usize = 40;

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Begin.
    Start,
    /// End.
    End,
    /// One of the texts.
    Text(Field),
    /// The URL as HTML, cut to 40 characters.
    Link,
    /// `HHH:MM:SS`
    Duration,
}

impl Column {
    const ALL: [Self; 10] = [
        Self::Start,
        Self::End,
        Self::Text(Field::Owner),
        Self::Text(Field::CreationUser),
        Self::Text(Field::Host),
        Self::Text(Field::Category),
        Self::Text(Field::Url),
        Self::Link,
        Self::Text(Field::Message),
        Self::Duration,
    ];

    /// Reads `start,owner,…`; blank means all columns.
    ///
    /// # Errors
    /// The original's text for an unknown column.
    pub fn list(names: &str) -> Result<Vec<Self>, String> {
        if names.trim().is_empty() {
            return Ok(Self::ALL.to_vec());
        }
        if names.split(',').count() > Self::ALL.len() {
            return Err(format!("at most {} columns", Self::ALL.len()));
        }
        let named = |name: &str| {
            Self::ALL.into_iter().find(|column| column.name() == name.trim()).ok_or_else(|| {
                format!(
                    "{name} is not a valid column, must be start, end, owner, user, host, category, url, link, or message"
                )
            })
        };
        names.split(',').map(named).collect()
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::End => "end",
            Self::Text(Field::Owner) => "owner",
            Self::Text(Field::CreationUser) => "user",
            Self::Text(Field::Host) => "host",
            Self::Text(Field::Category) => "category",
            Self::Text(Field::Url) => "url",
            Self::Text(Field::Message) => "message",
            Self::Text(Field::Source) => "source",
            Self::Link => "link",
            Self::Duration => "duration",
        }
    }

    /// Its value in a row.
    #[must_use]
    pub fn value(self, annotation: &Annotation, form: Form) -> Value {
        let date = |stamp: Stamp| match form {
            Form::Rfc3339 => Value::from(stamp.rfc3339()),
            Form::Epoch => Value::from(stamp.secs()),
        };
        match self {
            Self::Start => date(annotation.start),
            Self::End => date(annotation.end),
            Self::Text(field) => annotation.texts.get(field).into(),
            Self::Link => link(annotation.texts.get(Field::Url)).into(),
            Self::Duration => duration(annotation.end.secs() - annotation.start.secs()).into(),
        }
    }
}

/// The link as HTML. The original links anything; here only http and https become links, and everything is escaped.
fn link(url: &str) -> String {
    let escaped = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&#34;")
            .replace('\'', "&#39;")
    };
    let short: String = url.chars().take(MAX_LINK_CHARS).collect();
    let lower = url.get(..8).unwrap_or(url).to_ascii_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        format!(
            "<a href=\"{}\" target=\"_blank\" rel=\"noopener noreferrer\">{}</a>",
            escaped(url),
            escaped(&short)
        )
    } else {
        escaped(&short)
    }
}

/// `HHH:MM:SS`, which sorts as text up to 999 hours.
fn duration(secs: i64) -> String {
    format!("{:03}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
}

/// For each annotation how much of it lies in the window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// 1 when it lies in the window or covers it, else the part that lies inside.
    pub counts: Vec<f64>,
    /// Seconds inside the window.
    pub durations: Vec<f64>,
}

impl Stats {
    /// Of annotations that are active in the window.
    #[must_use]
    pub fn of<'a>(annotations: impl Iterator<Item = &'a Annotation>, start: Stamp, end: Stamp) -> Self {
        let mut stats = Self::default();
        for annotation in annotations {
            let (from, to) = (annotation.start.micros, annotation.end.micros);
            let inside = (to.min(end.micros) - from.max(start.micros)).max(0);
            let covers = from < start.micros && to > end.micros;
            let is_whole = covers || inside == to - from;
            stats.counts.push(if is_whole { 1.0 } else { secs(inside) / secs(to - from) });
            stats.durations.push(if covers {
                secs((end.micros - start.micros).max(0))
            } else {
                secs(inside)
            });
        }
        stats
    }
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a fraction of seconds needs no more")]
fn secs(micros: i64) -> f64 {
    micros as f64 / 1e6
}
