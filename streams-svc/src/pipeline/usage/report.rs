//! The events that tell the verdicts.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::checks::Fault;
use crate::model::{Event, Value};
use crate::pipeline::HandlerError;

const VERIFIED: &str = "compute.instance.exists.verified";
const FAILED: &str = "compute.instance.exists.failed";
const WARNINGS: &str = "compute.instance.exists.warnings";
const PUBLISHER: &str = "stv3";

/// The verdict about an exists: all its traits, and what was found.
///
/// Its id follows from the exists and the verdict, so that a retry makes no second one.
///
/// # Errors
/// The exists has an id that is no UUID.
pub(super) fn verdict(exists: &Event, fault: Option<&Fault>, stream_id: i64) -> Result<Event, HandlerError> {
    let namespace = Uuid::parse_str(&exists.message_id)
        .map_err(|error| HandlerError::new(format_args!("message_id '{}': {error}", exists.message_id)))?;
    let event_type = if fault.is_some() { FAILED } else { VERIFIED };
    let mut traits = exists.traits.clone();
    for (name, default) in
        [("bandwidth_in", Value::Int(0)), ("bandwidth_out", Value::Int(0)), ("rax_options", text("0"))]
    {
        traits.entry(name.to_owned()).or_insert(default);
    }
    // Quirk: the error of a verified one is the text 'None'.
    let error = fault.map_or("None", |fault| &fault.text);
    traits.shift_remove("error_code");
    for (name, value) in [
        ("original_message_id", Some(text(&exists.message_id))),
        ("publisher_id", Some(text(PUBLISHER))),
        ("stream_id", Some(Value::Int(stream_id))),
        ("error", Some(text(error))),
        ("error_code", fault.map(|fault| text(fault.code))),
    ] {
        traits.extend(value.map(|value| (name.to_owned(), value)));
    }
    Ok(Event {
        message_id: Uuid::new_v5(&namespace, event_type.as_bytes()).to_string(),
        event_type: event_type.to_owned(),
        timestamp: exists.timestamp,
        traits,
    })
}

/// The warnings of the stream so far, at this exists.
pub(super) fn warnings(exists: &Event, warnings: &[String], id: Uuid, stream_id: i64) -> Event {
    let instance_id = exists.traits.get("instance_id").cloned().unwrap_or_else(|| text("n/a"));
    let traits = [
        ("publisher_id", text(PUBLISHER)),
        ("stream_id", Value::Int(stream_id)),
        ("instance_id", instance_id),
        ("warnings", text(&warnings.join(", "))),
    ];
    event(WARNINGS, id, exists, traits)
}

/// The verdict about events after which no exists came; `first` is the first of them.
pub(super) fn without_exists(first: &Event, id: Uuid, stream_id: i64) -> Event {
    let traits = [
        ("stream_id", Value::Int(stream_id)),
        ("error", text("Notifications, but no .exists notification found.")),
        ("error_code", text("U0")),
    ];
    let mut report = event(FAILED, id, first, traits);
    if let Some(instance_id) = first.traits.get("instance_id") {
        report.traits.insert("instance_id".to_owned(), instance_id.clone());
    }
    report
}

/// The report as a notification: its members, and a `payload` as older releases published it.
pub(super) fn notification(report: &Event) -> Json {
    let mut json = report.to_json();
    if let Some(members) = json.as_object_mut().filter(|members| members.contains_key("original_message_id"))
    {
        members.insert("payload".to_owned(), payload(report));
    }
    json
}

fn payload(report: &Event) -> Json {
    let plain = |name: &str, absent: &str| {
        report.traits.get(name).map_or_else(|| absent.to_owned(), Value::to_plain_text)
    };
    let member = |name: &str| report.traits.get(name).map_or_else(|| "".into(), Value::to_json);
    json!({
        "audit_period_beginning": plain("audit_period_beginning", "None"),
        "audit_period_ending": plain("audit_period_ending", "None"),
        "launched_at": plain("launched_at", ""),
        "deleted_at": plain("deleted_at", ""),
        "instance_id": member("instance_id"),
        "tenant_id": member("tenant_id"),
        "display_name": member("display_name"),
        "instance_type": member("instance_flavor"),
        "instance_flavor_id": member("instance_flavor_id"),
        "state": member("state"),
        "state_description": member("state_description"),
        "bandwidth": { "public": { "bw_in": member("bandwidth_in"), "bw_out": member("bandwidth_out") } },
        "image_meta": {
            "org.openstack__1__architecture": member("os_architecture"),
            "org.openstack__1__os_version": member("os_version"),
            "org.openstack__1__os_distro": member("os_distro"),
            "org.rackspace__1__options": member("rax_options"),
        },
    })
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A report at the time of an event.
fn event<const N: usize>(event_type: &str, id: Uuid, at: &Event, traits: [(&str, Value); N]) -> Event {
    Event {
        message_id: id.to_string(),
        event_type: event_type.to_owned(),
        timestamp: at.timestamp,
        traits: traits.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}
