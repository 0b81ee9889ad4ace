//! Users, clients and roles.

use super::Invalid;
use super::text::{check_name, check_password, is_text};
use chrono::{DateTime, Utc};

/// What a holder of permissions is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A person, who logs in by password.
    User,
    /// A program, which logs in by secret, or sends its users here.
    Client,
    /// A list of permissions that users and clients share.
    Role,
}

impl Kind {
    /// The kind's name, in the store and in messages.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Client => "client",
            Self::Role => "role",
        }
    }

    /// The kind's word in paths and permissions.
    #[must_use]
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::User => "users",
            Self::Client => "clients",
            Self::Role => "roles",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub(crate) fn of(name: &str) -> Option<Self> {
        [Self::User, Self::Client, Self::Role].into_iter().find(|kind| kind.name() == name)
    }
}

/// The role that may do everything and opens the pages of administrators. It can be neither changed nor removed.
pub(crate) const ADMIN_ROLE: &str = "admin";

/// The roles that are there from the first start.
const BUILT_IN_ROLES: [&str; 3] = [ADMIN_ROLE, "operator", "reader"];

/// Whether `role` is a built-in one's name in other letters. Events v2 compares roles in any letter case, as `OpenStack`
/// does, and people read them so: such a role would pass for one that its maker does not have.
#[must_use]
pub(crate) fn is_lookalike(role: &str) -> bool {
    BUILT_IN_ROLES.iter().any(|own| own.eq_ignore_ascii_case(role) && *own != role)
}

/// The client whose permissions Snap's password has.
pub(crate) const SNAP_CLIENT: &str = "snap";

/// Most patterns that one holder may be granted, and most bytes of them: they travel in a header.
pub(crate) const MOST_GRANTS: usize = 1024;
pub(crate) const MOST_GRANT_BYTES: usize = 32 << 10;

/// Most roles of one holder, and most redirect URIs of one client.
pub(crate) const MOST_ROLES: usize = 64;
pub(crate) const MOST_URIS: usize = 64;

/// A user, client or role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Version 4 UUID.
    pub(crate) id: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// Unique among its kind.
    pub(crate) name: String,
    /// argon2id in the PHC form; `None` cannot log in by itself.
    pub(crate) secret_hash: Option<String>,
    /// `OpenStack` user.
    pub(crate) user_id: Option<String>,
    /// `OpenStack` project.
    pub(crate) project_id: Option<String>,
    /// When it was made, UTC.
    pub(crate) created_at: DateTime<Utc>,
}

impl Holder {
    /// Kind and name, as the log tells them.
    #[must_use]
    pub(crate) fn label(&self) -> String {
        format!("{}:{}", self.kind.name(), self.name)
    }

    /// Who it is, as services and the log are told.
    #[must_use]
    pub(crate) fn subject(&self) -> String {
        match self.kind {
            // The name under which it has always been logged.
            Kind::Client if self.name == SNAP_CLIENT => self.name.clone(),
            Kind::User | Kind::Client | Kind::Role => format!("{}#{}", self.label(), self.id),
        }
    }
}

/// The wish for a holder. Its secret is hashed elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct NewHolder {
    /// What it is.
    pub(crate) kind: Kind,
    /// Unique among its kind.
    pub(crate) name: String,
    /// Password or client secret.
    pub(crate) secret: Option<String>,
    /// `OpenStack` user.
    pub(crate) user_id: Option<String>,
    /// `OpenStack` project.
    pub(crate) project_id: Option<String>,
}

impl NewHolder {
    /// Refuses what could not be stored or used.
    ///
    /// # Errors
    /// [`Invalid`] saying what is wrong.
    pub(crate) fn check(self) -> Result<Self, Invalid> {
        check_name(&self.name)?;
        if self.kind == Kind::Role && is_lookalike(&self.name) {
            return Err(Invalid::new("The name is that of a built-in role in other letters."));
        }
        match (&self.secret, self.kind) {
            (Some(secret), _) => check_password(secret)?,
            (None, Kind::User) => return Err(Invalid::new("A user needs a password.")),
            (None, Kind::Client | Kind::Role) => {}
        }
        if !self.user_id.iter().chain(&self.project_id).all(|text| is_text(text)) {
            return Err(Invalid::new("user_id, project_id: expected 1 to 255 characters"));
        }
        Ok(self)
    }

    /// The holder that fulfils the wish.
    #[must_use]
    pub(crate) fn into_holder(self, secret_hash: Option<String>, now: DateTime<Utc>) -> Holder {
        Holder {
            id: uuid::Uuid::new_v4().to_string(),
            kind: self.kind,
            name: self.name,
            secret_hash,
            user_id: self.user_id,
            project_id: self.project_id,
            created_at: now,
        }
    }
}
