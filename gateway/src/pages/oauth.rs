//! OAuth 2: tokens for users and clients (RFC 6749, RFC 7636, RFC 7009; contract `dtrace`, section 5).

mod authorize;
mod client;
mod error;
pub(super) mod form;
mod grants;

pub(super) use authorize::authorize;

use super::{Call, nothing, object, unstored};
use crate::body::Body;
use crate::model::{Action, TokenKind, token_hash};
use crate::store;
use error::{Code, OAuthError};
use form::Form;
use hyper::{Response, StatusCode};

/// `POST /oauth/token`
pub(super) async fn token(mut call: Call<'_>) -> Response<Body> {
    let outcome = match read(&mut call).await {
        Ok(form) => grants::grant(&call, &form).await,
        Err(refused) => Err(refused),
    };
    match outcome {
        Ok(granted) => unstored(object(&granted)),
        Err(refused) => refused.answer(),
    }
}

/// `POST /oauth/revoke` (RFC 7009): whoever holds a token may end it, and a token that is unknown is ended already.
pub(super) async fn revoke(mut call: Call<'_>) -> Response<Body> {
    let outcome = match read(&mut call).await {
        Ok(form) => end(&call, &form).await,
        Err(refused) => Err(refused),
    };
    outcome.map_or_else(|refused| refused.answer(), |()| nothing(StatusCode::OK))
}

async fn end(call: &Call<'_>, form: &Form) -> Result<(), OAuthError> {
    let token = form.required("token")?;
    let client = client::find(call, form).await?;
    if TokenKind::of(token) == Some(TokenKind::Api) {
        return Err(OAuthError::new(Code::UnsupportedTokenType, "Administrators revoke API tokens."));
    }
    let (hash, client) = (token_hash(token), client.map(|client| client.holder.id));
    let deed = call.deed(Action::TokenRevoke, "unknown", "");
    let revoke = move |conn: &mut _| store::revoke_oauth_token(conn, &hash, client.as_deref(), deed);
    Ok(call.accounts().write(revoke).await?)
}

/// The body, which is a form whatever the content type says: pyfi calls it JSON.
async fn read(call: &mut Call<'_>) -> Result<Form, OAuthError> {
    let body = super::input::body(&mut call.request).await?;
    Form::parse(&body)
}
