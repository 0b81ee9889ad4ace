//! The clock service of a replay (streams-events-v1.md, section 15).

use crate::common::{Fixture, PIPELINES, TRIGGERS, at, event, part};
use diesel::{Connection, RunQueryDsl, sql_query};
use serde_json::{Value as Json, json};
use shared::db::{Db, DbConn, DbError};
use shared::on_backend;
use std::time::Duration;
use streams_svc::clock_service::ClockService;
use streams_svc::config::Config;
use streams_svc::definitions::Definitions;
use streams_svc::drive::{EventService, Follower, Worker};
use streams_svc::store;

#[actix_web::test]
async fn clock_tells_the_time_that_was_posted_last() {
    let clock = ClockService::start("127.0.0.1:0").unwrap();
    let url = format!("http://{}/time", clock.address);
    let client = reqwest::Client::new();
    let told = async || client.get(&url).send().await.unwrap().text().await.unwrap();
    let post = async |text: String| client.post(&url).body(text).send().await.unwrap().status().as_u16();
    assert_eq!(told().await, "None");
    for text in ["2015-02-27 15:27:18.603932", "2015-02-27T15:00:00Z"] {
        assert_eq!(post(text.to_owned()).await, 200);
        assert_eq!(told().await, text);
    }
    for wrong in [String::new(), "soon".to_owned(), "9".repeat(100_000)] {
        let status = post(wrong).await;
        assert!((400..500).contains(&status), "{status}");
    }
    assert_eq!(told().await, "2015-02-27T15:00:00Z");
    assert_eq!(client.get(url.replace("/time", "/other")).send().await.unwrap().status(), 404);
    clock.stop().await;
}

#[actix_web::test]
async fn workers_of_another_process_live_in_the_time_of_the_events() {
    let clock = ClockService::start("127.0.0.1:0").unwrap();
    let process = || {
        let mut part = part(TRIGGERS, PIPELINES);
        part.time_sync_endpoint = Some(format!("http://{}/", clock.address));
        Fixture::with(part, &Config::default())
    };
    let (consumer, worker) = (process(), process());
    worker.state.now().ask().await;
    assert_eq!(worker.state.now().now(), at("1970-01-01T00:00:00"), "before the replay no stream is due");
    let instance = json!({ "instance_id": "i" });
    consumer.add(event("compute.instance.update", "m1", "2015-02-27T15:27:18.603932", instance)).await;
    assert_eq!(consumer.state.now().now(), at("2015-02-27T15:27:18.603932"));
    let third = process();
    third.state.now().ask().await;
    assert_eq!(third.state.now().now(), at("2015-02-27T15:27:18.603932"));
    // Asked at most every 20 seconds: the second process still waits.
    worker.state.now().ask().await;
    assert_eq!(worker.state.now().now(), at("1970-01-01T00:00:00"));
    clock.stop().await;
}

#[actix_web::test]
async fn clock_service_that_is_away_stops_nothing() {
    let mut part = part(TRIGGERS, PIPELINES);
    part.time_sync_endpoint = Some("http://127.0.0.1:9".to_owned());
    let fixture = Fixture::with(part, &Config::default());
    let instance = json!({ "instance_id": "i" });
    fixture.add(event("compute.instance.update", "m1", "2015-02-27T15:00:00", instance)).await;
    fixture.state.now().ask().await;
    assert_eq!(fixture.state.now().now(), at("2015-02-27T15:00:00"));
    assert_eq!(fixture.ids("/v1/streams").await, [1]);
}

#[actix_web::test]
async fn event_of_a_wrong_date_sets_the_clock_wrong_until_the_next_event() {
    let mut part = part(TRIGGERS, PIPELINES);
    part.time_sync_endpoint = Some("internal".to_owned());
    let fixture = Fixture::with(part, &Config::default());
    let update = |id: &str, instance: &str, time: &str| {
        event("compute.instance.update", id, time, json!({ "instance_id": instance }))
    };
    fixture.add(update("m1", "i", "2015-02-27T15:00:00")).await;
    fixture.add(update("m2", "other", "9999-01-01T00:00:00")).await;
    fixture.add(update("m3", "i", "2015-02-27T15:01:00")).await;
    assert_eq!(fixture.state.now().now(), at("2015-02-27T15:01:00"));
    // Stream 1 has both of its events and two days left.
    assert_eq!(fixture.work().await, 0);
    let stream = fixture.one("/v1/streams/1?details=1").await;
    assert_eq!((&stream["state"], stream["events"].as_array().unwrap().len()), (&json!("active"), 2));
    // A neighbour that comes twenty seconds late does not move the clock.
    fixture.add(update("m4", "i", "2015-02-27T15:00:40")).await;
    assert_eq!(fixture.state.now().now(), at("2015-02-27T15:01:00"));
}

#[actix_web::test]
async fn other_processes_recover_from_a_wrong_date_with_the_clock_service() {
    let clock = ClockService::start("127.0.0.1:0").unwrap();
    let process = || {
        let mut part = part(TRIGGERS, PIPELINES);
        part.time_sync_endpoint = Some(format!("http://{}", clock.address));
        Fixture::with(part, &Config::default())
    };
    let (consumer, worker) = (process(), process());
    // The machine's time, for a question every 20 seconds.
    for (time, asked) in
        [("9999-01-01T00:00:00", "2026-01-01T00:00:00"), ("2015-02-27T15:00:00", "2026-01-01T00:00:20")]
    {
        worker.set_clock(asked);
        consumer.add(event("compute.instance.update", time, time, json!({ "instance_id": time }))).await;
        worker.state.now().ask().await;
        assert_eq!(worker.state.now().now(), at(time));
    }
    clock.stop().await;
}

/// Expires streams that no event has joined for two hours.
const HOURLY: &str = "
- name: hourly
  distinguished_by: [instance_id]
  expiration: $last + 2h
  expire_pipeline: test_expire_pipeline
  match_criteria: [{event_type: compute.instance.update}]
  fire_criteria: [{event_type: never}]
";
const INSTANCES: usize = 50;

/// One event of every instance at this hour.
fn hour(hour: usize) -> impl Iterator<Item = Json> {
    (0..INSTANCES).map(move |number| {
        let instance = json!({ "instance_id": format!("i{number}") });
        let (id, time) = (format!("{number}-{hour}"), format!("2015-03-01T{hour:02}:00:00"));
        event("compute.instance.update", &id, &time, instance)
    })
}

/// A replay by these triggers.
fn replay(triggers: &str, endpoint: &str) -> Fixture {
    let mut part = part(triggers, PIPELINES);
    part.time_sync_endpoint = Some(endpoint.to_owned());
    Fixture::with(part, &Config::default())
}

#[actix_web::test]
async fn clock_does_not_move_with_events_that_are_not_stored() {
    let fixture = replay(HOURLY, "internal");
    fixture.events.extend(hour(0));
    fixture.follow().await;
    let execute = |sql: &'static str| {
        fixture
            .database
            .db
            .write_blocking(move |conn| {
                on_backend!(conn, c => sql_query(sql).execute(c)).map_err(DbError::from)
            })
            .unwrap();
    };
    execute("ALTER TABLE members RENAME TO lost");
    fixture.events.extend((1..10).flat_map(hour));
    assert!(Follower::new(fixture.state.clone()).step(Duration::ZERO).await.is_err());
    assert_eq!(fixture.state.now().now(), at("2015-03-01T00:00:00"));
    execute("ALTER TABLE lost RENAME TO members");
    // In those nine hours each stream got its events in time.
    assert_eq!(fixture.work().await, 0);
    fixture.follow().await;
    assert_eq!(fixture.state.now().now(), at("2015-03-01T09:00:00"));
    assert_eq!(fixture.work().await, 0);
    assert_eq!(fixture.ids("/v1/streams").await.len(), INSTANCES);
}

/// A partition that somebody holds up, as a replica that is behind would.
#[actix_web::test]
async fn clock_waits_for_the_partition_that_is_behind() {
    let clock = ClockService::start("127.0.0.1:0").unwrap();
    let fixture = replay(HOURLY, &format!("http://{}", clock.address));
    let told =
        async || reqwest::get(format!("http://{}/time", clock.address)).await.unwrap().text().await.unwrap();
    fixture.events.extend(hour(0));
    fixture.follow().await;
    assert_eq!(told().await, "2015-03-01T00:00:00");
    fixture.events.extend((1..10).flat_map(hour));

    let (begun, is_begun) = std::sync::mpsc::channel::<()>();
    let (end, is_ended) = std::sync::mpsc::channel::<()>();
    // With connections of its own: a database in a test has few.
    let db = Db::open(fixture.database.db.target().clone(), 2, store::MIGRATIONS).unwrap();
    let held = std::thread::spawn(move || {
        db.write_blocking(|conn| {
            let DbConn::Postgres(conn) = conn else { return Ok(()) };
            conn.transaction(|conn| {
                sql_query("SELECT 1 FROM cursors WHERE partition = 3 FOR UPDATE").execute(conn)?;
                begun.send(()).unwrap();
                is_ended.recv().unwrap();
                Ok::<_, DbError>(())
            })
        })
    });
    // SQLite has one partition, and nobody begins.
    if is_begun.recv().is_ok() {
        let meanwhile = async {
            loop {
                let cursors = fixture.database.db.read(store::list_cursors).await.unwrap();
                if cursors[..3].iter().all(|cursor| cursor.place > cursors[3].place) {
                    break;
                }
            }
            assert_eq!(fixture.work().await, 0, "those of the last partition would expire too early");
            assert_eq!(told().await, "2015-03-01T00:00:00");
            end.send(()).unwrap();
        };
        tokio::join!(fixture.follow(), meanwhile);
        assert_eq!(told().await, "2015-03-01T09:00:00");
        assert_eq!(fixture.work().await, 0);
        assert_eq!(fixture.ids("/v1/streams").await.len(), INSTANCES);
    }
    held.join().unwrap().unwrap();
    clock.stop().await;
}

/// A verdict of the usage handler has the time that it is about.
#[actix_web::test]
async fn event_that_a_pipeline_has_made_does_not_set_the_clock() {
    let clock = ClockService::start("127.0.0.1:0").unwrap();
    let fixture = replay(HOURLY, &format!("http://{}", clock.address));
    fixture.tick("2015-03-09T12:00:00").await;
    let made = event("compute.instance.update", "v1", "2015-02-27T00:00:00", json!({ "instance_id": "i" }));
    fixture.events.store(vec![made.to_string()]).await.unwrap();
    fixture.follow().await;
    assert_eq!(fixture.state.now().now(), at("2015-03-09T12:00:00"));
    let told = reqwest::get(format!("http://{}/time", clock.address)).await.unwrap().text().await.unwrap();
    assert_eq!(told, "2015-03-09T12:00:00");
    // Its stream was over on the 27th at 2.
    assert_eq!(fixture.work().await, 1);
    assert_eq!(fixture.states(1).await, ["active", "expiring", "completed"]);
    clock.stop().await;
}

#[actix_web::test]
async fn process_that_starts_anew_knows_the_time_of_the_replay() {
    let fixture = replay(HOURLY, "internal");
    fixture.events.extend(hour(0));
    fixture.follow().await;
    fixture.tick("2015-03-01T02:00:01").await;
    let mut part = part(HOURLY, PIPELINES);
    part.time_sync_endpoint = Some("internal".to_owned());
    let anew = fixture.replica(Definitions::fixed(part, &Config::default()));
    assert_eq!(Worker::new(anew.clone()).round().await.unwrap(), INSTANCES, "two hours are over");
    assert_eq!(anew.now().now(), at("2015-03-01T02:00:01"));
}

#[actix_web::test]
async fn time_that_somebody_else_posts_counts_until_the_next_event_when_it_is_later() {
    let clock = ClockService::start("127.0.0.1:0").unwrap();
    let fixture = replay(HOURLY, &format!("http://{}", clock.address));
    fixture.events.extend(hour(0));
    fixture.follow().await;
    let url = format!("http://{}/time", clock.address);
    // First behind the events, then ahead of them; asked for every twenty seconds.
    let asked = ["2026-01-01T00:00:00", "2026-01-01T00:00:20"];
    for (posted, asked, now) in [
        ("2015-02-27T00:00:00", asked[0], "2015-03-01T00:00:00"),
        ("2015-03-01T02:00:01", asked[1], "2015-03-01T02:00:01"),
    ] {
        assert_eq!(reqwest::Client::new().post(&url).body(posted).send().await.unwrap().status(), 200);
        fixture.set_clock(asked);
        fixture.state.now().ask().await;
        assert_eq!(fixture.state.now().now(), at(now));
    }
    assert_eq!(fixture.work().await, INSTANCES, "two hours are over");
    fixture.tick("2015-03-01T01:00:00").await;
    assert_eq!(fixture.state.now().now(), at("2015-03-01T01:00:00"));
    // Nor does it come back when the next event is so near that it would not be told otherwise.
    let ask = async |asked: &str| {
        fixture.set_clock(asked);
        fixture.state.now().ask().await;
        fixture.state.now().now()
    };
    reqwest::Client::new().post(&url).body("2015-03-01T02:00:01").send().await.unwrap();
    assert_eq!(ask("2026-01-01T00:00:40").await, at("2015-03-01T02:00:01"));
    fixture.tick("2015-03-01T01:00:10").await;
    assert_eq!(ask("2026-01-01T00:01:00").await, at("2015-03-01T01:00:10"));
    clock.stop().await;
}
