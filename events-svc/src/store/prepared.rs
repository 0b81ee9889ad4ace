//! An event made ready for its rows, away from the database: checked, normalised, written in both wire forms.

use super::key::{key, scope};
use super::term::term;
use crate::model::{Event, Trait, TraitValue};
use crate::wire;
use sha2::{Digest, Sha256};
use shared::datetime::to_micros;

/// An event whose columns and index rows are ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    pub(super) message_id: String,
    pub(super) event_type: String,
    pub(super) generated: i64,
    /// Project the event belongs to: its text trait `project_id`; blank when it has none but has another text
    /// trait; absent when it has no text trait at all (events-v2.md, section 5).
    pub(super) scope: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) v1: String,
    pub(super) v2: String,
    pub(super) raw: String,
    pub(super) is_emitted: bool,
    pub(super) terms: Vec<Vec<u8>>,
    pub(super) shape: Shape,
}

impl Prepared {
    /// The event as one that another service has made.
    #[must_use]
    pub fn emitted(self) -> Self {
        Self { is_emitted: true, ..self }
    }
}

/// An event type with its set of trait names and types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) id: i64,
    pub(super) name: String,
    /// JSON list of `{"type": …, "name": …}`, as v2 lists the traits of a type.
    pub(super) traits: String,
}

/// Why an event cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unstorable {
    /// A key member is blank.
    #[error("{0} is missing or blank")]
    Blank(&'static str),
    /// PostgreSQL cannot store `\0` in text.
    #[error("{0} contains a NUL character")]
    Nul(&'static str),
    /// NaN and infinities have no place in JSON.
    #[error("trait {0} is not a finite number")]
    NotFinite(String),
}

/// Checks an event and writes everything that its rows need.
///
/// Traits are sorted by name in byte order; of two traits with the same name and type the first is kept
/// (events-v2.md, section 13).
///
/// # Errors
/// [`Unstorable`], so that one bad event can be left out of its batch.
pub fn prepare(event: &Event) -> Result<Prepared, Unstorable> {
    check(event)?;
    let traits = sorted(&event.traits);
    let text_trait = |name: &str| {
        traits.iter().find_map(|property| match &property.value {
            TraitValue::Text(text) if property.name == name => Some(text.as_str()),
            TraitValue::Text(_) | TraitValue::Integer(_) | TraitValue::Float(_) | TraitValue::Datetime(_) => {
                None
            }
        })
    };
    let has_text = traits.iter().any(|property| matches!(property.value, TraitValue::Text(_)));
    let project = text_trait("project_id").map(scope);
    Ok(Prepared {
        message_id: key(&event.message_id),
        event_type: key(&event.event_type),
        generated: to_micros(event.generated),
        scope: project.or_else(|| has_text.then(String::new)),
        user_id: text_trait("user_id").map(key),
        v1: wire::v1::members(event),
        v2: wire::v2::head(event, &traits),
        raw: event.raw.as_ref().map_or_else(|| "{}".to_owned(), |raw| raw.get().to_owned()),
        is_emitted: false,
        terms: traits.iter().map(|property| term(&property.name, &property.value)).collect(),
        shape: shape(&event.event_type, &traits),
    })
}

fn check(event: &Event) -> Result<(), Unstorable> {
    let fixed = [("message_id", &event.message_id), ("event_type", &event.event_type)];
    for (name, text) in fixed {
        if text.is_empty() {
            return Err(Unstorable::Blank(name));
        }
        if text.contains('\0') {
            return Err(Unstorable::Nul(name));
        }
    }
    for property in &event.traits {
        if property.name.contains('\0') {
            return Err(Unstorable::Nul("a trait name"));
        }
        match &property.value {
            TraitValue::Text(text) if text.contains('\0') => return Err(Unstorable::Nul("a trait")),
            TraitValue::Float(number) if !number.is_finite() => {
                return Err(Unstorable::NotFinite(property.name.clone()));
            }
            TraitValue::Text(_) | TraitValue::Float(_) | TraitValue::Integer(_) | TraitValue::Datetime(_) => {
            }
        }
    }
    Ok(())
}

fn sorted(traits: &[Trait]) -> Vec<&Trait> {
    fn place(property: &Trait) -> (&str, &str) {
        (&property.name, wire::v2::type_name(&property.value))
    }
    let mut traits: Vec<&Trait> = traits.iter().collect();
    traits.sort_by(|one, other| place(one).cmp(&place(other)));
    traits.dedup_by(|one, other| place(one) == place(other));
    traits
}

fn shape(event_type: &str, traits: &[&Trait]) -> Shape {
    let mut described = String::with_capacity(traits.len() * wire::USUAL_TRAIT_BYTES);
    described.push('[');
    for (index, property) in traits.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        described.extend([comma, "{\"type\":\"", wire::v2::type_name(&property.value), "\",\"name\":"]);
        wire::push_quoted(&mut described, &property.name);
        described.push('}');
    }
    described.push(']');
    let traits = described;
    let digest = Sha256::new().chain_update(event_type).chain_update([0]).chain_update(&traits).finalize();
    let id = digest.first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes));
    Shape { id, name: event_type.to_owned(), traits }
}
