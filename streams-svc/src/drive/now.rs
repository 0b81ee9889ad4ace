//! The present, to the engine: the machine's clock, or in a replay the time of the events.
//!
//! With a `time_sync_endpoint` the follower takes the time of the latest event for the present and posts it to
//! `URL/time` when it has moved by [`STEP_SECS`]; workers ask `GET URL/time` as often, so that programs on
//! several machines replay in step (streams-events-v1.md, section 15). With `time_sync_endpoint: internal` there is
//! no such service: one process replays alone.
//!
//! The clock shows what it was told last, not the latest time it was ever told: one event of a wrong date sets it
//! wrong until the next event, and no longer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{NaiveDateTime, TimeDelta};
use shared::clock::SharedClock;
use shared::datetime::{iso, parse};

use crate::definitions::Definitions;

/// Seconds of event time between two posts, and of real time between two questions. Events that come so much too late
/// do not move the clock.
const STEP_SECS: u64 = 20;
const STEP: TimeDelta = TimeDelta::seconds(20);

/// The endpoint that is this process itself.
const INTERNAL: &str = "internal";

/// Longest wait for the clock service.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Tells the present.
pub struct Now {
    clock: SharedClock,
    definitions: Arc<Definitions>,
    client: reqwest::Client,
    replay: Mutex<Replay>,
}

#[derive(Default)]
struct Replay {
    now: Option<NaiveDateTime>,
    posted: Option<NaiveDateTime>,
    asked: Option<Instant>,
}

impl Now {
    /// A present by these definitions.
    #[must_use]
    pub fn new(clock: SharedClock, definitions: Arc<Definitions>, client: reqwest::Client) -> Self {
        Self { clock, definitions, client, replay: Mutex::default() }
    }

    /// The present for workers. In a replay that has not begun it is before all time.
    #[must_use]
    pub fn now(&self) -> NaiveDateTime {
        if !self.is_replay() {
            return self.clock.now_naive();
        }
        self.lock().now.unwrap_or(chrono::DateTime::UNIX_EPOCH.naive_utc())
    }

    /// The present when an event of this time comes in. A replay's clock follows it forward, and back if it lies back by
    /// more than [`STEP`]: neighbours that arrive in the wrong order do not count.
    #[must_use]
    pub fn at(&self, event: NaiveDateTime) -> NaiveDateTime {
        if !self.is_replay() {
            return self.clock.now_naive();
        }
        let mut replay = self.lock();
        let now = replay.now.filter(|now| *now >= event && *now - event <= STEP).unwrap_or(event);
        replay.now = Some(now);
        now
    }

    /// Tells the clock service the time of the events, if there is one and the time has moved.
    pub async fn post(&self) {
        let Some(url) = self.endpoint() else { return };
        let due = {
            let replay = self.lock();
            let has_moved =
                |now: NaiveDateTime| replay.posted.is_none_or(|posted| (now - posted).abs() > STEP);
            replay.now.filter(|now| has_moved(*now))
        };
        let Some(now) = due else { return };
        match self.client.post(&url).timeout(TIMEOUT).body(iso(now)).send().await {
            Ok(answer) if answer.status().is_success() => self.lock().posted = Some(now),
            Ok(answer) => log::warn!("clock service {url}: status {}", answer.status()),
            Err(cause) => log::warn!("clock service {url}: {cause}"),
        }
    }

    /// Asks the clock service, if there is one and it was not asked for long.
    pub async fn ask(&self) {
        let Some(url) = self.endpoint() else { return };
        {
            let mut replay = self.lock();
            if replay.asked.is_some_and(|asked| asked.elapsed().as_secs() < STEP_SECS) {
                return;
            }
            replay.asked = Some(Instant::now());
        }
        let answer = async { self.client.get(&url).timeout(TIMEOUT).send().await?.text().await };
        match answer.await {
            Ok(text) => {
                if let Some(time) = parse(&text) {
                    self.lock().now = Some(time);
                }
            }
            Err(cause) => log::warn!("clock service {url}: {cause}"),
        }
    }

    fn is_replay(&self) -> bool {
        self.definitions.current().part.time_sync_endpoint.is_some()
    }

    /// Where the clock service is asked, if there is one.
    fn endpoint(&self) -> Option<String> {
        let loaded = self.definitions.current();
        let url = loaded.part.time_sync_endpoint.as_deref().filter(|url| *url != INTERNAL)?;
        Some(format!("{}/time", url.trim_end_matches('/')))
    }

    fn lock(&self) -> MutexGuard<'_, Replay> {
        self.replay.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
