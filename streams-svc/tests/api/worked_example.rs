//! The worked example of the contract (section 17), step by step through store, worker and API.

use crate::common::{Fixture, event, time};
use serde_json::{Value as Json, json};
use uuid::Uuid;

const INSTANCE: &str = "86def971-f2a2-4b1d-b379-fca1b0ddf0d7";
const EXISTS: &str = "a16aa892-6e62-47fd-8aee-5183ef71d605";

fn of_instance(event_type: &str, message_id: &str, timestamp: &str, more: Json) -> Json {
    let mut json = event(event_type, message_id, timestamp, more);
    json["instance_id"] = INSTANCE.into();
    json["memory_mb"] = 512.into();
    json
}

fn update() -> Json {
    let id = "936a849a-6eb3-4750-a431-7ca1aec9d611";
    of_instance("compute.instance.update", id, "2015-02-27T15:27:18.603932", json!({}))
}

fn create_start() -> Json {
    let id = "d359a6db-a488-4522-8b94-2ad17fb7ac38";
    of_instance("compute.instance.create.start", id, "2015-02-27T15:33:22", json!({}))
}

fn create_end() -> Json {
    let launched = json!({ "launched_at": time("2015-02-27T15:31:24") });
    let id = "0b3fe8c5-52e6-44cd-ae8e-5fb05777d1e0";
    of_instance("compute.instance.create.end", id, "2015-02-27T15:33:56", launched)
}

fn exists() -> Json {
    let traits = json!({
        "audit_period_beginning": time("2015-02-27T00:00:00"),
        "audit_period_ending": time("2015-02-28T00:00:00"),
        "launched_at": time("2015-02-27T15:31:24"),
        "state": "active",
    });
    of_instance("compute.instance.exists", EXISTS, "2015-02-28T00:27:18.603932", traits)
}

fn stream(state: &str, last: &str, expire: &str, fire: Json) -> Json {
    json!({
        "_mark": "1",
        "distinguishing_traits": {
            "instance_id": INSTANCE,
            "timestamp": {
                "__type__": "timex.TimeRange", "begin": "2015-02-27T00:00:00", "end": "2015-02-28T00:00:00"
            },
        },
        "expire_timestamp": time(expire),
        "fire_timestamp": fire,
        "first_event": time("2015-02-27T15:27:18.603932"),
        "id": 1,
        "last_event": time(last),
        "name": "test_trigger",
        "state": state,
    })
}

#[actix_web::test]
async fn exists_fires_the_stream_and_is_verified() {
    let fixture = Fixture::new();
    fixture.add(update()).await;
    let first = stream("active", "2015-02-27T15:27:18.603932", "2015-03-01T15:27:18.603932", Json::Null);
    assert_eq!(fixture.one("/v1/streams").await, first);

    fixture.add(create_start()).await;
    fixture.add(create_end()).await;
    let third = stream("active", "2015-02-27T15:33:56", "2015-03-01T15:33:56", Json::Null);
    assert_eq!(fixture.one("/v1/streams/1").await, third);
    let counters = fixture.get("/v1/streams/debug").await.json()["counters"]["test_trigger"].clone();
    assert_eq!(counters["fire"]["reasons"]["Wrong event type"], 3);

    fixture.set_clock("2015-02-28T00:30:00");
    fixture.add(exists()).await;
    let (last, expire) = ("2015-02-28T00:27:18.603932", "2015-03-02T00:27:18.603932");
    let ready = stream("active", last, expire, time("2015-02-28T00:30:00"));
    assert_eq!(fixture.one("/v1/streams/1").await, ready);
    // fire_timestamp < now does not hold yet.
    assert_eq!(fixture.work().await, 0);

    fixture.set_clock("2015-02-28T00:30:10");
    assert_eq!(fixture.work().await, 1);
    let done = stream("completed", last, expire, time("2015-02-28T00:30:00"));
    assert_eq!(fixture.one("/v1/streams/1").await, done);
    assert_eq!(fixture.states(1).await, ["active", "firing", "completed"]);
    let history = fixture.get("/v1/streams/1/history").await.json();
    assert_eq!((&history[0]["serial"], &history[2]["serial"]), (&json!(0), &json!(2)));

    let detailed = fixture.one("/v1/streams/1?detail=true").await;
    assert_eq!(detailed["events"], json!([update(), create_start(), create_end(), exists()]));
    let stored = fixture.events.all();
    assert_eq!(stored.len(), 5);
    let verified = &stored[4];
    assert_eq!(verified["event_type"], "compute.instance.exists.verified");
    assert_eq!(verified["error"], "None");
    assert_eq!(verified["original_message_id"], EXISTS);
    assert_eq!(verified["stream_id"], 1);
    let id = Uuid::new_v5(&Uuid::parse_str(EXISTS).unwrap(), b"compute.instance.exists.verified");
    assert_eq!(verified["message_id"], id.to_string());

    fixture.follow().await;
    assert_eq!(fixture.ids("/v1/streams").await, [1]);
    assert_eq!(fixture.work().await, 0);
}

#[actix_web::test]
async fn stream_without_exists_expires_and_fails_with_u0() {
    let fixture = Fixture::new();
    for event in [update(), create_start(), create_end()] {
        fixture.add(event).await;
    }
    fixture.set_clock("2015-03-01T15:33:56");
    assert_eq!(fixture.work().await, 0);
    fixture.set_clock("2015-03-01T15:33:56.000001");
    assert_eq!(fixture.work().await, 1);
    let done = stream("completed", "2015-02-27T15:33:56", "2015-03-01T15:33:56", Json::Null);
    assert_eq!(fixture.one("/v1/streams/1").await, done);
    assert_eq!(fixture.states(1).await, ["active", "expiring", "completed"]);
    let failed = &fixture.events.all()[3];
    assert_eq!(failed["event_type"], "compute.instance.exists.failed");
    assert_eq!((&failed["error_code"], &failed["instance_id"]), (&json!("U0"), &json!(INSTANCE)));
    assert_eq!(failed["timestamp"], time("2015-02-27T15:27:18.603932"));
}

#[actix_web::test]
async fn event_after_firing_or_expiry_opens_a_new_stream() {
    let fixture = Fixture::new();
    fixture.add(update()).await;
    fixture.add(exists()).await;
    fixture.set_clock("2015-02-27T14:57:33");
    assert_eq!(fixture.work().await, 1);
    fixture.add(create_end()).await;
    assert_eq!(fixture.ids("/v1/streams?state=ACTIVE").await, [2]);

    // Expired, though no worker has come by yet.
    fixture.set_clock("2015-03-01T15:33:56");
    fixture.add(create_start()).await;
    assert_eq!(fixture.ids("/v1/streams?state=active").await, [3, 2]);
}

#[actix_web::test]
async fn completed_stream_is_deleted_where_that_is_wanted() {
    let purging = streams_svc::config::Config {
        purge_completed_streams: Some(true),
        ..streams_svc::config::Config::default()
    };
    let part = crate::common::part(crate::common::TRIGGERS, crate::common::PIPELINES);
    let fixture = Fixture::with(part, &purging);
    fixture.add(update()).await;
    fixture.add(exists()).await;
    fixture.set_clock("2015-02-27T14:57:33");
    assert_eq!(fixture.work().await, 1);
    assert_eq!(fixture.get("/v1/streams").await.body, "[]");
    assert_eq!(fixture.events.all().len(), 3);
    assert_eq!(fixture.states(1).await, ["active", "firing", "completed"]);
    fixture.add(create_end()).await;
    assert_eq!(fixture.ids("/v1/streams").await, [2], "ids are never used again");
    // One that expires goes, too.
    fixture.set_clock("2015-03-01T15:33:57");
    assert_eq!(fixture.work().await, 1);
    assert_eq!(fixture.get("/v1/streams").await.body, "[]");
    assert_eq!(fixture.states(2).await, ["active", "expiring", "completed"]);
}
