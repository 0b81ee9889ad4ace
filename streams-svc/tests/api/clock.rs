//! The clock service of a replay (streams-events-v1.md, section 15).

use crate::common::{Fixture, PIPELINES, TRIGGERS, at, event, part};
use serde_json::json;
use streams_svc::clock_service::ClockService;
use streams_svc::config::Config;

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
    let _ = worker.state.now().at(at("9999-01-01T00:00:00"));
    for (id, time) in [("m1", "9999-01-01T00:00:00"), ("m2", "2015-02-27T15:00:00")] {
        let instance = json!({ "instance_id": id });
        consumer.add(event("compute.instance.update", id, time, instance)).await;
    }
    worker.state.now().ask().await;
    assert_eq!(worker.state.now().now(), at("2015-02-27T15:00:00"));
    clock.stop().await;
}
