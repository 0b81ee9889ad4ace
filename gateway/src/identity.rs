//! Who is calling. Identities are made here and nowhere else; what a client claims about itself counts only in the
//! open mode, and there only for the API that always worked so.

mod signed;

pub use signed::SignedCache;

use crate::fault::Fault;
use crate::routes::Api;
use hyper::header::HeaderMap;
use shared::identity::Principal;
use std::sync::Arc;

/// Bytes of a user, project or role header.
const CLAIM_BYTES: usize = 2048;

/// Who everybody is in the open mode; `open` is the answer for all APIs but the one that believes headers.
///
/// # Errors
/// [`Fault::BadRequest`] for an identity header that cannot be one.
pub fn open_principal(api: Api, headers: &HeaderMap, open: &Arc<Principal>) -> Result<Arc<Principal>, Fault> {
    if api == Api::Panko { claimed(headers, "open").map(Arc::new) } else { Ok(Arc::clone(open)) }
}

/// Everybody, in the open mode: may do everything.
#[must_use]
pub fn everybody() -> Principal {
    Principal {
        subject: "open".into(),
        roles: vec!["admin".into()],
        permissions: vec!["...".into()],
        ..Principal::default()
    }
}

/// The identity that `OpenStack`'s headers claim, as Panko's pipeline without login believes it: blank is absent, and
/// roles are cut at commas and not trimmed.
fn claimed(headers: &HeaderMap, subject: &str) -> Result<Principal, Fault> {
    let claim = |name: &str| -> Result<Option<String>, Fault> {
        let Some(value) = headers.get(name) else { return Ok(None) };
        let text = std::str::from_utf8(value.as_bytes());
        let text = text.map_err(|_odd| Fault::BadRequest("An identity header is not valid UTF-8."))?;
        if text.len() > CLAIM_BYTES {
            return Err(Fault::BadRequest("An identity header is too long."));
        }
        Ok(Some(text.to_owned()).filter(|text| !text.trim().is_empty()))
    };
    let roles = claim("x-roles")?.unwrap_or_default();
    Ok(Principal {
        subject: subject.to_owned(),
        user_id: claim("x-user-id")?,
        project_id: claim("x-project-id")?,
        roles: roles.split(',').filter(|role| !role.is_empty()).map(str::to_owned).collect(),
        permissions: Vec::new(),
    })
}
