//! Who has logged in, and by what.

use super::{Holder, Proof};
use chrono::{DateTime, Utc};
use shared::identity::Principal;
use shared::permission::{covers, words};

/// Most bytes of all patterns together: they travel to the services in one header.
const PATTERN_BYTES: usize = 64 << 10;

/// A caller as the store knows him.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// As services see him. Of a limited token only the permissions that remain.
    pub(crate) principal: Principal,
    /// Id of the user or client; API tokens are nobody's.
    pub(crate) holder: Option<String>,
    /// Names of the scopes that limit him.
    pub(crate) scope: Option<String>,
    /// What he has shown, and until when it is good.
    pub(crate) login: Login,
}

/// What somebody has logged in by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    /// What proves it, also later.
    pub(crate) proof: Proof,
    /// When it ends by itself, UTC.
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

impl Identity {
    /// A user or client with what the store found for him.
    #[must_use]
    pub(crate) fn of_holder(holder: Holder, roles: Vec<String>, permissions: Vec<String>) -> Self {
        let subject = holder.subject();
        let proof = Proof::Holder { id: holder.id.clone(), secret_hash: holder.secret_hash };
        let principal = Principal {
            subject,
            user_id: holder.user_id,
            project_id: holder.project_id,
            roles,
            permissions: bounded(permissions),
        };
        let login = Login { proof, expires_at: None };
        Self { principal, holder: Some(holder.id), scope: None, login }
    }

    /// The API token with this hash.
    #[must_use]
    pub(crate) fn of_token(token: super::Token, hash: &str, of_roles: Vec<String>) -> Self {
        let mut permissions = token.permissions;
        permissions.extend(of_roles);
        permissions.sort_unstable();
        permissions.dedup();
        let principal = Principal {
            subject: format!("token:{}#{}", token.name, token.id),
            user_id: token.user_id,
            project_id: token.project_id,
            roles: token.roles,
            permissions: bounded(permissions),
        };
        let login = Login { proof: Proof::Api(hash.to_owned()), expires_at: token.expires_at };
        Self { principal, holder: None, scope: None, login }
    }

    /// The same caller, limited to what the scopes allow: whatever he does must match them and his own permissions.
    #[must_use]
    pub(crate) fn limited_to(mut self, scope: String, limits: &[String]) -> Self {
        if !limits.iter().any(|pattern| pattern == "...") {
            self.principal.permissions = intersection(&self.principal.permissions, limits);
            // A role can open more than any list of permissions says.
            self.principal.roles.clear();
        }
        self.scope = Some(scope);
        self
    }
}

/// As many patterns as fit; a caller rather loses permissions than gains any.
fn bounded(patterns: Vec<String>) -> Vec<String> {
    let mut left = PATTERN_BYTES;
    let fits = |pattern: &String| {
        let rest = left.checked_sub(pattern.len() + 3);
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    let all = patterns.len();
    let kept: Vec<String> = patterns.into_iter().take_while(fits).collect();
    if kept.len() < all {
        log::warn!(kept = kept.len(), all = all; "a caller has more permissions than can be used");
    }
    kept
}

/// Patterns that allow what both lists allow, and nothing more.
///
/// Exact where one pattern covers the other or both have as many words; `...` that overlap in part are left out.
fn intersection(one: &[String], other: &[String]) -> Vec<String> {
    let mut both: Vec<String> = one.iter().flat_map(|a| other.iter().filter_map(|b| overlap(a, b))).collect();
    both.sort_unstable();
    both.dedup();
    bounded(both)
}

fn overlap(one: &str, other: &str) -> Option<String> {
    if covers(one, other) {
        return Some(other.to_owned());
    }
    if covers(other, one) {
        return Some(one.to_owned());
    }
    if words(one).count() != words(other).count() {
        return None;
    }
    let pairs = words(one).zip(words(other));
    let both: Option<Vec<&str>> = pairs
        .map(|pair| match pair {
            ("...", _) | (_, "...") => None,
            ("_", word) | (word, "_") => Some(word),
            (a, b) => (a == b).then_some(a),
        })
        .collect();
    both.map(|words| words.join("->"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(permissions: &[&str]) -> Identity {
        let principal = Principal {
            subject: "user:ada".into(),
            roles: vec!["admin".into()],
            permissions: permissions.iter().map(|text| (*text).to_owned()).collect(),
            ..Principal::default()
        };
        let login = Login { proof: Proof::Access("hash".into()), expires_at: None };
        Identity { principal, holder: Some("h".into()), scope: None, login }
    }

    fn limited(permissions: &[&str], limits: &[&str]) -> Vec<String> {
        let limits: Vec<String> = limits.iter().map(|text| (*text).to_owned()).collect();
        identity(permissions).limited_to("s".into(), &limits).principal.permissions
    }

    #[test]
    fn a_scope_takes_away_and_never_adds() {
        assert_eq!(
            limited(&["..."], &["events->...", "cloud->events->list"]),
            ["cloud->events->list", "events->..."]
        );
        assert_eq!(limited(&["events->m1->get"], &["events->..."]), ["events->m1->get"]);
        assert_eq!(limited(&["events->_->get"], &["events->m1->_"]), ["events->m1->get"]);
        assert_eq!(limited(&["tasks->..."], &["events->..."]), [""; 0]);
        assert_eq!(limited(&["a->...->c"], &["a->b->..."]), [""; 0], "rather less than too much");
    }

    #[test]
    fn a_limited_administrator_is_none() {
        let caller = identity(&["..."]).limited_to("s".into(), &["events->...".into()]);
        assert!(!caller.principal.has_role("admin"));
        let caller = identity(&["..."]).limited_to("*".into(), &["...".into()]);
        assert!(caller.principal.has_role("admin"));
    }

    #[test]
    fn permissions_fit_into_a_header() {
        let many: Vec<String> = (0..1000).map(|number| format!("{number:0>255}")).collect();
        let kept = bounded(many.clone());
        assert_eq!(kept.len(), (64 << 10) / 258);
        assert_eq!(kept, many[..kept.len()]);
    }
}
