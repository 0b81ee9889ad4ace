//! One server of a run: its tracer is started, and started again when it fails.

use crate::executor::{Diagnostic, Event, Executor, Exit, Job, Tracing};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Failures in a row after which a server is given up.
const MAX_FAILURES: u32 = 5;

/// A tracer that has run so long has not failed at once: its failures are counted anew.
const HEALTHY: Duration = Duration::from_secs(60);

/// Between a failure and the next start; it grows with each failure in a row.
const PAUSE: Duration = Duration::from_secs(1);

/// What a server tells the run.
#[derive(Debug)]
pub(super) enum News {
    /// Its tracer traces.
    Started,
    /// What the tracer says.
    Event(Event),
    /// Its tracer has failed; it is being started again.
    Away,
    /// It takes no part any more: the script is through, or why it was given up.
    Over(Result<(), Diagnostic>),
}

/// Runs `job` on a server until it ends, is given up, or nobody listens to `news` any more.
pub(super) async fn run(
    place: usize,
    name: String,
    executor: Arc<dyn Executor>,
    job: Job,
    news: mpsc::Sender<(usize, News)>,
) {
    let mut failures = 0;
    loop {
        let began = Instant::now();
        let failure = match executor.start(job.clone()).await {
            Ok(tracing) => {
                let Some(exit) = forward(place, tracing, &news).await else { return };
                if exit.is_success() {
                    let _ = news.send((place, News::Over(Ok(())))).await;
                    return;
                }
                text_of(&exit)
            }
            Err(refused) if refused.is_temporary => refused.text,
            Err(refused) => {
                let _ = news.send((place, News::Over(Err(refused)))).await;
                return;
            }
        };
        log::warn!(server = name; "the tracer on {name} failed: {failure}");
        failures = if began.elapsed() > HEALTHY { 1 } else { failures + 1 };
        let told = match failures {
            MAX_FAILURES.. => News::Over(Err(Diagnostic::new(failure))),
            _ => News::Away,
        };
        let is_over = matches!(told, News::Over(_));
        if news.send((place, told)).await.is_err() || is_over {
            return;
        }
        tokio::time::sleep(PAUSE * failures).await;
    }
}

/// Passes events on until the tracer exits; `None` when nobody listens any more.
async fn forward(place: usize, mut tracing: Tracing, news: &mpsc::Sender<(usize, News)>) -> Option<Exit> {
    news.send((place, News::Started)).await.ok()?;
    loop {
        match tracing.next().await {
            Some(Event::Exit(exit)) => return Some(exit),
            Some(event) => news.send((place, News::Event(event))).await.ok()?,
            None => return Some(Exit { code: None, stderr: "the tracer is gone".into() }),
        }
    }
}

fn text_of(exit: &Exit) -> String {
    match (exit.stderr.trim(), exit.code) {
        ("", Some(code)) => format!("the tracer ended with code {code}"),
        ("", None) => "the tracer is gone".into(),
        (stderr, _) => stderr.to_owned(),
    }
}
