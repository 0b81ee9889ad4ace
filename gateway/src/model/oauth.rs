//! OAuth 2 tokens as they are kept.

use super::TokenKind;
use chrono::{DateTime, Duration, Utc};

/// Seconds that an access token is good for (contract `dtrace`, section 5).
pub(crate) const ACCESS_SECS: i64 = 86_400;

/// Seconds that a refresh token is good for: thirty days.
const REFRESH_SECS: i64 = 30 * 86_400;

/// Seconds that an authorization code is good for.
const CODE_SECS: i64 = 60;

/// Seconds that a one-time token is good for (contract `dtrace`, section 5).
pub(crate) const ONCE_SECS: i64 = 30;

/// A token of any kind but the administrators' own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OAuthToken {
    /// What is kept of the token's text.
    pub(crate) hash: String,
    /// What it is for.
    pub(crate) kind: TokenKind,
    /// What it was made for.
    pub(crate) issue: Issue,
    /// Where the user is sent back to, of a code.
    pub(crate) redirect_uri: Option<String>,
    /// PKCE challenge, of a code.
    pub(crate) challenge: Option<String>,
    /// Hash of the access token that a one-time token was made with: it must still be good.
    pub(crate) parent: Option<String>,
    /// When it was made, UTC.
    pub(crate) created_at: DateTime<Utc>,
    /// When it ends, UTC.
    pub(crate) expires_at: DateTime<Utc>,
    /// When it was used, if it works once, UTC.
    pub(crate) used_at: Option<DateTime<Utc>>,
    /// When it was revoked, UTC.
    pub(crate) revoked_at: Option<DateTime<Utc>>,
}

/// What all tokens of one login have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issue {
    /// Ends together.
    pub(crate) family: String,
    /// Id of the user or client who is logged in.
    pub(crate) owner: String,
    /// Id of the client that asked.
    pub(crate) client: Option<String>,
    /// Names of scopes, with spaces between; `None` does not limit.
    pub(crate) scope: Option<String>,
}

impl Issue {
    /// The first of a new login.
    #[must_use]
    pub(crate) fn new(owner: String, client: Option<String>, scope: Option<String>) -> Self {
        Self { family: uuid::Uuid::new_v4().to_string(), owner, client, scope }
    }
}

impl OAuthToken {
    /// A fresh token and its text.
    #[must_use]
    pub(crate) fn make(kind: TokenKind, issue: Issue, now: DateTime<Utc>) -> (Self, String) {
        let secs = match kind {
            TokenKind::Api | TokenKind::Access => ACCESS_SECS,
            TokenKind::Refresh => REFRESH_SECS,
            TokenKind::Code => CODE_SECS,
            TokenKind::Once => ONCE_SECS,
        };
        let text = kind.generate();
        let token = Self {
            hash: super::token_hash(&text),
            kind,
            issue,
            redirect_uri: None,
            challenge: None,
            parent: None,
            created_at: now,
            expires_at: now + Duration::seconds(secs),
            used_at: None,
            revoked_at: None,
        };
        (token, text)
    }

    /// Whether it is good at `now`, but for having been used.
    #[must_use]
    pub(crate) fn is_valid(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}
