//! Authorization codes, refresh tokens and the login form (RFC 6749, sections 4.1 and 6; RFC 7636).

use super::{CALLBACK, CHALLENGE, VERIFIER, client, code, error, sent_back, token_of, with_code};
use crate::house::{House, PASSWORD, basic, bearer, form};
use crate::support::Message;
use chrono::Duration;
use serde_json::json;

#[tokio::test]
async fn a_code_with_its_verifier_gets_a_pair_of_tokens() {
    let house = House::open().await;
    house.user("ada", &["events->..."]).await;
    let app = client(&house, json!({ "client": "app" })).await;
    for id in [app.as_str(), "app"] {
        let code = code(&house, id).await;
        let granted = house.token(&with_code(id, &code)).await;
        assert_eq!(granted.status(), 200, "{granted:?}");
        let token = bearer(&token_of(&granted, "access_token"));
        assert_eq!(house.ask(&token, "GET", "/v1/events/m", "").await.status(), 200);
        assert!(token_of(&granted, "refresh_token").starts_with("qr_"));
    }
}

#[tokio::test]
async fn a_code_that_comes_again_ends_what_came_of_it() {
    let house = House::open().await;
    house.user("ada", &["events->..."]).await;
    client(&house, json!({ "client": "app" })).await;
    let code = code(&house, "app").await;
    let granted = house.token(&with_code("app", &code)).await;
    let token = bearer(&token_of(&granted, "access_token"));
    assert_eq!(error(&house.token(&with_code("app", &code)).await), (400, "invalid_grant".into()));
    house.later();
    assert_eq!(house.ask(&token, "GET", "/v1/events/m", "").await.status(), 401);
    let refresh = token_of(&granted, "refresh_token");
    let again = [("grant_type", "refresh_token"), ("client_id", "app"), ("refresh_token", refresh.as_str())];
    assert_eq!(error(&house.token(&again).await), (400, "invalid_grant".into()));
    assert!(house.deeds().await.contains(&("token.reuse".into(), "user:ada".into())));
}

#[tokio::test]
async fn a_code_is_for_its_client_its_place_its_verifier_and_a_minute() {
    let house = House::open().await;
    house.user("ada", &[]).await;
    client(&house, json!({ "client": "app" })).await;
    client(&house, json!({ "client": "other" })).await;
    let refused = (400, "invalid_grant".to_owned());
    for (name, value) in [
        ("client_id", "other"),
        ("redirect_uri", "https://app.example/cb2"),
        ("redirect_uri", ""),
        ("code_verifier", "wrong"),
        ("code_verifier", ""),
    ] {
        let code = code(&house, "app").await;
        let mut pairs = with_code("app", &code);
        for pair in &mut pairs {
            if pair.0 == name {
                pair.1 = value;
            }
        }
        assert_eq!(error(&house.token(&pairs).await), refused, "{name} {value}");
    }
    let code = code(&house, "app").await;
    house.gateway.clock.advance(Duration::seconds(60));
    assert_eq!(error(&house.token(&with_code("app", &code)).await), refused, "too old");
}

#[tokio::test]
async fn two_at_once_get_one_pair_for_one_code() {
    let house = House::open().await;
    house.user("ada", &[]).await;
    client(&house, json!({ "client": "app" })).await;
    let code = code(&house, "app").await;
    let pairs = with_code("app", &code);
    let (one, two, three) = tokio::join!(house.token(&pairs), house.token(&pairs), house.token(&pairs));
    let mut statuses = [one.status(), two.status(), three.status()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400, 400]);
}

#[tokio::test]
async fn a_refresh_token_works_once_and_the_next_goes_on() {
    let house = House::open().await;
    house.user("ada", &["events->..."]).await;
    house.admin("POST", "/admin/scopes", json!({ "name": "events", "permissions": ["events->..."] })).await;
    client(&house, json!({ "client": "app" })).await;
    client(&house, json!({ "client": "other" })).await;
    let code = code(&house, "app").await;
    let first = token_of(&house.token(&with_code("app", &code)).await, "refresh_token");
    let refresh = async |client: &str, token: &str, scope: &str| {
        let pairs = [
            ("grant_type", "refresh_token"),
            ("client_id", client),
            ("refresh_token", token),
            ("scope", scope),
        ];
        house.token(&pairs).await
    };
    assert_eq!(error(&refresh("other", &first, "").await), (400, "invalid_grant".into()), "another's");
    let second = refresh("app", &first, "events").await;
    assert_eq!((second.status(), &second.json()["scope"]), (200, &json!("events")));
    let second_refresh = token_of(&second, "refresh_token");
    assert_eq!(error(&refresh("app", &second_refresh, "*").await), (400, "invalid_scope".into()), "wider");
    let third = refresh("app", &second_refresh, "").await;
    assert_eq!(third.status(), 200, "the wish for more has not used it up");
    let living = bearer(&token_of(&third, "access_token"));
    assert_eq!(house.ask(&living, "GET", "/v1/events/m", "").await.status(), 200);
    assert_eq!(error(&refresh("app", &first, "").await), (400, "invalid_grant".into()), "used before");
    house.later();
    assert_eq!(house.ask(&living, "GET", "/v1/events/m", "").await.status(), 401, "the family has ended");
    let last = token_of(&third, "refresh_token");
    assert_eq!(error(&refresh("app", &last, "").await), (400, "invalid_grant".into()));
}

#[tokio::test]
async fn a_refresh_token_ends_after_thirty_days_and_with_its_revocation() {
    let house = House::open().await;
    house.user("ada", &["events->..."]).await;
    client(&house, json!({ "client": "app" })).await;
    let make = async || {
        let code = code(&house, "app").await;
        house.token(&with_code("app", &code)).await
    };
    let refresh = async |granted: &Message| {
        let token = token_of(granted, "refresh_token");
        let pairs =
            [("grant_type", "refresh_token"), ("client_id", "app"), ("refresh_token", token.as_str())];
        house.token(&pairs).await.status()
    };
    let granted = make().await;
    let token = token_of(&granted, "refresh_token");
    assert_eq!(house.ask("", "POST", "/oauth/revoke", &form(&[("token", &token)])).await.status(), 200);
    assert_eq!(refresh(&granted).await, 400);
    let access = bearer(&token_of(&granted, "access_token"));
    assert_eq!(house.ask(&access, "GET", "/v1/events/m", "").await.status(), 401, "the access token too");
    let granted = make().await;
    house.gateway.clock.advance(Duration::days(30));
    assert_eq!(refresh(&granted).await, 400);
}

#[tokio::test]
async fn users_are_sent_only_where_the_client_said() {
    let house = House::open().await;
    house.user("ada", &[]).await;
    client(&house, json!({ "client": "app" })).await;
    let login = form(&[("username", "ada"), ("password", PASSWORD)]);
    let pkce = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    for query in [
        vec![("response_type", "code")],
        vec![("response_type", "code"), ("client_id", "zork"), ("redirect_uri", CALLBACK)],
        vec![("response_type", "code"), ("client_id", "app"), ("redirect_uri", "https://evil.example/cb")],
        vec![("response_type", "code"), ("client_id", "app"), ("redirect_uri", "https://app.example/cb/")],
    ] {
        let path = format!("/oauth/auth?{}", form(&[&query[..], &pkce].concat()));
        for (method, body) in [("GET", ""), ("POST", login.as_str())] {
            let answer = house.ask("", method, &path, body).await;
            assert_eq!((answer.status(), answer.header("location")), (403, None), "{method} {query:?}");
            assert_eq!(answer.json()["error"], "unauthorized_client");
        }
    }
    let known = [("client_id", "app"), ("redirect_uri", CALLBACK), ("state", "s")];
    for (query, word) in [
        (vec![], "invalid_request"),
        (vec![("response_type", "token")], "unsupported_response_type"),
        (vec![("response_type", "code")], "invalid_request"),
        (vec![("response_type", "code"), ("code_challenge", CHALLENGE)], "invalid_request"),
        (
            vec![("response_type", "code"), ("code_challenge", VERIFIER), ("code_challenge_method", "plain")],
            "invalid_request",
        ),
        (vec![("response_type", "code"), ("code_challenge", "short"), pkce[1]], "invalid_request"),
        (vec![("response_type", "code"), ("scope", "zork"), pkce[0], pkce[1]], "invalid_scope"),
    ] {
        let query = [&known[..], &query].concat();
        let back = sent_back(&house, &query, &[("username", "ada"), ("password", PASSWORD)]).await;
        assert_eq!(back, format!("error={word}&state=s"), "{query:?}");
    }
}

#[tokio::test]
async fn the_login_form_shows_nothing_foreign_and_takes_the_password_alone() {
    let house = House::open().await;
    house.user("ada", &[]).await;
    client(&house, json!({ "client": "<b>app</b>" })).await;
    let query = form(&[
        ("response_type", "code"),
        ("client_id", "<b>app</b>"),
        ("state", "<script>"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    let path = format!("/oauth/auth?{query}");
    let page = house.ask("", "GET", &path, "").await;
    assert_eq!((page.status(), page.header("x-frame-options")), (200, Some("DENY")));
    assert!(page.text().contains("&lt;b&gt;app&lt;/b&gt;") && !page.text().contains("<script>"));
    assert!(page.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    let wrong = house.ask("", "POST", &path, &form(&[("username", "ada"), ("password", "wrong")])).await;
    assert_eq!((wrong.status(), wrong.header("location")), (403, None));
    assert!(wrong.text().contains("User or password is wrong."));
    // A link alone, in a browser that remembers a password, must not make a code.
    let led = house.ask(&basic("ada", PASSWORD), "GET", &path, "").await;
    assert_eq!(led.status(), 200, "the form");
    let foreign = format!("{}origin: https://evil.example\r\n", basic("ada", PASSWORD));
    assert_eq!(house.ask(&foreign, "POST", &path, "").await.status(), 403);
    assert_eq!(house.ask(&basic("ada", PASSWORD), "POST", &path, "").await.status(), 302);
    let token = bearer(&house.log_in("ada").await);
    assert_eq!(house.ask(&token, "GET", &path, "").await.status(), 302, "no browser adds a token by itself");
    let back = house.ask(&house.admin, "GET", &path, "").await;
    assert!(back.header("location").unwrap().contains("error=access_denied"), "an API token is no user");
}

#[tokio::test]
async fn a_clients_name_stays_in_its_place_on_the_login_form() {
    let house = House::open().await;
    // U+202E turns the rest of a line around, and HTML's bdi keeps that to the name.
    for name in ["{{fault}}", "{{client}}", "app\u{202e}"] {
        client(&house, json!({ "client": name, "secret": PASSWORD })).await;
        let path = format!("/oauth/auth?{}", form(&[("response_type", "code"), ("client_id", name)]));
        let page = house.ask("", "POST", &path, &form(&[("username", "eve"), ("password", "wrong")])).await;
        assert_eq!(page.status(), 403);
        let shown = format!("<strong><bdi>{name}</bdi></strong> asks to act in your name.");
        assert!(page.text().contains(&shown), "{}", page.text());
        assert_eq!(page.text().matches("User or password is wrong.").count(), 1);
    }
}
