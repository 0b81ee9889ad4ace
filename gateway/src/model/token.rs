//! API tokens: made by administrators for programs.

use super::Invalid;
use super::holder::is_lookalike;
use super::text::{is_text, pattern};
use chrono::{DateTime, Utc};
use serde::Deserialize;

/// Most roles, and most permissions, of one token.
const LIST_ITEMS: usize = 256;

/// Longest life of a token that has an end: ten years.
const LONGEST_LIFE_SECS: i64 = 10 * 366 * 86_400;

/// An API token as it is listed; the token itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// Version 4 UUID.
    pub(crate) id: String,
    /// What it is for, in its maker's words.
    pub(crate) name: String,
    /// Roles of its holder.
    pub(crate) roles: Vec<String>,
    /// What its holder may do, as `FiFo` patterns.
    pub(crate) permissions: Vec<String>,
    /// `OpenStack` user of its holder.
    pub(crate) user_id: Option<String>,
    /// `OpenStack` project of its holder.
    pub(crate) project_id: Option<String>,
    /// When it was made, UTC.
    pub(crate) created_at: DateTime<Utc>,
    /// When it ends, UTC.
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// When it was revoked, UTC.
    pub(crate) revoked_at: Option<DateTime<Utc>>,
}

impl Token {
    /// Whether it is good at `now`.
    #[must_use]
    pub(crate) fn is_valid(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// The wish for a token.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// What it is for.
    pub(crate) name: String,
    /// Roles of its holder.
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    /// What its holder may do, as `FiFo` patterns.
    #[serde(default)]
    pub(crate) permissions: Vec<String>,
    /// `OpenStack` user of its holder.
    #[serde(default)]
    pub(crate) user_id: Option<String>,
    /// `OpenStack` project of its holder.
    #[serde(default)]
    pub(crate) project_id: Option<String>,
    /// Seconds after which it ends; left out: never.
    #[serde(default)]
    pub(crate) expires_in_secs: Option<i64>,
}

impl NewToken {
    /// The token of the first start: everything, for ever.
    #[must_use]
    pub(crate) fn for_admin() -> Self {
        Self {
            name: "admin".into(),
            roles: vec!["admin".into()],
            permissions: vec!["...".into()],
            ..Self::default()
        }
    }

    /// Refuses what could not be stored or would never match.
    ///
    /// # Errors
    /// [`Invalid`] saying which member is wrong.
    pub(crate) fn check(self) -> Result<Self, Invalid> {
        let is_list = |list: &[String]| list.len() <= LIST_ITEMS && list.iter().all(|text| is_text(text));
        if !is_text(&self.name) {
            return Err(Invalid::new("name: expected 1 to 255 characters"));
        }
        if !is_list(&self.roles) {
            return Err(Invalid::new("roles: expected at most 256 texts of 1 to 255 characters"));
        }
        if self.roles.iter().any(|role| is_lookalike(role)) {
            return Err(Invalid::new("roles: the built-in ones are written in small letters"));
        }
        if !is_list(&self.permissions) {
            return Err(Invalid::new("permissions: expected at most 256 texts of 1 to 255 characters"));
        }
        for permission in &self.permissions {
            pattern(&permission.split("->").map(str::to_owned).collect::<Vec<_>>())?;
        }
        if !self.user_id.iter().chain(&self.project_id).all(|text| is_text(text)) {
            return Err(Invalid::new("user_id, project_id: expected 1 to 255 characters"));
        }
        if !self.expires_in_secs.is_none_or(|secs| (1..=LONGEST_LIFE_SECS).contains(&secs)) {
            return Err(Invalid::new("expires_in_secs: expected 1 to 316224000"));
        }
        Ok(self)
    }

    /// The token that fulfils the wish, as it is listed.
    #[must_use]
    pub(crate) fn into_token(self, now: DateTime<Utc>) -> Token {
        let life = self.expires_in_secs.and_then(chrono::Duration::try_seconds);
        Token {
            id: uuid::Uuid::new_v4().to_string(),
            name: self.name,
            roles: self.roles,
            permissions: self.permissions,
            user_id: self.user_id,
            project_id: self.project_id,
            created_at: now,
            expires_at: life.and_then(|life| now.checked_add_signed(life)),
            revoked_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_token_is_good_until_it_ends_or_is_revoked() {
        let wish = NewToken { name: "ci".into(), expires_in_secs: Some(60), ..NewToken::default() };
        let token = wish.check().unwrap().into_token(noon());
        let after = |secs: i64| noon() + chrono::Duration::seconds(secs);
        assert!(token.is_valid(noon()) && token.is_valid(after(59)) && !token.is_valid(after(60)));
        let revoked = Token { revoked_at: Some(noon()), ..token };
        assert!(!revoked.is_valid(noon()));
    }

    #[test]
    fn wishes_that_cannot_be_are_refused() {
        let wish = NewToken { name: "ok".into(), ..NewToken::default() };
        assert!(wish.clone().check().is_ok());
        for bad in [
            NewToken { name: String::new(), ..wish.clone() },
            NewToken { name: "a\0b".into(), ..wish.clone() },
            NewToken { name: "é".repeat(256), ..wish.clone() },
            NewToken { roles: vec![String::new()], ..wish.clone() },
            NewToken { roles: vec!["Admin".into()], ..wish.clone() },
            NewToken { permissions: vec!["a".into(); 257], ..wish.clone() },
            NewToken { permissions: vec!["a->".into()], ..wish.clone() },
            NewToken { project_id: Some(String::new()), ..wish.clone() },
            NewToken { expires_in_secs: Some(0), ..wish.clone() },
            NewToken { expires_in_secs: Some(i64::MAX), ..wish },
        ] {
            assert!(bad.clone().check().is_err(), "{bad:?}");
        }
    }
}
