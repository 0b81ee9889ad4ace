//! `/admin/scopes`: what a token may be limited to. Only administrators get here.

use super::{Call, input, nothing, object};
use crate::body::Body;
use crate::fault::Fault;
use crate::model::{Action, Scope};
use crate::store;
use hyper::{Method, Response, StatusCode};
use serde_json::{Value, json};

/// The scopes' routes.
pub(super) async fn answer(call: Call<'_>) -> Result<Response<Body>, Fault> {
    match *call.request.method() {
        Method::GET => list_scopes(&call).await,
        Method::POST => put_scope(call).await,
        _ => delete_scope(&call).await,
    }
}

/// `GET /admin/scopes`
async fn list_scopes(call: &Call<'_>) -> Result<Response<Body>, Fault> {
    let scopes: Vec<Value> = call.accounts().read(store::list_scopes).await?.iter().map(shown).collect();
    Ok(object(&json!({ "scopes": scopes })))
}

/// `POST /admin/scopes`: registers a scope, or changes the one of this name.
async fn put_scope(mut call: Call<'_>) -> Result<Response<Body>, Fault> {
    let scope: Scope = serde_json::from_slice(&input::body(&mut call.request).await?).map_err(|_cause| {
        Fault::BadRequest("Expected a JSON object with name, description, default, permissions.")
    })?;
    let scope = scope.check().map_err(|invalid| Fault::BadRequest(invalid.text()))?;
    let deed = call.deed(Action::ScopePut, &format!("scope:{}", scope.name), &scope.permissions.join(", "));
    let answer = object(&shown(&scope));
    let is_stored = call.accounts().write(move |conn| store::put_scope(conn, scope, deed)).await?;
    if is_stored { Ok(answer) } else { Err(Fault::Conflict("There are 256 scopes already.")) }
}

/// `DELETE /admin/scopes/{name}`
async fn delete_scope(call: &Call<'_>) -> Result<Response<Body>, Fault> {
    let name = input::storable(call.path().rsplit('/').next().unwrap_or_default())?;
    let deed = call.deed(Action::ScopeDelete, &format!("scope:{name}"), "");
    let is_gone = call.accounts().write(move |conn| store::delete_scope(conn, &name, deed)).await?;
    if is_gone { Ok(nothing(StatusCode::NO_CONTENT)) } else { Err(Fault::NotFound) }
}

fn shown(scope: &Scope) -> Value {
    json!({
        "name": scope.name,
        "description": scope.description,
        "default": scope.is_default,
        "permissions": scope.permissions,
    })
}
