//! Another DTrace service as a server of a run: its internal route starts the run there and streams its events, one
//! JSON object a line. Closing the connection stops it.

use super::{Diagnostic, EVENTS, Event, Executor, Exit, Job, MAX_EVENT, Tracing};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use reqwest::{Client, Response, StatusCode};
use shared::clock::SharedClock;
use shared::identity::{self, IdentityKey, Principal};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How this service names itself to others of the installation.
pub const SUBJECT: &str = "service:dtrace";

/// Longest wait for the far tracer to start.
const TIMEOUT: Duration = Duration::from_secs(25);

/// Longest silence of a run: the far service sends at least a tick for each interval.
const SILENCE: Duration = Duration::from_secs(90);

/// Another machine.
pub struct Remote {
    url: String,
    client: Client,
    key: IdentityKey,
    clock: SharedClock,
}

impl Remote {
    /// The service at `url`, which shares this installation's internal key.
    #[must_use]
    pub fn new(url: &str, client: Client, key: IdentityKey, clock: SharedClock) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), client, key, clock }
    }

    /// Sends a job.
    async fn send(&self, job: &Job) -> Result<Response, Diagnostic> {
        let principal = Principal { subject: SUBJECT.into(), ..Principal::default() };
        let identity = self.key.sign(&principal, self.clock.now());
        let request = self.client.post(format!("{}/internal/runs", self.url)).json(job);
        let request = request.header(identity::HEADER, identity).send();
        let answer = tokio::time::timeout(TIMEOUT, request).await;
        let answer = answer.map_err(|_elapsed| Diagnostic::temporary("the server did not answer in time"))?;
        let answer = answer
            .map_err(|cause| Diagnostic::temporary(format!("the server cannot be reached: {cause}")))?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            StatusCode::UNPROCESSABLE_ENTITY => Err(answer
                .json()
                .await
                .unwrap_or_else(|_odd| Diagnostic::new("the server refuses the script"))),
            other => Err(Diagnostic::temporary(format!("the server answered {other}"))),
        }
    }
}

impl Executor for Remote {
    fn start(&self, job: Job) -> BoxFuture<'_, Result<Tracing, Diagnostic>> {
        async move {
            let answer = self.send(&job).await?;
            let (sender, receiver) = mpsc::channel(EVENTS);
            let stop = CancellationToken::new();
            let stopped = stop.clone();
            tokio::spawn(async move {
                tokio::select! { () = stopped.cancelled() => (), () = forward(answer, sender) => () }
            });
            Ok(Tracing::new(receiver, stop.drop_guard()))
        }
        .boxed()
    }
}

/// Passes events on until the connection ends; that is an exit, too.
async fn forward(answer: Response, sender: mpsc::Sender<Event>) {
    let mut chunks = answer.bytes_stream();
    let mut line = Vec::new();
    let cause = loop {
        let chunk = match tokio::time::timeout(SILENCE, chunks.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(cause))) => break cause.to_string(),
            Ok(None) => break "the connection to the server ended".into(),
            Err(_elapsed) => break "the server fell silent".into(),
        };
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if !line.ends_with(b"\n") {
                continue;
            }
            let Ok(event) = serde_json::from_slice::<Event>(&line) else {
                let _ = sender.send(ended("the server sent what is no event")).await;
                return;
            };
            line.clear();
            let is_last = matches!(event, Event::Exit(_));
            if sender.send(event).await.is_err() || is_last {
                return;
            }
        }
        if line.len() > MAX_EVENT {
            break "the server sent an event that is too long".into();
        }
    };
    let _ = sender.send(ended(&cause)).await;
}

fn ended(cause: &str) -> Event {
    Event::Exit(Exit { code: None, stderr: cause.to_owned() })
}
