//! The log of what was done: complete, in order, and whole.

use crate::house::{House, PASSWORD, basic, bearer, form};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use serde_json::{Value, json};

async fn verify(house: &House, query: &str) -> Value {
    let answer = house.admin("GET", &format!("/admin/audit/verify{query}"), Value::Null).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.json()
}

/// Changes the tables behind the gateway's back, as somebody could who owns the database.
fn tamper(house: &House, sql: &str) {
    match &house.gateway.common.database_url {
        Some(url) => {
            let mut conn = PgConnection::establish(url.reveal()).unwrap();
            conn.batch_execute(&format!(
                "SET search_path TO gateway; ALTER TABLE audit_records DISABLE TRIGGER USER; {sql}; \
                 ALTER TABLE audit_records ENABLE TRIGGER USER"
            ))
            .unwrap();
        }
        None => {
            let file = house.gateway.common.data_dir.join("gateway.sqlite");
            let mut conn = SqliteConnection::establish(&file.to_string_lossy()).unwrap();
            conn.batch_execute(&format!(
                "PRAGMA busy_timeout=5000; DROP TRIGGER IF EXISTS audit_records_stay; \
                 DROP TRIGGER IF EXISTS audit_records_stay_as_they_are; {sql};"
            ))
            .unwrap();
        }
    }
}

#[tokio::test]
async fn everything_that_changes_who_may_what_is_in_the_log() {
    let house = House::open().await;
    let before = house.deeds().await.len();
    let id = house.make("users", json!({ "user": "ada", "password": PASSWORD })).await;
    house.grant("users", &id, "events->...").await;
    house.join(&id, "reader").await;
    let token = house.log_in("ada").await;
    house.ask("", "POST", "/oauth/revoke", &form(&[("token", &token)])).await;
    house.ask(&basic("ada", "wrong"), "GET", "/v1/events", "").await;
    house.ask(&basic("nobody", "wrong"), "GET", "/v1/events", "").await;
    house.ask(&bearer("qa_wrong"), "GET", "/v1/events", "").await;
    let made = house.admin("POST", "/admin/tokens", json!({ "name": "ci" })).await.json();
    let own = format!("/admin/tokens/{}", made["id"].as_str().unwrap());
    house.admin("DELETE", &own, Value::Null).await;
    house.admin("DELETE", &format!("/v1/users/{id}/permissions/events/..."), Value::Null).await;
    house.admin("DELETE", &format!("/v1/users/{id}/roles/{}", house.role("reader").await), Value::Null).await;
    house.admin("PUT", &format!("/v1/users/{id}"), json!({ "password": "another one" })).await;
    house.admin("POST", "/admin/scopes", json!({ "name": "s" })).await;
    house.admin("DELETE", "/admin/scopes/s", Value::Null).await;
    house.admin("DELETE", &format!("/v1/users/{id}"), Value::Null).await;
    let deeds = house.deeds().await;
    let deeds: Vec<(&str, &str)> =
        deeds.iter().skip(before).map(|(action, target)| (action.as_str(), target.as_str())).collect();
    assert_eq!(
        deeds,
        [
            ("create", "user:ada"),
            ("grant", "user:ada"),
            ("role.join", "user:ada"),
            ("login", "user:ada"),
            ("token.issue", "user:ada"),
            ("token.revoke", "user:ada"),
            ("login.failed", "user:ada"),
            ("login.failed", "user:nobody"),
            ("login.failed", "token"),
            ("token.issue", "token:ci"),
            ("token.revoke", "token"),
            ("revoke", "user:ada"),
            ("role.leave", "user:ada"),
            ("passwd", "user:ada"),
            ("scope.put", "scope:s"),
            ("scope.delete", "scope:s"),
            ("delete", "user:ada"),
        ]
    );
    let page = house.admin("GET", "/admin/audit?limit=1", Value::Null).await;
    let last = &page.json()["records"][0];
    assert_eq!((&last["address"], &last["at"]), (&json!("127.0.0.1"), &json!("2026-01-01T12:00:00.000000Z")));
    let tokens = house.admin("GET", "/admin/tokens", Value::Null).await.json();
    let admin =
        tokens["tokens"].as_array().unwrap().iter().find(|one| one["name"] == "admin").unwrap().clone();
    assert_eq!(last["actor"], format!("token:admin#{}", admin["id"].as_str().unwrap()));
    assert_eq!(last["seq"], page.json()["head"]["seq"], "without after: the newest");
    let all = house.admin("GET", "/admin/audit?after=0&limit=1000", Value::Null).await;
    for secret in [PASSWORD, "another one", token.as_str(), made["token"].as_str().unwrap()] {
        assert!(!all.text().contains(secret), "no secret is written down");
    }
    assert_eq!(verify(&house, "").await["is_intact"], true);
}

#[tokio::test]
async fn whoever_logs_in_is_the_actor_of_his_own_tokens() {
    let house = House::open().await;
    let ada = house.user("ada", &[]).await;
    let web = house.make("clients", json!({ "client": "web", "secret": PASSWORD })).await;
    let before = house.deeds().await.len();
    house.log_in("ada").await;
    let session = json!({ "user": "ada", "password": PASSWORD }).to_string();
    house.ask("", "POST", "/api/0.1.0/sessions", &session).await;
    house
        .token(&[("grant_type", "client_credentials"), ("client_id", "web"), ("client_secret", PASSWORD)])
        .await;
    let page = house.admin("GET", &format!("/admin/audit?after={before}"), Value::Null).await.json();
    let issued: Vec<&Value> =
        page["records"].as_array().unwrap().iter().filter(|one| one["action"] == "token.issue").collect();
    let actors: Vec<&str> = issued.iter().map(|one| one["actor"].as_str().unwrap()).collect();
    let (ada, web) = (format!("user:ada#{ada}"), format!("client:web#{web}"));
    assert_eq!(actors, [&ada, &ada, &web]);
}

#[tokio::test]
async fn writers_at_once_make_one_chain() {
    let house = House::open().await;
    let before = house.deeds().await.len();
    let makings = (0..24).map(|number| {
        let wish = json!({ "name": format!("role {number}") });
        let house = &house;
        async move { house.admin("POST", "/v1/roles", wish).await.status() }
    });
    let statuses = futures_util::future::join_all(makings).await;
    assert!(statuses.iter().all(|status| *status == 303), "{statuses:?}");
    let verdict = verify(&house, "").await;
    assert_eq!((&verdict["is_intact"], &verdict["records"]), (&json!(true), &json!(before + 24)));
}

#[tokio::test]
async fn what_was_tampered_with_is_told() {
    for (sql, fault) in [
        (
            "UPDATE audit_records SET detail = 'x' WHERE seq = 3",
            "record 3 has been changed, or the one before it",
        ),
        (
            "UPDATE audit_records SET actor = 'user:eve' WHERE seq = 2",
            "record 2 has been changed, or the one before it",
        ),
        ("DELETE FROM audit_records WHERE seq = 3", "record 3 is missing"),
        ("DELETE FROM audit_records WHERE seq = 1", "record 1 is missing"),
        ("DELETE FROM audit_records WHERE seq >= 5", "the log ends after record 4, but 6 were written"),
        (
            "DELETE FROM audit_records WHERE seq >= 6; UPDATE audit_head SET seq = 5",
            "the last record is not the one that was written as number 5",
        ),
        (
            "INSERT INTO audit_records (seq, at, actor, address, action, target, detail, hash) \
             VALUES (0, 1, 'user:eve', '', 'grant', 'user:eve', '...', 'x')",
            "record 0 is before the first",
        ),
        (
            "INSERT INTO audit_records (seq, at, actor, address, action, target, detail, hash) \
             SELECT -9223372036854775807 - 1, at, actor, address, action, target, detail, hash \
             FROM audit_records WHERE seq = 1",
            "record -9223372036854775808 is before the first",
        ),
        ("DELETE FROM audit_head", "the note of where the log ends is missing"),
    ] {
        let house = House::open().await;
        let made = house.deeds().await.len();
        for number in made..6 {
            house.make("roles", json!({ "name": format!("r{number}") })).await;
        }
        assert_eq!(verify(&house, "").await["head"]["seq"], 6);
        tamper(&house, sql);
        let verdict = verify(&house, "").await;
        assert_eq!((&verdict["is_intact"], &verdict["fault"]), (&json!(false), &json!(fault)), "{sql}");
    }
}

#[tokio::test]
async fn without_the_note_of_its_end_the_log_can_still_be_read_and_nothing_is_changed_unwritten() {
    let house = House::open().await;
    house.make("roles", json!({ "name": "r" })).await;
    let made = house.deeds().await.len();
    tamper(&house, "DELETE FROM audit_head");
    let page = house.admin("GET", "/admin/audit?limit=1", Value::Null).await.json();
    assert_eq!((&page["records"][0]["target"], &page["head"]), (&json!("role:r"), &Value::Null));
    assert_eq!(house.admin("POST", "/v1/roles", json!({ "name": "s" })).await.status(), 503);
    assert_eq!(house.deeds().await.len(), made);
    assert_eq!(house.admin("GET", "/v1/roles?name=s", Value::Null).await.json(), json!([]));
}

#[tokio::test]
async fn a_noted_end_shows_a_log_that_was_cut_with_its_head() {
    let house = House::open().await;
    for number in 0..4 {
        house.make("roles", json!({ "name": format!("r{number}") })).await;
    }
    let noted = verify(&house, "").await;
    let (seq, hash) = (noted["head"]["seq"].as_i64().unwrap(), noted["head"]["hash"].as_str().unwrap());
    let query = format!("?head={seq}:{hash}");
    assert_eq!(verify(&house, &query).await["is_intact"], true);
    house.make("roles", json!({ "name": "later" })).await;
    assert_eq!(verify(&house, &query).await["is_intact"], true, "more may come after it");
    let end = seq - 1;
    tamper(
        &house,
        &format!(
            "DELETE FROM audit_records WHERE seq > {end}; UPDATE audit_head SET seq = {end}, \
             hash = (SELECT hash FROM audit_records WHERE seq = {end})"
        ),
    );
    assert_eq!(verify(&house, "").await["is_intact"], true, "nothing inside tells");
    let fault = format!("the log ends after record {end}, but record {seq} was noted");
    assert_eq!(verify(&house, &query).await["fault"], json!(fault));
    house.make("roles", json!({ "name": "forged" })).await;
    let fault = format!("record {seq} is not the one that was noted");
    assert_eq!(verify(&house, &query).await["fault"], json!(fault));
    for head in ["x", "1", ":", "x:y", "0:", "0:x", "-1:x", "1:"] {
        let answer = house.admin("GET", &format!("/admin/audit/verify?head={head}"), Value::Null).await;
        assert_eq!(answer.status(), 400, "{head}");
    }
}

#[tokio::test]
async fn the_database_itself_refuses_to_change_a_record() {
    let house = House::open().await;
    house.make("roles", json!({ "name": "r" })).await;
    for sql in ["UPDATE audit_records SET detail = 'x'", "DELETE FROM audit_records"] {
        let refused = match &house.gateway.common.database_url {
            Some(url) => PgConnection::establish(url.reveal())
                .unwrap()
                .batch_execute(&format!("SET search_path TO gateway; {sql}")),
            None => {
                let file = house.gateway.common.data_dir.join("gateway.sqlite");
                SqliteConnection::establish(&file.to_string_lossy()).unwrap().batch_execute(sql)
            }
        };
        assert!(refused.unwrap_err().to_string().contains("audit records cannot be"), "{sql}");
    }
}
