//! What a token may be limited to, beside what its owner may do (contract `dtrace`, section 5).

use super::Invalid;
use super::text::{is_text, pattern, words};
use serde::Deserialize;

/// Most permissions of one scope: each is compared with each of the owner's.
const PERMISSIONS: usize = 64;

/// Most scopes that are registered.
pub(crate) const MOST_SCOPES: usize = 256;

/// A registered scope.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scope {
    /// A word without spaces.
    pub(crate) name: String,
    /// What it allows, for people.
    #[serde(default)]
    pub(crate) description: String,
    /// The contract's flag, kept for clients that offer scopes to people. A login that asks for none gets all, flagged or
    /// not.
    #[serde(default, rename = "default")]
    pub(crate) is_default: bool,
    /// Patterns.
    #[serde(default)]
    pub(crate) permissions: Vec<String>,
}

impl Scope {
    /// Refuses what could not be asked for (RFC 6749, section 3.3) or would never match.
    ///
    /// # Errors
    /// [`Invalid`] saying what is wrong.
    pub(crate) fn check(self) -> Result<Self, Invalid> {
        if !is_scope_name(&self.name) {
            return Err(Invalid::new(
                "name: expected 1 to 255 characters without space, quote and backslash",
            ));
        }
        if !(self.description.is_empty() || is_text(&self.description)) {
            return Err(Invalid::new("description: expected at most 255 characters"));
        }
        let is_pattern = |text: &String| {
            let words: Vec<String> = words(text).into_iter().map(str::to_owned).collect();
            pattern(&words).is_ok()
        };
        if self.permissions.len() > PERMISSIONS || !self.permissions.iter().all(is_pattern) {
            return Err(Invalid::new("permissions: expected at most 64 patterns of 1 to 255 characters"));
        }
        Ok(self)
    }
}

fn is_scope_name(name: &str) -> bool {
    name.len() <= 255
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}
