//! Who a bearer token belongs to. Only the gateway knows; it is asked over internal HTTP when a websocket brings its
//! token in a message instead of a header.

use crate::executor::SUBJECT;
use reqwest::{Client, StatusCode};
use shared::clock::SharedClock;
use shared::identity::{HEADER, IdentityKey, Principal};
use std::time::Duration;

/// Subject of a caller who has not said who he is.
pub const ANONYMOUS: &str = "anonymous";

/// Longest wait for the gateway.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Longest token that is asked about.
const MAX_TOKEN: usize = 4096;

/// The gateway cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Away;

/// Asks the gateway.
#[derive(Clone)]
pub struct Identify {
    url: Option<String>,
    client: Client,
    key: IdentityKey,
    clock: SharedClock,
}

impl Identify {
    /// `url` is the gateway's internal route: `POST` with the token as `Authorization: Bearer` and this service's own
    /// signed identity is answered with the token's signed identity in the same header, or 401. Without it no token is
    /// known.
    #[must_use]
    pub fn new(url: Option<String>, client: Client, key: IdentityKey, clock: SharedClock) -> Self {
        Self { url, client, key, clock }
    }

    /// Whose token it is now; nobody's, as long as the gateway cannot be asked.
    pub async fn bearer(&self, token: &str) -> Option<Principal> {
        self.ask(token).await.unwrap_or_default()
    }

    /// Whose token it is now.
    ///
    /// # Errors
    /// [`Away`] when the gateway cannot be asked.
    pub async fn ask(&self, token: &str) -> Result<Option<Principal>, Away> {
        let Some(url) = self.url.as_deref() else { return Ok(None) };
        if token.is_empty() || token.len() > MAX_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(None);
        }
        let own = Principal { subject: SUBJECT.into(), ..Principal::default() };
        let request =
            self.client.post(url).bearer_auth(token).header(HEADER, self.key.sign(&own, self.clock.now()));
        let answer = tokio::time::timeout(TIMEOUT, request.send()).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(cause)) => {
                log::warn!("the gateway cannot be asked about a token: {cause}");
                return Err(Away);
            }
            Err(_elapsed) => {
                log::warn!("the gateway does not answer about a token");
                return Err(Away);
            }
        };
        if answer.status().is_server_error() {
            log::warn!("the gateway cannot tell about a token: {}", answer.status());
            return Err(Away);
        }
        let is_known = answer.status() == StatusCode::OK;
        let signed = answer.headers().get(HEADER).filter(|_| is_known).and_then(|value| value.to_str().ok());
        Ok(signed.and_then(|signed| self.key.verify(signed, self.clock.now()).ok()))
    }
}
