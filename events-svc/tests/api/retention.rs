//! Old events go, with their index rows and counters.

use crate::common::{Fixture, event, noon, text};
use chrono::Duration;
use diesel::{Connection, RunQueryDsl};
use events_svc::config::Config;
use events_svc::distill::Distiller;
use events_svc::engine::retention_step;
use events_svc::store::{
    Removed, StoreError, count_events, delete_generated_before, list_event_types, prepare, put_events,
    put_postgres_events,
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
