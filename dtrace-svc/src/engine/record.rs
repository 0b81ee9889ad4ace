//! What is kept of runs: the audit log of all, and the messages of those that are recorded.

use super::message::{Ending, Message};
use super::runs::Run;
use crate::config::RunLimits;
use crate::histogram::Totals;
use crate::store::{self, RunMessage, StoreError};
use serde_json::{Map, Value};
use shared::clock::SharedClock;
use shared::db::{Db, DbConn};
use shared::stop::Stop;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;

/// Bytes of a script's text that the audit log keeps.
const MAX_PROGRAM: usize = 64 << 10;

/// Bytes of a failure's text that it keeps.
const MAX_OUTCOME: usize = 2 << 10;

/// How often the audit log is put in order.
const TEND_EVERY: Duration = Duration::from_secs(60);

/// Runs removed or ended in one step.
const STEP: i64 = 200;

/// Microseconds of [`TEND_EVERY`].
const ROUND: i64 = 60 * 1_000_000;

/// Silence after which a run was left behind by its service, in microseconds: five rounds.
const LOST_AFTER: i64 = 5 * ROUND;

/// Writes what is kept.
pub(super) struct Record {
    db: Db,
    clock: SharedClock,
    limits: RunLimits,
    /// Runs that this service has begun and not ended.
    open: Mutex<HashSet<String>>,
}

impl Record {
    pub(super) fn new(db: Db, clock: SharedClock, limits: RunLimits) -> Self {
        Self { db, clock, limits, open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashSet<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> i64 {
        self.clock.now().timestamp_micros()
    }

    /// Writes the first line of a run's audit log. Without it nothing may run.
    pub(super) async fn begin(&self, run: &Run) -> Result<(), String> {
        let row = store::Run {
            id: run.id.clone(),
            script: run.plan.uuid.clone(),
            name: run.plan.name.clone(),
            subject: run.subject.replace('\0', ""),
            config: run.plan.record().to_string(),
            program: cut(&run.plan.script, MAX_PROGRAM),
            started: self.now(),
            ended: None,
            outcome: None,
            messages: None,
            summary: None,
        };
        write(&self.db, move |conn| store::put_run(conn, &row)).await?;
        self.open().insert(run.id.clone());
        Ok(())
    }

    /// Writes how the run ended.
    pub(super) async fn end(&self, run: &Run, ending: &Ending) {
        let outcome = match ending {
            Ending::Finished | Ending::Stopped => ending.word().to_owned(),
            Ending::Refused(text)
            | Ending::NoTracer(text)
            | Ending::Failed(text)
            | Ending::Unavailable(text) => {
                format!("{}: {}", ending.word(), cut(&text.replace('\0', ""), MAX_OUTCOME))
            }
        };
        self.open().remove(&run.id);
        let (id, now) = (run.id.clone(), self.now());
        if let Err(cause) = write(&self.db, move |conn| store::end_run(conn, &id, now, &outcome)).await {
            log::error!(run = run.id; "the end of run {} is not in the audit log: {cause}", run.id);
        }
    }

    /// Keeps the audit log in order, a few runs at a time, until `stop`: says which runs of this service go on, ends
    /// those that were left behind, removes the oldest of too many.
    pub(super) async fn tend(&self, stop: &Stop) {
        let mut reach = None;
        loop {
            let pause = match self.tend_once(&mut reach).await {
                Ok(0) => TEND_EVERY,
                Ok(_) => Duration::from_millis(100),
                Err(cause) => {
                    log::warn!("the audit log of runs cannot be put in order: {cause}");
                    TEND_EVERY
                }
            };
            tokio::select! {
                () = stop.stopped() => return,
                () = tokio::time::sleep(pause) => (),
            }
        }
    }

    /// One step; tells how many runs were ended or removed.
    async fn tend_once(&self, reach: &mut Option<Reach>) -> Result<usize, String> {
        let open: Vec<String> = self.open().iter().cloned().collect();
        let (reached, kept) = (Reach::at(*reach, self.now()), self.limits.max_runs_kept);
        let may_end = reached.is_steady();
        let (lost, removed) = self
            .db
            .write(move |conn| {
                store::touch_runs(conn, &open)?;
                let lost = if may_end { store::end_lost_runs(conn, LOST_AFTER, STEP)? } else { 0 };
                Ok::<_, StoreError>((lost, store::delete_old_runs(conn, kept, STEP)?))
            })
            .await
            .map_err(|cause| cause.to_string())?;
        *reach = Some(reached);
        if lost > 0 {
            log::warn!("{lost} runs had no end: their service was killed, or could not write it");
        }
        if removed > 0 {
            log::debug!("removed {removed} old runs");
        }
        Ok(lost + removed)
    }

    /// Begins to keep the messages of a run.
    pub(super) fn keep(&self, run: &Run) -> Keeping {
        Keeping {
            db: self.db.clone(),
            clock: self.clock.clone(),
            run: run.id.clone(),
            since: self.now(),
            messages_left: self.limits.max_recorded_messages,
            bytes_left: self.limits.max_recorded_bytes,
            kept: 0,
            totals: Totals::default(),
        }
    }
}

/// Since when this service has reached the database at every round. Where the database was away for everybody, others
/// have been silent without being dead: they need a round to say so, and the first that is back must not end their runs.
#[derive(Debug, Clone, Copy)]
struct Reach {
    /// Microseconds since 1970.
    first: i64,
    last: i64,
}

impl Reach {
    /// What it is when the database is reached at `now`, too.
    fn at(before: Option<Self>, now: i64) -> Self {
        let unbroken = before.filter(|before| now - before.last < 2 * ROUND);
        Self { first: unbroken.map_or(now, |before| before.first), last: now }
    }

    /// Whether every service that lives has had its turn meanwhile.
    fn is_steady(self) -> bool {
        self.last - self.first >= 2 * ROUND
    }
}

/// A recording under way.
pub(super) struct Keeping {
    db: Db,
    clock: SharedClock,
    run: String,
    since: i64,
    messages_left: usize,
    bytes_left: usize,
    kept: i64,
    totals: Totals,
}

impl Keeping {
    /// Keeps messages until the run ends or there is no more room.
    pub(super) async fn run(mut self, mut messages: broadcast::Receiver<Arc<Message>>) {
        let mut dropped = 0;
        let failed = loop {
            let kept = match messages.recv().await.as_deref() {
                Ok(Message::Figures(figures)) => self.put("tick", figures.json().to_string()).await,
                Ok(Message::Output(output)) => self.put("output", output.json().to_string()).await,
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    dropped += count;
                    self.put("dropped", count.to_string()).await
                }
                Ok(Message::End(_)) | Err(broadcast::error::RecvError::Closed) => break None,
            };
            match kept {
                Ok(true) => (),
                Ok(false) => break None,
                Err(cause) => break Some(cause),
            }
        };
        if dropped > 0 {
            log::warn!(run = self.run, dropped = dropped;
                "the recording of run {} lacks {dropped} messages: the database was too slow", self.run);
        }
        let (run, kept, summary) = (self.run.clone(), self.kept, self.totals.summary().to_string());
        let summary = if summary.len() > self.bytes_left { "[]".to_owned() } else { summary };
        let noted = write(&self.db, move |conn| store::put_summary(conn, &run, kept, &summary)).await;
        if let Some(cause) = failed.or(noted.err()) {
            log::error!(run = self.run; "the recording of run {} is incomplete: {cause}", self.run);
        }
    }

    /// Keeps one message; `false` when there is no room for it.
    async fn put(&mut self, event: &str, body: String) -> Result<bool, String> {
        if self.messages_left == 0 || body.len() > self.bytes_left {
            return Ok(false);
        }
        self.messages_left -= 1;
        self.bytes_left -= body.len();
        if event == "tick" {
            let figures: Map<String, Value> = serde_json::from_str(&body).unwrap_or_default();
            self.totals.add(&figures);
        }
        let at = self.clock.now().timestamp_micros() - self.since;
        // PostgreSQL cannot store NUL, and JSON writes it as an escape; so the text has none.
        let row = RunMessage { run: self.run.clone(), number: self.kept, at, event: event.to_owned(), body };
        self.kept += 1;
        write(&self.db, move |conn| store::put_message(conn, &row)).await.map(|()| true)
    }
}

async fn write(
    db: &Db,
    query: impl FnOnce(&mut DbConn) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), String> {
    db.write(query).await.map_err(|cause| cause.to_string())
}

fn cut(text: &str, most: usize) -> String {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Encoded;
    use crate::schema::runs;
    use chrono::{DateTime, TimeDelta, Utc};
    use diesel::prelude::*;
    use serde_json::json;
    use shared::clock::{Clock, ManualClock};
    use shared::testing::TestDb;

    fn open_run(id: &str, started: DateTime<Utc>) -> store::Run {
        store::Run {
            id: id.to_owned(),
            script: "s".to_owned(),
            name: "n".to_owned(),
            subject: "user:ada".to_owned(),
            config: "{}".to_owned(),
            program: String::new(),
            started: started.timestamp_micros(),
            ended: None,
            outcome: None,
            messages: None,
            summary: None,
        }
    }

    async fn put_runs(db: &Db, runs: Vec<store::Run>) {
        let put = move |conn: &mut DbConn| runs.iter().try_for_each(|run| store::put_run(conn, run));
        db.write(put).await.unwrap();
    }

    /// Lets time pass since a run was last heard of.
    async fn age(db: &Db, id: &'static str, by: TimeDelta) {
        let by = by.num_microseconds().unwrap();
        let aged = move |conn: &mut DbConn| {
            let run = diesel::update(runs::table.find(id));
            Ok::<_, StoreError>(run.set(runs::alive.eq(runs::alive - by)).execute(conn)?)
        };
        assert_eq!(db.write(aged).await.unwrap(), 1);
    }

    async fn outcome(db: &Db, id: &'static str) -> Option<String> {
        db.read(move |conn| store::find_run(conn, "s", id)).await.unwrap().outcome
    }

    #[tokio::test]
    async fn a_service_that_is_back_first_waits_for_the_others_before_it_ends_their_runs() {
        let db = TestDb::new(store::MIGRATIONS);
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        let (seconds, start) = (TimeDelta::seconds, clock.now());
        put_runs(&db.db, vec![open_run("killed", start), open_run("other", start)]).await;
        let record = Record::new(db.db.clone(), clock.clone(), RunLimits::default());
        let mut reach = None;
        // The database was away from everybody for six minutes.
        for id in ["killed", "other"] {
            age(&db.db, id, seconds(360)).await;
        }
        for (at, ended) in [(360, 0), (420, 0), (479, 0)] {
            clock.set(start + seconds(at));
            assert_eq!(record.tend_once(&mut reach).await, Ok(ended), "{at}");
        }
        // The other service is back, too, a round later than this one.
        db.db.write(|conn| store::touch_runs(conn, &["other".to_owned()])).await.unwrap();
        // Two rounds have passed since 360.
        clock.set(start + seconds(480));
        assert_eq!(record.tend_once(&mut reach).await, Ok(1));
        assert_eq!(outcome(&db.db, "killed").await.as_deref(), Some("lost"));
        assert_eq!(outcome(&db.db, "other").await, None);
        // Then nothing is heard of it any more. Two rounds without the database begin the wait anew.
        age(&db.db, "other", seconds(301)).await;
        for (at, ended) in [(660, 0), (720, 0), (779, 0), (780, 1)] {
            clock.set(start + seconds(at));
            assert_eq!(record.tend_once(&mut reach).await, Ok(ended), "{at}");
        }
        assert_eq!(outcome(&db.db, "other").await.as_deref(), Some("lost"));
    }

    #[tokio::test]
    async fn a_service_that_starts_ends_what_was_silent_for_five_minutes_after_two_rounds() {
        let db = TestDb::new(store::MIGRATIONS);
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        let (minutes, start) = (TimeDelta::minutes, clock.now());
        put_runs(&db.db, vec![open_run("killed", start), open_run("living", start)]).await;
        age(&db.db, "killed", TimeDelta::seconds(301)).await;
        age(&db.db, "living", minutes(4)).await;
        let record = Record::new(db.db.clone(), clock.clone(), RunLimits::default());
        let mut reach = None;
        for (at, ended) in [(6, 0), (7, 0), (8, 1)] {
            clock.set(start + minutes(at));
            assert_eq!(record.tend_once(&mut reach).await, Ok(ended), "{at}");
        }
        assert_eq!(outcome(&db.db, "killed").await.as_deref(), Some("lost"));
        assert_eq!(outcome(&db.db, "living").await, None);
    }

    #[tokio::test]
    async fn services_whose_clocks_differ_leave_each_others_runs_alone() {
        let db = TestDb::new(store::MIGRATIONS);
        let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut services = Vec::new();
        for (id, ahead) in [("behind", 0), ("ahead", 6)] {
            let clock = ManualClock::at(start + TimeDelta::minutes(ahead));
            let record = Record::new(db.db.clone(), clock.clone(), RunLimits::default());
            put_runs(&db.db, vec![open_run(id, clock.now())]).await;
            record.open().insert(id.to_owned());
            services.push((clock, record, None));
        }
        for _ in 0..6 {
            for (clock, record, reach) in &mut services {
                assert_eq!(record.tend_once(reach).await, Ok(0));
                clock.advance(TimeDelta::minutes(1));
            }
        }
        assert_eq!((outcome(&db.db, "behind").await, outcome(&db.db, "ahead").await), (None, None));
    }

    #[tokio::test]
    async fn a_lost_run_does_not_end_before_it_started() {
        let db = TestDb::new(store::MIGRATIONS);
        // By the clock of a service that is far ahead of the database's.
        let started = "2200-01-01T00:00:00Z".parse().unwrap();
        put_runs(&db.db, vec![open_run("killed", started)]).await;
        age(&db.db, "killed", TimeDelta::seconds(301)).await;
        assert_eq!(db.db.write(|conn| store::end_lost_runs(conn, LOST_AFTER, STEP)).await.unwrap(), 1);
        let run = db.db.read(|conn| store::find_run(conn, "s", "killed")).await.unwrap();
        assert_eq!(run.ended, Some(started.timestamp_micros()));
    }

    #[tokio::test]
    async fn a_recording_says_where_it_lacks_messages() {
        let db = TestDb::new(store::MIGRATIONS);
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        put_runs(&db.db, vec![open_run("r", clock.now())]).await;
        let keeping = Keeping {
            db: db.db.clone(),
            run: "r".to_owned(),
            since: clock.now().timestamp_micros(),
            clock,
            messages_left: 10,
            bytes_left: 1000,
            kept: 0,
            totals: Totals::default(),
        };
        // Room for two; five come before the recording looks.
        let (sender, receiver) = broadcast::channel(2);
        for tick in 1..=5 {
            sender.send(Arc::new(Message::Figures(Encoded::new(&json!({ "n": tick }))))).unwrap();
        }
        drop(sender);
        keeping.run(receiver).await;
        let kept = db.db.read(|conn| store::list_messages(conn, "r", -1, 10)).await.unwrap();
        let kept: Vec<_> = kept.iter().map(|one| (one.event.as_str(), one.body.as_str())).collect();
        assert_eq!(kept, [("dropped", "3"), ("tick", r#"{"n":4}"#), ("tick", r#"{"n":5}"#)]);
    }
}
