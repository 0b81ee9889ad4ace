//! Who may see what (events-v2.md, section 5).

use super::error::Fault;
use crate::model::Visibility;
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use shared::identity::Principal;
use std::future::{Ready, ready};

/// The role that sees other users' events.
const ADMIN: &str = "admin";

/// A caller with user and project: whoever asks for events must have both, admins too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// User id.
    pub(super) user: String,
    /// Project id.
    pub(super) project: String,
    /// Holds the role admin, in any letter case.
    pub(super) is_admin: bool,
}

impl Caller {
    /// What the caller sees without asking for all tenants.
    pub(super) fn visibility(&self) -> Visibility {
        let project = self.project.clone();
        if self.is_admin {
            Visibility::Project(project)
        } else {
            Visibility::Member { project, user: self.user.clone() }
        }
    }
}

impl FromRequest for Caller {
    type Error = Fault;
    type Future = Ready<Result<Self, Fault>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let principal = principal(req);
        let is_admin = principal.has_openstack_role(ADMIN);
        let given = |id: Option<String>| id.filter(|id| !id.is_empty());
        ready(match (given(principal.user_id), given(principal.project_id)) {
            (Some(user), Some(project)) => Ok(Self { user, project, is_admin }),
            _ => Err(Fault::Forbidden),
        })
    }
}

/// Proof that the caller is an admin; no ids are needed.
///
/// The original lets callers without ids through as well. That hole is closed here.
#[derive(Debug)]
pub(super) struct Admin;

impl FromRequest for Admin {
    type Error = Fault;
    type Future = Ready<Result<Self, Fault>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let principal = principal(req);
        if principal.has_openstack_role(ADMIN) {
            return ready(Ok(Self));
        }
        ready(Err(Fault::NotAdmin(principal.project_id.unwrap_or_default())))
    }
}

/// The verified caller; nobody when there is none, who then may nothing.
fn principal(req: &HttpRequest) -> Principal {
    req.extensions().get::<Principal>().cloned().unwrap_or_default()
}
