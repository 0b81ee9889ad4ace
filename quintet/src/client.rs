//! Calls on a gateway, as a client of its public API.

use crate::cli::Server;
use anyhow::{Context, bail};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use std::time::Duration;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Attempts at a request that the server puts off (429, 502, 503, 504) or that does not reach it.
const ATTEMPTS: u32 = 8;

/// A gateway to talk to.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    server: Server,
}

impl Client {
    pub(crate) fn new(server: Server) -> anyhow::Result<Self> {
        // Where a thing was made is read, not visited.
        let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(Policy::none()).build()?;
        Ok(Self { http, server })
    }

    pub(crate) fn url(&self) -> &str {
        self.server.url.trim_end_matches('/')
    }

    /// A request with the caller's token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url()));
        match &self.server.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request; an answer of 400 and above becomes an error with the server's words.
    pub(crate) async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let answer = request.send().await.with_context(|| {
            format!(
                "no gateway answers at {} (start one with `quintet serve`, or name it with QUINTET_URL)",
                self.url()
            )
        })?;
        let status = answer.status();
        if status.is_client_error() || status.is_server_error() {
            let text = answer.text().await.unwrap_or_default();
            bail!("{status}: {}", words(&text));
        }
        Ok(answer)
    }

    /// Sends again while the server puts the request off or cannot be reached. For requests that may be repeated.
    pub(crate) async fn send_patiently(&self, make: impl Fn() -> RequestBuilder) -> anyhow::Result<Response> {
        let mut pause = Duration::from_millis(250);
        for _ in 1..ATTEMPTS {
            match make().send().await {
                Ok(answer) if is_put_off(answer.status()) => pause = asked_pause(&answer).unwrap_or(pause),
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                // Anything else will not change by itself.
                Ok(_) => break,
                Err(cause) => log::warn!("{cause}, trying again"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(10));
        }
        self.send(make()).await
    }

    pub(crate) async fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        let request = self.request(Method::GET, path).query(query);
        Ok(self.send(request).await?.json().await?)
    }
}

fn is_put_off(status: StatusCode) -> bool {
    [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ]
    .contains(&status)
}

/// The pause that the server asks for, at most half a minute.
fn asked_pause(answer: &Response) -> Option<Duration> {
    let secs: u64 = answer.headers().get("retry-after")?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(secs.min(30)))
}

/// The words in an error's body, whichever of the five shapes it has.
fn words(body: &str) -> String {
    let Ok(json) = serde_json::from_str::<Value>(body) else { return body.trim().to_owned() };
    let paths = [
        "/description",
        "/error_message/faultstring",
        "/error_message",
        "/error",
        "/message",
        "/meta/message",
    ];
    let found = paths.iter().find_map(|path| json.pointer(path)?.as_str());
    found.map_or_else(|| body.trim().to_owned(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_every_error_shape() {
        assert_eq!(words(r#"{"title":"Not Found","description":"event x not found"}"#), "event x not found");
        assert_eq!(words(r#"{"error_message":{"faultstring":"Event x Not Found"}}"#), "Event x Not Found");
        assert_eq!(words("plain\n"), "plain");
    }
}
