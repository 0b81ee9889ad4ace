//! The event service as this service sees it: a feed to follow, and a place for new events.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::clock::SharedClock;
use shared::identity::{HEADER, IdentityKey, Principal};

use crate::store::Place;

/// Events of one page of the feed.
const PAGE: usize = 1000;

/// Longest wait for an answer, beside the wait that the feed was asked for.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A piece of the feed.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Events in the order of their commits.
    pub entries: Vec<Entry>,
}

/// An event of the feed.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its place in the feed.
    pub place: Place,
    /// Its v1 object.
    pub body: Box<RawValue>,
}

/// Why the event service could not be used; it is asked again later.
#[derive(Debug, thiserror::Error)]
#[error("event service: {0}")]
pub struct Fault(pub String);

/// What this service needs of the event service. In tests it is a list.
pub trait EventService: Send + Sync + 'static {
    /// Events after a place. Without any the answer comes after `wait`.
    fn read(&self, after: Place, wait: Duration) -> BoxFuture<'_, Result<Page, Fault>>;

    /// Stores new events, JSON texts of v1 objects; those that are there already are left out.
    fn store(&self, events: Vec<String>) -> BoxFuture<'_, Result<(), Fault>>;
}

/// The event service over HTTP.
pub struct HttpEvents {
    client: reqwest::Client,
    url: String,
    key: IdentityKey,
    clock: SharedClock,
}

#[derive(Deserialize)]
struct Feed {
    events: Vec<FeedEntry>,
}

#[derive(Deserialize)]
struct FeedEntry {
    cursor: String,
    event: Box<RawValue>,
}

impl HttpEvents {
    /// The event service at this base URL; calls are signed with the key.
    #[must_use]
    pub fn new(client: reqwest::Client, url: &str, key: IdentityKey, clock: SharedClock) -> Self {
        Self { client, url: url.trim_end_matches('/').to_owned(), key, clock }
    }

    fn identity(&self) -> String {
        let me = Principal { subject: "service:streams".to_owned(), ..Principal::default() };
        self.key.sign(&me, self.clock.now())
    }

    async fn send(&self, request: reqwest::RequestBuilder, wait: Duration) -> Result<String, Fault> {
        let fault = |cause: &dyn std::fmt::Display| Fault(cause.to_string());
        let answer = request.header(HEADER, self.identity()).timeout(TIMEOUT + wait).send().await;
        let answer = answer.map_err(|cause| fault(&cause))?;
        let status = answer.status();
        let body = answer.text().await.map_err(|cause| fault(&cause))?;
        if status.is_success() { Ok(body) } else { Err(Fault(format!("status {status}"))) }
    }
}

impl EventService for HttpEvents {
    fn read(&self, after: Place, wait: Duration) -> BoxFuture<'_, Result<Page, Fault>> {
        Box::pin(async move {
            let wait_ms = wait.as_millis();
            let url = format!("{}/internal/feed?after={after}&limit={PAGE}&wait_ms={wait_ms}", self.url);
            let body = self.send(self.client.get(url), wait).await?;
            let feed: Feed = serde_json::from_str(&body).map_err(|cause| Fault(cause.to_string()))?;
            let entry = |entry: FeedEntry| Ok(Entry { place: entry.cursor.parse()?, body: entry.event });
            let entries = feed.events.into_iter().map(entry).collect::<Result<_, String>>();
            Ok(Page { entries: entries.map_err(Fault)? })
        })
    }

    fn store(&self, events: Vec<String>) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let request = self.client.post(format!("{}/internal/events", self.url));
            let request = request.header("content-type", "application/json");
            let body = format!("[{}]", events.join(","));
            self.send(request.body(body), Duration::ZERO).await.map(|_counts| ())
        })
    }
}
