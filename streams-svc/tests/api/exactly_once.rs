//! Every event joins once and every pipeline counts once, whoever else is at work and whoever dies.

use crate::common::{Few, Fixture, PIPELINES, TRIGGERS, at, event, part};
use diesel::connection::SimpleConnection;
use serde_json::{Value as Json, json};
use shared::datetime::to_micros;
use shared::db::{DbConn, DbError, Place};
use std::collections::BTreeSet;
use std::time::Duration;
use streams_svc::config::Config;
use streams_svc::drive::{Follower, Worker};
use streams_svc::engine::{State, Task};
use streams_svc::store::{self, Cursor, Finished, Outcome, Taken};

const INSTANCES: usize = 40;
const EVENTS: usize = 400;

/// Events of forty instances on one day, in turn.
fn events() -> impl Iterator<Item = Json> {
    (0..EVENTS).map(|number| {
        let instance = json!({ "instance_id": format!("i{}", number % INSTANCES) });
        event("compute.instance.update", &format!("m{number}"), "2015-02-27T15:00:00", instance)
    })
}

/// Instances of the streams, each with the ids of its events; every instance is there once.
async fn members(fixture: &Fixture) -> Vec<(String, BTreeSet<String>)> {
    let streams = fixture.get("/v1/streams?details=1&limit=1000").await.json();
    let member = |stream: &Json| {
        let events = stream["events"].as_array().unwrap();
        let ids: BTreeSet<String> =
            events.iter().map(|event| event["message_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), events.len());
        (stream["distinguishing_traits"]["instance_id"].as_str().unwrap().to_owned(), ids)
    };
    let mut members: Vec<_> = streams.as_array().unwrap().iter().map(member).collect();
    members.sort();
    members
}

fn expected() -> Vec<(String, BTreeSet<String>)> {
    let ids = |instance| (0..EVENTS).filter(move |number| number % INSTANCES == instance);
    let mut expected: Vec<_> = (0..INSTANCES)
        .map(|instance| (format!("i{instance}"), ids(instance).map(|number| format!("m{number}")).collect()))
        .collect();
    expected.sort();
    expected
}

#[actix_web::test]
async fn followers_at_the_same_time_share_the_feed_without_doubles_or_gaps() {
    let fixture = Fixture::new();
    fixture.events.extend(events());
    *fixture.events.page.lock().unwrap() = Some(7);
    let follow = || async {
        let mut follower = Follower::new(fixture.state.clone());
        while follower.step(Duration::ZERO).await.unwrap() > 0 {}
    };
    tokio::join!(follow(), follow(), follow());
    assert_eq!(members(&fixture).await, expected());
    follow().await;
    assert_eq!(members(&fixture).await, expected(), "once more changes nothing");
}

#[actix_web::test]
async fn piece_of_the_feed_that_somebody_has_taken_is_not_taken_again() {
    let fixture = Fixture::new();
    fixture
        .add(event("compute.instance.update", "m1", "2015-02-27T15:00:00", json!({ "instance_id": "i" })))
        .await;
    let ends = (Place::default(), Place { xid: 0, id: 1 });
    let next = Cursor { partition: 0, place: ends.1, present: None };
    let again = fixture.database.db.write(move |conn| store::add_events(conn, ends.0, &next, &[], 0)).await;
    assert!(again.unwrap().is_none());
    let cursors = fixture.database.db.read(store::list_cursors).await.unwrap();
    assert!(cursors.iter().all(|cursor| cursor.place == ends.1), "{cursors:?}");
}

/// Streams that are ready to fire.
async fn ready() -> Fixture {
    let triggers = TRIGGERS.replace(
        "- event_type: compute.instance.exists\n    traits:",
        "- event_type: '*.ready'\n    nothing:",
    );
    let triggers = triggers.split("    nothing:").next().unwrap();
    let fixture = Fixture::with(part(triggers, PIPELINES), &Config::default());
    fixture.events.extend((0..30).map(|number| {
        let instance = json!({ "instance_id": format!("i{number}") });
        event("compute.instance.ready", &format!("m{number}"), "2015-02-27T15:00:00", instance)
    }));
    fixture.follow().await;
    fixture.set_clock("2015-02-27T16:00:00");
    fixture
}

#[actix_web::test]
async fn workers_at_the_same_time_run_every_pipeline_once() {
    let fixture = ready().await;
    let work = || async {
        let mut worker = Worker::new(fixture.state.clone());
        let mut count = 0;
        loop {
            match worker.round().await.unwrap() {
                0 => break count,
                some => count += some,
            }
        }
    };
    let (one, other, third) = tokio::join!(work(), work(), work());
    assert_eq!(one + other + third, 30);
    let reports = fixture.database.db.read(|conn| store::list_outgoing(conn, 1000)).await.unwrap();
    // One `.failed` with U0 each: the streams have no exists.
    assert_eq!(reports.len(), 30);
    let count = fixture.get("/v1/streams/count?state=completed").await.json();
    assert_eq!(count, json!([{ "count": 30 }]));
}

async fn take(fixture: &Fixture, lease_until: i64) -> Vec<Taken> {
    let now = to_micros(at("2015-02-27T16:00:00"));
    fixture
        .database
        .db
        .write(move |conn| {
            let due = store::list_due(conn, Task::Fire, now)?;
            store::take(conn, &due, now, (now, lease_until), &mut Few(1))
        })
        .await
        .unwrap()
}

/// Streams of `end` fire at 1 o'clock; all expire at 2.
const TWO_HOURS: &str = "
- name: t
  expiration: $last + 2h
  fire_pipeline: p
  fire_delay: 60
  match_criteria: [{}]
  fire_criteria: [{event_type: end}]
";

#[actix_web::test]
async fn worker_takes_what_is_due() {
    for (task, event_type, state, time, is_taken) in [
        (Task::Fire, "end", State::Active, "2015-02-27T01:00:00", false),
        (Task::Fire, "end", State::Active, "2015-02-27T01:00:00.000001", true),
        (Task::Fire, "end", State::RetryFire, "2015-02-27T03:00:00", true),
        (Task::Fire, "end", State::RetryExpire, "2015-02-27T03:00:00", false),
        (Task::Fire, "end", State::Error, "2015-02-27T03:00:00", false),
        (Task::Fire, "end", State::Firing, "2015-02-27T03:00:00", false),
        (Task::Fire, "a", State::Active, "2020-01-01", false),
        (Task::Expire, "a", State::Active, "2015-02-27T02:00:00", false),
        (Task::Expire, "a", State::Active, "2015-02-27T02:00:00.000001", true),
        (Task::Expire, "a", State::RetryExpire, "2015-02-27T02:00:01", true),
        (Task::Expire, "end", State::RetryExpire, "2015-02-27T02:00:01", true),
        (Task::Expire, "end", State::RetryFire, "2015-02-27T03:00:00", false),
        (Task::Expire, "a", State::Completed, "2015-02-27T03:00:00", false),
        // What was ready before its time was over fires, however late.
        (Task::Expire, "end", State::Active, "2015-02-27T03:00:00", false),
    ] {
        let fixture = Fixture::with(part(TWO_HOURS, "p: [logger]"), &Config::default());
        fixture.set_clock("2015-02-27T00:59:00");
        fixture.add(event(event_type, "m", "2015-02-27", json!({}))).await;
        let (sql, now) =
            (format!("UPDATE streams SET serial = 5, state = {}", state.number()), to_micros(at(time)));
        let take = move |conn: &mut DbConn| {
            conn.batch_execute(&sql)?;
            let due = store::list_due(conn, task, now)?;
            store::take(conn, &due, now, (now, now), &mut Few(9))
        };
        let taken = fixture.database.db.write(take).await.unwrap();
        let serials: Vec<i64> = taken.iter().map(|taken| taken.serial).collect();
        let (expected, after) = if is_taken { (vec![6], task.running()) } else { (vec![], state) };
        assert_eq!(serials, expected, "{task:?} {event_type} {state} {time}");
        assert_eq!(fixture.one("/v1/streams/1").await["state"], after.word(), "{task:?} {state} {time}");
    }
}

#[actix_web::test]
async fn stream_of_a_dead_worker_returns_and_what_it_brings_too_late_is_discarded() {
    let fixture = ready().await;
    let noon = to_micros(at("2015-02-27T16:00:00"));
    let taken = take(&fixture, noon + 60_000_000).await.remove(0);
    let id = taken.id;
    assert_eq!(fixture.states(id).await, ["active", "firing"]);

    // As long as the lease holds, neither a reset nor another worker gets the stream.
    let put = || actix_web::test::TestRequest::put().uri(&format!("/v1/streams/{id}"));
    assert_eq!(fixture.send(put()).await.status, 200);
    assert_eq!(fixture.work().await, 29);
    assert_eq!(fixture.states(id).await, ["active", "firing"]);

    fixture.set_clock("2015-02-27T16:01:01");
    assert_eq!(fixture.work().await, 1);
    assert_eq!(fixture.states(id).await, ["active", "firing", "retry_fire", "firing", "completed"]);
    let before = fixture.events.all().len();

    let late = Finished { taken, outcome: Outcome::Purged(None), new_events: vec!["{}".to_owned()] };
    let lost = fixture.database.db.write(move |conn| store::finish(conn, &[late], noon)).await.unwrap();
    assert_eq!(lost, 1);
    fixture.work().await;
    assert_eq!(fixture.events.all().len(), before);
    assert_eq!(fixture.one(&format!("/v1/streams/{id}")).await["state"], "completed");
}

#[actix_web::test]
async fn stream_of_a_worker_that_died_with_a_clock_ahead_returns() {
    let noon = to_micros(at("2015-02-27T16:00:00"));
    // A lease has 60 seconds. That of a clock which is as much ahead holds, that of one a day ahead does not.
    for (until, others) in [(noon + 120_000_000, 29), (noon + 86_460_000_000, 30)] {
        let fixture = ready().await;
        let id = take(&fixture, until).await[0].id;
        assert_eq!(fixture.work().await, others);
        let end = if others == 30 { "completed" } else { "firing" };
        assert_eq!(fixture.states(id).await.last().unwrap(), end);
    }
}

#[actix_web::test]
async fn user_may_reset_a_stream_whose_lease_is_over() {
    let fixture = ready().await;
    let id = take(&fixture, 0).await[0].id;
    let put = actix_web::test::TestRequest::put().uri(&format!("/v1/streams/{id}"));
    assert_eq!(fixture.send(put).await.status, 200);
    assert_eq!(fixture.states(id).await, ["active", "firing", "retry_fire"]);
}

#[actix_web::test]
async fn partitions_are_shared_among_the_living() {
    let fixture = Fixture::new();
    let db = &fixture.database.db;
    let count = usize::try_from(db.write(store::start_partitions).await.unwrap()).unwrap();
    let share = async |me: &'static str| {
        db.write(move |conn| store::share_partitions(conn, me, 60_000_000)).await.unwrap()
    };
    // Lets somebody have been seen so many seconds later.
    let move_seen = async |who: &str, secs: i64| {
        let sql = format!("UPDATE holders SET seen = seen + {} WHERE holder = '{who}'", secs * 1_000_000);
        db.write(move |conn| conn.batch_execute(&sql).map_err(DbError::from)).await.unwrap();
    };
    assert_eq!(share("a").await.len(), count);
    assert_eq!(share("b").await.len(), 0, "nobody is robbed");
    let fair = count.div_ceil(2);
    assert_eq!(share("a").await.len(), fair);
    assert_eq!(share("b").await.len(), count - fair);
    move_seen("a", -61).await;
    assert_eq!(share("b").await.len(), count);
    // Who leaves makes room at once.
    db.write(|conn| store::leave_partitions(conn, "b")).await.unwrap();
    assert_eq!(share("c").await.len(), count);
    // `c` dies, and the database's clock is set back.
    move_seen("c", 30).await;
    assert_eq!(share("d").await.len(), 0);
    move_seen("c", 3600).await;
    assert_eq!(share("d").await.len(), count);
}

/// Who comes back waits for who shares, without holding what that one may forget meanwhile.
#[actix_web::test]
async fn who_was_forgotten_and_comes_back_stops_nobody() {
    use diesel::{Connection, RunQueryDsl};
    let fixture = Fixture::new();
    let db = fixture.database.db.clone();
    if matches!(db.target(), shared::db::Target::Sqlite { .. }) {
        return; // One writer at a time.
    }
    db.write(store::start_partitions).await.unwrap();
    db.write(|conn| store::share_partitions(conn, "back", 60_000_000)).await.unwrap();
    let other = db.clone();
    let sharing = db.write(move |conn| {
        conn.transaction(|conn| {
            let DbConn::Postgres(conn) = conn else { panic!("not PostgreSQL") };
            diesel::sql_query("UPDATE cursors SET holder = NULL WHERE partition = 0").execute(conn)?;
            let back = std::thread::spawn(move || {
                other.write_blocking(|conn| store::share_partitions(conn, "back", 60_000_000))
            });
            let waits =
                "SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))";
            while !back.is_finished() && diesel::sql_query(waits).execute(conn)? == 0 {
                std::thread::yield_now();
            }
            let forgotten = diesel::sql_query("DELETE FROM holders WHERE holder = 'back'").execute(conn)?;
            Ok::<_, DbError>((forgotten, back))
        })
    });
    let (forgotten, back) = sharing.await.unwrap();
    assert_eq!((forgotten, back.join().unwrap().unwrap().len()), (1, 4));
}

/// On PostgreSQL ids are given before commits: a client that follows the list must not pass by a stream that is late.
#[actix_web::test]
async fn an_ascending_list_ends_before_a_stream_that_is_under_way() {
    use diesel::{Connection, RunQueryDsl};
    let fixture = ready().await;
    let all = async |query: &str| {
        fixture.get(&format!("/v1/streams?{query}")).await.json().as_array().unwrap().len()
    };
    assert_eq!((all("").await, all("mark=%2B").await), (30, 30));
    let (begun, is_begun) = std::sync::mpsc::channel::<()>();
    let (end, is_ended) = std::sync::mpsc::channel::<()>();
    let db = fixture.database.db.clone();
    let late = std::thread::spawn(move || {
        db.write_blocking(|conn| {
            let DbConn::Postgres(conn) = conn else { return Ok(()) };
            conn.transaction(|conn| {
                diesel::sql_query(shared::noted!("stream_ids")).execute(conn)?;
                diesel::sql_query("SELECT nextval('stream_ids')").execute(conn)?;
                begun.send(()).unwrap();
                is_ended.recv().unwrap();
                Ok::<_, DbError>(())
            })
        })
    });
    // On SQLite nobody begins.
    if is_begun.recv().is_ok() {
        let instance = json!({ "instance_id": "later" });
        fixture.events.extend([event("compute.instance.ready", "later", "2015-02-27T15:00:00", instance)]);
        fixture.follow().await;
        assert_eq!((all("").await, all("mark=%2B").await), (31, 30));
        end.send(()).unwrap();
    }
    late.join().unwrap().unwrap();
}
