//! The client's side of the API, without HTTP: bodies, paths, dates and answers, for the command line and for other
//! programs (annotate.md, section 9).

use crate::model::{Stamp, parse_rfc3339};
use chrono::{DateTime, Duration, NaiveDateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use shared::url::encoded;

/// An annotation to create or replace; what is empty is not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewAnnotation {
    /// Of the annotation to replace.
    pub id: String,
    /// Free text.
    pub message: String,
    /// Begin, RFC 3339.
    pub start: String,
    /// End, RFC 3339.
    pub end: String,
    /// The person.
    pub user: String,
    /// A link.
    pub url: String,
    /// The system.
    pub source: String,
    /// Host name.
    pub host: String,
    /// Team.
    pub owner: String,
    /// Kind of thing.
    pub category: String,
}

impl NewAnnotation {
    /// The body of `POST …/annotation`.
    #[must_use]
    pub fn body(&self) -> Value {
        let members = [
            ("Id", &self.id),
            ("Message", &self.message),
            ("CreationUser", &self.user),
            ("Url", &self.url),
            ("Source", &self.source),
            ("Host", &self.host),
            ("Owner", &self.owner),
            ("Category", &self.category),
            ("StartDate", &self.start),
            ("EndDate", &self.end),
        ];
        let sent = members.into_iter().filter(|(_, value)| !value.is_empty());
        Value::Object(sent.map(|(name, value)| (name.to_owned(), value.as_str().into())).collect())
    }
}

/// What to look for; what is empty is not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Find {
    /// Begin of the window, RFC 3339 or seconds.
    pub start: String,
    /// End of the window, RFC 3339 or seconds.
    pub end: String,
    /// Exact source.
    pub source: String,
    /// Exact host.
    pub host: String,
    /// Exact user.
    pub user: String,
    /// Exact owner.
    pub owner: String,
    /// Exact category.
    pub category: String,
    /// Exact URL.
    pub url: String,
    /// Words of the message.
    pub message: String,
    /// Filter language.
    pub filter: String,
    /// Most annotations.
    pub limit: Option<usize>,
    /// Newest first.
    pub is_newest_first: bool,
}

impl Find {
    /// The path below the API's root, with the query.
    #[must_use]
    pub fn path(&self) -> String {
        let limit = self.limit.map(|limit| limit.to_string()).unwrap_or_default();
        let order = if self.is_newest_first { "newest" } else { "" };
        let parameters = [
            ("StartDate", self.start.as_str()),
            ("EndDate", &self.end),
            ("Source", &self.source),
            ("Host", &self.host),
            ("CreationUser", &self.user),
            ("Owner", &self.owner),
            ("Category", &self.category),
            ("Url", &self.url),
            ("Message", &self.message),
            ("filter", &self.filter),
            ("limit", &limit),
            ("order", order),
        ];
        let sent = parameters.into_iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> = sent.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        format!("/annotation/query?{}", pairs.join("&"))
    }
}

/// The error in an answer, `None` when it is none: the status, or an object with `error` as the original's own client
/// never looked for.
#[must_use]
pub fn failure(status: u16, body: &str) -> Option<String> {
    let object: Option<Map<String, Value>> = serde_json::from_str(body).ok();
    let error = object.as_ref().and_then(|object| object.get("error")).and_then(Value::as_str);
    match (status, error) {
        (200..=299, None) => None,
        (_, Some(error)) => Some(error.to_owned()),
        (status, None) => Some(format!("status {status}")),
    }
}

/// JSON indented with tabs, as the original's tool prints answers.
///
/// # Errors
/// When the value is no JSON.
pub fn tabbed(value: &impl Serialize) -> serde_json::Result<String> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Zones that `date` prints; others are ambiguous or rare and have to be given as numbers. Hours east.
const ZONES: [(&str, i64); 16] = [
    ("UTC", 0),
    ("GMT", 0),
    ("Z", 0),
    ("WET", 0),
    ("WEST", 1),
    ("CET", 1),
    ("CEST", 2),
    ("EET", 2),
    ("EEST", 3),
    ("EST", -5),
    ("EDT", -4),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
];

/// Reads a time as people give it: RFC 3339, seconds since 1970, `now`, `-2h`, or the output of `date`
/// (`Wed Feb 24 22:08:41 UTC 2016`). Answers RFC 3339.
///
/// # Errors
/// Says what is understood.
pub fn parse_time(text: &str, now: DateTime<Utc>) -> Result<String, String> {
    let stamp = parse_rfc3339(text)
        .ok()
        .or_else(|| {
            text.parse().ok().and_then(|secs| if text.starts_with('-') { None } else { Stamp::epoch(secs) })
        })
        .or_else(|| relative(text, now))
        .or_else(|| from_date_program(text));
    stamp.map(|stamp| stamp.rfc3339()).ok_or_else(|| {
        format!("{text} is no time: expected RFC 3339, seconds since 1970, now, -2h, or the output of date")
    })
}

fn relative(text: &str, now: DateTime<Utc>) -> Option<Stamp> {
    if text == "now" {
        return Some(Stamp::utc(now));
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("-", rest) => (-1, rest),
        ("+", rest) => (1, rest),
        _ => return None,
    };
    let (number, unit) = rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit())?)?;
    let secs = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let step = number.parse::<i64>().ok()?.checked_mul(secs)?.checked_mul(sign)?;
    let instant = now.checked_add_signed(Duration::try_seconds(step)?)?;
    Stamp::epoch(instant.timestamp())
}

fn from_date_program(text: &str) -> Option<Stamp> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_weekday, month, day, time, zone, year] = words.as_slice() else { return None };
    let instant = format!("{month} {day} {time} {year}");
    let instant = NaiveDateTime::parse_from_str(&instant, "%b %d %H:%M:%S %Y").ok()?;
    let hours = ZONES.iter().find(|(name, _)| name == zone)?.1;
    let offset_secs = i32::try_from(hours * 3600).ok()?;
    Some(Stamp { micros: (instant.and_utc().timestamp() - hours * 3600) * 1_000_000, offset_secs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_read_in_every_form() {
        let now = "2016-02-25T03:08:41Z".parse().unwrap();
        for (text, expected) in [
            ("2016-02-24T22:08:41-05:00", "2016-02-24T22:08:41-05:00"),
            ("1456369836", "2016-02-25T03:10:36Z"),
            ("now", "2016-02-25T03:08:41Z"),
            ("-2h", "2016-02-25T01:08:41Z"),
            ("+1d", "2016-02-26T03:08:41Z"),
            ("Wed Feb 24 22:08:41 EST 2016", "2016-02-24T22:08:41-05:00"),
            ("Wed Feb  3 22:08:41 UTC 2016", "2016-02-03T22:08:41Z"),
        ] {
            assert_eq!(parse_time(text, now).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "",
            "-",
            "2h",
            "-2x",
            "-99999999999999999999h",
            "-9999999999999w",
            "Wed Feb 24 22:08:41 XYZ 2016",
            "yesterday",
        ] {
            assert!(parse_time(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_is_set_is_sent() {
        let new = NewAnnotation { message: "m".into(), owner: "sre".into(), ..NewAnnotation::default() };
        assert_eq!(new.body(), json!({"Message": "m", "Owner": "sre"}));
        let find =
            Find { start: "2016-02-24T22:08:41+05:00".into(), owner: "a b&c".into(), ..Find::default() };
        assert_eq!(
            find.path(),
            "/annotation/query?StartDate=2016-02-24T22%3A08%3A41%2B05%3A00&Owner=a%20b%26c"
        );
    }

    #[test]
    fn failures_are_seen_by_status_and_by_body() {
        assert_eq!(failure(200, "{\"Id\":\"1\"}"), None);
        assert_eq!(failure(200, "[]"), None);
        assert_eq!(failure(200, "{\"error\":\"x\"}"), Some("x".into()));
        assert_eq!(
            failure(500, "{\"error\":\"EndDate is before StartDate\"}\n"),
            Some("EndDate is before StartDate".into())
        );
        assert_eq!(failure(502, "<html>"), Some("status 502".into()));
    }

    #[test]
    fn answers_are_indented_with_tabs() {
        assert_eq!(tabbed(&json!({"Id": "1"})).unwrap(), "{\n\t\"Id\": \"1\"\n}");
    }
}
