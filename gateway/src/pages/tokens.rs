//! `/admin/tokens`: listing, making and revoking API tokens. Only administrators get here.

use super::{Call, nothing, object, unstored};
use crate::body::Body;
use crate::fault::Fault;
use crate::model::{Action, NewToken, Token, TokenKind, token_hash};
use crate::pages::input;
use crate::store;
use chrono::{DateTime, SecondsFormat, Utc};
use hyper::header::{HeaderValue, LOCATION};
use hyper::{Method, Response, StatusCode};
use serde_json::{Value, json};

/// The tokens' routes.
pub(super) async fn answer(call: Call<'_>) -> Result<Response<Body>, Fault> {
    match *call.request.method() {
        Method::GET => list_tokens(&call).await,
        Method::POST => create_token(call).await,
        _ => revoke_token(&call).await,
    }
}

/// `GET /admin/tokens?after=ID&limit=N`
async fn list_tokens(call: &Call<'_>) -> Result<Response<Body>, Fault> {
    let after = input::argument(call.query(), "after").unwrap_or_default();
    let limit = input::limit(call.query())?;
    let list = call.accounts().read(move |conn| store::list_tokens(conn, &after, limit)).await?;
    let tokens: Vec<Value> = list.iter().map(shown).collect();
    Ok(object(&json!({ "tokens": tokens })))
}

/// `POST /admin/tokens`: the answer is the only place where the token ever shows.
async fn create_token(mut call: Call<'_>) -> Result<Response<Body>, Fault> {
    let body = input::body(&mut call.request).await?;
    let wish: NewToken = serde_json::from_slice(&body).map_err(|_cause| {
        Fault::BadRequest(
            "Expected a JSON object with name, roles, permissions, user_id, project_id, expires_in_secs.",
        )
    })?;
    let wish = wish.check().map_err(|invalid| Fault::BadRequest(invalid.text()))?;
    let token = wish.into_token(call.gateway().clock.now());
    let (text, row) = (TokenKind::Api.generate(), token.clone());
    let hash = token_hash(&text);
    let deed = call.deed(Action::TokenIssue, &format!("token:{}", token.name), &token.id);
    call.accounts().write(move |conn| store::create_token(conn, row, hash, deed)).await?;
    let mut shown = shown(&token);
    if let Value::Object(members) = &mut shown {
        members.insert("token".into(), text.into());
    }
    let mut answer = unstored(object(&shown));
    *answer.status_mut() = StatusCode::CREATED;
    if let Ok(place) = HeaderValue::from_str(&format!("/admin/tokens/{}", token.id)) {
        answer.headers_mut().insert(LOCATION, place);
    }
    Ok(answer)
}

/// `DELETE /admin/tokens/{id}`
async fn revoke_token(call: &Call<'_>) -> Result<Response<Body>, Fault> {
    let id = input::storable(call.path().rsplit('/').next().unwrap_or_default())?;
    let deed = call.deed(Action::TokenRevoke, "token", &id);
    let is_known = call.accounts().write(move |conn| store::revoke_token(conn, &id, deed)).await?;
    if is_known { Ok(nothing(StatusCode::NO_CONTENT)) } else { Err(Fault::NotFound) }
}

fn shown(token: &Token) -> Value {
    let at = |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339_opts(SecondsFormat::Micros, true));
    json!({
        "id": token.id,
        "name": token.name,
        "roles": token.roles,
        "permissions": token.permissions,
        "user_id": token.user_id,
        "project_id": token.project_id,
        "created_at": at(Some(token.created_at)),
        "expires_at": at(token.expires_at),
        "revoked_at": at(token.revoked_at),
    })
}
