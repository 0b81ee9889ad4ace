//! Users, clients and roles: `/api/{version}/users`, `/clients`, `/roles` (contract `dtrace`, section 4).
//!
//! Whether the caller may do what he asks for at all, the route table has decided. Here is decided what he may do it
//! with: nobody passes on a permission or takes over an account that reaches further than he does himself.

mod list;
mod permissions;
mod uris;

use super::{Call, input, nothing, object, see_other};
use crate::body::Body;
use crate::fault::Fault;
use crate::identity::Caller;
use crate::model::holder::ADMIN_ROLE;
use crate::model::{Action, Holder, Identity, Kind, NewHolder};
use crate::routes::decoded;
use crate::store;
use hyper::{Method, Response, StatusCode};
use serde_json::Map;

/// What everybody may do with his own account.
const OWN: [&str; 2] = ["get", "passwd"];

/// The routes of users, clients and roles.
pub(super) async fn answer(kind: Kind, call: Call<'_>) -> Result<Response<Body>, Fault> {
    let place = Place::of(call.path());
    let segments: Vec<&str> = place.below.iter().map(String::as_str).collect();
    if segments.iter().any(|segment| segment.contains('\0')) {
        return Err(Fault::NotFound);
    }
    let method = call.request.method().clone();
    match (&method, segments.as_slice()) {
        (&Method::POST, []) => create(kind, call, &place.above).await,
        (_, []) => list::list(kind, &call).await,
        (&Method::PUT, [id]) => put_secret(kind, id, call).await,
        (&Method::DELETE, [id]) => delete(kind, id, &call).await,
        (_, [id]) => list::show(&call, &find(&call, kind, id).await?).await,
        (&Method::PUT, [id, "permissions", words @ ..]) => {
            permissions::grant(&call, find(&call, kind, id).await?, words).await
        }
        (&Method::DELETE, [id, "permissions", words @ ..]) => {
            permissions::revoke(&call, find(&call, kind, id).await?, words).await
        }
        (_, [id, "permissions"]) => permissions::list(&call, &find(&call, kind, id).await?).await,
        (&Method::PUT, [id, "roles", role]) => {
            permissions::join(&call, find(&call, kind, id).await?, role).await
        }
        (&Method::DELETE, [id, "roles", role]) => {
            permissions::leave(&call, find(&call, kind, id).await?, role).await
        }
        (_, [id, "roles"]) => permissions::list_roles(&call, &find(&call, kind, id).await?).await,
        (&Method::POST, [id, "uris"]) => {
            let client = find(&call, kind, id).await?;
            check_reach(&call, &client).await?;
            uris::add(call, client).await
        }
        (&Method::DELETE, [id, "uris", uri]) => {
            let client = find(&call, kind, id).await?;
            check_reach(&call, &client).await?;
            uris::remove(&call, client, uri).await
        }
        (_, [id, "uris"]) => uris::list(&call, &find(&call, kind, id).await?).await,
        (_, [id, "logins"]) => end_logins(&call, find(&call, kind, id).await?).await,
        _ => Err(Fault::NotFound),
    }
}

/// A path, cut after the word for the kind.
struct Place {
    above: String,
    below: Vec<String>,
}

impl Place {
    fn of(path: &str) -> Self {
        let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        // "", "v1", "users" or "", "api", version, "users"
        let kind_at = if segments.get(1) == Some(&"api") { 4 } else { 3 };
        let (above, below) = segments.split_at(kind_at.min(segments.len()));
        Self {
            above: above.join("/"),
            below: below.iter().map(|segment| decoded(segment).into_owned()).collect(),
        }
    }
}

/// The holder with this id. A name is none: it could be another's id.
async fn find(call: &Call<'_>, kind: Kind, id: &str) -> Result<Holder, Fault> {
    let id = id.to_owned();
    call.accounts().read(move |conn| store::find_holder(conn, kind, &id)).await?.ok_or(Fault::NotFound)
}

/// `POST /users {"user", "password"}`, `/clients {"client", "secret"}`, `/roles {"name"}`
async fn create(kind: Kind, mut call: Call<'_>, above: &str) -> Result<Response<Body>, Fault> {
    let members = input::members(&mut call.request).await?;
    let of_kind = match kind {
        Kind::User | Kind::Client => kind.name(),
        Kind::Role => "name",
    };
    let name = input::member(&members, of_kind)?.or(input::member(&members, "name")?);
    let wish = NewHolder {
        kind,
        name: name.ok_or(Fault::BadRequest("The name is missing."))?,
        secret: secret_of(kind, &members)?,
        user_id: input::member(&members, "user_id")?,
        project_id: input::member(&members, "project_id")?,
    };
    let wish = wish.check().map_err(|invalid| Fault::BadRequest(invalid.text()))?;
    let is_own = wish.project_id.is_none() || wish.project_id == call.caller.principal.project_id;
    if !is_own && !call.caller.is_admin {
        return Err(Fault::Forbidden("Only an administrator chooses a project that is not his own.".into()));
    }
    let hash = match &wish.secret {
        Some(secret) => Some(call.accounts().passwords().hash(secret).await?),
        None => None,
    };
    let holder = wish.into_holder(hash, call.gateway().clock.now());
    let (place, id) = (format!("{above}/{}", holder.id), holder.id.clone());
    let own: Vec<String> = match kind {
        Kind::User => OWN.map(|action| format!("users->{id}->{action}")).to_vec(),
        Kind::Client | Kind::Role => Vec::new(),
    };
    let deed = call.deed(Action::HolderCreate, &holder.label(), &id);
    let is_made = call.accounts().write(move |conn| store::create_holder(conn, holder, &own, deed)).await?;
    if is_made { Ok(see_other(&place)) } else { Err(Fault::Conflict("The name is taken.")) }
}

/// `PUT /users/U {"password"}`, `/clients/C {"secret"}`: ends every login with the old one.
async fn put_secret(kind: Kind, id: &str, mut call: Call<'_>) -> Result<Response<Body>, Fault> {
    let members = input::members(&mut call.request).await?;
    let secret = secret_of(kind, &members)?;
    let secret = secret.ok_or(Fault::BadRequest("The new password or secret is missing."))?;
    crate::model::text::check_password(&secret).map_err(|invalid| Fault::BadRequest(invalid.text()))?;
    let holder = find(&call, kind, id).await?;
    check_reach(&call, &holder).await?;
    let hash = call.accounts().passwords().hash(&secret).await?;
    let deed = call.deed(Action::PasswordChange, &holder.label(), "");
    let is_set = call.accounts().write(move |conn| store::put_secret(conn, &holder.id, &hash, deed)).await?;
    if is_set { Ok(nothing(StatusCode::NO_CONTENT)) } else { Err(Fault::NotFound) }
}

/// `DELETE /users/U`, `/clients/C`, `/roles/R`
async fn delete(kind: Kind, id: &str, call: &Call<'_>) -> Result<Response<Body>, Fault> {
    let holder = find(call, kind, id).await?;
    check_reach(call, &holder).await?;
    keep_administrators(call, &holder)?;
    let deed = call.deed(Action::HolderDelete, &holder.label(), &holder.id);
    let is_gone = call.accounts().write(move |conn| store::delete_holder(conn, &holder.id, deed)).await?;
    if is_gone { Ok(nothing(StatusCode::NO_CONTENT)) } else { Err(Fault::NotFound) }
}

/// `DELETE /users/U/logins`: whoever is logged in as this user by a token of OAuth 2 is out.
async fn end_logins(call: &Call<'_>, holder: Holder) -> Result<Response<Body>, Fault> {
    // Everybody may log himself out, also by a token that is limited.
    if call.caller.holder.as_deref() != Some(holder.id.as_str()) {
        check_reach(call, &holder).await?;
    }
    let deed = call.deed(Action::TokenRevoke, &holder.label(), "all");
    call.accounts().write(move |conn| store::revoke_all(conn, &holder.id, deed)).await?;
    Ok(nothing(StatusCode::NO_CONTENT))
}

/// Refuses to take anything from somebody who reaches further than the caller, or to log in as him.
async fn check_reach(call: &Call<'_>, holder: &Holder) -> Result<(), Fault> {
    if outranks(&call.caller, &call.accounts().identity(holder.clone()).await?) {
        return Ok(());
    }
    Err(Fault::Forbidden("It reaches further than you do.".into()))
}

/// Refuses what would leave nobody to put things right.
fn keep_administrators(call: &Call<'_>, holder: &Holder) -> Result<(), Fault> {
    if is_admin_role(holder) {
        return Err(Fault::Conflict("The role admin stays as it is."));
    }
    if call.accounts().is_of_settings(holder) {
        return Err(Fault::Conflict("This user is named in the settings and stays an administrator."));
    }
    Ok(())
}

fn is_admin_role(holder: &Holder) -> bool {
    holder.kind == Kind::Role && holder.name == ADMIN_ROLE
}

/// Whether the caller may do everything that the other may.
fn outranks(caller: &Caller, other: &Identity) -> bool {
    let is_role_held = caller.is_admin || !other.principal.has_role(ADMIN_ROLE);
    is_role_held && other.principal.permissions.iter().all(|pattern| caller.covers(pattern))
}

fn secret_of(kind: Kind, members: &Map<String, serde_json::Value>) -> Result<Option<String>, Fault> {
    match kind {
        Kind::User => input::member(members, "password"),
        Kind::Client => input::member(members, "secret"),
        Kind::Role => Ok(None),
    }
}

/// A list as an answer.
fn array(list: Vec<serde_json::Value>) -> Response<Body> {
    object(&serde_json::Value::Array(list))
}
