//! One-time tokens and the sessions of the API's first version (contract `dtrace`, section 5).

use super::token_of;
use crate::house::{House, PASSWORD, basic, bearer, form};
use chrono::Duration;
use serde_json::json;

#[tokio::test]
async fn a_one_time_token_works_once_for_half_a_minute() {
    let house = House::open().await;
    house.user("ada", &["dtrace->u1->..."]).await;
    let login = bearer(&house.log_in("ada").await);
    let make = async || {
        let answer = house.ask(&login, "GET", "/api/0.2.0/sessions/one_time_token", "").await;
        assert_eq!((answer.status(), &answer.json()["expiery"]), (200, &json!(30)));
        token_of(&answer, "token")
    };
    let path = format!("/api/0.2.0/dtrace/u1/stream?fifo_ott={}", make().await);
    let first = house.ask("", "GET", &path, "").await;
    assert_eq!(house.seen(&first).label(), "user:ada");
    assert_eq!(house.ask("", "GET", &path, "").await.status(), 401, "once");
    let path = format!("/dtrace/u2?fifo_ott={}", make().await);
    assert_eq!(house.ask("", "GET", &path, "").await.status(), 403, "only what he may");
    let late = make().await;
    house.gateway.clock.advance(Duration::seconds(30));
    assert_eq!(house.ask("", "GET", &format!("/dtrace/u1?fifo_ott={late}"), "").await.status(), 401);
    let elsewhere = make().await;
    assert_eq!(house.ask("", "GET", &format!("/v1/events?fifo_ott={elsewhere}"), "").await.status(), 401);
    assert_eq!(house.ask("", "GET", "/api/0.2.0/sessions/one_time_token", "").await.status(), 401);
}

#[tokio::test]
async fn a_one_time_token_makes_no_other_and_ends_with_its_login() {
    const MAKE: &str = "/api/0.2.0/sessions/one_time_token";
    let house = House::open().await;
    house.user("ada", &["dtrace->u1->..."]).await;
    let make = async |login: &str| {
        let answer = house.ask(login, "GET", MAKE, "").await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        token_of(&answer, "token")
    };
    let spend =
        async |once: &str| house.ask("", "GET", &format!("/dtrace/u1?fifo_ott={once}"), "").await.status();
    let token = house.log_in("ada").await;
    let login = bearer(&token);
    let renewed = house.ask("", "GET", &format!("{MAKE}?fifo_ott={}", make(&login).await), "").await;
    assert_eq!(renewed.status(), 403, "or it could be renewed for ever");
    let (first, second) = (make(&login).await, make(&login).await);
    assert_eq!(spend(&first).await, 200);
    assert_eq!(house.ask("", "POST", "/oauth/revoke", &form(&[("token", &token)])).await.status(), 200);
    assert_eq!(spend(&second).await, 401, "its login has been revoked");
    let login = bearer(&house.log_in("ada").await);
    house.gateway.clock.advance(Duration::seconds(86_390));
    let late = make(&login).await;
    house.gateway.clock.advance(Duration::seconds(9));
    let later = make(&login).await;
    assert_eq!(spend(&late).await, 200, "the login has a second left");
    house.gateway.clock.advance(Duration::seconds(1));
    assert_eq!(spend(&later).await, 401, "the login is over");
    let by_password = make(&basic("ada", PASSWORD)).await;
    assert_eq!(spend(&by_password).await, 200);
    assert_eq!(house.ask(&house.admin, "GET", MAKE, "").await.status(), 403, "an API token is no user");
}

#[tokio::test]
async fn a_one_time_token_is_limited_as_its_login() {
    let house = House::open().await;
    house.user("ada", &["..."]).await;
    let scope = json!({ "name": "one", "permissions": ["dtrace->u1->get"] });
    assert_eq!(house.admin("POST", "/admin/scopes", scope).await.status(), 200);
    let ada = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD), ("scope", "one")];
    let login = bearer(&token_of(&house.token(&ada).await, "access_token"));
    for (path, status) in [("/dtrace/u1", 200), ("/dtrace/u2", 403)] {
        let made = house.ask(&login, "GET", "/v1/sessions/one_time_token", "").await;
        let path = format!("{path}?fifo_ott={}", token_of(&made, "token"));
        assert_eq!(house.ask("", "GET", &path, "").await.status(), status, "{path}");
    }
}

#[tokio::test]
async fn sessions_of_the_first_version_log_in_by_cookie_and_header_there_alone() {
    let house = House::open().await;
    house.user("ada", &["dtrace->u1->get", "dtrace->u1->edit"]).await;
    let wish = json!({ "user": "ada", "password": PASSWORD }).to_string();
    let made = house.ask("", "POST", "/api/0.1.0/sessions", &wish).await;
    let token = made.header("location").unwrap().strip_prefix("/api/0.1.0/sessions/").unwrap().to_owned();
    assert_eq!(made.status(), 303);
    let cookie = made.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with(&format!("x-snarl-token={token}; ")) && cookie.contains("HttpOnly"),
        "{cookie}"
    );
    for headers in [format!("cookie: x-snarl-token={token}\r\n"), format!("x-snarl-token: {token}\r\n")] {
        assert_eq!(house.ask(&headers, "GET", "/api/0.1.0/dtrace/u1", "").await.status(), 200);
        for path in ["/api/0.2.0/dtrace/u1", "/dtrace/u1", "/v1/events"] {
            assert_eq!(house.ask(&headers, "GET", path, "").await.status(), 401, "{path}");
        }
    }
    let foreign = format!("cookie: x-snarl-token={token}\r\norigin: https://evil.example\r\n");
    assert_eq!(house.ask(&foreign, "PUT", "/api/0.1.0/dtrace/u1", "{}").await.status(), 403);
    // pyfi takes 200 here for a login, and then sends no token any more.
    assert_eq!(house.ask("", "GET", &format!("/api/3/sessions/{token}"), "").await.status(), 405);
    assert_eq!(house.ask("", "POST", "/api/0.2.0/sessions", &wish).await.status(), 404);
    let wrong = json!({ "user": "ada", "password": "wrong" }).to_string();
    assert_eq!(house.ask("", "POST", "/api/0.1.0/sessions", &wrong).await.status(), 401);
    assert_eq!(house.ask("", "DELETE", &format!("/api/0.1.0/sessions/{token}"), "").await.status(), 204);
    house.later();
    let header = format!("x-snarl-token: {token}\r\n");
    assert_eq!(house.ask(&header, "GET", "/api/0.1.0/dtrace/u1", "").await.status(), 401);
}
