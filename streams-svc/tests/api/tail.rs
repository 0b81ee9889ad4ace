//! `GET /v1/streams/tail`: every change once, also to a listener who was away, and after a move to another server.

use crate::common::{Fixture, event};
use actix_web::App;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::test as http;
use serde_json::{Value as Json, json};
use shared::db::DbConn;
use shared::db::Place;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;
use streams_svc::config::Config;
use streams_svc::definitions::Definitions;
use streams_svc::store::{self, Change};

/// Time for what comes at once unless other transactions of the server hold it back.
const LONGEST: Duration = Duration::from_secs(20);

async fn add_stream(fixture: &Fixture, instance: &str) {
    let traits = json!({ "instance_id": instance });
    fixture.add(event("compute.instance.update", instance, "2015-02-27T15:00:00", traits)).await;
}

/// Begins to listen.
async fn listen(fixture: &Fixture, last: Option<&str>) -> BoxBody {
    let state = fixture.state.clone();
    let app = http::init_service(App::new().configure(move |cfg| state.configure(cfg))).await;
    let mut request = http::TestRequest::get().uri("/v1/streams/tail");
    if let Some(last) = last {
        request = request.insert_header(("Last-Event-ID", last));
    }
    let answer = http::call_service(&app, request.to_request()).await;
    assert_eq!(answer.status(), 200);
    answer.into_body()
}

#[actix_web::test]
async fn one_listener_too_many_is_told_so_and_nobody_else_suffers() {
    let config = Config { max_tails: 1, ..Config::default() };
    let fixture = Fixture::defined(Definitions::load(None, &config).unwrap(), &config);
    let first = listen(&fixture, None).await;
    let refused = fixture.get("/v1/streams/tail").await;
    assert_eq!(refused.status, 503);
    assert_eq!(
        refused.json(),
        json!({ "title": "Service Unavailable", "description": "too many listeners" })
    );
    assert_eq!(refused.headers.get("retry-after").unwrap(), "1");
    assert!(refused.headers.contains_key(shared::server::WELL), "the gateway goes on asking for all else");
    drop(first);
    drop(listen(&fixture, None).await);
}

/// The next piece: its lines.
async fn next(tail: &mut BoxBody) -> Vec<String> {
    let chunk = poll_fn(|cx| Pin::new(&mut *tail).poll_next(cx));
    let chunk = tokio::time::timeout(LONGEST, chunk).await.unwrap().unwrap().unwrap();
    let text = std::str::from_utf8(&chunk).unwrap();
    assert!(text.ends_with("\n\n"), "{text:?}");
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Changes after a place, once there are any.
async fn changes(fixture: &Fixture, after: Place) -> Vec<Change> {
    let began = tokio::time::Instant::now();
    loop {
        let read = fixture.database.db.read(move |conn| store::list_changes(conn, after)).await;
        let changes = read.unwrap();
        if !changes.is_empty() || began.elapsed() > LONGEST {
            return changes;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[actix_web::test]
async fn listener_who_has_seen_no_change_misses_none_when_it_comes_back() {
    let fixture = Fixture::new();
    add_stream(&fixture, "before").await;
    assert_eq!(changes(&fixture, Place::default()).await.len(), 1);
    let begin = next(&mut listen(&fixture, None).await).await;
    // A line of id alone is no event to a listener, but what it comes back with.
    assert_eq!(begin.len(), 1, "{begin:?}");
    let place = begin[0].strip_prefix("id: ").unwrap();

    add_stream(&fixture, "meanwhile").await;
    let mut tail = listen(&fixture, Some(place)).await;
    assert_eq!(next(&mut tail).await, begin);
    let lines = next(&mut tail).await;
    assert_eq!(lines[1], "event: stream");
    let change: Json = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!((&change["stream_id"], &change["state"]), (&json!(2), &json!("active")));
}

/// A server that a dump is read into has counted fewer transactions than the rows name.
#[actix_web::test]
async fn tail_goes_on_after_a_dump_was_read_into_another_server() {
    use diesel::RunQueryDsl;
    let fixture = Fixture::new();
    add_stream(&fixture, "before").await;
    for _restored in 0..2 {
        let restore = |conn: &mut DbConn| {
            if let DbConn::Postgres(conn) = conn {
                diesel::sql_query("UPDATE history SET xid = xid + 1000000000").execute(conn)?;
            }
            store::continue_history(conn)?;
            store::continue_history(conn)
        };
        fixture.database.db.write_blocking(restore).unwrap();
    }
    let old = changes(&fixture, Place::default()).await;
    assert_eq!(old.iter().map(|change| change.stream_id).collect::<Vec<_>>(), [1]);
    let last = fixture.database.db.read(store::last_change).await.unwrap();
    assert_eq!(last, old[0].place, "what is old is not shown as new");
    add_stream(&fixture, "after").await;
    let new = changes(&fixture, last).await;
    assert_eq!(new.iter().map(|change| change.stream_id).collect::<Vec<_>>(), [2]);
}
