//! One run: the events of its servers in, messages to its listeners out.

use super::message::{Encoded, Ending, Message};
use super::server::{self, News};
use super::tally::Tally;
use super::ticker::Ticker;
use super::{Fleet, Plan};
use crate::executor::{Diagnostic, Event};
use crate::script::{Scan, scan};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Events of all servers that may wait for the run.
const NEWS: usize = 1024;

/// Lines of one message; further ones until it goes out are dropped and counted as lost.
const MAX_LINES: usize = 1000;

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Its tracers are being started.
    Starting,
    /// At least one of them traces.
    Tracing,
    /// It is over.
    Over(Ending),
}

/// Where a run's messages go.
#[derive(Debug, Clone)]
pub(super) struct Hub {
    pub(super) messages: broadcast::Sender<Arc<Message>>,
    pub(super) state: watch::Sender<State>,
}

/// Drives a run to its end. Dropping the future stops every tracer.
pub(super) async fn drive(
    plan: &Plan,
    fleet: &Fleet,
    interval: Duration,
    subject: &str,
    hub: &Hub,
) -> Ending {
    let scan = match scan(&plan.script, plan.dialect) {
        Ok(scan) => scan,
        Err(excess) => return Ending::Refused(excess.to_string()),
    };
    let (sender, mut news) = mpsc::channel(NEWS);
    let job = plan.job(u64::try_from(interval.as_millis()).unwrap_or(1000), subject);
    let mut servers = JoinSet::new();
    for (place, name) in plan.servers.iter().enumerate() {
        if let Some(executor) = fleet.executor(name) {
            servers.spawn(server::run(
                place,
                name.clone(),
                Arc::clone(executor),
                job.clone(),
                sender.clone(),
            ));
        }
    }
    drop(sender);
    let mut run = Run::new(plan, &scan, interval, hub);
    loop {
        let next = tokio::time::timeout_at(run.ticker.deadline(), news.recv()).await;
        match next {
            Ok(Some((place, told))) => run.hear(place, told),
            Ok(None) => return run.ending(),
            Err(_elapsed) => (),
        }
        run.send_due();
        if run.ticker.is_over() {
            return run.ending();
        }
    }
}

/// What a run keeps while it goes on.
struct Run<'a> {
    ticker: Ticker,
    tally: Tally,
    /// Aggregations that the script prints itself: no tick of ours ends them.
    printed: Vec<String>,
    lines: Vec<String>,
    lost: u64,
    has_started: bool,
    failures: Vec<Diagnostic>,
    hub: &'a Hub,
}

impl<'a> Run<'a> {
    fn new(plan: &Plan, scan: &Scan, interval: Duration, hub: &'a Hub) -> Self {
        let printed = scan.aggregations.iter().filter(|aggregation| aggregation.is_printed);
        Self {
            ticker: Ticker::new(plan.servers.len(), interval, Instant::now()),
            tally: Tally::new(scan),
            printed: printed.map(|aggregation| aggregation.name.clone()).collect(),
            lines: Vec::new(),
            lost: 0,
            has_started: false,
            failures: Vec::new(),
            hub,
        }
    }

    fn hear(&mut self, place: usize, told: News) {
        let now = Instant::now();
        match told {
            News::Started => {
                self.ticker.started(place, now);
                self.has_started = true;
                self.hub.state.send_if_modified(|state| {
                    let is_new = *state == State::Starting;
                    if is_new {
                        *state = State::Tracing;
                    }
                    is_new
                });
            }
            News::Event(event) => self.take(place, event, now),
            News::Away => self.ticker.away(place),
            News::Over(outcome) => {
                self.ticker.over(place);
                self.failures.extend(outcome.err());
            }
        }
    }

    fn take(&mut self, place: usize, event: Event, now: Instant) {
        // Another service's lines may be of another version.
        match event.cut() {
            Event::Sample(sample) => {
                if self.printed.contains(&sample.name) {
                    self.ticker.printed(now);
                }
                self.tally.add(sample);
            }
            Event::Line(line) => {
                if self.lines.len() >= MAX_LINES {
                    self.lost += 1;
                    return;
                }
                self.lines.push(line);
                self.ticker.line(now);
            }
            Event::Lost(count) => {
                self.lost = self.lost.saturating_add(count);
                self.ticker.line(now);
            }
            Event::Tick => self.ticker.ticked(place),
            // The server has told these itself.
            Event::Started | Event::Exit(_) => (),
        }
    }

    /// Sends what is due. Before the first tracer traces, nothing is.
    fn send_due(&mut self) {
        let now = Instant::now();
        if self.ticker.take_figures_due(now) && self.has_started {
            self.send_figures();
        }
        if self.ticker.take_lines_due(now) {
            self.send_output();
        }
    }

    fn send_figures(&mut self) {
        let figures = Value::Object(self.tally.take());
        self.lost = self.lost.saturating_add(self.tally.take_lost());
        self.send(Message::Figures(Encoded::new(&figures)));
    }

    fn send_output(&mut self) {
        let (lines, lost) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.lost));
        self.send(Message::Output(Encoded::new(&json!({ "lines": lines, "lost": lost }))));
    }

    fn send(&self, message: Message) {
        // It fails when nobody listens, which the registry of runs sees too.
        let _ = self.hub.messages.send(Arc::new(message));
    }

    /// Sends what is left, and tells how it ended.
    fn ending(&mut self) -> Ending {
        if self.has_started {
            let figures = self.tally.take();
            if !figures.is_empty() {
                self.send(Message::Figures(Encoded::new(&figures.into())));
            }
        }
        if !self.lines.is_empty() || self.lost > 0 {
            self.send_output();
        }
        // What a tracer says about the script tells more than that there is none elsewhere.
        let told = self.failures.iter().find(|failure| !failure.is_without_tracer);
        match (told.or(self.failures.first()).cloned(), self.has_started) {
            (None, _) => Ending::Finished,
            (Some(failure), true) => Ending::Failed(failure.text),
            (Some(failure), false) if failure.is_without_tracer => Ending::NoTracer(failure.text),
            (Some(failure), false) => Ending::Refused(failure.text),
        }
    }
}
