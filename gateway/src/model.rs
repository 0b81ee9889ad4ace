//! What the gateway keeps: whoever holds permissions, tokens, and the log of what was done to them. No SQL, no HTTP.

pub(crate) mod audit;
pub(crate) mod holder;
pub(crate) mod identity;
pub(crate) mod oauth;
pub(crate) mod proof;
pub(crate) mod scope;
pub(crate) mod secret;
pub(crate) mod text;
pub(crate) mod token;

pub(crate) use audit::{Action, Deed, Record};
pub(crate) use holder::{Holder, Kind, NewHolder};
pub(crate) use identity::{Identity, Login};
pub(crate) use oauth::{Issue, OAuthToken};
pub(crate) use proof::Proof;
pub(crate) use scope::Scope;
pub(crate) use secret::{TokenKind, token_hash};
pub(crate) use token::{NewToken, Token};

/// Why a wish was refused; the text goes to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Invalid(&'static str);

impl Invalid {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self(text)
    }

    /// The text for the client.
    #[must_use]
    pub(crate) fn text(&self) -> &'static str {
        self.0
    }
}
