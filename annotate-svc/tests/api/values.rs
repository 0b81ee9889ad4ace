//! Values of fields: section 5 of the contract.

use crate::rig::Rig;
use serde_json::json;

#[actix_web::test]
async fn values_come_most_frequent_first_and_without_the_empty_one() {
    let rig = Rig::new();
    for (category, owner) in [("outage", "b"), ("test", "a"), ("test", "b"), ("", "a"), ("test", "")] {
        rig.create(json!({"Category": category, "Owner": owner})).await;
    }
    assert_eq!(rig.get("/annotation/values/Category").await.ok(), json!(["test", "outage"]));
    // Equally frequent: by value.
    assert_eq!(rig.get("/api/annotation/values/Owner").await.ok(), json!(["a", "b"]));
}

#[actix_web::test]
async fn six_fields_have_values_and_the_others_none() {
    let rig = Rig::new();
    rig.create(json!({"Source": "s", "Host": "h", "CreationUser": "u", "Owner": "o", "Category": "c",
        "Url": "http://bosun.org", "Message": "m"}))
        .await;
    for (field, value) in [
        ("Source", "s"),
        ("Host", "h"),
        ("CreationUser", "u"),
        ("Owner", "o"),
        ("Category", "c"),
        ("Url", "http://bosun.org"),
        ("URL", "http://bosun.org"),
    ] {
        assert_eq!(rig.get(&format!("/annotation/values/{field}")).await.ok(), json!([value]));
    }
    for field in ["Sizource", "Message", "owner", "Id", "StartDate"] {
        let answer = rig.get(&format!("/annotation/values/{field}")).await;
        assert_eq!(answer.error(500), format!("invalid field {field}"));
    }
}

#[actix_web::test]
async fn replacing_moves_the_counts_and_long_values_are_kept_apart() {
    let rig = Rig::new();
    let id = rig.create(json!({"Owner": "old"})).await;
    rig.put(&format!("/annotation/{id}"), json!({"Owner": "new"}).to_string()).await.ok();
    assert_eq!(rig.get("/annotation/values/Owner").await.ok(), json!(["new"]));
    let long = "x".repeat(5000);
    let (one, two) = (format!("{long}1"), format!("{long}2"));
    for host in [&one, &two, &two] {
        rig.create(json!({"Host": host})).await;
    }
    assert_eq!(rig.get("/annotation/values/Host").await.ok(), json!([two, one]));
    assert_eq!(rig.get(&format!("/annotation/query?Host={one}")).await.ok().as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn seed_examples_answer_as_documented() {
    let rig = Rig::new();
    for category in ["test", "outage", "test"] {
        rig.create(json!({ "Message": "test", "Owner": "sre", "Category": category })).await;
    }
    assert_eq!(rig.get("/annotation/values/Category").await.ok(), json!(["test", "outage"]));
    assert_eq!(rig.get("/annotation/values/Sizource").await.error(500), "invalid field Sizource");
    for field in ["Source", "Host", "Category", "CreationUser", "URL"] {
        assert!(rig.get(&format!("/annotation/values/{field}")).await.ok().is_array(), "{field}");
    }
}
