//! `/admin/tokens`: listing, making and revoking API tokens. Only administrators get here.

use super::object;
use crate::body::Body;
use crate::fault::Fault;
use crate::gateway::Gateway;
use crate::identity::away;
use crate::model::{NewToken, Token, generate_token, token_hash};
use crate::store;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

/// Bytes of a wish for a token.
const BODY_BYTES: usize = 64 << 10;

/// Tokens in one answer, when nothing else is asked for and at most.
const PAGE: i64 = 100;
const LONGEST_PAGE: i64 = 1000;

/// The tokens' routes.
pub(super) async fn answer(gateway: &Gateway, request: Request<Incoming>) -> Result<Response<Body>, Fault> {
    match *request.method() {
        Method::GET => list_tokens(gateway, request.uri().query().unwrap_or_default()).await,
        Method::POST => create_token(gateway, request).await,
        _ => revoke_token(gateway, request.uri().path()).await,
    }
}

/// `GET /admin/tokens?after=ID&limit=N`
async fn list_tokens(gateway: &Gateway, query: &str) -> Result<Response<Body>, Fault> {
    let argument = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(own, _)| *own == name).map(|(_, value)| value.to_owned())
    };
    let after = argument("after").unwrap_or_default();
    let limit = argument("limit").map_or(Ok(PAGE), |limit| limit.parse());
    let limit = limit.ok().filter(|limit| (1..=LONGEST_PAGE).contains(limit));
    let limit = limit.ok_or(Fault::BadRequest("limit: expected 1 to 1000"))?;
    let list = gateway
        .accounts
        .db()
        .read(move |conn| store::list_tokens(conn, &after, limit))
        .await
        .map_err(away)?;
    let tokens: Vec<Value> = list.iter().map(shown).collect();
    Ok(object(&json!({ "tokens": tokens })))
}

/// `POST /admin/tokens`: the answer is the only place where the token ever shows.
async fn create_token(gateway: &Gateway, request: Request<Incoming>) -> Result<Response<Body>, Fault> {
    let wish: NewToken = serde_json::from_slice(&read(request).await?).map_err(|_cause| {
        Fault::BadRequest(
            "Expected a JSON object with name, roles, permissions, user_id, project_id, expires_in_secs.",
        )
    })?;
    let wish = wish.check().map_err(|invalid| Fault::BadRequest(invalid.text()))?;
    let token = wish.into_token(gateway.clock.now());
    let (text, row) = (generate_token(), token.clone());
    let hash = token_hash(&text);
    gateway.accounts.db().write(move |conn| store::put_token(conn, row, hash)).await.map_err(away)?;
    log::info!(token_id = token.id.as_str(); "API token made");
    let mut shown = shown(&token);
    if let Value::Object(members) = &mut shown {
        members.insert("token".into(), text.into());
    }
    let mut answer = object(&shown);
    *answer.status_mut() = StatusCode::CREATED;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(place) = HeaderValue::from_str(&format!("/admin/tokens/{}", token.id)) {
        answer.headers_mut().insert(LOCATION, place);
    }
    Ok(answer)
}

/// `DELETE /admin/tokens/{id}`
async fn revoke_token(gateway: &Gateway, path: &str) -> Result<Response<Body>, Fault> {
    let id = path.rsplit('/').next().unwrap_or_default().to_owned();
    let (text, now) = (id.clone(), gateway.clock.now());
    let is_known =
        gateway.accounts.db().write(move |conn| store::revoke_token(conn, &text, now)).await.map_err(away)?;
    if !is_known {
        return Err(Fault::NotFound);
    }
    log::info!(token_id = id.as_str(); "API token revoked");
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
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

async fn read(request: Request<Incoming>) -> Result<Bytes, Fault> {
    let body = Limited::new(request.into_body(), BODY_BYTES).collect().await;
    let body = body.map_err(|cause| {
        if cause.is::<http_body_util::LengthLimitError>() {
            Fault::TooLarge(u64::try_from(BODY_BYTES).unwrap_or(u64::MAX))
        } else {
            Fault::BadRequest("The request body is malformed or broke off.")
        }
    })?;
    Ok(body.to_bytes())
}
