//! Which client asks, and whether it has shown its secret.

use super::error::{Code, OAuthError};
use super::form::{Form, decoded};
use crate::model::{Holder, Kind, Proof};
use crate::pages::Call;
use crate::store;
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::header::AUTHORIZATION;

/// A client that takes part.
#[derive(Debug, Clone)]
pub(super) struct Client {
    /// The client.
    pub(super) holder: Holder,
    /// That it has shown its secret. One without a secret never has.
    pub(super) proof: Option<Proof>,
}

/// The client that the form or `Authorization: Basic` names; `None` when neither does.
///
/// # Errors
/// [`Code::InvalidClient`] for an unknown one, a wrong secret, or one that should have shown its secret.
pub(super) async fn find(call: &Call<'_>, form: &Form) -> Result<Option<Client>, OAuthError> {
    let (id, secret) = match (basic(call)?, form.get("client_id")?) {
        (Some(_), _) if form.get("client_secret")?.is_some() => {
            return Err(OAuthError::new(Code::InvalidRequest, "The client shows its secret twice."));
        }
        (Some((id, _)), Some(other)) if id != other => {
            return Err(OAuthError::new(Code::InvalidRequest, "Two clients are named."));
        }
        (Some((id, secret)), _) => (id, Some(secret)),
        (None, Some(id)) => (id.to_owned(), form.get("client_secret")?.map(str::to_owned)),
        (None, None) => return Ok(None),
    };
    call.accounts().check_failures(call.address)?;
    let found = named(call, &id).await?;
    let name = found.as_ref().map_or(id.as_str(), |client| client.name.as_str());
    match (secret, found.clone()) {
        (None, Some(holder)) if holder.secret_hash.is_none() => Ok(Some(Client { holder, proof: None })),
        (None, _) => {
            call.accounts().count_failure(call.address, &format!("client:{id}")).await;
            Err(wrong())
        }
        (Some(secret), _) => {
            let shown = (Kind::Client, name, secret.as_str());
            let identity = call.worker.logins.check_password(call.accounts(), shown, call.address).await?;
            let (identity, holder) = identity.zip(found).ok_or_else(wrong)?;
            Ok(Some(Client { holder, proof: Some(identity.login.proof) }))
        }
    }
}

/// Unknown, or with a wrong secret.
pub(super) fn wrong() -> OAuthError {
    OAuthError::new(Code::InvalidClient, "The client is unknown, or its secret is wrong.")
}

/// A client by its id, or by its name.
pub(super) async fn named(call: &Call<'_>, id: &str) -> Result<Option<Holder>, OAuthError> {
    let own = id.to_owned();
    let found = call.accounts().read(move |conn| store::find_holder(conn, Kind::Client, &own)).await?;
    Ok(match found {
        Some(client) => Some(client),
        None => call.accounts().named(Kind::Client, id).await?,
    })
}

/// Id and secret, each encoded as in a form (RFC 6749, section 2.3.1). A token names no client: programs that show theirs
/// with every request do so here too.
fn basic(call: &Call<'_>) -> Result<Option<(String, String)>, OAuthError> {
    let Some(value) = call.request.headers().get(AUTHORIZATION) else { return Ok(None) };
    if value.as_bytes().get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer ")) {
        return Ok(None);
    }
    let pair = value.to_str().ok().and_then(|value| {
        let (scheme, rest) = value.split_once(' ')?;
        let pair = STANDARD.decode(rest.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        let at = pair.iter().position(|byte| *byte == b':')?;
        let (id, secret) = pair.split_at(at);
        Some((decoded(id)?, decoded(secret.get(1..)?)?))
    });
    let unknown = OAuthError::new(Code::InvalidClient, "The client must show itself by Basic.");
    pair.map(Some).ok_or(unknown)
}
