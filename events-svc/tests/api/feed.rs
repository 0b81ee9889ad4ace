//! The feed: everything once, in commit order.

use crate::common::{Fixture, event, text};
use events_svc::model::{FlatFilter, PIECE_BYTES};
use events_svc::store::{continue_feed, list_feed, list_flat_events, prepare, put_events};
use shared::db::{DbConn, DbError, Direction};

const WAIT_MS: u32 = 20_000;

async fn feed(fixture: &Fixture, after: &str) -> (Vec<String>, String) {
    // On PostgreSQL any running transaction of the cluster, another test's too, holds the feed back for a moment.
    let answer = fixture.get(&format!("/internal/feed?after={after}&limit=2&wait_ms={WAIT_MS}")).await.json();
    let events = answer["events"].as_array().unwrap().iter();
    let ids = events.map(|entry| entry["event"]["message_id"].as_str().unwrap().to_owned()).collect();
    (ids, answer["cursor"].as_str().unwrap().to_owned())
}

#[actix_web::test]
async fn a_reader_that_follows_the_cursor_sees_every_event_once() {
    let fixture = Fixture::new();
    let events: Vec<_> = (1..=5)
        .rev()
        .map(|n| event(&format!("e{n}"), "t", "2015-01-01T00:00:00", &[("a", text("b"))]))
        .collect();
    fixture.store(&events).await;
    let (ids, cursor) = feed(&fixture, "0-0").await;
    assert_eq!(ids, ["e5", "e4"]);
    let (ids, cursor) = feed(&fixture, &cursor).await;
    assert_eq!(ids, ["e3", "e2"]);
    let (ids, cursor) = feed(&fixture, &cursor).await;
    assert_eq!(ids, ["e1"]);
    let end = fixture.get(&format!("/internal/feed?after={cursor}")).await.json();
    assert_eq!(end, serde_json::json!({"cursor": cursor, "events": []}));
}

#[actix_web::test]
async fn a_cursor_that_is_none_is_refused() {
    assert_eq!(Fixture::new().get("/internal/feed?after=x").await.status, 400);
}

/// The commit-order race: a slow writer's row has a smaller id than one that is committed already. A reader that
/// went past it would lose it for good.
#[actix_web::test]
async fn a_row_committed_late_is_not_lost() {
    use diesel::Connection;
    let fixture = Fixture::new();
    let batch =
        |id: &str| vec![prepare(&event(id, "t", "2015-01-01T00:00:00", &[("a", text("b"))])).unwrap()];
    let (slow, fast) = (batch("slow"), batch("fast"));
    let db = fixture.database.db.clone();
    let read = |conn: &mut DbConn, after| {
        let events = list_feed(conn, after, 10, PIECE_BYTES).unwrap();
        let ids: Vec<String> =
            events.iter().map(|event| event.members.contains("slow").to_string()).collect();
        (ids, events.last().map_or(after, |event| event.cursor))
    };
    let list = |conn: &mut DbConn, direction| {
        let filter = FlatFilter { direction, limit: 10, ..FlatFilter::default() };
        list_flat_events(conn, &filter).unwrap().rows.len()
    };
    if matches!(db.target(), shared::db::Target::Sqlite { .. }) {
        return; // One writer at a time: the race cannot happen.
    }
    let fast_db = db.clone();
    let (during, cursor) = db
        .write(move |conn| {
            let DbConn::Postgres(conn) = conn else { panic!("not PostgreSQL") };
            conn.transaction(|conn| {
                // `slow` takes its id now and commits when this closure ends.
                put_in_open_transaction(conn, &slow);
                let during = fast_db.write_blocking(|other| {
                    put_events(other, &fast, 1)?;
                    assert_eq!(list(other, Direction::Descending), 1, "committed is seen");
                    assert_eq!(
                        list(other, Direction::Ascending),
                        0,
                        "a mark behind it would skip the slow one"
                    );
                    Ok::<_, events_svc::store::StoreError>(read(other, Default::default()))
                });
                Ok::<_, events_svc::store::StoreError>(during.unwrap())
            })
        })
        .await
        .unwrap();
    assert_eq!(during, [""; 0], "a row above the oldest running transaction must wait");
    // Both are committed now; only transactions of other tests can hold the feed back.
    let (mut ids, mut cursor) = (Vec::new(), cursor.to_string());
    while ids.len() < 2 {
        let page = fixture.get(&format!("/internal/feed?after={cursor}&wait_ms={WAIT_MS}")).await.json();
        let events = page["events"].as_array().unwrap().clone();
        assert!(!events.is_empty(), "lost: only {ids:?} came");
        ids.extend(events.iter().map(|entry| entry["event"]["message_id"].as_str().unwrap().to_owned()));
        cursor = page["cursor"].as_str().unwrap().to_owned();
    }
    assert_eq!(ids, ["slow", "fast"]);
    let both = db.read(move |conn| Ok::<_, DbError>(list(conn, Direction::Ascending))).await.unwrap();
    assert_eq!(both, 2);
}

fn put_in_open_transaction(conn: &mut diesel::PgConnection, batch: &[events_svc::store::Prepared]) {
    events_svc::store::put_postgres_events(conn, batch, 0).unwrap();
}

/// A server that a dump is read into has counted fewer transactions than the rows name.
#[actix_web::test]
async fn the_feed_goes_on_after_a_dump_was_read_into_another_server() {
    use diesel::RunQueryDsl;
    let fixture = Fixture::new();
    let store = async |id: &str| {
        fixture.store(&[event(id, "t", "2015-01-01T00:00:00", &[("a", text("b"))])]).await;
    };
    store("before").await;
    for _restored in 0..2 {
        fixture
            .database
            .db
            .write_blocking(|conn| {
                if let DbConn::Postgres(conn) = conn {
                    diesel::sql_query("UPDATE events SET xid = xid + 1000000000").execute(conn)?;
                }
                continue_feed(conn)?;
                continue_feed(conn)
            })
            .unwrap();
    }
    let (ids, cursor) = feed(&fixture, "0-0").await;
    assert_eq!(ids, ["before"]);
    store("after").await;
    assert_eq!(feed(&fixture, &cursor).await.0, ["after"]);
}
