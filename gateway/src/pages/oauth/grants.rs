//! The ways to a token.

use super::client::{self, Client};
use super::error::{Code, OAuthError};
use super::form::Form;
use crate::model::oauth::ACCESS_SECS;
use crate::model::secret::sha256;
use crate::model::{Action, Deed, Holder, Issue, Kind, OAuthToken, Proof, Scope, TokenKind, token_hash};
use crate::pages::Call;
use crate::store::{self, Exchange};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use shared::config::AuthMode;
use subtle::ConstantTimeEq;

/// Most bytes of the names of all scopes that are asked for.
const SCOPE_BYTES: usize = 4096;

/// What the form asks for.
///
/// # Errors
/// [`OAuthError`].
pub(super) async fn grant(call: &Call<'_>, form: &Form) -> Result<Value, OAuthError> {
    let grant_type = form.required("grant_type")?;
    let is_open = call.gateway().mode == AuthMode::Open;
    match grant_type {
        "password" | "client_credentials" if is_open => open(call, form).await,
        "password" => password(call, form).await,
        "client_credentials" => client_credentials(call, form).await,
        "authorization_code" => authorization_code(call, form).await,
        "refresh_token" => refresh_token(call, form).await,
        // Quirk: the original's word; the RFC's would be `unsupported_grant_type`.
        _ => Err(OAuthError::new(Code::InvalidRequest, "The grant type is not supported.")),
    }
}

/// In the open mode nobody logs in. A client that wants to gets a token all the same, and it opens what is open anyway.
async fn open(call: &Call<'_>, form: &Form) -> Result<Value, OAuthError> {
    if form.get("grant_type")? == Some("password") {
        form.required("username")?;
        form.required("password")?;
    }
    let scope = scope(call, form).await?;
    Ok(shown(&TokenKind::Access.generate(), &scope))
}

async fn password(call: &Call<'_>, form: &Form) -> Result<Value, OAuthError> {
    let (name, password) = (form.required("username")?, form.required("password")?);
    let client = client::find(call, form).await?;
    let scope = scope(call, form).await?;
    let shown = (Kind::User, name, password);
    let identity = call.worker.logins.check_password(call.accounts(), shown, call.address).await?;
    let owner =
        identity.and_then(|identity| Some((identity.holder?, identity.principal.subject, identity.login)));
    let wrong = || OAuthError::new(Code::AccessDenied, "User or password is wrong.");
    let (owner, actor, login) = owner.ok_or_else(wrong)?;
    let issue = Issue::new(owner, client.map(|client| client.holder.id), Some(scope));
    let deed = Deed { actor, ..call.deed(Action::TokenIssue, &format!("user:{name}"), "password") };
    issue_access(call, login.proof, issue, deed).await?.ok_or_else(wrong)
}

async fn client_credentials(call: &Call<'_>, form: &Form) -> Result<Value, OAuthError> {
    let missing = || OAuthError::new(Code::InvalidClient, "The client must show itself.");
    let client = client::find(call, form).await?.ok_or_else(missing)?;
    let Some(proof) = client.proof else {
        return Err(OAuthError::new(Code::UnauthorizedClient, "A client without a secret cannot do this."));
    };
    let scope = scope(call, form).await?;
    let deed = deed_of(call, Action::TokenIssue, &client.holder, "client_credentials");
    let id = client.holder.id;
    let issued = issue_access(call, proof, Issue::new(id.clone(), Some(id), Some(scope)), deed).await?;
    issued.ok_or_else(client::wrong)
}

async fn authorization_code(call: &Call<'_>, form: &Form) -> Result<Value, OAuthError> {
    let code = form.required("code")?;
    let client = known(client::find(call, form).await?)?;
    let redirect_uri = form.get("redirect_uri")?.map(str::to_owned);
    let verifier = form.get("code_verifier")?.map(str::to_owned);
    let now = call.gateway().clock.now();
    let is_shown = client.proof.is_some();
    let next = move |code: &OAuthToken| {
        let is_same_place = code.redirect_uri == redirect_uri;
        // Without its own secret, a client has PKCE's.
        if !is_same_place || !is_proof(verifier.as_deref(), code.challenge.as_deref(), is_shown) {
            return Err(Exchange::Refused);
        }
        Ok(pair(code.issue.clone(), now))
    };
    let deed = deed_of(call, Action::TokenIssue, &client.holder, "authorization_code");
    exchange(call, (TokenKind::Code, code), client.holder, deed, next).await
}

async fn refresh_token(call: &Call<'_>, form: &Form) -> Result<Value, OAuthError> {
    let token = form.required("refresh_token")?;
    let client = known(client::find(call, form).await?)?;
    let narrower = match form.get("scope")? {
        Some(_) => Some(scope(call, form).await?),
        None => None,
    };
    let now = call.gateway().clock.now();
    let next = move |token: &OAuthToken| {
        let mut issue = token.issue.clone();
        if let Some(narrower) = narrower {
            if !is_within(&narrower, issue.scope.as_deref()) {
                return Err(Exchange::Widened);
            }
            issue.scope = Some(narrower);
        }
        Ok(pair(issue, now))
    };
    let deed = deed_of(call, Action::TokenRefresh, &client.holder, "refresh_token");
    exchange(call, (TokenKind::Refresh, token), client.holder, deed, next).await
}

/// An access token and the refresh token that comes with it.
struct Pair {
    made: Vec<OAuthToken>,
    access: String,
    refresh: String,
    scope: String,
}

fn pair(issue: Issue, now: DateTime<Utc>) -> Pair {
    let scope = issue.scope.clone().unwrap_or_default();
    let (access_row, access) = OAuthToken::make(TokenKind::Access, issue.clone(), now);
    let (refresh_row, refresh) = OAuthToken::make(TokenKind::Refresh, issue, now);
    Pair { made: vec![access_row, refresh_row], access, refresh, scope }
}

/// Gives a code or refresh token in return for a pair.
async fn exchange(
    call: &Call<'_>,
    (kind, token): (TokenKind, &str),
    client: Holder,
    deed: Deed,
    next: impl FnOnce(&OAuthToken) -> Result<Pair, Exchange> + Send + 'static,
) -> Result<Value, OAuthError> {
    call.accounts().check_failures(call.address)?;
    let hash = token_hash(token);
    let outcome = call.accounts().write(move |conn| {
        let mut texts = None;
        let exchanged = store::exchange(conn, (kind, &hash), Some(&client.id), deed, |token| {
            let Pair { made, access, refresh, scope } = next(token)?;
            texts = Some((access, refresh, scope));
            Ok(made)
        })?;
        Ok((exchanged, texts))
    });
    match outcome.await? {
        (Exchange::Done, Some((access, refresh, scope))) => {
            let mut answer = shown(&access, &scope);
            if let Value::Object(members) = &mut answer {
                members.insert("refresh_token".into(), refresh.into());
            }
            Ok(answer)
        }
        (Exchange::Widened, _) => {
            Err(OAuthError::new(Code::InvalidScope, "The scope is wider than that of the refresh token."))
        }
        (Exchange::Done | Exchange::Refused | Exchange::Reused, _) => {
            call.accounts().count_failure(call.address, kind.name()).await;
            Err(OAuthError::new(Code::InvalidGrant, "The code or token is unknown, used, or too old."))
        }
    }
}

fn known(client: Option<Client>) -> Result<Client, OAuthError> {
    client.ok_or_else(|| OAuthError::new(Code::InvalidRequest, "The parameter client_id is missing."))
}

/// Whether the verifier fits the challenge (RFC 7636, section 4.6). A code without a challenge is good only for a client
/// that has shown its secret, and takes no verifier (RFC 9700, section 2.1.1).
fn is_proof(verifier: Option<&str>, challenge: Option<&str>, is_shown: bool) -> bool {
    match (verifier, challenge) {
        (Some(verifier), Some(challenge)) => {
            sha256(verifier.as_bytes()).as_bytes().ct_eq(challenge.as_bytes()).into()
        }
        (None, None) => is_shown,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Whether every name of `narrower` is in `scope`.
pub(super) fn is_within(narrower: &str, scope: Option<&str>) -> bool {
    scope.is_none_or(|scope| narrower.split(' ').all(|name| scope.split(' ').any(|own| own == name)))
}

/// The names that are asked for, or all that are registered.
///
/// # Errors
/// [`Code::InvalidScope`] for one that is not.
pub(super) async fn scope(call: &Call<'_>, form: &Form) -> Result<String, OAuthError> {
    let known = call.accounts().read(store::list_scopes).await?;
    let Some(asked) = form.get("scope")? else {
        let names: Vec<&str> = known.iter().map(|scope| scope.name.as_str()).collect();
        return Ok(names.join(" "));
    };
    let is_known = |name: &&str| known.iter().any(|scope: &Scope| scope.name == **name);
    let mut names: Vec<&str> = asked.split(' ').filter(|name| !name.is_empty()).collect();
    if asked.len() > SCOPE_BYTES || names.is_empty() || !names.iter().all(is_known) {
        return Err(OAuthError::new(Code::InvalidScope, "There is no such scope."));
    }
    names.sort_unstable();
    names.dedup();
    Ok(names.join(" "))
}

/// Something that a client does now, which has named itself in the form.
fn deed_of(call: &Call<'_>, action: Action, client: &Holder, way: &str) -> Deed {
    Deed { actor: client.subject(), ..call.deed(action, &client.label(), way) }
}

/// An access token; `None` when the secret that was shown has been changed meanwhile.
async fn issue_access(
    call: &Call<'_>,
    proof: Proof,
    issue: Issue,
    deed: Deed,
) -> Result<Option<Value>, OAuthError> {
    let scope = issue.scope.clone().unwrap_or_default();
    let (made, text) = OAuthToken::make(TokenKind::Access, issue, call.gateway().clock.now());
    let is_issued = call.accounts().write(move |conn| store::issue(conn, &proof, made, deed)).await?;
    Ok(is_issued.then(|| shown(&text, &scope)))
}

fn shown(access: &str, scope: &str) -> Value {
    json!({ "access_token": access, "token_type": "bearer", "expires_in": ACCESS_SECS, "scope": scope })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_of_the_rfc_proves_its_challenge() {
        // RFC 7636, appendix B
        let (verifier, challenge) =
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(is_proof(Some(verifier), Some(challenge), false));
        assert!(!is_proof(Some("other"), Some(challenge), true));
        assert!(!is_proof(None, Some(challenge), true));
        assert!(!is_proof(Some(verifier), None, true));
        assert!(is_proof(None, None, true) && !is_proof(None, None, false));
    }

    #[test]
    fn a_scope_is_narrower_when_it_names_nothing_else() {
        assert!(is_within("a", Some("a b")) && is_within("a b", Some("b a")) && is_within("a", None));
        assert!(!is_within("a c", Some("a b")) && !is_within("*", Some("a")));
    }
}
