//! Sending a user back to a client with a code (RFC 6749, section 4.1; contract `dtrace`, section 5).
//!
//! Until client and redirect URI are known to belong together, every refusal is a page; afterwards it goes to the client.

use super::error::{Code, OAuthError};
use super::form::Form;
use super::{client, grants};
use crate::body::Body;
use crate::fault::Fault;
use crate::identity::{Caller, Credentials};
use crate::model::{Action, Holder, Issue, Kind, OAuthToken, TokenKind};
use crate::pages::{Call, input, nothing, typed, unstored};
use crate::store;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, LOCATION};
use hyper::{Method, Response, StatusCode};
use shared::url::encoded;
use std::sync::Arc;

/// Characters of a PKCE challenge: SHA-256 in base64 without padding.
const CHALLENGE_CHARS: usize = 43;

/// Longest state that is carried to the client, in bytes.
const STATE_BYTES: usize = 2048;

/// The page shows nothing from elsewhere, and nobody may show it in a frame.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

/// `GET` and `POST /oauth/auth`
///
/// # Errors
/// As logging in.
pub(in crate::pages) async fn authorize(mut call: Call<'_>) -> Result<Response<Body>, Fault> {
    let body = input::body(&mut call.request).await?;
    let form = Form::parse(&body).and_then(|own| Ok(own.or(Form::parse(call.query().as_bytes())?)));
    let form = match form {
        Ok(form) => form,
        Err(refused) => return Ok(refused.answer()),
    };
    let target = match Target::find(&call, &form).await {
        Ok(target) => target,
        Err(refused) => return Ok(refused.answer()),
    };
    let code = match wish(&call, &form, &target).await {
        Ok(wish) => match log_in(&call, &form).await? {
            LoggedIn::Yes(caller) => match make_code(&call, &caller, &target, wish).await? {
                Ok(None) => return Ok(wrong(&target.client)),
                Ok(Some(code)) => Ok(code),
                Err(refused) => Err(refused),
            },
            LoggedIn::No => return Ok(page(&target.client, "")),
            LoggedIn::Wrong => return Ok(wrong(&target.client)),
        },
        Err(refused) => Err(refused),
    };
    Ok(match code {
        Ok(code) => target.send_back(&[("code", &code)]),
        Err(refused) => target.send_back(&[("error", refused.code.name())]),
    })
}

/// Whom the user is sent back to.
struct Target {
    client: Holder,
    redirect_uri: String,
    /// Whether the client named the URI: then it must name it again with the code.
    is_named: bool,
    state: Option<String>,
}

impl Target {
    async fn find(call: &Call<'_>, form: &Form) -> Result<Self, OAuthError> {
        let unknown =
            || OAuthError::new(Code::UnauthorizedClient, "No such client, or not with this redirect URI.");
        let client = match form.get("client_id")? {
            Some(id) => client::named(call, id).await?.ok_or_else(unknown)?,
            None => return Err(unknown()),
        };
        let id = client.id.clone();
        let uris = call.accounts().read(move |conn| store::uris_of(conn, &id)).await?;
        let named = form.get("redirect_uri")?;
        let redirect_uri = match (named, uris.as_slice()) {
            (Some(named), uris) => uris.iter().find(|(_, own)| own == named),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let (_, redirect_uri) = redirect_uri.cloned().ok_or_else(unknown)?;
        let state = form.get("state")?.filter(|state| state.len() <= STATE_BYTES).map(str::to_owned);
        Ok(Self { client, redirect_uri, is_named: named.is_some(), state })
    }

    fn send_back(&self, pairs: &[(&str, &str)]) -> Response<Body> {
        let state = self.state.as_deref().map(|state| ("state", state));
        let pairs = pairs.iter().copied().chain(state);
        let query: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let joint = if self.redirect_uri.contains('?') { '&' } else { '?' };
        let mut answer = unstored(nothing(StatusCode::FOUND));
        if let Ok(place) = HeaderValue::from_str(&format!("{}{joint}{}", self.redirect_uri, query.join("&")))
        {
            answer.headers_mut().insert(LOCATION, place);
        }
        let policy = (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
        answer.headers_mut().extend([policy]);
        answer
    }
}

/// What the code shall be good for.
struct Wish {
    scope: String,
    challenge: Option<String>,
}

async fn wish(call: &Call<'_>, form: &Form, target: &Target) -> Result<Wish, OAuthError> {
    match form.get("response_type")? {
        Some("code") => {}
        Some(_) => return Err(OAuthError::new(Code::UnsupportedResponseType, "Only code is given.")),
        None => return Err(OAuthError::new(Code::InvalidRequest, "The parameter response_type is missing.")),
    }
    let challenge = form.get("code_challenge")?;
    let is_good = match (challenge, form.get("code_challenge_method")?) {
        (Some(challenge), Some("S256")) => {
            let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            challenge.len() == CHALLENGE_CHARS && challenge.bytes().all(is_base64)
        }
        // A client without a secret has nothing else to show that the code is its own.
        (None, None) => target.client.secret_hash.is_some(),
        _ => false,
    };
    if !is_good {
        return Err(OAuthError::new(Code::InvalidRequest, "A challenge with the method S256 is required."));
    }
    Ok(Wish { scope: grants::scope(call, form).await?, challenge: challenge.map(str::to_owned) })
}

/// Whether a user has shown who he is.
enum LoggedIn {
    Yes(Arc<Caller>),
    No,
    Wrong,
}

/// By bearer, by the form, or, when the browser was not led here by a mere link, by Basic.
async fn log_in(call: &Call<'_>, form: &Form) -> Result<LoggedIn, Fault> {
    let is_post = call.request.method() == Method::POST;
    let posted = match (form.get("username"), form.get("password")) {
        (Ok(Some(name)), Ok(Some(password))) if is_post => Some((name, password)),
        _ => None,
    };
    if let Some((name, password)) = posted {
        let shown = (Kind::User, name, password);
        let identity = call.worker.logins.check_password(call.accounts(), shown, call.address).await?;
        return Ok(identity.map_or(LoggedIn::Wrong, |identity| LoggedIn::Yes(Arc::new(Caller::of(identity)))));
    }
    let headers = call.request.headers();
    let credentials = Credentials::read(headers).filter(|_| is_post || !Credentials::are_ambient(headers));
    let Some(credentials) = credentials else { return Ok(LoggedIn::No) };
    let caller = call.worker.logins.log_in(call.accounts(), &credentials, call.address).await?;
    Ok(caller.map_or(LoggedIn::Wrong, LoggedIn::Yes))
}

/// A code; `None` when what the user has shown is good no more.
async fn make_code(
    call: &Call<'_>,
    caller: &Caller,
    target: &Target,
    wish: Wish,
) -> Result<Result<Option<String>, OAuthError>, Fault> {
    let (Some(owner), Some(login)) = (caller.holder.clone(), &caller.login) else {
        return Ok(Err(OAuthError::new(Code::AccessDenied, "An API token is no user.")));
    };
    if !grants::is_within(&wish.scope, caller.scope.as_deref()) {
        return Ok(Err(OAuthError::new(Code::InvalidScope, "The login does not reach so far.")));
    }
    let issue = Issue::new(owner, Some(target.client.id.clone()), Some(wish.scope));
    let (made, text) = OAuthToken::make(TokenKind::Code, issue, call.gateway().clock.now());
    let redirect_uri = target.is_named.then(|| target.redirect_uri.clone());
    let made = OAuthToken { redirect_uri, challenge: wish.challenge, ..made };
    let mut deed = call.deed(Action::TokenIssue, &target.client.label(), "code");
    deed.actor.clone_from(&caller.principal.subject);
    let proof = login.proof.clone();
    let is_issued = call.accounts().write(move |conn| store::issue(conn, &proof, made, deed)).await?;
    Ok(Ok(is_issued.then_some(text)))
}

/// The login form again.
fn wrong(client: &Holder) -> Response<Body> {
    let mut answer = page(client, "User or password is wrong.");
    *answer.status_mut() = StatusCode::FORBIDDEN;
    answer
}

/// The login form. It is sent to where it came from, with the same query.
fn page(client: &Holder, fault: &str) -> Response<Body> {
    // The name comes last: whatever it holds, nothing is filled into it.
    let text = include_str!("login.html")
        .replace("{{fault}}", &escaped(fault))
        .replace("{{client}}", &escaped(&client.name));
    let mut answer = unstored(typed("text/html; charset=utf-8", text));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY"));
    headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("same-origin"));
    answer
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
