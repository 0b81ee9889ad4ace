//! A caller who has been let in, and what he may do.

use crate::fault::Fault;
use crate::model::holder::ADMIN_ROLE;
use crate::model::{Identity, Login};
use crate::routes::{Access, Api};
use shared::identity::Principal;
use shared::permission::{Patterns, covers};
use std::sync::Arc;

/// Pattern that allows everything.
const EVERYTHING: &str = "...";

/// Subject of a caller of whom nothing is known.
pub(super) const NOBODY: &str = "anonymous";

/// A principal with his permissions made ready for checks.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Who it is.
    pub(crate) principal: Arc<Principal>,
    /// Id of the user or client; others have none.
    pub(crate) holder: Option<String>,
    /// Names of the scopes that limit him.
    pub(crate) scope: Option<String>,
    /// What he has logged in by; for some, others vouch.
    pub(crate) login: Option<Login>,
    /// Whether that was a one-time token.
    pub(crate) is_once: bool,
    /// Whether he has the role `admin`.
    pub(crate) is_admin: bool,
    may_everything: bool,
    patterns: Patterns,
}

impl Caller {
    /// Makes the permissions ready.
    #[must_use]
    pub(crate) fn new(principal: Principal) -> Self {
        Self {
            may_everything: principal.permissions.iter().any(|pattern| pattern == EVERYTHING),
            patterns: principal.permissions.iter().collect(),
            is_admin: principal.has_role(ADMIN_ROLE),
            principal: Arc::new(principal),
            holder: None,
            scope: None,
            login: None,
            is_once: false,
        }
    }

    /// Somebody whom the store knows.
    #[must_use]
    pub(crate) fn of(identity: Identity) -> Self {
        let Identity { principal, holder, scope, login } = identity;
        Self { holder, scope, login: Some(login), ..Self::new(principal) }
    }

    /// Somebody whom a one-time token has let in.
    #[must_use]
    pub(super) fn of_once(identity: Identity) -> Self {
        Self { is_once: true, ..Self::of(identity) }
    }

    /// An administrator, whatever the spelling of his role.
    #[must_use]
    pub(super) fn administrator(principal: Principal) -> Self {
        Self { is_admin: true, ..Self::new(principal) }
    }

    /// Whether this is that somebody, with the same permissions as before.
    #[must_use]
    pub(crate) fn is(&self, identity: &Identity) -> bool {
        *self.principal == identity.principal
            && self.holder == identity.holder
            && self.scope == identity.scope
            && self.login.as_ref() == Some(&identity.login)
    }

    /// Whether everything that `pattern` allows is allowed to the caller: only that may be passed on.
    #[must_use]
    pub(crate) fn covers(&self, pattern: &str) -> bool {
        self.may_everything || self.principal.permissions.iter().any(|held| covers(held, pattern))
    }

    /// Whether the caller holds the permission with these words.
    #[must_use]
    pub(crate) fn may(&self, words: &[&str]) -> bool {
        self.may_everything || self.patterns.allows(words)
    }

    /// Refuses what the caller may not do; `wanted` are the words of the permission it takes.
    ///
    /// # Errors
    /// [`Fault::Forbidden`] naming what is missing.
    pub(crate) fn check(
        &self,
        access: Access,
        wanted: impl FnOnce() -> Vec<String>,
        api: Api,
    ) -> Result<(), Fault> {
        match access {
            Access::Public => Ok(()),
            Access::Login if self.is_known() => Ok(()),
            Access::Login => Err(Fault::Unauthorized("Credentials are required.")),
            Access::Admin if self.is_admin => Ok(()),
            Access::Admin => Err(Fault::Forbidden("The role admin is required.".into())),
            Access::Permission if self.may_everything => Ok(()),
            Access::Permission => self.check_permission(api, &wanted()),
        }
    }

    fn is_known(&self) -> bool {
        self.principal.subject != NOBODY
    }

    /// `FiFo` spells its first word in two ways; a grant in either counts.
    fn check_permission(&self, api: Api, wanted: &[String]) -> Result<(), Fault> {
        let words: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let other: Vec<&str> =
            words.iter().map(|word| if *word == "dtrace" { "dtraces" } else { word }).collect();
        if self.patterns.allows(&words) || (api == Api::Fifo && self.patterns.allows(&other)) {
            return Ok(());
        }
        Err(Fault::Forbidden(format!("The permission {} is required.", words.join("->"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_role_of_the_exact_name_opens_what_is_for_administrators() {
        for (role, is_let_in) in [("admin", true), ("Admin", false), ("ADMIN", false), ("admin ", false)] {
            let caller = Caller::new(Principal { roles: vec![role.into()], ..Principal::default() });
            assert_eq!(caller.check(Access::Admin, Vec::new, Api::Gateway).is_ok(), is_let_in, "{role}");
        }
    }
}
