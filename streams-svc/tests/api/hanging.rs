//! Pipelines that do not come to an end: others go on, and a stop does not wait for them.

use crate::common::{Fixture, Receiver, event, part};
use serde_json::{Value as Json, json};
use shared::stop::Stop;
use std::time::Duration;
use streams_svc::config::Config;
use streams_svc::drive::Worker;

/// Longest wait for what should come at once.
const SOON: Duration = Duration::from_secs(10);

/// Streams of `slow` come first in time.
const TRIGGERS: &str = "
- name: slow
  distinguished_by: [host]
  expiration: $last + 1h
  fire_pipeline: slow
  match_criteria: [{event_type: slow}]
  fire_criteria: []
- name: quick
  distinguished_by: [host]
  expiration: $last + 1h
  fire_pipeline: quick
  match_criteria: [{event_type: quick}]
  fire_criteria: []
";

/// Streams that are ready, and receivers of `slow`, which never answers, and of `quick`.
async fn hanging(slow: usize, config: &Config) -> (Fixture, Receiver, Receiver) {
    let (silent, receiver) = (Receiver::new(), Receiver::new());
    let hook = |name: &str, url: &str| {
        format!("{name}: [{{name: webhook, params: {{url: '{url}', secret: s, attempts: 1}}}}]\n")
    };
    let pipelines = hook("slow", &silent.url()) + &hook("quick", &receiver.url());
    let fixture = Fixture::with(part(TRIGGERS, &pipelines), config);
    let ready = |kind: &str, number: usize| {
        let host = json!({ "host": number.to_string() });
        event(kind, &format!("{kind}{number}"), "2015-02-27T14:00:00", host)
    };
    fixture.events.extend((0..slow).map(|number| ready("slow", number)));
    fixture.follow().await;
    fixture.set_clock("2015-02-27T14:57:33");
    fixture.add(ready("quick", 0)).await;
    fixture.set_clock("2015-02-27T14:58:00");
    (fixture, silent, receiver)
}

async fn count(fixture: &Fixture, state: &str, name: &str) -> Json {
    fixture.get(&format!("/v1/streams/count?state={state}&name={name}")).await.json()[0]["count"].clone()
}

#[actix_web::test]
async fn streams_of_a_pipeline_that_hangs_leave_places_to_the_others() {
    let config = Config { pipeline_threads: 4, ..Config::default() };
    let (fixture, silent, receiver) = hanging(80, &config).await;
    let stop = Stop::default();
    let worker = tokio::spawn(Worker::new(fixture.state.clone()).run(stop.clone()));
    let request = tokio::time::timeout(SOON, receiver.take()).await.unwrap();
    assert!(request.contains(r#""stream_name":"quick""#), "{request}");
    // Of 32 places in hand half, of which a quarter is kept for streams that expire; the rest is there for others.
    assert_eq!(count(&fixture, "firing", "slow").await, 12);
    assert_eq!(count(&fixture, "active", "slow").await, 68);
    // Nobody is there any more: what hangs ends.
    drop(silent);
    stop.stop();
    tokio::time::timeout(SOON, worker).await.unwrap().unwrap();
}

#[actix_web::test]
async fn stop_gives_back_at_once_what_has_not_begun() {
    let config = Config { pipeline_threads: 4, ..Config::default() };
    let (fixture, silent, receiver) = hanging(5, &config).await;
    let stop = Stop::default();
    let worker = tokio::spawn(Worker::new(fixture.state.clone()).run(stop.clone()));
    let begun = [silent.keep_waiting().await, silent.keep_waiting().await];
    receiver.take().await;
    stop.stop();
    drop((begun, silent));
    tokio::time::timeout(SOON, worker).await.unwrap().unwrap();
    assert_eq!(count(&fixture, "firing", "slow").await, 0);
    assert_eq!(count(&fixture, "completed", "slow").await, 2, "what had begun has come to its end");
    assert_eq!(count(&fixture, "retry_fire", "slow").await, 3);
    let stream = fixture.get("/v1/streams?state=retry_fire&limit=1").await.json()[0].clone();
    let history = fixture.get(&format!("/v1/streams/{}/history", stream["id"])).await.json();
    let last = (&history[2]["state"], &history[2]["reason"]);
    assert_eq!(last, (&json!("retry_fire"), &json!("its worker stopped before it began")));
    // The next worker has them at once, without the end of a lease; nobody listens, so they are done.
    assert_eq!(fixture.work().await, 3);
    assert_eq!(count(&fixture, "completed", "slow").await, 5);
}

#[actix_web::test]
async fn small_batches_leave_no_less_to_the_others() {
    let config = Config { pipeline_threads: 4, worker_batch_size: Some(1), ..Config::default() };
    let (fixture, silent, receiver) = hanging(80, &config).await;
    let stop = Stop::default();
    let worker = tokio::spawn(Worker::new(fixture.state.clone()).run(stop.clone()));
    let request = tokio::time::timeout(SOON, receiver.take()).await.unwrap();
    assert!(request.contains(r#""stream_name":"quick""#), "{request}");
    drop(silent);
    stop.stop();
    tokio::time::timeout(SOON, worker).await.unwrap().unwrap();
}
