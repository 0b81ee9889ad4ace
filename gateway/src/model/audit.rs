//! The log of what was done: each record's hash covers its own members and the hash of the record before it, so that
//! a record that was changed, removed or put in between breaks the chain from there on.

use super::secret::sha256;
use chrono::{DateTime, Utc};

/// Most bytes of one text of a record; longer ones are cut.
const TEXT_BYTES: usize = 1024;

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// A password or secret was right.
    Login,
    /// Credentials were wrong.
    LoginFailed,
    /// A token was made.
    TokenIssue,
    /// A refresh token was exchanged.
    TokenRefresh,
    /// A code or refresh token came a second time; its family ended.
    TokenReuse,
    /// A token was revoked.
    TokenRevoke,
    /// A user, client or role was made.
    HolderCreate,
    /// A user, client or role was removed.
    HolderDelete,
    /// A password or secret was changed.
    PasswordChange,
    /// A permission was granted.
    Grant,
    /// A permission was taken back.
    Revoke,
    /// A role was given.
    RoleJoin,
    /// A role was taken away.
    RoleLeave,
    /// A redirect URI was added.
    UriAdd,
    /// A redirect URI was removed.
    UriRemove,
    /// A scope was registered or changed.
    ScopePut,
    /// A scope was removed.
    ScopeDelete,
}

impl Action {
    /// All of them.
    pub(crate) const ALL: [Self; 17] = [
        Self::Login,
        Self::LoginFailed,
        Self::TokenIssue,
        Self::TokenRefresh,
        Self::TokenReuse,
        Self::TokenRevoke,
        Self::HolderCreate,
        Self::HolderDelete,
        Self::PasswordChange,
        Self::Grant,
        Self::Revoke,
        Self::RoleJoin,
        Self::RoleLeave,
        Self::UriAdd,
        Self::UriRemove,
        Self::ScopePut,
        Self::ScopeDelete,
    ];

    /// Whether it may end a login that is there already, or change what it may.
    #[must_use]
    pub(crate) fn changes_logins(self) -> bool {
        match self {
            Self::Login
            | Self::LoginFailed
            | Self::TokenIssue
            | Self::TokenRefresh
            // What is new holds nothing yet that somebody could have.
            | Self::HolderCreate
            | Self::UriAdd
            | Self::UriRemove => false,
            Self::TokenReuse
            | Self::TokenRevoke
            | Self::HolderDelete
            | Self::PasswordChange
            | Self::Grant
            | Self::Revoke
            | Self::RoleJoin
            | Self::RoleLeave
            | Self::ScopePut
            | Self::ScopeDelete => true,
        }
    }

    /// The action's name in the log.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::LoginFailed => "login.failed",
            Self::TokenIssue => "token.issue",
            Self::TokenRefresh => "token.refresh",
            Self::TokenReuse => "token.reuse",
            Self::TokenRevoke => "token.revoke",
            Self::HolderCreate => "create",
            Self::HolderDelete => "delete",
            Self::PasswordChange => "passwd",
            Self::Grant => "grant",
            Self::Revoke => "revoke",
            Self::RoleJoin => "role.join",
            Self::RoleLeave => "role.leave",
            Self::UriAdd => "uri.add",
            Self::UriRemove => "uri.remove",
            Self::ScopePut => "scope.put",
            Self::ScopeDelete => "scope.delete",
        }
    }
}

/// Something that was done, before it is in the log.
#[derive(Debug, Clone)]
pub(crate) struct Deed {
    /// When, UTC.
    pub(crate) at: DateTime<Utc>,
    /// Subject of who did it; `anonymous` when nobody is logged in.
    pub(crate) actor: String,
    /// Address it came from; empty for the gateway itself.
    pub(crate) address: String,
    /// What was done.
    pub(crate) action: Action,
    /// To whom or what: `user:ada`, a token's id.
    pub(crate) target: String,
    /// The rest: the permission, the role, the reason.
    pub(crate) detail: String,
}

/// A record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Place in the log; the first is 1.
    pub(crate) seq: i64,
    /// Microseconds since 1970.
    pub(crate) at: i64,
    /// See [`Deed`].
    pub(crate) actor: String,
    /// See [`Deed`].
    pub(crate) address: String,
    /// Name of the [`Action`].
    pub(crate) action: String,
    /// See [`Deed`].
    pub(crate) target: String,
    /// See [`Deed`].
    pub(crate) detail: String,
    /// SHA-256 over the record before and this one.
    pub(crate) hash: String,
}

impl Record {
    /// The record of `deed` at place `seq`, after the record with the hash `before`.
    #[must_use]
    pub(crate) fn new(deed: Deed, seq: i64, before: &str) -> Self {
        let mut record = Self {
            seq,
            at: deed.at.timestamp_micros(),
            actor: storable(&deed.actor),
            address: deed.address,
            action: deed.action.name().to_owned(),
            target: storable(&deed.target),
            detail: storable(&deed.detail),
            hash: String::new(),
        };
        record.hash = record.chained(before);
        record
    }

    /// The hash that this record must have after one with the hash `before`. Every member is written with its length,
    /// so that no two records are written alike.
    #[must_use]
    pub(crate) fn chained(&self, before: &str) -> String {
        let (seq, at) = (self.seq.to_string(), self.at.to_string());
        let members =
            [before, &seq, &at, &self.actor, &self.address, &self.action, &self.target, &self.detail];
        let written: String = members.iter().map(|member| format!("{}:{member}", member.len())).collect();
        sha256(written.as_bytes())
    }
}

/// At most 1024 bytes, and no zero, which PostgreSQL cannot store.
fn storable(text: &str) -> String {
    text.chars()
        .filter(|c| *c != '\0')
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes <= TEXT_BYTES).then_some(c)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deed(detail: &str) -> Deed {
        Deed {
            at: DateTime::from_timestamp_micros(1).unwrap(),
            actor: "a".into(),
            address: "::1".into(),
            action: Action::Grant,
            target: "user:b".into(),
            detail: detail.into(),
        }
    }

    #[test]
    fn the_hash_covers_the_record_and_the_one_before() {
        // printf '0:1:11:11:a3:::15:grant6:user:b1:x' | sha256sum | xxd -r -p | base64, in the URL alphabet
        let record = Record::new(deed("x"), 1, "");
        assert_eq!(record.hash, "FS_LOn6SFIfCA94Sdcx7mPyrs14qK7-BIc8qq2T2aig");
        assert_ne!(record.chained("other"), record.hash);
        assert_ne!(Record::new(deed("x"), 2, "").hash, record.hash);
        assert_ne!(Record::new(deed("y"), 1, "").hash, record.hash);
    }

    #[test]
    fn texts_are_cut_and_can_be_stored() {
        let record = Record::new(deed(&format!("\0{}", "é".repeat(600))), 1, "");
        assert_eq!(record.detail, "é".repeat(512));
    }
}
