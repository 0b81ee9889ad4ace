//! What is removed by age.

use crate::rig::Rig;
use annotate_svc::config::Config;
use annotate_svc::engine::retention_step;
use serde_json::json;
use shared::clock::Clock;

async fn remove_all(rig: &Rig) {
    while retention_step(&rig.state, rig.clock.now()).await.unwrap() > 0 {}
}

#[actix_web::test]
async fn old_annotations_go_with_their_words_and_counts() {
    let rig = Rig::with(Config { annotation_time_to_live_secs: 3600, ..Config::default() });
    // It is 03:08:41.
    for (message, owner, start, end) in [
        ("old", "a", "02:08:40", "02:08:41"),
        ("long", "b", "00:00:00", "02:08:42"),
        ("new", "b", "03:00:00", "03:00:00"),
    ] {
        let date = |time: &str| format!("2016-02-25T{time}Z");
        rig.create(
            json!({"Message": message, "Owner": owner, "StartDate": date(start), "EndDate": date(end)}),
        )
        .await;
    }
    remove_all(&rig).await;
    let left = rig.get("/annotation/query").await.ok();
    assert_eq!(
        (left.as_array().unwrap().len(), &left[0]["Message"], &left[1]["Message"]),
        (2, &json!("long"), &json!("new"))
    );
    assert_eq!(rig.get("/annotation/values/Owner?counts=1").await.ok(), json!([{"Value": "b", "Count": 2}]));
    assert_eq!(rig.get("/annotation/query?Message=old").await.ok(), json!([]));
}

#[actix_web::test]
async fn nothing_goes_unless_the_settings_say_so() {
    let rig = Rig::new();
    let id = rig.create(json!({"StartDate": 0})).await;
    remove_all(&rig).await;
    rig.get(&format!("/annotation/{id}")).await.ok();
}

#[actix_web::test]
async fn old_versions_and_keys_go() {
    let rig = Rig::new();
    let id = rig.create(json!({"Message": "1"})).await;
    let uri = format!("/annotation/{id}");
    rig.put(&uri, json!({"Message": "2"}).to_string()).await.ok();
    let keyed = || rig.request("POST", "/annotation", "{}").header("idempotency-key", "k").send();
    keyed().await.ok();
    rig.clock.advance(chrono::Duration::hours(23));
    remove_all(&rig).await;
    assert_eq!(keyed().await.header("idempotent-replayed"), Some("true"));
    assert_eq!(rig.get(&format!("{uri}/history")).await.ok().as_array().unwrap().len(), 2);
    rig.clock.advance(chrono::Duration::hours(2));
    remove_all(&rig).await;
    assert_eq!(keyed().await.header("idempotent-replayed"), None);
    rig.clock.advance(chrono::Duration::days(90));
    remove_all(&rig).await;
    let history = rig.get(&format!("{uri}/history")).await.ok();
    assert_eq!((history.as_array().unwrap().len(), &history[0]["Version"]), (1, &json!(2)));
}

#[actix_web::test]
async fn counters_of_values_that_nobody_has_go() {
    let rig = Rig::new();
    let id = rig.create(json!({"Owner": "gone", "Host": "kept"})).await;
    rig.put(&format!("/annotation/{id}"), json!({"Host": "kept"}).to_string()).await.ok();
    assert!(retention_step(&rig.state, rig.clock.now()).await.unwrap() > 0);
    assert_eq!(retention_step(&rig.state, rig.clock.now()).await.unwrap(), 0);
    assert_eq!(rig.get("/annotation/values/Host").await.ok(), json!(["kept"]));
}
