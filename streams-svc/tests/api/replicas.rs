//! A reload reaches every replica, or it is said which has not followed.

use crate::common::{Answer, Fixture, PIPELINES, TRIGGERS, event, send_to};
use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use diesel::connection::SimpleConnection;
use serde_json::{Value as Json, json};
use shared::db::DbError;
use std::time::Duration;
use streams_svc::State;
use streams_svc::config::Config;
use streams_svc::definitions::Definitions;
use streams_svc::drive::{Follower, Replica};

const NEW: &str = "
- name: new
  distinguished_by: [host]
  expiration: $last + 1h
  fire_pipeline: test_pipeline
  match_criteria: [{event_type: '*'}]
  fire_criteria: [{event_type: never}]
";

/// Longest wait for what should come at once.
const SOON: Duration = Duration::from_secs(10);

/// The files of one replica.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write(
            "winchester.yaml",
            "trigger_definitions: triggers.yaml\npipeline_config: pipelines.yaml\n",
        );
        files.write("pipelines.yaml", PIPELINES);
        files.write("triggers.yaml", TRIGGERS);
        files
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn load(&self) -> Definitions {
        Definitions::load(Some(self.0.path().join("winchester.yaml")), &Config::default()).unwrap()
    }
}

/// Lets all replicas have been seen so many seconds earlier, by the database's clock.
async fn age(fixture: &Fixture, secs: i64) {
    let sql = format!("UPDATE replicas SET seen = seen - {}", secs * 1_000_000);
    fixture.database.db.write(move |conn| conn.batch_execute(&sql).map_err(DbError::from)).await.unwrap();
}

/// Two replicas with files of their own, the second of which has said that it is alive.
async fn two() -> (Fixture, Files, State, Files, Replica) {
    let (files, others) = (Files::new(), Files::new());
    let fixture = Fixture::defined(files.load(), &Config::default());
    let other = fixture.replica(others.load());
    let mut replica = Replica::new(other.clone());
    replica.beat().await.unwrap();
    (fixture, files, other, others, replica)
}

async fn reload(fixture: &Fixture) -> Answer {
    fixture.send(TestRequest::post().uri("/v1/streams/reload")).await
}

async fn debug(state: &State) -> Json {
    send_to(state, TestRequest::get().uri("/v1/streams/debug")).await.json()
}

/// Whether each replica runs by what the one asked does, which comes first.
fn current(shown: &Json) -> Vec<bool> {
    let replicas = shown["replicas"].as_array().unwrap().iter();
    replicas.map(|replica| replica["is_current"].as_bool().unwrap()).collect()
}

#[actix_web::test]
async fn reload_is_answered_when_all_replicas_sort_by_the_new_triggers() {
    let (fixture, files, other, others, mut replica) = two().await;
    assert_eq!(current(&debug(&fixture.state).await), [true, true]);
    files.write("triggers.yaml", NEW);
    others.write("triggers.yaml", NEW);
    let beats = async {
        while debug(&other).await["triggers"] != json!(["new"]) {
            replica.beat().await.unwrap();
        }
    };
    let both = async { tokio::join!(reload(&fixture), beats) };
    let (answer, ()) = tokio::time::timeout(SOON, both).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!((&answer.json()["triggers"], current(&answer.json())), (&json!(["new"]), vec![true, true]));
    fixture.events.push(event("a", "m1", "2015-02-27T14:00:00", json!({ "host": "h" })));
    while Follower::new(other.clone()).step(Duration::ZERO).await.unwrap() > 0 {}
    assert_eq!(fixture.one("/v1/streams").await["name"], "new");
}

#[actix_web::test]
async fn reload_says_which_replica_has_not_followed_and_why() {
    let (fixture, files, other, others, mut replica) = two().await;
    files.write("triggers.yaml", NEW);
    // The other goes on beating while it is waited for.
    let beats = async {
        for _ in 0..20 {
            replica.beat().await.unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let answer = tokio::select! { answer = reload(&fixture) => answer, () = beats => unreachable!() };
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    assert_eq!((&answer.json()["triggers"], current(&answer.json())), (&json!(["new"]), vec![true, false]));

    let trouble = async |replica: &mut Replica| {
        replica.beat().await.unwrap();
        debug(&fixture.state).await["replicas"][1]["trouble"].clone()
    };
    assert_eq!(trouble(&mut replica).await, "its files are not those of the last reload");
    others.write("triggers.yaml", "- name: broken");
    let broken = trouble(&mut replica).await;
    assert!(broken.as_str().unwrap().contains("triggers.yaml:1: trigger 'broken'"), "{broken}");
    assert_eq!(debug(&other).await["triggers"], json!(["test_trigger"]));
    // The files come late, and nobody has to ask again.
    others.write("triggers.yaml", NEW);
    assert_eq!(trouble(&mut replica).await, Json::Null);
    assert_eq!(debug(&other).await["triggers"], json!(["new"]));
    assert_eq!(current(&debug(&fixture.state).await), [true, true]);
}

#[actix_web::test]
async fn reload_does_not_wait_for_the_dead() {
    let (fixture, files, _other, _files, _replica) = two().await;
    age(&fixture, 6).await;
    files.write("triggers.yaml", NEW);
    let answer = reload(&fixture).await;
    assert_eq!((answer.status, current(&answer.json())), (StatusCode::OK, vec![true]));
}

#[actix_web::test]
async fn replicas_whose_clocks_differ_see_each_other() {
    let (fixture, _files, other, _others, mut replica) = two().await;
    let mut mine = Replica::new(fixture.state.clone());
    // Half a minute, both ways.
    for (clock, replica) in [("2015-02-27T14:58:02", &mut replica), ("2015-02-27T14:57:32", &mut mine)] {
        fixture.set_clock(clock);
        replica.beat().await.unwrap();
    }
    fixture.set_clock("2015-02-27T14:58:02");
    replica.beat().await.unwrap();
    assert_eq!(current(&debug(&other).await), [true, true]);
    fixture.set_clock("2015-02-27T14:57:32");
    assert_eq!(current(&debug(&fixture.state).await), [true, true]);
}

#[actix_web::test]
async fn replica_that_died_before_the_databases_clock_was_set_back_is_dead() {
    let (fixture, files, _other, _files, _replica) = two().await;
    age(&fixture, -3600).await;
    files.write("triggers.yaml", NEW);
    let answer = reload(&fixture).await;
    assert_eq!((answer.status, current(&answer.json())), (StatusCode::OK, vec![true]));
}

#[actix_web::test]
async fn replica_that_starts_with_older_files_is_seen() {
    let fixture = Fixture::defined(Files::new().load(), &Config::default());
    let newer = Files::new();
    newer.write("triggers.yaml", NEW);
    let other = fixture.replica(newer.load());
    let _ = send_to(&other, TestRequest::post().uri("/v1/streams/reload")).await;
    Replica::new(fixture.state.clone()).beat().await.unwrap();
    let shown = debug(&other).await;
    assert_eq!(current(&shown), [true, false]);
    assert_ne!(shown["replicas"][1]["digest"], shown["digest"]);
}

#[actix_web::test]
async fn files_of_replicas_that_were_all_started_anew_are_in_force() {
    let (fixture, _files, _other, _others, _replica) = two().await;
    assert_eq!(reload(&fixture).await.status, StatusCode::OK);
    // Both are gone.
    age(&fixture, 6).await;
    let files = Files::new();
    files.write("triggers.yaml", NEW);
    let (first, second) = (fixture.replica(files.load()), fixture.replica(files.load()));
    for state in [&first, &second, &first] {
        Replica::new(state.clone()).beat().await.unwrap();
    }
    let shown = debug(&first).await;
    assert_eq!(current(&shown), [true, true]);
    let troubles: Vec<&Json> =
        shown["replicas"].as_array().unwrap().iter().map(|replica| &replica["trouble"]).collect();
    assert_eq!(troubles, [&Json::Null, &Json::Null]);
}
