//! `notabene` against a real broker, named by `QUINTET_TEST_AMQP_URL` (`amqp://guest:guest@host:port/%2f`).

use crate::common::{Fixture, TRIGGERS, event, part};
use lapin::options::{BasicGetOptions, QueueDeleteOptions};
use lapin::{Connection, ConnectionProperties};
use serde_json::{Value as Json, json};
use std::io::Write;
use streams_svc::config::Config;

const URL: &str = "QUINTET_TEST_AMQP_URL";
const REQUIRED: &str = "QUINTET_TEST_REQUIRE_SERVICES";

#[actix_web::test]
async fn reports_arrive_in_a_durable_queue_with_plain_times() {
    let Ok(url) = std::env::var(URL) else {
        assert!(std::env::var(REQUIRED).as_deref() != Ok("1"), "{URL} is not set, but {REQUIRED} is");
        writeln!(std::io::stderr(), "SKIPPED, it needs RabbitMQ: {URL} is not set").unwrap();
        return;
    };
    let port = url.rsplit_once(':').unwrap().1.split('/').next().unwrap();
    let name = format!("test.{}", uuid::Uuid::new_v4().simple());
    let pipelines = format!(
        "test_expire_pipeline: [usage, {{name: notabene, params: {{port: {port}, host: 127.0.0.1, exchange: {name}, \
         queue_name: {name}, env_keys: [usage_notifications]}}}}]"
    );
    let fixture = Fixture::with(part(TRIGGERS, &pipelines), &Config::default());
    for number in 0..2 {
        let instance = json!({ "instance_id": format!("i{number}") });
        let id = format!("m{number}");
        fixture.add(event("compute.instance.update", &id, "2015-02-27T15:00:00.5", instance)).await;
    }
    fixture.set_clock("2015-03-02T00:00:00");
    assert_eq!(fixture.work().await, 2);
    assert_eq!(fixture.states(1).await, ["active", "expiring", "completed"]);

    let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let mut instances = Vec::new();
    for _ in 0..2 {
        let options = BasicGetOptions { no_ack: true };
        let message = channel.basic_get(name.as_str().into(), options).await.unwrap().expect("a message");
        let report: Json = serde_json::from_slice(&message.delivery.data).unwrap();
        assert_eq!(report["event_type"], "compute.instance.exists.failed");
        assert!(report.to_string().contains("2015-02-27 15:00:00.500000"), "{report}");
        instances.push(report.to_string().contains("\"i1\""));
    }
    instances.sort_unstable();
    assert_eq!(instances, [false, true]);
    channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    channel
        .exchange_delete(name.as_str().into(), lapin::options::ExchangeDeleteOptions::default())
        .await
        .unwrap();
}
