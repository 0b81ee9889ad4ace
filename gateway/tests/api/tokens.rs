//! API tokens: made and revoked by administrators, good for what they say, out within a second.

use crate::support::{Gateway, Message, Service, Setup, answer, request};
use chrono::Duration;
use serde_json::{Value, json};

struct Office {
    gateway: Gateway,
    admin: String,
    _service: crate::support::Automatic,
}

impl Office {
    async fn open() -> Self {
        let service = Service::new().await.automatic(|request| {
            answer(
                "200 OK",
                &format!("x-seen: {}\r\n", request.header("x-quintet-identity").unwrap_or_default()),
                "",
            )
        });
        let setup = Setup::secure().service("events", &service.url).service("dtrace", &service.url);
        let gateway = setup.start().await;
        let admin = gateway.secret("admin_token");
        Self { gateway, admin, _service: service }
    }

    async fn ask(&self, token: &str, method: &str, path: &str, body: &str) -> Message {
        let headers = format!("authorization: Bearer {token}\r\n");
        self.gateway.ask(&request(method, path, &headers, body)).await
    }

    async fn make(&self, wish: &Value) -> Value {
        let answer = self.ask(&self.admin, "POST", "/admin/tokens", &wish.to_string()).await;
        assert_eq!(answer.status(), 201, "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let made = answer.json();
        let place = format!("/admin/tokens/{}", made["id"].as_str().unwrap());
        assert_eq!(answer.header("location"), Some(place.as_str()));
        made
    }
}

#[tokio::test]
async fn a_token_opens_what_its_permissions_say() {
    let office = Office::open().await;
    let made = office
        .make(&json!({ "name": "reader", "permissions": ["cloud->events->list", "events->_->get", "dtraces->...->get"] }))
        .await;
    let token = made["token"].as_str().unwrap();
    for (method, path, status) in [
        ("GET", "/v1/events", 200),
        ("GET", "/v1/events/m-1", 200),
        ("GET", "/v2/events", 200),
        ("GET", "/dtrace/u1", 200),
        ("POST", "/v1/notifications", 403),
        ("POST", "/v2/events", 403),
        ("GET", "/dtrace", 403),
        ("PUT", "/dtrace/u1", 403),
        ("GET", "/admin/tokens", 403),
        ("GET", "/admin/events/dead-letters", 403),
    ] {
        assert_eq!(office.ask(token, method, path, "").await.status(), status, "{method} {path}");
    }
    let refused = office.ask(token, "POST", "/v1/notifications", "{}").await;
    assert_eq!(refused.json()["description"], "The permission cloud->events->create is required.");
}

#[tokio::test]
async fn a_token_carries_user_project_and_roles_to_the_service() {
    use shared::clock::Clock;
    let office = Office::open().await;
    let wish = json!({ "name": "p1", "user_id": "u", "project_id": "p", "roles": ["member"], "permissions": ["..."] });
    let made = office.make(&wish).await;
    let headers = format!("x-auth-token: {}\r\nx-project-id: other\r\n", made["token"].as_str().unwrap());
    let answer = office.gateway.ask(&request("GET", "/v2/events", &headers, "")).await;
    let seen =
        office.gateway.key.verify(answer.header("x-seen").unwrap(), office.gateway.clock.now()).unwrap();
    assert_eq!(seen.label(), "token:p1");
    assert_eq!((seen.user_id.as_deref(), seen.project_id.as_deref()), (Some("u"), Some("p")));
    assert_eq!(seen.roles, ["member"]);
}

#[tokio::test]
async fn tokens_of_one_name_are_two_callers() {
    use shared::clock::Clock;
    let office = Office::open().await;
    let mut subjects = Vec::new();
    for _ in 0..2 {
        let made = office.make(&json!({ "name": "robot", "permissions": ["..."] })).await;
        let answer = office.ask(made["token"].as_str().unwrap(), "GET", "/v1/events", "").await;
        let now = office.gateway.clock.now();
        let seen = office.gateway.key.verify(answer.header("x-seen").unwrap(), now).unwrap();
        assert_eq!(seen.subject, format!("token:robot#{}", made["id"].as_str().unwrap()));
        subjects.push(seen.subject);
    }
    assert_ne!(subjects[0], subjects[1], "services keep idempotency keys and limits for each");
}

#[tokio::test]
async fn a_revoked_token_is_out_within_a_second() {
    let office = Office::open().await;
    let made = office.make(&json!({ "name": "short", "permissions": ["..."] })).await;
    let (token, place) =
        (made["token"].as_str().unwrap(), format!("/admin/tokens/{}", made["id"].as_str().unwrap()));
    assert_eq!(office.ask(token, "GET", "/v1/events", "").await.status(), 200);
    for _ in 0..2 {
        let answer = office.ask(&office.admin, "DELETE", &place, "").await;
        assert_eq!((answer.status(), answer.text()), (204, ""), "twice is as good as once");
    }
    office.gateway.clock.advance(Duration::milliseconds(999));
    assert_eq!(office.ask(token, "GET", "/v1/events", "").await.status(), 401);
    let listed = office.ask(&office.admin, "GET", "/admin/tokens", "").await.json();
    let row =
        listed["tokens"].as_array().unwrap().iter().find(|row| row["id"] == made["id"]).unwrap().clone();
    assert_eq!(row["revoked_at"], "2026-01-01T12:00:00.000000Z");
    assert_eq!(office.ask(&office.admin, "DELETE", "/admin/tokens/none", "").await.status(), 404);
}

#[tokio::test]
async fn a_token_ends_when_its_time_is_over() {
    let office = Office::open().await;
    let made = office.make(&json!({ "name": "hour", "permissions": ["..."], "expires_in_secs": 3600 })).await;
    assert_eq!(made["expires_at"], "2026-01-01T13:00:00.000000Z");
    let token = made["token"].as_str().unwrap();
    office.gateway.clock.advance(Duration::seconds(3599));
    assert_eq!(office.ask(token, "GET", "/v1/events", "").await.status(), 200);
    office.gateway.clock.advance(Duration::seconds(1));
    assert_eq!(office.ask(token, "GET", "/v1/events", "").await.status(), 401);
}

#[tokio::test]
async fn tokens_are_listed_page_by_page_and_never_shown_again() {
    let office = Office::open().await;
    let mut made = vec![];
    for number in 0..3 {
        made.push(office.make(&json!({ "name": format!("t{number}") })).await);
    }
    let mut names = Vec::new();
    let mut after = String::new();
    loop {
        let page =
            office.ask(&office.admin, "GET", &format!("/admin/tokens?limit=2&after={after}"), "").await;
        assert!(!page.text().contains("qt_"), "{}", page.text());
        let rows = page.json()["tokens"].as_array().unwrap().clone();
        let Some(last) = rows.last() else { break };
        assert!(rows.len() <= 2);
        after = last["id"].as_str().unwrap().to_owned();
        names.extend(rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()));
    }
    names.sort_unstable();
    assert_eq!(names, ["admin", "t0", "t1", "t2"]);
    for limit in ["0", "-1", "1001", "x"] {
        let answer = office.ask(&office.admin, "GET", &format!("/admin/tokens?limit={limit}"), "").await;
        assert_eq!(answer.status(), 400, "{limit}");
    }
}

#[tokio::test]
async fn wishes_that_cannot_be_fulfilled_are_refused() {
    let office = Office::open().await;
    for wish in [
        "",
        "[]",
        "{}",
        "{\"name\":\"\"}",
        "{\"name\":\"a\\u0000\"}",
        "{\"name\":\"x\",\"zork\":1}",
        "{\"name\":\"x\",\"expires_in_secs\":0}",
        "{\"name\":\"x\",\"permissions\":\"all\"}",
    ] {
        assert_eq!(office.ask(&office.admin, "POST", "/admin/tokens", wish).await.status(), 400, "{wish}");
    }
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(70_000));
    assert_eq!(office.ask(&office.admin, "POST", "/admin/tokens", &long).await.status(), 413);
}
