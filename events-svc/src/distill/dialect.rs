//! What differs between the two originals that `event_definitions.yaml` was written for.

use super::path::Grammar;
use super::plugins::Plugins;

/// Whose `event_definitions.yaml` it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// stackdistiller, as winchester uses it: paths address the notification as it came.
    Stackdistiller,
    /// ceilometer: paths address `{ctxt, publisher_id, event_type, payload, metadata}`.
    Ceilometer,
}

/// The rules of conversion.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rules {
    /// Shape of the document that paths address.
    pub(super) shape: Shape,
    /// Language of paths.
    pub(super) grammar: Grammar,
    /// Text form of lists and objects.
    pub(super) lists: Lists,
    /// Longest text, in characters; longer is cut.
    pub(super) text_limit: Option<usize>,
    /// What a value that is not of its trait's type spoils.
    pub(super) bad_value: BadValue,
    /// Whether an event without any trait is invalid.
    pub(super) needs_traits: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// As it came, without the envelope.
    Notification,
    /// Rewritten as oslo.messaging hands it to ceilometer.
    Dispatched,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    /// As JSON.
    Json,
    /// As Python prints them.
    Python,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadValue {
    /// The trait alone.
    SpoilsTrait,
    /// The whole notification.
    SpoilsNotification,
}

/// Name and paths of a text trait.
pub(super) type DefaultTrait = (&'static str, &'static [&'static str]);

impl Dialect {
    pub(super) fn rules(self) -> Rules {
        match self {
            Self::Stackdistiller => Rules {
                shape: Shape::Notification,
                grammar: Grammar::Plain,
                lists: Lists::Json,
                text_limit: None,
                bad_value: BadValue::SpoilsTrait,
                needs_traits: true,
            },
            Self::Ceilometer => Rules {
                shape: Shape::Dispatched,
                grammar: Grammar::Extended,
                lists: Lists::Python,
                text_limit: Some(255),
                bad_value: BadValue::SpoilsNotification,
                needs_traits: false,
            },
        }
    }

    /// Traits of every definition that does not define them itself.
    pub(super) fn default_traits(self) -> &'static [DefaultTrait] {
        match self {
            Self::Stackdistiller => &[
                ("service", &["publisher_id"]),
                ("request_id", &["_context_request_id"]),
                ("tenant_id", &["payload.tenant_id", "_context_tenant"]),
            ],
            Self::Ceilometer => &[
                ("service", &["publisher_id"]),
                ("request_id", &["ctxt.request_id"]),
                ("project_id", &["payload.tenant_id", "ctxt.project_id"]),
                ("user_id", &["payload.user_id", "ctxt.user_id"]),
                ("tenant_id", &["payload.tenant_id", "ctxt.project_id"]),
            ],
        }
    }

    /// Plugins known without configuration.
    pub(super) fn plugins(self) -> Plugins {
        match self {
            Self::Stackdistiller => Plugins::stackdistiller(),
            Self::Ceilometer => Plugins::ceilometer(),
        }
    }
}
