//! The present, to the engine: the machine's clock, or in a replay the time of the events.
//!
//! In a replay each partition keeps beside its cursor the time that it is there. Workers go by the earliest of these
//! times, so they are never ahead of an event that is still to join, whoever follows the partitions; and a process
//! that starts anew knows the time at once.
//!
//! With a `time_sync_endpoint` the follower posts this time to `URL/time` when it has moved by [`STEP`]; workers
//! ask `GET URL/time` as often, so that programs with databases of their own replay in step (streams-events-v1.md,
//! section 15). With `time_sync_endpoint: internal` there is no such service.
//!
//! The clock shows what it was told last, not the latest time it was ever told: one event of a wrong date sets it
//! wrong until the next event, and no longer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta};
use shared::clock::SharedClock;
use shared::datetime::{iso, parse};

use crate::definitions::Definitions;
use crate::winchester::INTERNAL;

/// Event time between two posts, and real time between two questions. Events that come so much too late do not move the
/// clock.
const STEP: TimeDelta = TimeDelta::seconds(20);

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
    /// Of the store: up to here all events are in their streams.
    reached: Option<NaiveDateTime>,
    /// What the clock service has told since.
    heard: Option<NaiveDateTime>,
    posted: Option<NaiveDateTime>,
    /// When the clock service was asked, by the machine's clock.
    asked: Option<NaiveDateTime>,
}

/// The present while a piece of the feed is sorted, event by event.
pub(super) enum Pace {
    /// The machine's clock.
    Machine(SharedClock),
    /// The time of the events so far.
    Replay(Option<NaiveDateTime>),
}

impl Pace {
    /// The present when an event of this time comes in. A replay's clock follows it forward, and back if it lies back by
    /// more than [`STEP`]: neighbours that arrive in the wrong order do not count.
    pub(super) fn at(&mut self, event: NaiveDateTime) -> NaiveDateTime {
        match self {
            Self::Machine(clock) => clock.now_naive(),
            Self::Replay(present) => {
                let now = present.filter(|now| *now >= event && *now - event <= STEP).unwrap_or(event);
                *present = Some(now);
                now
            }
        }
    }

    /// The present when an event comes in that a pipeline has made. It has the date of what it tells of, which may be
    /// days ago, and does not set the clock.
    pub(super) fn beside(&self, event: NaiveDateTime) -> NaiveDateTime {
        match self {
            Self::Machine(clock) => clock.now_naive(),
            Self::Replay(present) => present.unwrap_or(event),
        }
    }

    /// What a replay has reached.
    pub(super) fn present(&self) -> Option<NaiveDateTime> {
        match self {
            Self::Machine(_) => None,
            Self::Replay(present) => *present,
        }
    }
}

impl Now {
    /// A present by these definitions.
    #[must_use]
    pub fn new(clock: SharedClock, definitions: Arc<Definitions>, client: reqwest::Client) -> Self {
        Self { clock, definitions, client, replay: Mutex::default() }
    }

    /// The present for workers. In a replay that has not begun it is before all time.
    ///
    /// The clock service counts where nothing has come in, and when somebody has set it ahead of the events: what it was
    /// told by followers is behind them.
    #[must_use]
    pub fn now(&self) -> NaiveDateTime {
        if !self.is_replay() {
            return self.clock.now_naive();
        }
        let replay = self.lock();
        let is_ahead = |heard: &NaiveDateTime| replay.reached.is_none_or(|reached| *heard - reached > STEP);
        let now = replay.heard.filter(is_ahead).or(replay.reached);
        now.unwrap_or(chrono::DateTime::UNIX_EPOCH.naive_utc())
    }

    /// Lets workers go by what the store has reached ([`crate::store::find_present`]); whether that has moved.
    pub fn go_by(&self, reached: Option<NaiveDateTime>) -> bool {
        let mut replay = self.lock();
        let has_moved = replay.reached != reached;
        if has_moved {
            replay.reached = reached;
            replay.heard = None;
        }
        has_moved
    }

    /// The present for events that come in, the first of them in a replay at this time.
    pub(super) fn pace(&self, present: Option<NaiveDateTime>) -> Pace {
        if self.is_replay() { Pace::Replay(present) } else { Pace::Machine(Arc::clone(&self.clock)) }
    }

    /// Whether the present is that of a replay.
    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.definitions.current().part.time_sync_endpoint.is_some()
    }

    /// Tells the clock service the time of the events, if there is one and the time has moved.
    pub async fn post(&self) {
        let Some(url) = self.endpoint() else { return };
        let due = {
            let replay = self.lock();
            let has_moved =
                |now: NaiveDateTime| replay.posted.is_none_or(|posted| (now - posted).abs() > STEP);
            replay.reached.filter(|now| has_moved(*now))
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
            let (mut replay, now) = (self.lock(), self.clock.now_naive());
            // A clock that is set back asks as well.
            if replay.asked.is_some_and(|asked| (now - asked).abs() < STEP) {
                return;
            }
            replay.asked = Some(now);
        }
        let answer = async { self.client.get(&url).timeout(TIMEOUT).send().await?.text().await };
        match answer.await {
            Ok(text) => {
                if let Some(time) = parse(&text) {
                    let mut replay = self.lock();
                    replay.heard = Some(time);
                    // Set by somebody else, who is right until the next event: that is to be posted then.
                    replay.posted = replay.posted.filter(|posted| (time - *posted).abs() <= STEP);
                }
            }
            Err(cause) => log::warn!("clock service {url}: {cause}"),
        }
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
