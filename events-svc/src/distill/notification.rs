//! A notification as definitions see it: without its envelope, in the shape of the dialect, with the parts
//! every event needs.

use std::borrow::Cow;

use chrono::NaiveDateTime;
use serde_json::{Map, Value};
use shared::datetime;

use super::dialect::Shape;

/// A notification that can become an event.
#[derive(Debug)]
pub(super) struct Notification<'n> {
    /// What paths address.
    pub(super) document: Cow<'n, Value>,
    pub(super) message_id: String,
    pub(super) event_type: String,
    pub(super) generated: NaiveDateTime,
    /// In lower case; `info` if the notification has none.
    pub(super) priority: String,
}

impl<'n> Notification<'n> {
    /// Reads a notification; without a time of its own it happened `now`.
    ///
    /// # Errors
    /// In words: no object, a bad envelope, no `event_type` or `message_id`, a time that is none.
    pub(super) fn read(value: &'n Value, shape: Shape, now: NaiveDateTime) -> Result<Self, String> {
        let bare = unwrap_envelope(value)?;
        let Value::Object(members) = &*bare else {
            return Err("a notification must be an object".to_owned());
        };
        let priority = members.get("priority").and_then(Value::as_str).unwrap_or("info").to_lowercase();
        let document = match shape {
            Shape::Notification => bare,
            Shape::Dispatched if is_dispatched(members) => bare,
            Shape::Dispatched => Cow::Owned(dispatched(members)),
        };
        let (id, times) = match shape {
            Shape::Notification => ("/message_id", ["/timestamp", "/_context_timestamp"]),
            Shape::Dispatched => ("/metadata/message_id", ["/metadata/timestamp", "/ctxt/timestamp"]),
        };
        Ok(Self {
            message_id: required(&document, id)?,
            event_type: required(&document, "/event_type")?,
            generated: generated(&document, times)?.unwrap_or(now),
            priority,
            document,
        })
    }
}

/// The message inside an oslo.messaging envelope (`oslo.version`, `oslo.message`); any other value as it is.
///
/// # Errors
/// In words: an envelope version other than 2.0, or a message that is not JSON.
pub fn unwrap_envelope(notification: &Value) -> Result<Cow<'_, Value>, String> {
    let (Some(version), Some(message)) = (notification.get("oslo.version"), notification.get("oslo.message"))
    else {
        return Ok(Cow::Borrowed(notification));
    };
    if version.as_str() != Some("2.0") {
        return Err(format!("envelope version {version} is not supported"));
    }
    let Value::String(text) = message else { return Ok(Cow::Borrowed(message)) };
    serde_json::from_str(text).map(Cow::Owned).map_err(|error| format!("oslo.message is not JSON: {error}"))
}

/// Whether the notification already has the shape that [`dispatched`] makes.
fn is_dispatched(members: &Map<String, Value>) -> bool {
    let is_object = |name| members.get(name).is_some_and(Value::is_object);
    is_object("ctxt") && is_object("metadata") && !members.contains_key("message_id")
}

/// The document that oslo.messaging's dispatcher makes of a message: every `_context_X` becomes `ctxt.X`.
fn dispatched(members: &Map<String, Value>) -> Value {
    let part = |name: &str| (name.to_owned(), members.get(name).cloned().unwrap_or_default());
    let context = members.iter().filter_map(|(name, value)| Some((name.strip_prefix("_context_")?, value)));
    let context: Map<String, Value> = context.map(|(name, value)| (name.to_owned(), value.clone())).collect();
    let metadata: Map<String, Value> = [part("message_id"), part("timestamp")].into_iter().collect();
    let own = [
        ("ctxt".to_owned(), context.into()),
        part("publisher_id"),
        part("event_type"),
        part("payload"),
        ("metadata".to_owned(), metadata.into()),
    ];
    Value::Object(own.into_iter().collect())
}

fn required(document: &Value, pointer: &str) -> Result<String, String> {
    let name = pointer.rsplit('/').next().unwrap_or_default();
    match document.pointer(pointer) {
        Some(Value::String(text)) if text.contains('\0') => Err(format!("{name} contains a \\0")),
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        None | Some(Value::Null | Value::String(_)) => Err(format!("{name} is missing")),
        Some(_) => Err(format!("{name} is not a text")),
    }
}

/// The first time that is given; null and blank count as not given.
fn generated(document: &Value, times: [&str; 2]) -> Result<Option<NaiveDateTime>, String> {
    let given = |value: &&Value| !value.is_null() && value.as_str() != Some("");
    let Some(time) = times.iter().filter_map(|time| document.pointer(time)).find(given) else {
        return Ok(None);
    };
    let instant =
        time.as_str().and_then(|text| datetime::parse_iso8601(text).or_else(|| datetime::parse(text)));
    instant.map(Some).ok_or_else(|| "timestamp is not an ISO 8601 time".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> NaiveDateTime {
        datetime::parse("2026-01-01").unwrap()
    }

    fn read(value: &Value, shape: Shape) -> Result<(String, String, String), String> {
        let notification = Notification::read(value, shape, now())?;
        Ok((notification.message_id, notification.event_type, datetime::iso(notification.generated)))
    }

    fn parts(id: &str, event_type: &str, generated: &str) -> Result<(String, String, String), String> {
        Ok((id.to_owned(), event_type.to_owned(), generated.to_owned()))
    }

    #[test]
    fn envelope_is_taken_off() {
        let inner = json!({"message_id": "m", "event_type": "t", "timestamp": "2024-03-01 12:00:00.000001"});
        for message in [json!(inner.to_string()), inner.clone()] {
            let wrapped = json!({"oslo.version": "2.0", "oslo.message": message});
            for shape in [Shape::Notification, Shape::Dispatched] {
                assert_eq!(read(&wrapped, shape), parts("m", "t", "2024-03-01T12:00:00.000001"));
            }
        }
        assert_eq!(*unwrap_envelope(&inner).unwrap(), inner);
        let half = json!({"oslo.message": "{}"});
        assert_eq!(*unwrap_envelope(&half).unwrap(), half, "both keys make an envelope");
    }

    #[test]
    fn bad_envelopes_are_refused() {
        let refusal = |version: Value, message: &str| {
            unwrap_envelope(&json!({"oslo.version": version, "oslo.message": message})).unwrap_err()
        };
        assert_eq!(refusal(json!("3.0"), "{}"), "envelope version \"3.0\" is not supported");
        assert!(refusal(json!("2.0"), "{").starts_with("oslo.message is not JSON: "));
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(refusal(json!("2.0"), &deep).starts_with("oslo.message is not JSON: recursion limit"));
        let list = json!({"oslo.version": "2.0", "oslo.message": "[1]"});
        assert_eq!(read(&list, Shape::Notification), Err("a notification must be an object".to_owned()));
    }

    #[test]
    fn time_is_timestamp_then_context_then_now() {
        let with = |timestamp: Value, context: Value| {
            let value = json!({"message_id": "m", "event_type": "t", "timestamp": timestamp, "_context_timestamp": context});
            let flat = read(&value, Shape::Notification).map(|parts| parts.2);
            assert_eq!(read(&value, Shape::Dispatched).map(|parts| parts.2), flat);
            flat
        };
        let (early, late) = (json!("2015-02-27 10:00:00"), json!("2015-02-28T10:00:00+02:00"));
        assert_eq!(with(early, late.clone()), Ok("2015-02-27T10:00:00".to_owned()));
        assert_eq!(with(json!(null), late.clone()), Ok("2015-02-28T08:00:00".to_owned()));
        assert_eq!(with(json!(""), late.clone()), Ok("2015-02-28T08:00:00".to_owned()));
        assert_eq!(with(json!(null), json!(null)), Ok("2026-01-01T00:00:00".to_owned()));
        assert_eq!(with(json!("soon"), late.clone()), Err("timestamp is not an ISO 8601 time".to_owned()));
        assert_eq!(with(json!(1425000000), late), Err("timestamp is not an ISO 8601 time".to_owned()));
    }

    #[test]
    fn event_type_and_message_id_are_required_texts() {
        for (value, expected) in [
            (json!({"event_type": "t"}), "message_id is missing"),
            (json!({"message_id": "m"}), "event_type is missing"),
            (json!({"message_id": "", "event_type": "t"}), "message_id is missing"),
            (json!({"message_id": 5, "event_type": "t"}), "message_id is not a text"),
            (json!({"message_id": "m\0", "event_type": "t"}), "message_id contains a \\0"),
            (json!({"message_id": "m", "event_type": ["t"]}), "event_type is not a text"),
            (json!([]), "a notification must be an object"),
            (json!("text"), "a notification must be an object"),
            (json!(null), "a notification must be an object"),
        ] {
            for shape in [Shape::Notification, Shape::Dispatched] {
                assert_eq!(read(&value, shape), Err(expected.to_owned()), "{value}");
            }
        }
    }

    #[test]
    fn message_is_rewritten_as_the_dispatcher_does() {
        let value = json!({
            "message_id": "m", "event_type": "t", "publisher_id": "p", "priority": "ERROR",
            "payload": {"a": 1}, "timestamp": "2015-02-27", "_unique_id": "u",
            "_context_request_id": "r", "_context_user": {"id": 7},
        });
        let expected = json!({
            "ctxt": {"request_id": "r", "user": {"id": 7}},
            "publisher_id": "p", "event_type": "t", "payload": {"a": 1},
            "metadata": {"message_id": "m", "timestamp": "2015-02-27"},
        });
        let notification = Notification::read(&value, Shape::Dispatched, now()).unwrap();
        assert_eq!(*notification.document, expected);
        assert_eq!(notification.priority, "error");
        let again = Notification::read(&expected, Shape::Dispatched, now()).unwrap();
        assert_eq!(*again.document, expected, "the rewritten form is taken as it is");
        assert_eq!(again.message_id, "m");
        assert_eq!(again.priority, "info");
    }
}
