//! What is delivered and what becomes of it.

use super::rabbit::Rabbit;
use super::{Running, id, ids, messages, notification, settings, until};
use crate::common::Fixture;
use crate::dead_letters::{size_is, volume};
use actix_web::test::TestRequest;
use events_svc::config::Config;
use events_svc::config::amqp::{Broker, Layout, Queue};
use events_svc::distill::Distiller;
use serde_json::json;
use shared::config::Secret;
use std::collections::BTreeSet;

#[actix_web::test]
async fn one_message_and_many_become_events_and_leave_the_queue() {
    let Some(rabbit) = Rabbit::find().await else { return };
    let (fixture, queue) = (Fixture::new(), rabbit.queue().await);
    let consumers = Running::start(&fixture.builtin(), &[settings(&rabbit.url, &queue)]);
    rabbit.publish("", &queue, &messages(0..1)).await;
    until("the first event", async || fixture.events().await == 1).await;
    let event = &fixture.get(&format!("/v1/events/{}", id(0))).await.json()[0];
    assert_eq!(event["timestamp"]["datetime"], "2026-01-01T10:00:00.500000");
    assert_eq!((&event["service"], &event["tenant_id"]), (&json!("compute.h1"), &json!("t1")));
    rabbit.publish("", &queue, &messages(0..250)).await;
    until("all events", async || fixture.events().await == 250).await;
    until("all acknowledged", async || {
        consumers.figure("quintet_events_amqp_messages_total", &queue) == 251.0
    })
    .await;
    assert_eq!(consumers.figure("quintet_events_amqp_messages_total", "outcome=\"duplicate\""), 1.0);
    assert_eq!(consumers.figure("quintet_events_amqp_connected", ""), 1.0);
    consumers.stop().await;
    assert_eq!((rabbit.ready(&queue).await, fixture.stored().await), (0, ids(0..250)));
    rabbit.delete(&queue, &[&queue]).await;
}

#[actix_web::test]
async fn both_forms_of_the_message_are_taken_and_repeats_of_a_sender_are_dropped() {
    let Some(rabbit) = Rabbit::find().await else { return };
    let (fixture, queue) = (Fixture::new(), rabbit.queue().await);
    let wrapped = |inner: &serde_json::Value| {
        json!({"oslo.version": "2.0", "oslo.message": inner.to_string()}).to_string().into_bytes()
    };
    let unique = |id: &str, unique: &str| {
        let mut message = notification(id);
        message["_unique_id"] = json!(unique);
        message
    };
    let batch = [
        notification("bare").to_string().into_bytes(),
        wrapped(&notification("wrapped")),
        wrapped(&unique("first", "u1")),
        unique("repeat", "u1").to_string().into_bytes(),
        wrapped(&unique("other", "u2")),
    ];
    rabbit.publish("", &queue, &batch).await;
    let consumers = Running::start(&fixture.builtin(), &[settings(&rabbit.url, &queue)]);
    until("all acknowledged", async || consumers.figure("quintet_events_amqp_messages_total", &queue) == 5.0)
        .await;
    rabbit.publish("", &queue, &[wrapped(&unique("late repeat", "u2"))]).await;
    until("the repeat", async || consumers.figure("quintet_events_amqp_messages_total", "duplicate") == 2.0)
        .await;
    let expected = ["bare", "wrapped", "first", "other"].map(str::to_owned);
    assert_eq!(fixture.stored().await, BTreeSet::from(expected));
    consumers.stop().await;
    rabbit.delete(&queue, &[&queue]).await;
}

#[actix_web::test]
async fn poison_becomes_a_dead_letter_that_can_be_replayed_when_the_definitions_are_mended() {
    let Some(rabbit) = Rabbit::find().await else { return };
    let mut fixture = Fixture::with(Config::default(), size_is("int"));
    let queue = rabbit.queue().await;
    let batch = [
        volume("m1", &json!(1)).to_string().into_bytes(),
        b"{broken".to_vec(),
        b"\xff\xfe".to_vec(),
        Vec::new(),
        br#"{"oslo.version": "9.0", "oslo.message": "{}"}"#.to_vec(),
        volume("m2", &json!("large")).to_string().into_bytes(),
        volume("m3", &json!(3)).to_string().into_bytes(),
    ];
    rabbit.publish("", &queue, &batch).await;
    let consumers =
        Running::start(&fixture.notifications(size_is("int"), 100), &[settings(&rabbit.url, &queue)]);
    until("all acknowledged", async || consumers.figure("quintet_events_amqp_messages_total", &queue) == 7.0)
        .await;
    assert_eq!(consumers.figure("quintet_events_amqp_messages_total", "outcome=\"invalid\""), 5.0);
    consumers.stop().await;
    assert_eq!(rabbit.ready(&queue).await, 0);
    assert_eq!(fixture.stored().await, BTreeSet::from(["m1".to_owned(), "m3".to_owned()]));
    let letters = fixture.letters().await;
    assert_eq!(letters.len(), 5);
    let vhost = |source: &str| source.contains("127.0.0.1:") && source.ends_with(&format!("/ {queue}"));
    assert!(letters.iter().all(|letter| vhost(letter["source"].as_str().unwrap())), "{letters:?}");
    assert!(letters[0]["reason"].as_str().unwrap().starts_with("not valid JSON: "), "{}", letters[0]);
    fixture.redefine(size_is("text"));
    let replay = fixture.send(TestRequest::post().uri("/internal/dead-letters/replay")).await.json();
    assert_eq!((&replay["saved"], &replay["invalid"]), (&json!(1), &json!(4)));
    assert_eq!(fixture.get("/v1/events/m2").await.json()[0]["size"], "large");
    assert_eq!(fixture.letters().await.len(), 4);
    rabbit.delete(&queue, &[&queue]).await;
}

#[actix_web::test]
async fn several_brokers_and_queues_are_consumed_with_the_names_of_both_programs() {
    let (Some(monitor), Some(cell)) = (Rabbit::find().await, Rabbit::find_cell().await) else { return };
    let fixture = Fixture::new();
    let stacktach = Broker {
        url: Some(Secret::new(&monitor.url)),
        queues: vec![
            Queue::named("monitor.info"),
            Queue { exchanges: vec!["nova".into(), "glance".into()], ..Queue::named("monitor.error") },
        ],
        ..Broker::default()
    };
    let openstack =
        Broker { url: Some(Secret::new(&cell.url)), layout: Layout::Openstack, ..Broker::default() };
    let consumers = Running::start(&fixture.builtin(), &[stacktach, openstack]);
    let queues = [
        (&monitor, "monitor.info"),
        (&monitor, "monitor.error"),
        (&cell, "notifications.info"),
        (&cell, "notifications.error"),
    ];
    for (rabbit, queue) in queues {
        until(queue, async || rabbit.is_consumed(queue).await).await;
    }
    assert_eq!(consumers.figure("quintet_events_amqp_connected", ""), 2.0);
    let ways = [
        (&monitor, "monitor", "monitor.info"),
        (&monitor, "nova", "monitor.error"),
        (&monitor, "glance", "monitor.error"),
        (&cell, "nova", "notifications.info"),
        (&cell, "aodh", "notifications.info"),
        (&cell, "keystone", "notifications.error"),
    ];
    for (number, (rabbit, exchange, key)) in ways.into_iter().enumerate() {
        rabbit.publish(exchange, key, &messages(number..number + 1)).await;
    }
    until("one event of each way", async || fixture.stored().await == ids(0..ways.len())).await;
    consumers.stop().await;
    monitor.delete("monitor.info", &["monitor"]).await;
    monitor.delete("monitor.error", &["nova", "glance"]).await;
    let exchanges =
        Broker { layout: Layout::Openstack, ..Broker::default() }.filled_queues()[0].exchanges.clone();
    cell.delete("notifications.info", &exchanges.iter().map(String::as_str).collect::<Vec<_>>()).await;
    cell.delete("notifications.error", &[]).await;
}

#[actix_web::test]
async fn a_backlog_is_drained_with_no_more_in_hand_than_the_prefetch() {
    const BACKLOG: usize = 4000;
    let Some(rabbit) = Rabbit::find().await else { return };
    let (fixture, queue) = (Fixture::new(), rabbit.queue().await);
    rabbit.publish("", &queue, &messages(0..BACKLOG)).await;
    let settings = Broker { prefetch: 50, ..settings(&rabbit.url, &queue) };
    let consumers = Running::start(&fixture.builtin(), &[settings]);
    until("the whole backlog", async || {
        // In this order: what is stored in between makes the difference smaller, never larger.
        let (ready, stored) = (rabbit.ready(&queue).await, fixture.stored().await.len());
        assert!(BACKLOG - ready <= stored + 50, "{ready} ready, {stored} stored of {BACKLOG}");
        stored == BACKLOG
    })
    .await;
    consumers.stop().await;
    assert_eq!((rabbit.ready(&queue).await, fixture.stored().await), (0, ids(0..BACKLOG)));
    rabbit.delete(&queue, &[&queue]).await;
}

#[actix_web::test]
async fn stopping_leaves_each_message_either_stored_or_in_the_queue() {
    const ALL: usize = 3000;
    let Some(rabbit) = Rabbit::find().await else { return };
    let (fixture, queue) = (Fixture::new(), rabbit.queue().await);
    rabbit.publish("", &queue, &messages(0..ALL)).await;
    let consumers = Running::start(&fixture.builtin(), &[settings(&rabbit.url, &queue)]);
    until("a part", async || fixture.events().await > 200).await;
    consumers.stop().await;
    let stored = fixture.stored().await.len();
    assert!(stored < ALL, "stopped too late to show anything");
    until("the rest to be given back", async || rabbit.ready(&queue).await == ALL - stored).await;
    let consumers = Running::start(&fixture.builtin(), &[settings(&rabbit.url, &queue)]);
    until("the rest", async || fixture.stored().await == ids(0..ALL)).await;
    assert_eq!(consumers.figure("quintet_events_amqp_messages_total", "outcome=\"duplicate\""), 0.0);
    consumers.stop().await;
    rabbit.delete(&queue, &[&queue]).await;
}

#[actix_web::test]
async fn a_queue_of_somebody_else_is_consumed_without_declaring_it() {
    let Some(rabbit) = Rabbit::find().await else { return };
    let (fixture, queue) = (Fixture::new(), rabbit.queue().await);
    rabbit.publish("", &queue, &messages(0..3)).await;
    let foreign = Queue { declare: false, durable: Some(false), ..Queue::named(&queue) };
    let foreign = Broker { queues: vec![foreign], ..settings(&rabbit.url, &queue) };
    let consumers = Running::start(&fixture.notifications(Distiller::builtin().unwrap(), 1), &[foreign]);
    until("the events", async || fixture.stored().await == ids(0..3)).await;
    consumers.stop().await;
    rabbit.delete(&queue, &[]).await;
}
