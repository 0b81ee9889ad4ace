//! Old events go, with their index rows and counters.

use crate::common::{Fixture, event, noon, text};
use chrono::Duration;
use diesel::{Connection, RunQueryDsl};
use events_svc::config::Config;
use events_svc::distill::Distiller;
use events_svc::engine::{Trim, retention_step};
use events_svc::store::{
    Removed, StoreError, claim_removal, count_events, delete_generated_before, delete_oldest,
    list_event_types, prepare, put_events, put_postgres_events,
};
use serde_json::json;
use shared::clock::SharedClock;
use shared::db::DbConn;
use std::thread::JoinHandle;

async fn removed(fixture: &Fixture) -> usize {
    let clock: SharedClock = fixture.clock.clone();
    let Removed(events) = retention_step(&fixture.state, &clock).await.unwrap();
    events
}

fn at(id: &str, kind: &str, age_secs: i64) -> events_svc::model::Event {
    let generated = (noon() - Duration::seconds(age_secs)).naive_utc();
    event(id, kind, &generated.format("%Y-%m-%dT%H:%M:%S").to_string(), &[("host", text(id))])
}

#[actix_web::test]
async fn events_older_than_their_time_to_live_go_with_their_types() {
    let config = Config { event_time_to_live_secs: 3600, ..Config::default() };
    let fixture = Fixture::with(config, Distiller::builtin().unwrap());
    fixture.store(&[at("old", "gone", 3601), at("edge", "stays", 3600), at("new", "stays", 0)]).await;
    assert_eq!(removed(&fixture).await, 1);
    assert_eq!(removed(&fixture).await, 0);
    assert_eq!(fixture.get("/v1/events/count").await.json(), json!([{"count": 2}]));
    assert_eq!(fixture.get("/v1/events/count?event_name=gone").await.json(), json!([{"count": 0}]));
    assert_eq!(fixture.get("/v1/events/count?traits=host:old").await.json(), json!([{"count": 0}]));
    assert_eq!(fixture.get("/v1/events?traits=host:edge").await.json()[0]["message_id"], "edge");
}

#[actix_web::test]
async fn the_oldest_go_when_there_are_too_many() {
    let config = Config { max_events: 2, ..Config::default() };
    let fixture = Fixture::with(config, Distiller::builtin().unwrap());
    fixture.store(&[at("c", "t", 1), at("a", "t", 3), at("b", "t", 2)]).await;
    assert_eq!(removed(&fixture).await, 1);
    assert_eq!(fixture.get("/v1/events/a").await.status, 404);
    assert_eq!(removed(&fixture).await, 0);
}

/// While one replica removes what is too much, another would find as many, and remove the next ones.
#[actix_web::test]
async fn of_two_replicas_one_removes_what_is_too_much() {
    let config = Config { max_events: 2, ..Config::default() };
    let fixture = Fixture::with(config, Distiller::builtin().unwrap());
    fixture.store(&[at("a", "t", 4), at("b", "t", 3), at("c", "t", 2), at("d", "t", 1)]).await;
    let db = fixture.database.db.clone();
    if matches!(db.target(), shared::db::Target::Sqlite { .. }) {
        return; // One writer at a time: the second finds what the first has left.
    }
    let (state, clock): (_, SharedClock) = (fixture.state.clone(), fixture.clock.clone());
    let first = db.write(move |conn| {
        conn.transaction(|conn| {
            assert!(claim_removal(conn)?);
            let removed = delete_oldest(conn, 1)?;
            let second = std::thread::spawn(move || {
                tokio::runtime::Runtime::new().unwrap().block_on(retention_step(&state, &clock))
            });
            let DbConn::Postgres(conn) = conn else { panic!("not PostgreSQL") };
            until_settled(conn, &second);
            Ok::<_, StoreError>((removed, second))
        })
    });
    let (removed_first, second) = first.await.unwrap();
    assert_eq!((removed_first, second.join().unwrap().unwrap()), (Removed(1), Removed(0)));
    assert_eq!((removed(&fixture).await, removed(&fixture).await), (1, 0));
    assert_eq!(fixture.get("/v1/events/c").await.status, 200);
}

/// Stores events of these ages in seconds, and lets them be trimmed as the settings say until nothing more goes; the ids
/// of what stays, and the steps it took.
async fn trimmed(settings: &str, ages: &[i64]) -> (Vec<String>, Vec<usize>) {
    let mut fixture = Fixture::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("trim_events: true\n{settings}\n")).unwrap();
    fixture.state = fixture.state.clone().with_trim(Trim::from_winchester(file.path()).unwrap());
    let events: Vec<_> = ages.iter().map(|age| at(&format!("e{age}"), "t", *age)).collect();
    fixture.store(&events).await;
    let mut steps = Vec::new();
    while steps.last() != Some(&0) {
        steps.push(removed(&fixture).await);
    }
    let left = fixture.get("/v1/events").await.json();
    let ids = left.as_array().unwrap().iter().map(|event| event["message_id"].as_str().unwrap().to_owned());
    (ids.collect(), steps)
}

const DAY: i64 = 86_400;

#[actix_web::test]
async fn trimming_removes_events_older_than_the_age_in_batches() {
    let ages = [14 * DAY + 1, 14 * DAY, 20 * DAY, 15 * DAY, 0];
    let (left, steps) = trimmed("trim_events_batch_size: 2", &ages).await;
    assert_eq!(left, ["e0", &format!("e{}", 14 * DAY)]);
    assert_eq!(steps, [2, 1, 0]);
    let (left, _) = trimmed("trim_events_age: $timestamp - 16d", &ages).await;
    assert_eq!(left.len(), 4, "{left:?}");
    let (left, _) = trimmed("trim_events_age: soon", &ages).await;
    assert_eq!(left.len(), 5, "{left:?}");
}

/// The sample of 2015 is not old while it is played, and one event of a wrong date makes no other old.
#[actix_web::test]
async fn in_a_replay_the_last_events_are_the_present() {
    let old = [4015 * DAY, 4014 * DAY - 99];
    let ages: Vec<i64> =
        old.into_iter().chain((4000 * DAY - 99)..=(4000 * DAY)).chain([-4000 * DAY]).collect();
    let (left, steps) = trimmed("time_sync_endpoint: internal", &ages).await;
    assert_eq!((left.len(), steps), (102, vec![1, 0]));
    assert!(!left.contains(&format!("e{}", 4015 * DAY)));
    assert_eq!(trimmed("time_sync_endpoint: internal", &[]).await.1, [0]);
}

/// Waits until the other has ended or waits for a lock of this transaction.
fn until_settled<T>(conn: &mut diesel::PgConnection, other: &JoinHandle<T>) {
    let waiting = "SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))";
    while !other.is_finished() && diesel::sql_query(waiting).execute(conn).unwrap() == 0 {
        std::thread::yield_now();
    }
}

/// Two replicas that find the same old events count them once: the type of what stays is still known.
#[actix_web::test]
async fn two_removals_at_once_count_once() {
    let fixture = Fixture::new();
    fixture.store(&[at("a", "t", 3), at("b", "t", 2), at("c", "t", 0), at("d", "t", 0)]).await;
    let cutoff = (noon() - Duration::seconds(1)).naive_utc();
    let (db, other) = (fixture.database.db.clone(), fixture.database.db.clone());
    if matches!(db.target(), shared::db::Target::Sqlite { .. }) {
        return; // One writer at a time: the second finds nothing.
    }
    let first = db.write(move |conn| {
        conn.transaction(|conn| {
            let removed = delete_generated_before(conn, cutoff, 10)?;
            let second = std::thread::spawn(move || {
                other.write_blocking(|conn| delete_generated_before(conn, cutoff, 10))
            });
            let DbConn::Postgres(conn) = conn else { panic!("not PostgreSQL") };
            until_settled(conn, &second);
            Ok::<_, StoreError>((removed, second))
        })
    });
    let (removed, second) = first.await.unwrap();
    assert_eq!((removed, second.join().unwrap().unwrap()), (Removed(2), Removed(0)));
    let counts = fixture.database.db.read(|conn| count_events(conn, None)).await;
    assert_eq!(counts.unwrap(), 2);
    let types = fixture.database.db.read(list_event_types).await;
    assert_eq!(types.unwrap(), ["t"]);
}

/// A type's last old event goes while a writer, who has not committed yet, counts a new one.
#[actix_web::test]
async fn an_event_that_is_being_stored_keeps_its_count() {
    let fixture = Fixture::new();
    let (db, other) = (fixture.database.db.clone(), fixture.database.db.clone());
    if matches!(db.target(), shared::db::Target::Sqlite { .. }) {
        return; // One writer at a time: nobody counts beside it.
    }
    let one = |id: &str, age_secs| vec![prepare(&at(id, "t", age_secs)).unwrap()];
    let (first, second, new) = (one("a", 3), one("b", 2), one("c", 0));
    let cutoff = (noon() - Duration::seconds(1)).naive_utc();
    let removing = db.write(move |conn| {
        put_events(conn, &first, 0)?;
        put_events(conn, &second, 1)?;
        let DbConn::Postgres(conn) = conn else { panic!("not PostgreSQL") };
        conn.transaction(|conn| {
            put_postgres_events(conn, &new, 1)?;
            let removing = std::thread::spawn(move || {
                other.write_blocking(|conn| delete_generated_before(conn, cutoff, 10))
            });
            until_settled(conn, &removing);
            Ok::<_, StoreError>(removing)
        })
    });
    assert_eq!(removing.await.unwrap().join().unwrap().unwrap(), Removed(2));
    let count = fixture.database.db.read(|conn| count_events(conn, None)).await;
    assert_eq!(count.unwrap(), 1);
}
