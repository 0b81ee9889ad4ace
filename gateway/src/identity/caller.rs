//! A caller who has been let in, and what he may do.

use crate::fault::Fault;
use crate::routes::{Access, Api};
use shared::identity::Principal;
use shared::permission::Patterns;
use std::sync::Arc;

/// Pattern that allows everything.
const EVERYTHING: &str = "...";

/// A principal with his permissions made ready for checks.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Who it is.
    pub(crate) principal: Arc<Principal>,
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
            principal: Arc::new(principal),
        }
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
            Access::Admin if self.principal.has_role("admin") => Ok(()),
            Access::Admin => Err(Fault::Forbidden("The role admin is required.".into())),
            Access::Permission if self.may_everything => Ok(()),
            Access::Permission => self.check_permission(api, &wanted()),
        }
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
