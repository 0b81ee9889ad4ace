//! Granting and revoking, joining and leaving roles.

use super::{array, check_reach, is_admin_role, keep_administrators, outranks};
use crate::body::Body;
use crate::fault::Fault;
use crate::model::holder::ADMIN_ROLE;
use crate::model::{Action, Holder, Kind, text};
use crate::pages::{Call, nothing};
use crate::store::{self, Change};
use hyper::{Response, StatusCode};
use serde_json::Value;

/// `GET /users/U/permissions`: each as a list of words.
pub(super) async fn list(call: &Call<'_>, holder: &Holder) -> Result<Response<Body>, Fault> {
    let id = holder.id.clone();
    let grants = call.accounts().read(move |conn| store::grants_of(conn, &id)).await?;
    Ok(array(grants.iter().map(|grant| Value::from(text::words(grant))).collect()))
}

/// `PUT /users/U/permissions/a/b/c`: only what the caller holds himself.
pub(super) async fn grant(call: &Call<'_>, holder: Holder, words: &[&str]) -> Result<Response<Body>, Fault> {
    let pattern = pattern(words)?;
    if is_admin_role(&holder) {
        keep_administrators(call, &holder)?;
    }
    if !call.caller.covers(&pattern) {
        return Err(Fault::Forbidden(format!("The permission {pattern} is required to pass it on.")));
    }
    let deed = call.deed(Action::Grant, &holder.label(), &pattern);
    let change = call.accounts().write(move |conn| store::grant(conn, &holder.id, &pattern, deed)).await?;
    done(change, "It has as many permissions as one can have.")
}

/// `DELETE /users/U/permissions/a/b/c`
pub(super) async fn revoke(call: &Call<'_>, holder: Holder, words: &[&str]) -> Result<Response<Body>, Fault> {
    let pattern = pattern(words)?;
    if is_admin_role(&holder) {
        keep_administrators(call, &holder)?;
    }
    check_reach(call, &holder).await?;
    let deed = call.deed(Action::Revoke, &holder.label(), &pattern);
    let is_gone = call.accounts().write(move |conn| store::revoke(conn, &holder.id, &pattern, deed)).await?;
    if is_gone { Ok(nothing(StatusCode::NO_CONTENT)) } else { Err(Fault::NotFound) }
}

/// `GET /users/U/roles`: their ids.
pub(super) async fn list_roles(call: &Call<'_>, holder: &Holder) -> Result<Response<Body>, Fault> {
    let id = holder.id.clone();
    let roles = call.accounts().read(move |conn| store::roles_of(conn, &id)).await?;
    Ok(array(roles.into_iter().map(Value::from).collect()))
}

/// `PUT /users/U/roles/R`: a role passes its permissions on.
pub(super) async fn join(call: &Call<'_>, holder: Holder, role: &str) -> Result<Response<Body>, Fault> {
    let role = role_to(call, role, "join").await?;
    let held = call.accounts().identity(role.clone()).await?;
    let is_held = role.name != ADMIN_ROLE || call.caller.is_admin;
    if !is_held || !outranks(&call.caller, &held) {
        return Err(Fault::Forbidden("The role reaches further than you do.".into()));
    }
    let deed = call.deed(Action::RoleJoin, &holder.label(), &role.name);
    let change =
        call.accounts().write(move |conn| store::join_role(conn, &holder.id, &role.id, deed)).await?;
    done(change, "It has as many roles as one can have.")
}

/// `DELETE /users/U/roles/R`
pub(super) async fn leave(call: &Call<'_>, holder: Holder, role: &str) -> Result<Response<Body>, Fault> {
    let role = role_to(call, role, "leave").await?;
    if is_admin_role(&role) && call.accounts().is_of_settings(&holder) {
        keep_administrators(call, &holder)?;
    }
    check_reach(call, &holder).await?;
    let deed = call.deed(Action::RoleLeave, &holder.label(), &role.name);
    let is_gone =
        call.accounts().write(move |conn| store::leave_role(conn, &holder.id, &role.id, deed)).await?;
    if is_gone { Ok(nothing(StatusCode::NO_CONTENT)) } else { Err(Fault::NotFound) }
}

/// The role, if the caller may let others join or leave it. Whether it is there is told only then.
async fn role_to(call: &Call<'_>, id: &str, action: &str) -> Result<Holder, Fault> {
    if !call.caller.may(&["roles", id, action]) {
        return Err(Fault::Forbidden(format!("The permission roles->{id}->{action} is required.")));
    }
    super::find(call, Kind::Role, id).await
}

fn pattern(words: &[&str]) -> Result<String, Fault> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    text::pattern(&words).map_err(|invalid| Fault::BadRequest(invalid.text()))
}

/// The answer to a wish to add something; `full` says what there is as much of as can be.
pub(super) fn done(change: Change, full: &'static str) -> Result<Response<Body>, Fault> {
    match change {
        Change::Done => Ok(nothing(StatusCode::NO_CONTENT)),
        Change::Full => Err(Fault::Conflict(full)),
        Change::Gone => Err(Fault::NotFound),
    }
}
