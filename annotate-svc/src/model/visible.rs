//! Which annotations a caller may see in lists: those he may read one by one, with `annotations->{id}->get`.

use shared::permission::{Patterns, covers};
use std::sync::Arc;
use uuid::Uuid;

/// The annotations that a caller may see. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Visible(Option<Arc<Patterns>>);

impl Visible {
    /// By the caller's permissions.
    #[must_use]
    pub fn to(permissions: &[String]) -> Self {
        let sees_all = permissions.iter().any(|held| covers(held, "annotations->_->get"));
        Self((!sees_all).then(|| Arc::new(permissions.iter().collect())))
    }

    /// Whether nothing is hidden.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// Whether this annotation may be seen.
    #[must_use]
    pub fn has(&self, id: Uuid) -> bool {
        let allows = |patterns: &Arc<Patterns>| patterns.allows(&["annotations", &id.to_string(), "get"]);
        self.0.as_ref().is_none_or(allows)
    }
}
