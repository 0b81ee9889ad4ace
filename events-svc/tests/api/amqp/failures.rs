//! Broken connections, brokers and stores: everything arrives, exactly once.

use super::rabbit::{Door, Rabbit};
use super::{Running, ids, messages, settings, until};
use crate::common::{Fixture, noon};
use crate::dead_letters::{size_is, volume};
use actix_web::test::TestRequest;
use events_svc::config::Config;
use events_svc::config::amqp::{Broker, Queue};
use events_svc::distill::Distiller;
use serde_json::{Value, json};
use shared::clock::ManualClock;
use shared::config::Common;
use shared::identity::IdentityKey;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const FAILURES: &str = "quintet_events_amqp_failures_total";
const MESSAGES: &str = "quintet_events_amqp_messages_total";

#[actix_web::test]
async fn everything_arrives_once_although_the_connection_breaks_again_and_again() {
    const ALL: usize = 2000;
    let Some(rabbit) = Rabbit::find().await else { return };
    let (fixture, queue) = (Fixture::new(), rabbit.queue().await);
    let mut door = Door::shut(&rabbit).await;
    door.open().await;
    rabbit.publish("", &queue, &messages(0..ALL)).await;
    let consumers = Running::start(&fixture.builtin(), &[settings(&door.url, &queue)]);
    for part in 1..=3 {
        until("a part", async || fixture.events().await > part * 150).await;
        until("a connection", async || consumers.figure("quintet_events_amqp_connected", "") == 1.0).await;
        let failures = consumers.figure(FAILURES, "queue=\"\"");
        door.cut();
        until("the loss", async || consumers.figure(FAILURES, "queue=\"\"") > failures).await;
    }
    assert!(fixture.events().await < i64::try_from(ALL).unwrap(), "cut too late to show anything");
    until("everything", async || fixture.stored().await == ids(0..ALL)).await;
    consumers.stop().await;
    assert_eq!(rabbit.ready(&queue).await, 0);
    rabbit.delete(&queue, &[&queue]).await;
}

#[actix_web::test]
async fn nothing_is_acknowledged_before_it_is_committed() {
    let Some(rabbit) = Rabbit::find().await else { return };
    let (fixture, queue) = (Fixture::new(), rabbit.queue().await);
    rabbit.publish("", &queue, &messages(0..50)).await;
    let lock = fixture.lock();
    let consumers = Running::start(&fixture.builtin(), &[settings(&rabbit.url, &queue)]);
    until("a batch in hand", async || consumers.figure("quintet_events_amqp_in_hand", &queue) > 0.0).await;
    until("all delivered", async || rabbit.ready(&queue).await == 0).await;
    assert_eq!(fixture.events().await, 0);
    consumers.kill().await;
    until("all given back", async || rabbit.ready(&queue).await == 50).await;
    drop(lock);
    let consumers = Running::start(&fixture.builtin(), &[settings(&rabbit.url, &queue)]);
    // Acknowledged, not only stored: the lock may have let through what the killed consumers had in hand.
    until("all acknowledged", async || consumers.figure(MESSAGES, &queue) == 50.0).await;
    consumers.stop().await;
    assert_eq!((rabbit.ready(&queue).await, fixture.stored().await), (0, ids(0..50)));
    rabbit.delete(&queue, &[&queue]).await;
}

#[actix_web::test]
async fn messages_are_held_while_the_store_is_away_and_stored_when_it_is_back() {
    let Some(rabbit) = Rabbit::find().await else { return };
    let (fixture, queue) = (Fixture::new(), rabbit.queue().await);
    let tables = ["events", "dead_letters"];
    for table in tables {
        fixture.execute(format!("ALTER TABLE {table} RENAME TO {table}_away")).await;
    }
    let mut batch = messages(0..30);
    batch.push(b"poison".to_vec());
    rabbit.publish("", &queue, &batch).await;
    let consumers = Running::start(&fixture.builtin(), &[settings(&rabbit.url, &queue)]);
    until("a second attempt", async || consumers.figure(FAILURES, &queue) >= 2.0).await;
    assert_eq!(consumers.figure(MESSAGES, &queue), 0.0);
    for table in tables {
        fixture.execute(format!("ALTER TABLE {table}_away RENAME TO {table}")).await;
    }
    until("all acknowledged", async || consumers.figure(MESSAGES, &queue) == 31.0).await;
    consumers.stop().await;
    assert_eq!((rabbit.ready(&queue).await, fixture.stored().await), (0, ids(0..30)));
    let letters: Vec<Value> =
        fixture.letters().await.iter().map(|letter| letter["body"]["text"].clone()).collect();
    assert_eq!(letters, ["poison"]);
    rabbit.delete(&queue, &[&queue]).await;
}

#[actix_web::test]
async fn stopping_while_messages_are_held_gives_them_back() {
    let Some(rabbit) = Rabbit::find().await else { return };
    let (fixture, queue) = (Fixture::new(), rabbit.queue().await);
    fixture.execute("ALTER TABLE dead_letters RENAME TO away".into()).await;
    rabbit.publish("", &queue, &[b"poison".to_vec()]).await;
    let consumers = Running::start(&fixture.builtin(), &[settings(&rabbit.url, &queue)]);
    until("an attempt", async || consumers.figure(FAILURES, &queue) >= 1.0).await;
    consumers.stop().await;
    until("it given back", async || rabbit.ready(&queue).await == 1).await;
    rabbit.delete(&queue, &[&queue]).await;
}

#[actix_web::test]
async fn poison_without_room_for_its_letter_waits_until_there_is_room() {
    let Some(rabbit) = Rabbit::find().await else { return };
    let (fixture, queue) = (Fixture::new(), rabbit.queue().await);
    let batch = [messages(0..2), vec![b"poison 1".to_vec(), b"poison 2".to_vec()], messages(2..4)].concat();
    rabbit.publish("", &queue, &batch).await;
    let bounded = fixture.notifications(Distiller::builtin().unwrap(), 1);
    let consumers = Running::start(&bounded, &[settings(&rabbit.url, &queue)]);
    until("two attempts", async || consumers.figure(FAILURES, &queue) >= 2.0).await;
    let texts = async || -> Vec<Value> {
        fixture.letters().await.iter().map(|letter| letter["body"]["text"].clone()).collect()
    };
    assert_eq!(texts().await, ["poison 1"]);
    let dropped = fixture.send(TestRequest::delete().uri("/internal/dead-letters")).await.json();
    assert_eq!(dropped, json!({"deleted": 1}));
    until("the second letter and the rest", async || {
        texts().await == ["poison 2"] && fixture.stored().await == ids(0..4)
    })
    .await;
    consumers.stop().await;
    assert_eq!(rabbit.ready(&queue).await, 0);
    rabbit.delete(&queue, &[&queue]).await;
}

#[actix_web::test]
async fn a_message_that_the_store_refuses_holds_up_nobody() {
    let Some(rabbit) = Rabbit::find().await else { return };
    let (fixture, queue) = (Fixture::with(Config::default(), size_is("int")), rabbit.queue().await);
    fixture.refuse_bad().await;
    let batch = ["m1", "bad", "m2"].map(|id| volume(id, &json!(1)).to_string().into_bytes());
    rabbit.publish("", &queue, &batch).await;
    let consumers =
        Running::start(&fixture.notifications(size_is("int"), 100), &[settings(&rabbit.url, &queue)]);
    until("all acknowledged", async || consumers.figure(MESSAGES, &queue) == 3.0).await;
    consumers.stop().await;
    assert_eq!((fixture.events().await, rabbit.ready(&queue).await), (2, 0));
    let letters = fixture.letters().await;
    assert_eq!(letters.len(), 1);
    assert!(letters[0]["body"]["text"].as_str().unwrap().contains("\"bad\""));
    rabbit.delete(&queue, &[&queue]).await;
}

#[actix_web::test]
async fn a_queue_that_is_deleted_is_made_again() {
    let Some(rabbit) = Rabbit::find().await else { return };
    let (fixture, queue) = (Fixture::new(), rabbit.queue().await);
    rabbit.publish("", &queue, &messages(0..1)).await;
    let consumers = Running::start(&fixture.builtin(), &[settings(&rabbit.url, &queue)]);
    until("the first event", async || fixture.events().await == 1).await;
    rabbit.delete(&queue, &[]).await;
    until("an event through the new queue", async || {
        // Until the binding is there again the exchange drops what comes.
        rabbit.publish(&queue, &queue, &messages(1..2)).await;
        fixture.events().await == 2
    })
    .await;
    assert_eq!(consumers.figure(FAILURES, "queue=\"\""), 0.0, "the connection stands");
    consumers.stop().await;
    rabbit.delete(&queue, &[&queue]).await;
}

#[actix_web::test]
async fn a_queue_that_cannot_be_had_does_not_hold_up_the_others() {
    let Some(rabbit) = Rabbit::find().await else { return };
    let (fixture, queue) = (Fixture::new(), rabbit.queue().await);
    let other = format!("{queue}.other");
    rabbit.declare(&other, false).await;
    rabbit.publish("", &queue, &messages(0..2)).await;
    let mut broker = settings(&rabbit.url, &queue);
    broker.queues.insert(0, Queue { exchanges: vec![queue.clone()], ..Queue::named(&other) });
    let consumers = Running::start(&fixture.builtin(), &[broker]);
    until("two attempts", async || consumers.figure(FAILURES, &other) >= 2.0).await;
    until("the events", async || fixture.stored().await == ids(0..2)).await;
    // Once it can be had, it is consumed.
    rabbit.delete(&other, &[]).await;
    until("its events", async || {
        rabbit.publish(&queue, &other, &messages(2..3)).await;
        fixture.stored().await == ids(0..3)
    })
    .await;
    consumers.stop().await;
    rabbit.delete(&queue, &[&queue]).await;
    rabbit.delete(&other, &[]).await;
}

/// `GET` on the operations side of a service.
async fn get(url: &str, path: &str) -> (String, String) {
    let mut stream = tokio::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[actix_web::test]
async fn a_service_starts_without_its_broker_and_tells_how_it_is() {
    let Some(rabbit) = Rabbit::find().await else { return };
    let queue = rabbit.queue().await;
    let mut door = Door::shut(&rabbit).await;
    let folder = tempfile::tempdir().unwrap();
    let common = Common { data_dir: folder.path().to_owned(), ..Common::default() };
    let config = Config { amqp: vec![settings(&door.url, &queue)], ..Config::default() };
    let key = IdentityKey::new(b"0123456789abcdef0123456789abcdef");
    let running = events_svc::start(config, &common, key, ManualClock::at(noon())).unwrap();
    let state = async || {
        let (status, body) = get(&running.url(), "/readyz?verbose").await;
        assert_eq!(status, "HTTP/1.1 200 OK", "a broker does not make the service unready");
        let body: Value = serde_json::from_str(&body).unwrap();
        let state = body["checks"]["amqp"].as_str().unwrap().to_owned();
        assert!(!state.contains("guest"), "no login is shown: {state}");
        state
    };
    until("the failure", async || state().await.contains("not connected: ")).await;
    door.open().await;
    let consuming = format!("connected ({queue}: consuming)");
    until("the connection", async || state().await.contains(&consuming)).await;
    rabbit.publish("", &queue, &messages(0..1)).await;
    let line = format!("{MESSAGES}{{broker=");
    until("the figure", async || {
        let (_, body) = get(&running.url(), "/metrics").await;
        let mut lines = body.lines();
        lines.any(|text| text.starts_with(&line) && text.contains("\"saved\"") && text.ends_with(" 1"))
    })
    .await;
    door.close().await;
    until("the loss", async || state().await.contains("not connected: ")).await;
    tokio::time::timeout(Duration::from_secs(10), running.stop()).await.unwrap();
    rabbit.delete(&queue, &[&queue]).await;
}

#[actix_web::test]
async fn a_service_without_brokers_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let common = Common { data_dir: folder.path().to_owned(), ..Common::default() };
    let key = IdentityKey::new(b"0123456789abcdef0123456789abcdef");
    let running = events_svc::start(Config::default(), &common, key, ManualClock::at(noon())).unwrap();
    let (_, body) = get(&running.url(), "/readyz?verbose").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["checks"]["amqp"], "no broker is configured");
    running.stop().await;
    let wrong = Config { amqp: vec![Broker { prefetch: 0, ..Broker::default() }], ..Config::default() };
    let key = IdentityKey::new(b"0123456789abcdef0123456789abcdef");
    let refused = events_svc::start(wrong, &common, key, ManualClock::at(noon())).err().unwrap().to_string();
    assert_eq!(refused, "events.amqp[0].prefetch: expected 1 to 10000");
}
