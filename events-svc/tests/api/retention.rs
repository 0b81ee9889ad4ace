//! Old events go, with their index rows and counters.

use crate::common::{Fixture, event, noon, text};
use chrono::Duration;
use events_svc::config::Config;
use events_svc::distill::Distiller;
use events_svc::engine::retention_step;
use events_svc::store::Removed;
use serde_json::json;
use shared::clock::SharedClock;

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
