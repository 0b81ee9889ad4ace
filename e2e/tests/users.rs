//! Two users with different permissions in front of the real services: what one may not see, he does not see, neither
//! by its id nor in lists nor in streams. And what was acknowledged about users survives a kill.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed"
)]

use e2e::{Home, Product};
use futures_util::StreamExt;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

const PASSWORD: &str = "correct horse";

/// The product in secure mode, and its administrator.
struct House {
    product: Product,
    client: Client,
    token: String,
}

impl House {
    fn start(home: &Home) -> Self {
        let product = home.start(&[("QUINTET_AUTH__MODE", "secure")]).unwrap();
        let token = std::fs::read_to_string(home.path().join("data/secrets/admin_token")).unwrap();
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { product, client, token: token.trim().to_owned() }
    }

    /// Asks as a user, or with no name as the administrator.
    async fn ask(&self, who: &str, method: Method, path: &str, body: Option<Value>) -> reqwest::Response {
        let request = self.client.request(method, format!("{}{path}", self.product.url));
        let request = if who.is_empty() {
            request.bearer_auth(&self.token)
        } else {
            request.basic_auth(who, Some(PASSWORD))
        };
        let request = body.into_iter().fold(request, |request, body| request.json(&body));
        request.send().await.unwrap()
    }

    async fn get(&self, who: &str, path: &str) -> (StatusCode, Value) {
        let answer = self.ask(who, Method::GET, path, None).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Makes something; the last part of its place.
    async fn make(&self, path: &str, body: Value) -> String {
        let made = self.ask("", Method::POST, path, Some(body)).await;
        assert_eq!(made.status(), 303, "{path}");
        made.headers()["location"].to_str().unwrap().rsplit('/').next().unwrap().to_owned()
    }

    async fn user(&self, name: &str, number: u8, permissions: &[String]) {
        let wish = json!({
            "user": name, "password": PASSWORD,
            "user_id": format!("user-{number}"), "project_id": format!("project-{number}"),
        });
        let id = self.make("/v1/users", wish).await;
        for permission in permissions {
            let path = format!("/v1/users/{id}/permissions/{}", permission.replace("->", "/"));
            assert_eq!(self.ask("", Method::PUT, &path, None).await.status(), 204, "{permission}");
        }
    }

    /// Notes something; its id.
    async fn annotation(&self, owner: &str) -> String {
        let body = json!({
            "Message": format!("of {owner}"), "Owner": owner, "Source": "test", "Host": "h",
            "StartDate": "2026-01-01T12:00:00Z", "EndDate": "2026-01-01T12:00:00Z",
        });
        let made = self.ask("", Method::POST, "/annotation", Some(body)).await;
        assert_eq!(made.status(), 200);
        made.json::<Value>().await.unwrap()["Id"].as_str().unwrap().to_owned()
    }
}

fn names(list: &Value, member: &str) -> Vec<String> {
    let mut names: Vec<String> = list
        .as_array()
        .unwrap_or_else(|| panic!("{list}"))
        .iter()
        .map(|one| one[member].as_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    names
}

async fn two_users_see_their_own(home: &Home) {
    let house = House::start(home);
    let window = "StartDate=2026-01-01T00:00:00Z&EndDate=2026-01-02T00:00:00Z";
    let (mut scripts, mut notes) = (Vec::new(), Vec::new());
    for number in 1..=2 {
        notes.push(house.annotation(&format!("owner-{number}")).await);
        let script = json!({ "name": format!("script {number}"), "script": "BEGIN { exit(); }" });
        scripts.push(house.make("/dtrace", script).await);
        let event = json!([{
            "message_id": format!("event-{number}"), "event_type": "compute.instance.create.end",
            "generated": "2026-01-01T12:00:00",
            "traits": [["user_id", 1, format!("user-{number}")], ["project_id", 1, format!("project-{number}")]],
        }]);
        assert!(house.ask("", Method::POST, "/v2/events", Some(event)).await.status().is_success());
    }
    for (name, number) in [("ada", 1), ("bob", 2)] {
        let own = [
            "cloud->annotations->list".to_owned(),
            format!("annotations->{}->...", notes[number - 1]),
            "cloud->dtrace->list".to_owned(),
            format!("dtraces->{}->...", scripts[number - 1]),
            "cloud->events->list".to_owned(),
            format!("events->event-{number}->get"),
        ];
        house.user(name, u8::try_from(number).unwrap(), &own).await;
    }
    for (name, own, other) in [("ada", 1, 2), ("bob", 2, 1)] {
        let (mine, theirs) = (&scripts[own - 1], &scripts[other - 1]);
        let (my_note, their_note) = (&notes[own - 1], &notes[other - 1]);
        for (path, status) in [
            (format!("/annotation/{my_note}"), 200),
            (format!("/annotation/{their_note}"), 403),
            (format!("/annotation/{their_note}/history"), 403),
            ("/v1/annotation/none".to_owned(), 403),
            (format!("/dtrace/{mine}"), 200),
            (format!("/dtrace/{theirs}"), 403),
            (format!("/api/3/dtrace/{theirs}/metadata"), 403),
            (format!("/dtrace/{theirs}/stream"), 403),
            (format!("/dtrace/{theirs}/runs"), 403),
            (format!("/v1/events/event-{own}"), 200),
            (format!("/v1/events/event-{other}"), 403),
            (format!("/v2/events/event-{own}"), 200),
            (format!("/v2/events/event-{other}"), 403),
            ("/v1/streams".to_owned(), 403),
            ("/v1/streams/1".to_owned(), 403),
            ("/admin/audit".to_owned(), 403),
        ] {
            assert_eq!(house.get(name, &path).await.0, status, "{path} as {name}");
        }
        let (_, list) = house.get(name, &format!("/annotation/query?{window}")).await;
        assert_eq!(names(&list, "Id"), std::slice::from_ref(my_note));
        let (_, values) = house.get(name, &format!("/annotation/values/Owner?{window}")).await;
        assert_eq!(values, json!([format!("owner-{own}")]), "nor from the values of a field");
        let (_, stats) = house.get(name, &format!("/annotation/stats?{window}")).await;
        assert!(!stats.to_string().contains(&format!("owner-{other}")), "{stats}");
        assert_eq!(house.get(name, "/dtrace").await.1, json!([mine]));
        let (_, full) = house.get(name, "/v1/dtrace?full-list=true").await;
        assert_eq!(names(&full, "name"), [format!("script {own}")]);
        let (_, events) = house.get(name, "/v2/events").await;
        assert_eq!(names(&events, "message_id"), [format!("event-{own}")], "each project its own");
        let theirs_noted = format!("/annotation/{their_note}");
        let patched = house.ask(name, Method::PATCH, &theirs_noted, Some(json!({ "Owner": "x" }))).await;
        assert_eq!(patched.status(), 403);
        let deleted = house.ask(name, Method::DELETE, &format!("/dtrace/{theirs}"), None).await;
        assert_eq!(deleted.status(), 403);
    }
    // Whoever may get every event by its id is still shown only his own project's: there 404, not 403.
    house.user("eve", 1, &["events->_->get".to_owned()]).await;
    assert_eq!(house.get("eve", "/v2/events/event-1").await.0, 200);
    assert_eq!(house.get("eve", "/v2/events/event-2").await.0, 404);

    let changes = house.ask("ada", Method::GET, "/annotation/changes", None).await;
    assert_eq!(changes.status(), 200);
    let mut changes = changes.bytes_stream();
    for note in [&notes[1], &notes[0]] {
        let change = Some(json!({ "Host": "changed" }));
        assert_eq!(house.ask("", Method::PATCH, &format!("/annotation/{note}"), change).await.status(), 200);
    }
    let mut seen = String::new();
    while !seen.contains(&notes[0]) {
        let piece = tokio::time::timeout(Duration::from_secs(20), changes.next()).await.unwrap();
        seen.push_str(&String::from_utf8_lossy(&piece.unwrap().unwrap()));
    }
    assert!(!seen.contains(&notes[1]) && !seen.contains("owner-2"), "{seen}");
    drop(changes);
    house.product.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_see_their_own_on_sqlite() {
    two_users_see_their_own(&Home::sqlite().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_see_their_own_on_postgres() {
    let Some(home) = Home::postgres().unwrap() else {
        eprintln!("skipped: no PostgreSQL is named");
        return;
    };
    two_users_see_their_own(&home).await;
}

async fn acknowledged_changes_survive_a_kill(home: &Home) {
    let house = House::start(home);
    let role = house.get("", "/v1/roles?name=reader").await.1[0].as_str().unwrap().to_owned();
    let (client, token, base) = (house.client.clone(), house.token.clone(), house.product.url.clone());
    let of_role = role.clone();
    let makings = tokio::spawn(async move {
        let mut made = Vec::new();
        for number in 0..1000 {
            let wish = json!({ "user": format!("user {number}"), "password": PASSWORD });
            let request = client.post(format!("{base}/v1/users")).bearer_auth(&token).json(&wish);
            let Ok(answer) = request.send().await else { break };
            let place = answer.headers()["location"].to_str().unwrap().to_owned();
            let url = format!("{base}{place}/roles/{of_role}");
            let joined = client.put(url).bearer_auth(&token).send().await;
            made.push((place, joined.is_ok_and(|answer| answer.status() == 204)));
        }
        made
    });
    tokio::time::sleep(Duration::from_millis(1500)).await;
    house.product.kill().unwrap();
    let made = makings.await.unwrap();
    assert!(made.len() > 2 && made.len() < 1000, "{}", made.len());
    let house = House::start(home);
    for (number, (place, is_reader)) in made.iter().enumerate() {
        let (status, user) = house.get("", place).await;
        assert_eq!((status, user["name"].clone()), (StatusCode::OK, json!(format!("user {number}"))));
        assert!(!is_reader || user["roles"] == json!([role]), "{user}");
    }
    let (_, verdict) = house.get("", "/admin/audit/verify").await;
    assert_eq!(verdict["is_intact"], true, "{verdict}");
    house.product.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_changes_survive_a_kill_on_sqlite() {
    acknowledged_changes_survive_a_kill(&Home::sqlite().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_changes_survive_a_kill_on_postgres() {
    let Some(home) = Home::postgres().unwrap() else {
        eprintln!("skipped: no PostgreSQL is named");
        return;
    };
    acknowledged_changes_survive_a_kill(&home).await;
}
