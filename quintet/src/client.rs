//! Calls on a gateway, as a client of its public API.

use crate::cli::Server;
use crate::output::plain;
use anyhow::{Context, ensure};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use shared::url::encoded;
use std::time::Duration;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Objects of a list in one answer.
const PAGE: usize = 1000;

/// Attempts at a request that the server puts off (429, 502, 503, 504) or that does not reach it.
const ATTEMPTS: u32 = 8;

/// An answer of 400 and above.
#[derive(Debug, thiserror::Error)]
#[error("{status}: {words}{advice}")]
pub(crate) struct Refused {
    /// Its status.
    pub(crate) status: StatusCode,
    words: String,
    /// What the caller can do, in brackets; empty where the server's words say it.
    advice: String,
}

impl Refused {
    /// Whether the same request may be taken later: the server is busy or away, not of another opinion.
    pub(crate) fn is_temporary(&self) -> bool {
        let late = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        !self.status.is_client_error() || late.contains(&self.status)
    }
}

/// Whether a failure will not mend by itself: what is wrong with the question stays wrong.
pub(crate) fn is_final(cause: &anyhow::Error) -> bool {
    cause.downcast_ref::<Refused>().is_some_and(|refused| !refused.is_temporary())
}

/// A gateway to talk to.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    server: Server,
}

impl Client {
    pub(crate) fn new(mut server: Server) -> anyhow::Result<Self> {
        check_address(&server.url)?;
        // Read from a file, it ends with a line break.
        server.token = server.token.map(|token| token.trim().to_owned());
        // Where a thing was made is read, not visited.
        let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(Policy::none()).build()?;
        Ok(Self { http, server })
    }

    /// A process on this machine, which no proxy stands before.
    pub(crate) fn on_this_machine(url: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(Policy::none()).no_proxy().build()?;
        Ok(Self { http, server: Server { url, token: None } })
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
        self.checked(answer).await
    }

    /// Sends again while the server puts the request off or cannot be reached. For requests that may be repeated.
    pub(crate) async fn send_patiently(&self, make: impl Fn() -> RequestBuilder) -> anyhow::Result<Response> {
        let mut pause = Duration::from_millis(250);
        for _ in 1..ATTEMPTS {
            match make().send().await {
                Ok(answer) if is_put_off(answer.status()) => pause = asked_pause(&answer).unwrap_or(pause),
                Ok(answer) => return self.checked(answer).await,
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

    /// At most so many objects of a list whose members `_mark` say where the next page begins, from `mark` on: a server has
    /// its own bound on one answer.
    pub(crate) async fn pages(
        &self,
        path: &str,
        query: &[(&str, String)],
        mut mark: Option<String>,
        limit: usize,
    ) -> anyhow::Result<Vec<Value>> {
        let mut objects = Vec::new();
        while objects.len() < limit {
            let mut query = query.to_vec();
            query.push(("limit", PAGE.min(limit - objects.len()).to_string()));
            query.extend(mark.take().map(|mark| ("mark", mark)));
            let page = self.get(path, &query).await?;
            let page = page.as_array().map(Vec::as_slice).unwrap_or_default();
            mark = page.last().and_then(|object| object.get("_mark")).map(plain);
            objects.extend_from_slice(page);
            if mark.is_none() {
                break;
            }
        }
        Ok(objects)
    }

    /// Turns an answer of 400 and above into an error with the server's words.
    pub(crate) async fn checked(&self, answer: Response) -> anyhow::Result<Response> {
        let status = answer.status();
        if status.is_client_error() || status.is_server_error() {
            let advice = self.advice(&answer);
            let text = answer.text().await.unwrap_or_default();
            return Err(Refused { status, words: words(&text), advice }.into());
        }
        Ok(answer)
    }

    /// What the caller can do about a refusal.
    fn advice(&self, answer: &Response) -> String {
        // Where tokens are made, none is needed.
        let is_login = answer.url().path().ends_with("/oauth/token");
        match answer.status() {
            StatusCode::UNAUTHORIZED if self.server.token.is_none() && !is_login => {
                " (give a token with --token or QUINTET_TOKEN; `quintet user login` prints one)".to_owned()
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let pause = retry_after(answer).map_or_else(|| "later".into(), |secs| format!("in {secs} s"));
                format!(" (too many requests or wrong logins: try again {pause})")
            }
            _ => String::new(),
        }
    }
}

/// Refuses what is no address of a gateway.
fn check_address(text: &str) -> anyhow::Result<()> {
    let address = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let is_plain = address.is_some_and(|url| url.query().is_none() && url.fragment().is_none());
    ensure!(is_plain, "{text:?} is no address of a gateway: expected one like http://127.0.0.1:8080");
    Ok(())
}

/// `base` and below it one segment for each word, whatever the word holds.
///
/// # Errors
/// When a word is empty, `.` or `..`: those would name another place.
pub(crate) fn path(base: &str, words: &[&str]) -> anyhow::Result<String> {
    let mut path = base.to_owned();
    for word in words {
        ensure!(!["", ".", ".."].contains(word), "{word:?} names nothing");
        path.push('/');
        path.push_str(&encoded(word));
    }
    Ok(path)
}

/// Whether this is the form of an id.
pub(crate) fn is_id(text: &str) -> bool {
    // There are shorter and longer forms of the same, which a name may have.
    text.len() == uuid::fmt::Hyphenated::LENGTH && uuid::Uuid::try_parse(text).is_ok()
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
    Some(Duration::from_secs(retry_after(answer)?.min(30)))
}

/// The seconds of `Retry-After`.
fn retry_after(answer: &Response) -> Option<u64> {
    answer.headers().get("retry-after")?.to_str().ok()?.parse().ok()
}

/// The words in an error's body, whichever shape it has.
fn words(body: &str) -> String {
    let Ok(json) = serde_json::from_str::<Value>(body) else { return body.trim().to_owned() };
    let paths = [
        "/description",
        "/error_message/faultstring",
        "/error_message",
        "/error_description",
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
        let oauth = r#"{"error":"temporarily_unavailable","error_description":"Too many requests."}"#;
        assert_eq!(words(oauth), "Too many requests.");
        assert_eq!(words("plain\n"), "plain");
    }

    #[test]
    fn what_is_no_address_is_refused_before_it_is_asked() {
        let client = |url: &str| Client::new(Server { url: url.to_owned(), token: Some("t\n".to_owned()) });
        for address in ["http://127.0.0.1:8080", "https://gateway/below/", "http://[::1]:80"] {
            assert_eq!(client(address).unwrap().server.token.as_deref(), Some("t"), "{address}");
        }
        for odd in
            ["gateway:8080", "", "127.0.0.1:8080", "ftp://gateway", "http://gateway?x", "http://gateway#x"]
        {
            let refused = client(odd).err().unwrap().to_string();
            assert!(refused.starts_with(&format!("{odd:?} is no address of a gateway")), "{refused}");
        }
    }

    #[test]
    fn a_word_is_one_segment_of_a_path_or_refused() {
        let one = |word: &str| path("/v1/events", &[word]).map_err(|error| error.to_string());
        for (word, expected) in [
            ("../events/dead-letters", "..%2Fevents%2Fdead-letters"),
            ("%2e%2e", "%252e%252e"),
            ("a b?c#d\\e", "a%20b%3Fc%23d%5Ce"),
            (".\t.\n", ".%09.%0A"),
            ("é", "%C3%A9"),
            ("5f3c-1.x_~", "5f3c-1.x_~"),
            ("...", "..."),
        ] {
            let path = one(word).unwrap();
            assert_eq!(path, format!("/v1/events/{expected}"));
            // What is sent is what was meant.
            assert_eq!(Url::parse(&format!("http://gateway{path}")).unwrap().path(), path);
        }
        assert_eq!(path("/a", &["b/c", "d"]).unwrap(), "/a/b%2Fc/d");
        for word in ["", ".", ".."] {
            assert_eq!(one(word).unwrap_err(), format!("{word:?} names nothing"));
        }
    }

    #[test]
    fn ids_are_told_from_names() {
        assert!(is_id("b7c658e0-2ddb-46dd-8973-4a59ffc9957e"));
        for name in [
            "b7c658e0-2ddb-46dd-8973-4a59ffc9957g",
            "b7c658e02ddb46dd89734a59ffc9957e",
            &"-".repeat(36),
            &"a".repeat(36),
            "zfs reads",
            "",
        ] {
            assert!(!is_id(name), "{name}");
        }
    }

    #[test]
    fn only_what_may_change_by_itself_is_temporary() {
        let is_temporary = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            Refused { status, words: String::new(), advice: String::new() }.is_temporary()
        };
        assert!([408, 429, 500, 502, 503, 504].into_iter().all(is_temporary));
        assert!(![400, 401, 403, 404, 410, 413, 422].into_iter().any(is_temporary));
    }
}
