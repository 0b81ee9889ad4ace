//! Follows the feed: sorts its events by the triggers and lets them join their streams.
//!
//! A page is fetched, read and sorted once; then each partition that this process holds takes its part of the page
//! in a transaction of its own ([`store::add_events`]). A replay's clock moves when all of them have.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::NaiveDateTime;
use futures_util::future::try_join_all;
use shared::datetime::to_micros;
use shared::db::Place;
use shared::stop::Stop;
use uuid::Uuid;

use super::now::Pace;
use super::{DriveError, Entry, backoff};
use crate::State;
use crate::definitions::Loaded;
use crate::model::Event;
use crate::store::{self, Cursor, Joining, active_key};
use crate::triggers::Matcher;

/// How long the feed may let us wait for an event.
const WAIT: Duration = Duration::from_secs(2);

/// How often this process says that it is alive, and after how many microseconds of silence it counts as dead.
///
/// To be taken for dead by mistake does no harm: two that take the same piece of the feed do not take it twice.
const SHARE: Duration = Duration::from_secs(1);
const DEAD_MICROS: i64 = 5_000_000;

/// Rest of a process that holds no partition.
const REST: Duration = Duration::from_millis(500);

/// One follower of the feed. More than one, anywhere, do each other no harm.
pub struct Follower {
    state: State,
    me: String,
    partitions: i64,
    mine: Vec<i64>,
    shared: Option<Instant>,
    matcher: Option<(u64, Matcher)>,
}

/// The events of a page by partition, each list in the order of the feed.
type Sorted = HashMap<i64, Vec<(Place, Joining)>>;

impl Follower {
    /// A follower that has done nothing yet.
    #[must_use]
    pub fn new(state: State) -> Self {
        let me = Uuid::new_v4().to_string();
        Self { state, me, partitions: 0, mine: Vec::new(), shared: None, matcher: None }
    }

    /// Follows until `stop`.
    pub async fn run(mut self, stop: Stop) {
        let mut failures = 0;
        while !stop.is_stopped() {
            let round = async {
                self.share().await?;
                if self.mine.is_empty() {
                    tokio::time::sleep(REST).await;
                }
                self.step(WAIT).await
            };
            let outcome = tokio::select! { () = stop.stopped() => break, outcome = round => outcome };
            match outcome {
                Ok(_count) => {
                    if self.mine.is_empty() {
                        self.state.following.rested();
                    } else {
                        self.state.following.succeeded(self.state.clock.now());
                    }
                    failures = 0;
                }
                Err(cause) => {
                    self.state.following.failed(self.state.clock.now(), cause.to_string());
                    log::warn!("the feed is not followed, trying again: {cause}");
                    let pause = tokio::time::sleep(backoff(failures));
                    failures += 1;
                    tokio::select! { () = stop.stopped() => break, () = pause => {} }
                }
            }
        }
        self.leave().await;
    }

    /// Gives the partitions back, so that nobody has to wait until this process counts as dead.
    async fn leave(self) {
        if self.partitions > 1 {
            let me = self.me;
            if let Err(cause) = self.state.db.write(move |conn| store::leave_partitions(conn, &me)).await {
                log::warn!("partitions are not given back, others take them soon: {cause}");
            }
        }
    }

    /// Sees to it that the partitions are shared among the living.
    async fn share(&mut self) -> Result<(), DriveError> {
        if self.shared.is_some_and(|shared| shared.elapsed() < SHARE) {
            return Ok(());
        }
        self.prepare().await?;
        if self.partitions > 1 {
            let me = self.me.clone();
            let mine = self.state.db.write(move |conn| store::share_partitions(conn, &me, DEAD_MICROS));
            self.mine = mine.await?;
        }
        self.shared = Some(Instant::now());
        Ok(())
    }

    /// Makes the partitions; until they are shared all are ours.
    async fn prepare(&mut self) -> Result<(), DriveError> {
        if self.partitions == 0 {
            self.partitions = self.state.db.write(store::start_partitions).await?;
            self.mine = (0..self.partitions).collect();
        }
        Ok(())
    }

    /// Takes one page of the feed; how many events it had. `wait` is for the first event.
    ///
    /// # Errors
    /// [`DriveError`]; then nothing, or whole partitions of the page are taken.
    pub async fn step(&mut self, wait: Duration) -> Result<usize, DriveError> {
        self.prepare().await?;
        let cursors = self.state.db.read(store::list_cursors).await?;
        let mine: Vec<Cursor> =
            cursors.into_iter().filter(|cursor| self.mine.contains(&cursor.partition)).collect();
        let Some(from) = mine.iter().min_by_key(|cursor| cursor.place) else { return Ok(0) };
        let page = self.state.events.read(from.place, wait).await?;
        let Some(end) = page.last().map(|entry| entry.place) else { return Ok(0) };
        let count = page.len();
        let (mut sorted, present) = self.sort(page, from.present).await?;
        let at = self.at();
        let takes = mine.into_iter().filter(|cursor| cursor.place < end).map(|cursor| {
            let part = sorted.remove(&cursor.partition).unwrap_or_default();
            self.take_part(cursor.place, Cursor { place: end, present, ..cursor }, part, at)
        });
        try_join_all(takes.collect::<Vec<_>>()).await?;
        self.state.followed.inc_by(u64::try_from(count).unwrap_or(0));
        self.state.progress.send_modify(|count| *count += 1);
        self.tell_time().await?;
        Ok(count)
    }

    /// Tells the time of a replay to the workers and the clock service, now that everything before it is stored.
    async fn tell_time(&self) -> Result<(), DriveError> {
        if !self.state.now.is_replay() {
            return Ok(());
        }
        if self.state.now.go_by(self.state.db.read(store::find_present).await?) {
            self.state.ready.notify_one();
        }
        self.state.now.post().await;
        Ok(())
    }

    async fn take_part(
        &self,
        from: Place,
        to: Cursor,
        part: Vec<(Place, Joining)>,
        at: i64,
    ) -> Result<(), DriveError> {
        let joining: Vec<Joining> =
            part.into_iter().filter(|(own, _)| *own > from).map(|(_, joining)| joining).collect();
        let add = move |conn: &mut _| store::add_events(conn, from, &to, &joining, at);
        let Some(added) = self.state.db.write(add).await? else { return Ok(()) };
        self.state.statistics.add(added.counters);
        if added.became_ready {
            self.state.ready.notify_one();
        }
        Ok(())
    }

    /// Reads and sorts a page, on the blocking pool. In a replay it is `present` before the page; answers what it is after.
    async fn sort(
        &mut self,
        page: Vec<Entry>,
        present: Option<NaiveDateTime>,
    ) -> Result<(Sorted, Option<NaiveDateTime>), DriveError> {
        let loaded = self.state.definitions.current();
        let known = self.matcher.take().filter(|(generation, _)| *generation == loaded.generation);
        let mut matcher = known.map_or_else(|| new_matcher(&loaded), |(_, matcher)| matcher);
        let (mut pace, partitions) = (self.state.now.pace(present), self.partitions);
        let work = move || {
            let sorted = sort_page(&mut matcher, &page, partitions, &mut pace);
            (matcher, (sorted, pace.present()))
        };
        let done = tokio::task::spawn_blocking(work).await;
        let (mut matcher, sorted) = done.map_err(|cause| DriveError::Sorting(cause.to_string()))?;
        self.state.statistics.add(matcher.take_counters());
        self.matcher = Some((loaded.generation, matcher));
        Ok(sorted)
    }

    fn at(&self) -> i64 {
        to_micros(self.state.clock.now_naive())
    }
}

fn new_matcher(loaded: &Loaded) -> Matcher {
    Matcher::new(loaded.part.triggers.clone())
}

fn sort_page(matcher: &mut Matcher, page: &[Entry], partitions: i64, pace: &mut Pace) -> Sorted {
    let mut sorted = Sorted::new();
    if matcher.triggers().is_empty() {
        return sorted;
    }
    for entry in page {
        let Some(event) = read_event(entry) else { continue };
        let at = event.timestamp;
        let now = if entry.is_emitted { pace.beside(at) } else { pace.at(at) };
        let (event, mut body) = (Arc::new(event), None);
        for found in matcher.match_event(&event) {
            let key = active_key(found.trigger.name(), &found.distinguishing.key());
            let partition = key.first().map_or(0, |byte| i64::from(*byte)).checked_rem(partitions);
            let body = body.get_or_insert_with(|| Arc::from(entry.body.get()));
            let (event, body) = (Arc::clone(&event), Arc::clone(body));
            let joining = Joining { event_id: entry.place.id, event, body, found, key, now };
            sorted.entry(partition.unwrap_or(0)).or_default().push((entry.place, joining));
        }
    }
    matcher.end_batch();
    sorted
}

fn read_event(entry: &Entry) -> Option<Event> {
    let json = serde_json::from_str(entry.body.get()).map_err(|cause| cause.to_string());
    match json.and_then(|json| Event::from_json(json).map_err(|cause| cause.to_string())) {
        Ok(event) => Some(event),
        Err(cause) => {
            log::error!("event {} of the feed cannot be read and joins no stream: {cause}", entry.place);
            None
        }
    }
}
