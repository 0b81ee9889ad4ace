//! Logins of the first version of `FiFo`'s API, and one-time tokens (contract `dtrace`, section 5).

use super::{Call, input, nothing, object, see_other, unstored};
use crate::body::Body;
use crate::fault::Fault;
use crate::identity::SNARL;
use crate::model::oauth::ONCE_SECS;
use crate::model::{Action, Deed, Issue, Kind, OAuthToken, TokenKind, token_hash};
use crate::store;
use hyper::header::{HeaderName, HeaderValue, SET_COOKIE};
use hyper::{Method, Response, StatusCode};
use serde_json::json;
use shared::config::AuthMode;

/// The only version that logs in here; the others have OAuth 2.
const OLD: &str = "/api/0.1.0/sessions";

/// The sessions' routes.
pub(super) async fn answer(call: Call<'_>) -> Result<Response<Body>, Fault> {
    match *call.request.method() {
        Method::GET => make_once(&call).await,
        Method::POST => log_in(call).await,
        _ => log_out(&call).await,
    }
}

/// `GET /sessions/one_time_token`: for whoever cannot send a header, such as a browser's websocket.
async fn make_once(call: &Call<'_>) -> Result<Response<Body>, Fault> {
    let caller = &call.caller;
    let text = match (call.gateway().mode, caller.holder.clone().zip(caller.login.as_ref())) {
        (AuthMode::Open, _) => TokenKind::Once.generate(),
        (AuthMode::Secure, Some(_)) if caller.is_once => {
            return Err(Fault::Forbidden("A one-time token makes no other one.".into()));
        }
        (AuthMode::Secure, Some((owner, login))) => {
            let issue = Issue::new(owner, None, caller.scope.clone());
            let (made, text) = OAuthToken::make(TokenKind::Once, issue, call.gateway().clock.now());
            let proof = login.proof.clone();
            let made = OAuthToken { parent: proof.access().map(str::to_owned), ..made };
            if !call.accounts().write(move |conn| store::issue_once(conn, &proof, made)).await? {
                return Err(Fault::Unauthorized("The credentials are not valid."));
            }
            text
        }
        (AuthMode::Secure, None) => {
            return Err(Fault::Forbidden("Only users and clients have one-time tokens.".into()));
        }
    };
    // Quirk: the original spells it so.
    Ok(unstored(object(&json!({ "expiery": ONCE_SECS, "token": text }))))
}

/// `POST /api/0.1.0/sessions {"user", "password"}`
async fn log_in(mut call: Call<'_>) -> Result<Response<Body>, Fault> {
    if call.path().trim_end_matches('/') != OLD {
        return Err(Fault::NotFound);
    }
    let members = input::members(&mut call.request).await?;
    let pair = (input::member(&members, "user")?, input::member(&members, "password")?);
    let (Some(user), Some(password)) = pair else {
        return Err(Fault::BadRequest("Expected user and password."));
    };
    let text = if call.gateway().mode == AuthMode::Open {
        TokenKind::Access.generate()
    } else {
        let shown = (Kind::User, user.as_str(), password.as_str());
        let identity = call.worker.logins.check_password(call.accounts(), shown, call.address).await?;
        let owner = identity
            .and_then(|identity| Some((identity.holder?, identity.principal.subject, identity.login)));
        let wrong = Fault::Unauthorized("User or password is wrong.");
        let Some((owner, actor, login)) = owner else { return Err(wrong) };
        let issue = Issue::new(owner, None, None);
        let (made, text) = OAuthToken::make(TokenKind::Access, issue, call.gateway().clock.now());
        let deed = Deed { actor, ..call.deed(Action::TokenIssue, &format!("user:{user}"), "session") };
        if !call.accounts().write(move |conn| store::issue(conn, &login.proof, made, deed)).await? {
            return Err(wrong);
        }
        text
    };
    let mut answer = unstored(see_other(&format!("{OLD}/{text}")));
    let cookie = format!("{SNARL}={text}; Path=/api/0.1.0; HttpOnly; SameSite=Lax");
    let values = (HeaderValue::from_str(&cookie), HeaderValue::from_str(&text));
    if let (Ok(cookie), Ok(token)) = values {
        answer.headers_mut().insert(SET_COOKIE, cookie);
        answer.headers_mut().insert(HeaderName::from_static(SNARL), token);
    }
    Ok(answer)
}

/// `DELETE /sessions/TOKEN`: whoever holds a token may end it.
async fn log_out(call: &Call<'_>) -> Result<Response<Body>, Fault> {
    let token = input::storable(call.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default())?;
    let (hash, deed) = (token_hash(&token), call.deed(Action::TokenRevoke, "unknown", ""));
    call.accounts().write(move |conn| store::revoke_oauth_token(conn, &hash, None, deed)).await?;
    Ok(nothing(StatusCode::NO_CONTENT))
}
