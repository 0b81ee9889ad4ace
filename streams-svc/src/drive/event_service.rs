//! The event service as this service sees it: a feed to follow, and a place for new events.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::web::Bytes;
use futures_util::future::BoxFuture;
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::clock::SharedClock;
use shared::identity::{HEADER, IdentityKey, Principal};

use shared::db::Place;

/// Events of one page of the feed.
const PAGE: usize = 1000;

/// Longest wait for an answer, beside the wait that the feed was asked for.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Longest wait for a connection, so that a machine that is gone is soon left for the next.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An event of the feed.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its place in the feed.
    pub place: Place,
    /// Its v1 object.
    pub body: Box<RawValue>,
    /// Whether a service has made it: it did not come in from outside.
    pub is_emitted: bool,
}

/// Why the event service could not be used; it is asked again later.
#[derive(Debug, thiserror::Error)]
#[error("event service: {0}")]
pub struct Fault(pub String);

/// What this service needs of the event service. In tests it is a list.
pub trait EventService: Send + Sync + 'static {
    /// Events after a place, in the order of their commits: a page of the feed. Without any the answer comes after `wait`.
    fn read(&self, after: Place, wait: Duration) -> BoxFuture<'_, Result<Vec<Entry>, Fault>>;

    /// Stores new events, JSON texts of v1 objects; those that are there already are left out.
    fn store(&self, events: Vec<String>) -> BoxFuture<'_, Result<(), Fault>>;
}

/// The event service over HTTP: replicas with one database. One is used until it fails, then the next.
pub struct HttpEvents {
    client: reqwest::Client,
    urls: Vec<String>,
    /// The replica in use. What else is written means nothing to whoever reads it.
    current: AtomicUsize,
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
    #[serde(default)]
    emitted: bool,
}

impl HttpEvents {
    /// The event service at these base URLs; calls are signed with the key.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new<'u>(
        urls: impl IntoIterator<Item = &'u str>,
        key: IdentityKey,
        clock: SharedClock,
    ) -> Result<Self, reqwest::Error> {
        // A redirect could carry a signed identity elsewhere.
        let client = reqwest::Client::builder().redirect(Policy::none()).connect_timeout(CONNECT_TIMEOUT);
        let urls = urls.into_iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        Ok(Self { client: client.build()?, urls, current: AtomicUsize::new(0), key, clock })
    }

    fn identity(&self) -> String {
        let me = Principal { subject: "service:streams".to_owned(), ..Principal::default() };
        self.key.sign(&me, self.clock.now())
    }

    /// Asks the replica in use; when it fails, the others in turn, each once. What is asked may be asked twice.
    async fn send(
        &self,
        request: impl Fn(&str) -> reqwest::RequestBuilder,
        wait: Duration,
    ) -> Result<String, Fault> {
        let mut fault = Fault("no address".to_owned());
        let first = self.current.load(Ordering::Relaxed);
        for place in (first..).take(self.urls.len()) {
            let Some(url) = place.checked_rem(self.urls.len()).and_then(|place| self.urls.get(place)) else {
                break;
            };
            match self.send_once(request(url), wait).await {
                Ok(body) => {
                    if place != first {
                        log::warn!("the event service is asked at {url} now: {fault}");
                        self.current.store(place, Ordering::Relaxed);
                    }
                    return Ok(body);
                }
                Err(cause) => fault = cause,
            }
        }
        Err(fault)
    }

    async fn send_once(&self, request: reqwest::RequestBuilder, wait: Duration) -> Result<String, Fault> {
        let answer = request.header(HEADER, self.identity()).timeout(TIMEOUT + wait).send().await;
        let answer = answer.map_err(|cause| unreached(&cause))?;
        let status = answer.status();
        let body = answer.text().await.map_err(|cause| unreached(&cause))?;
        if status.is_success() { Ok(body) } else { Err(Fault(format!("status {status}"))) }
    }
}

/// Says what failed and, which the error alone does not, what the system said.
fn unreached(cause: &reqwest::Error) -> Fault {
    let first: &dyn Error = cause;
    let causes = std::iter::successors(Some(first), |&cause| cause.source());
    Fault(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

impl EventService for HttpEvents {
    fn read(&self, after: Place, wait: Duration) -> BoxFuture<'_, Result<Vec<Entry>, Fault>> {
        Box::pin(async move {
            let wait_ms = wait.as_millis();
            let feed = format!("/internal/feed?after={after}&limit={PAGE}&wait_ms={wait_ms}");
            let body = self.send(|url| self.client.get(format!("{url}{feed}")), wait).await?;
            let feed: Feed = serde_json::from_str(&body).map_err(|cause| Fault(cause.to_string()))?;
            let entry = |FeedEntry { cursor, event, emitted }| {
                Ok(Entry { place: cursor.parse()?, body: event, is_emitted: emitted })
            };
            feed.events.into_iter().map(entry).collect::<Result<_, String>>().map_err(Fault)
        })
    }

    fn store(&self, events: Vec<String>) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let body = Bytes::from(format!("[{}]", events.join(",")));
            let request = |url: &str| {
                let request = self.client.post(format!("{url}/internal/events"));
                request.header("content-type", "application/json").body(body.clone())
            };
            self.send(request, Duration::ZERO).await.map(|_counts| ())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;

    use shared::clock::SystemClock;

    use super::*;

    /// An event service that answers so many questions, each with this status and an empty feed.
    fn replica(status: &'static str, questions: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for _ in 0..questions {
                let (mut caller, _) = listener.accept().unwrap();
                let _head = caller.read(&mut [0; 4096]).unwrap();
                let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 13\r\n\r\n");
                caller.write_all(format!("{head}{{\"events\":[]}}").as_bytes()).unwrap();
            }
        });
        url
    }

    fn service(urls: &[&str]) -> HttpEvents {
        let key = IdentityKey::new(&[7; 32]);
        HttpEvents::new(urls.iter().copied(), key, Arc::new(SystemClock)).unwrap()
    }

    #[actix_web::test]
    async fn a_replica_is_used_until_it_fails_and_then_the_next() {
        // Nothing listens on port 1; the others end after what they are to be asked.
        let (once, twice) = (replica("200 OK", 1), replica("200 OK", 2));
        let events = service(&["http://127.0.0.1:1", &once, &twice]);
        for replica in [1, 2, 2] {
            assert!(events.read(Place::default(), Duration::ZERO).await.is_ok());
            assert_eq!(events.current.load(Ordering::Relaxed), replica);
        }
    }

    #[actix_web::test]
    async fn a_replica_in_trouble_is_left_and_what_is_stored_goes_to_the_next() {
        let (sick, well) = (replica("503 Service Unavailable", 1), replica("200 OK", 1));
        let events = service(&[&sick, &well]);
        assert!(events.store(vec!["{}".to_owned()]).await.is_ok());
    }

    #[actix_web::test]
    async fn when_all_fail_the_last_cause_is_told() {
        let events = service(&["http://127.0.0.1:1"]);
        let fault = events.read(Place::default(), Duration::ZERO).await.unwrap_err().to_string();
        assert!(fault.contains("http://127.0.0.1:1/") && fault.contains("refused"), "{fault}");
    }
}
