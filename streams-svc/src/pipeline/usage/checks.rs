//! The checks of one exists against its block, in their order; the first failure decides.
//!
//! A check that cannot be made (a field only one of two events has, a time that is text) breaks the
//! pipeline, as in the original.

use std::cmp::Ordering;

use crate::model::{Event, Value};
use crate::pipeline::HandlerError;
use crate::triggers::compare_numbers;

/// Events after which the exists must show the same instance.
const OPERATIONS: [&str; 3] =
    ["compute.instance.rebuild.end", "compute.instance.finish_resize.end", "compute.instance.rescue.end"];
const DELETION: &str = "compute.instance.delete.end";

const CORE_FIELDS: [&str; 6] =
    ["launched_at", "instance_flavor_id", "tenant_id", "os_architecture", "os_version", "os_distro"];
const DELETE_FIELDS: [&str; 2] = ["launched_at", "deleted_at"];

/// What is wrong with an exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// `U1` to `U8`; `U0` is made elsewhere.
    pub(super) code: &'static str,
    /// For people.
    pub(super) text: String,
}

/// Why the checks stop.
enum Stop {
    Fault(Fault),
    Broken(HandlerError),
}

type Checked = Result<(), Stop>;

fn fault(code: &'static str, text: impl Into<String>) -> Checked {
    Err(Stop::Fault(Fault { code, text: text.into() }))
}

fn broken(text: impl std::fmt::Display) -> Stop {
    Stop::Broken(HandlerError::new(text))
}

/// The first fault, if there is one. Warnings are added to those there are.
pub(super) fn check(
    block: &[&Event],
    exists: &Event,
    warnings: &mut Vec<String>,
) -> Result<Option<Fault>, HandlerError> {
    let checked = check_launch(block, exists)
        .and_then(|()| check_operation(block, exists, warnings))
        .and_then(|()| check_deletion(block, exists));
    match checked {
        Ok(()) => Ok(None),
        Err(Stop::Fault(fault)) => Ok(Some(fault)),
        Err(Stop::Broken(error)) => Err(error),
    }
}

/// A trait that is there and not empty.
fn given<'a>(event: &'a Event, name: &str) -> Option<&'a Value> {
    event.traits.get(name).filter(|value| !value.is_empty())
}

/// Begin and end of the audit period, if both are there.
fn audit_period(exists: &Event) -> Option<(&Value, &Value)> {
    Some((given(exists, "audit_period_beginning")?, given(exists, "audit_period_ending")?))
}

fn has_state(exists: &Event, state: &str) -> bool {
    exists.traits.get("state").and_then(Value::as_text) == Some(state)
}

fn check_launch(block: &[&Event], exists: &Event) -> Checked {
    if !has_state(exists, "active") {
        return Ok(());
    }
    let Some(launched_at) = given(exists, "launched_at") else {
        return fault("U1", ".exists has no launched_at value.");
    };
    match audit_period(exists) {
        Some(period) if is_within(launched_at, period)? && block.is_empty() => {
            fault("U8", ".exists launched_at in audit period, but no related events found.")
        }
        Some(_) | None => Ok(()),
    }
}

fn check_operation(block: &[&Event], exists: &Event, warnings: &mut Vec<String>) -> Checked {
    let operation = block.iter().rev().find(|event| OPERATIONS.contains(&event.event_type.as_str()));
    if let Some(operation) = operation {
        return check_fields(operation, exists, &CORE_FIELDS);
    }
    if let Some((beginning, ending)) = audit_period(exists) {
        let (Some(beginning), Some(ending)) = (beginning.as_datetime(), ending.as_datetime()) else {
            return Err(broken("the audit period of the .exists is no time"));
        };
        if Some(ending.date()) != beginning.date().succ_opt() {
            let id = &exists.message_id;
            warnings.push(format!("Non-EOD .exists found (msg_id: {id}) with no operation event."));
        }
    }
    Ok(())
}

fn check_deletion(block: &[&Event], exists: &Event) -> Checked {
    let deletions: Vec<&&Event> = block.iter().filter(|event| event.event_type == DELETION).collect();
    match (given(exists, "deleted_at"), deletions.as_slice()) {
        (None, []) => Ok(()),
        (None, _) => fault("U6", ".deleted events found but .exists has no deleted_at value."),
        (Some(_), _) if !has_state(exists, "deleted") => {
            fault("U3", ".exists state not 'deleted' but .exists deleted_at is set.")
        }
        (Some(deleted_at), []) => check_deletion_without_event(deleted_at, exists),
        (Some(_), [deletion]) => check_fields(exists, deletion, &DELETE_FIELDS),
        (Some(_), _) => fault("U7", "Multiple .delete.end events"),
    }
}

fn check_deletion_without_event(deleted_at: &Value, exists: &Event) -> Checked {
    let launched_at = exists.traits.get("launched_at");
    let launched_at = launched_at.ok_or_else(|| broken("the .exists has a deleted_at and no launched_at"))?;
    if order(deleted_at, launched_at)?.is_lt() {
        return fault("U4", ".exists deleted_at < .exists launched_at.");
    }
    match audit_period(exists) {
        Some(period) if is_within(deleted_at, period)? => {
            fault("U5", ".exists deleted_at in audit period, but no matching .delete event found.")
        }
        Some(_) | None => Ok(()),
    }
}

/// All fields equal, or absent, in both events.
fn check_fields(this: &Event, that: &Event, fields: &[&str]) -> Checked {
    for field in fields {
        match (this.traits.get(*field), that.traits.get(*field)) {
            (None, None) => {}
            (Some(ours), Some(theirs)) if are_equal(ours, theirs) => {}
            (Some(ours), Some(theirs)) => {
                let (ours, theirs) = (ours.to_plain_text(), theirs.to_plain_text());
                return fault("U2", format!("Conflicting '{field}' values ('{ours}' != '{theirs}')"));
            }
            (ours, _) => {
                let without = if ours.is_none() { this } else { that };
                return Err(broken(format_args!("event {} has no '{field}'", without.message_id)));
            }
        }
    }
    Ok(())
}

fn is_within(value: &Value, (begin, end): (&Value, &Value)) -> Result<bool, Stop> {
    Ok(order(begin, value)?.is_le() && order(value, end)?.is_le())
}

fn are_equal(left: &Value, right: &Value) -> bool {
    left == right || compare_numbers(left, right) == Some(Ordering::Equal)
}

/// The order of two values of one kind.
fn order(left: &Value, right: &Value) -> Result<Ordering, Stop> {
    let ordering = match (left, right) {
        (Value::Datetime(left), Value::Datetime(right)) => Some(left.cmp(right)),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        _ => compare_numbers(left, right),
    };
    ordering.ok_or_else(|| broken("times of the .exists are of different types"))
}
