//! `/readyz` and `/metrics` of a running service whose event service is away, and comes.

use super::common::ListedEvents;
use serde_json::Value as Json;
use shared::clock::SystemClock;
use shared::config::Common;
use shared::identity::IdentityKey;
use shared::stop::Stop;
use shared::testing::TestDb;
use std::sync::Arc;
use std::time::Duration;
use streams_svc::State;
use streams_svc::config::Config;
use streams_svc::definitions::Definitions;
use streams_svc::drive::Follower;

const METRIC: &str = "quintet_streams_feed_followed_timestamp_seconds";

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_event_service_is_away_is_ready_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let common = Common { data_dir: folder.path().to_owned(), ..Common::default() };
    // Nothing listens on port 1.
    let config = Config { events_url: "http://127.0.0.1:1".to_owned(), ..Config::default() };
    let key = IdentityKey::new(b"only for these tests");
    let running = streams_svc::start(config, &common, key, Arc::new(SystemClock)).unwrap();
    let get = async |path: &str| reqwest::get(format!("{}{path}", running.url())).await.unwrap();
    loop {
        let answer = get("/readyz?verbose").await;
        assert_eq!(answer.status(), 200);
        let report: Json = answer.json().await.unwrap();
        assert_eq!(report["checks"]["database"], "ok");
        let events = report["checks"]["events"].as_str().unwrap().to_owned();
        if events == "not followed yet" {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        }
        let begins = "not followed since ";
        assert!(events.starts_with(begins) && events.contains("http://127.0.0.1:1/"), "{events}");
        break;
    }
    let metrics = get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains(&format!("\n{METRIC}{{service=\"streams\"}} 0\n")), "{metrics}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_is_followed_is_ok() {
    let database = TestDb::new(streams_svc::store::MIGRATIONS);
    let definitions = Definitions::fixed(streams_svc::winchester::StreamsPart::default(), &Config::default());
    let events = Arc::new(ListedEvents::default());
    let clock = Arc::new(SystemClock);
    let state = State::new(Config::default(), database.db.clone(), clock, definitions, events).unwrap();
    let stop = Stop::default();
    let follower = tokio::spawn(Follower::new(state.clone()).run(stop.clone()));
    while state.following().report() != "ok" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(state.following().metric().get() > 0);
    stop.stop();
    follower.await.unwrap();
}
