//! OAuth 2 (RFC 6749, 7636, 7009; contract `dtrace`, section 5).

use crate::house::{House, PASSWORD, basic, bearer, encoded, form};
use crate::support::{Message, Setup, request};
use chrono::Duration;
use serde_json::{Value, json};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const CALLBACK: &str = "https://app.example/cb";

fn error(answer: &Message) -> (u16, String) {
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    (answer.status(), answer.json()["error"].as_str().unwrap().to_owned())
}

fn token_of(answer: &Message, name: &str) -> String {
    answer.json()[name].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

/// A client with a redirect URI.
async fn client(house: &House, wish: Value) -> String {
    let id = house.make("clients", wish).await;
    let uris = format!("/v1/clients/{id}/uris");
    assert_eq!(house.admin("POST", &uris, json!({ "uri": CALLBACK })).await.status(), 204);
    id
}

/// Where the browser is sent after the login form, as the part of the query after `?`.
async fn sent_back(house: &House, query: &[(&str, &str)], login: &[(&str, &str)]) -> String {
    let path = format!("/oauth/auth?{}", form(query));
    let answer = house.ask("", "POST", &path, &form(login)).await;
    assert_eq!(answer.status(), 302, "{answer:?}");
    answer.header("location").unwrap().strip_prefix("https://app.example/cb?").unwrap().to_owned()
}

async fn code(house: &House, client: &str) -> String {
    let query = [
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", CALLBACK),
        ("state", "s t&"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let back = sent_back(house, &query, &[("username", "ada"), ("password", PASSWORD)]).await;
    let (code, state) = back.strip_prefix("code=").unwrap().split_once('&').unwrap();
    assert_eq!(state, "state=s%20t%26");
    code.to_owned()
}

fn with_code<'a>(client: &'a str, code: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ]
}

#[tokio::test]
async fn a_password_gets_a_token_that_opens_what_the_user_may() {
    let house = House::open().await;
    house.user("ada", &["events->...", "cloud->events->list"]).await;
    for path in ["/oauth/token", "/oauth2/token", "/api/0.2.0/oauth/token", "/api/3/oauth/token"] {
        let body = form(&[("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)]);
        // What pyfi sends.
        let headers = "content-type: application/json;charset=UTF-8\r\n";
        let answer = house.ask(headers, "POST", path, &body).await;
        assert_eq!((answer.status(), answer.header("cache-control")), (200, Some("no-store")), "{path}");
        let granted = answer.json();
        assert_eq!(
            (&granted["token_type"], &granted["expires_in"], &granted["scope"], granted.get("refresh_token")),
            (&json!("bearer"), &json!(86_400), &json!("*"), None)
        );
        let token = bearer(&token_of(&answer, "access_token"));
        let seen = house.seen(&house.ask(&token, "GET", "/v1/events", "").await);
        assert_eq!(seen.label(), "user:ada");
        assert_eq!(house.ask(&token, "GET", "/v1/streams", "").await.status(), 403);
    }
}

#[tokio::test]
async fn a_token_ends_after_a_day() {
    let house = House::open().await;
    house.user("ada", &["events->..."]).await;
    let token = bearer(&house.log_in("ada").await);
    house.gateway.clock.advance(Duration::seconds(86_399));
    assert_eq!(house.ask(&token, "GET", "/v1/events/m", "").await.status(), 200);
    house.gateway.clock.advance(Duration::seconds(1));
    assert_eq!(house.ask(&token, "GET", "/v1/events/m", "").await.status(), 401);
}

#[tokio::test]
async fn a_revoked_token_is_out_within_a_second() {
    let house = House::open().await;
    house.user("ada", &["events->..."]).await;
    for path in ["/oauth/revoke", "/v1/oauth/revoke"] {
        let text = house.log_in("ada").await;
        assert_eq!(house.ask(&bearer(&text), "GET", "/v1/events/m", "").await.status(), 200);
        assert_eq!(house.ask("", "POST", path, &form(&[("token", &text)])).await.status(), 200);
        house.gateway.clock.advance(Duration::milliseconds(999));
        assert_eq!(house.ask(&bearer(&text), "GET", "/v1/events/m", "").await.status(), 401);
        assert_eq!(house.ask("", "POST", path, &form(&[("token", &text)])).await.status(), 200, "again");
        // Programs that show their token with every request do so here too.
        let own = house.log_in("ada").await;
        let ended = house.ask(&bearer(&own), "POST", path, &form(&[("token", &own)])).await;
        assert_eq!(ended.status(), 200, "{ended:?}");
        house.gateway.clock.advance(Duration::milliseconds(999));
        assert_eq!(house.ask(&bearer(&own), "GET", "/v1/events/m", "").await.status(), 401);
    }
    let unknown = house.ask("", "POST", "/oauth/revoke", "token=qa_unknown").await;
    assert_eq!(unknown.status(), 200, "RFC 7009, section 2.2");
    assert_eq!(error(&house.ask("", "POST", "/oauth/revoke", "").await), (400, "invalid_request".into()));
    let api = house.ask("", "POST", "/oauth/revoke", "token=qt_x").await;
    assert_eq!(error(&api), (400, "unsupported_token_type".into()));
}

#[tokio::test]
async fn tokens_end_with_their_user() {
    let house = House::open().await;
    let id = house.user("ada", &["events->..."]).await;
    let token = bearer(&house.log_in("ada").await);
    assert_eq!(house.ask(&token, "GET", "/v1/events/m", "").await.status(), 200);
    assert_eq!(house.admin("DELETE", &format!("/v1/users/{id}/logins"), Value::Null).await.status(), 204);
    house.later();
    assert_eq!(house.ask(&token, "GET", "/v1/events/m", "").await.status(), 401);
    let token = bearer(&house.log_in("ada").await);
    assert_eq!(house.admin("DELETE", &format!("/v1/users/{id}"), Value::Null).await.status(), 204);
    assert_eq!(house.ask(&token, "GET", "/v1/events/m", "").await.status(), 401);
}

#[tokio::test]
async fn refusals_have_the_words_and_statuses_of_the_contract() {
    let house = House::open().await;
    house.user("ada", &[]).await;
    client(&house, json!({ "client": "web", "secret": PASSWORD })).await;
    client(&house, json!({ "client": "app" })).await;
    let ada = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)];
    let with = |more: &[(&'static str, &'static str)]| [&ada[..], more].concat();
    for (pairs, status, word) in [
        (vec![], 400, "invalid_request"),
        (vec![("grant_type", "")], 400, "invalid_request"),
        (vec![("grant_type", "implicit")], 400, "invalid_request"),
        (vec![("grant_type", "password")], 400, "invalid_request"),
        (ada[..2].to_vec(), 400, "invalid_request"),
        (with(&[("username", "bob")]), 400, "invalid_request"),
        (with(&[("scope", "zork")]), 400, "invalid_scope"),
        (with(&[("scope", "* zork")]), 400, "invalid_scope"),
        (with(&[("client_id", "zork")]), 401, "invalid_client"),
        (with(&[("client_id", "web")]), 401, "invalid_client"),
        (with(&[("client_id", "web"), ("client_secret", "wrong wrong")]), 401, "invalid_client"),
        (with(&[("client_id", "app"), ("client_secret", "wrong wrong")]), 401, "invalid_client"),
        (vec![ada[0], ada[1], ("password", "wrong")], 400, "access_denied"),
        (vec![ada[0], ("username", "nobody"), ada[2]], 400, "access_denied"),
        (vec![ada[0], ("username", "a\0da"), ada[2]], 400, "invalid_request"),
        (vec![("grant_type", "client_credentials")], 401, "invalid_client"),
        (vec![("grant_type", "client_credentials"), ("client_id", "app")], 403, "unauthorized_client"),
        (vec![("grant_type", "authorization_code"), ("client_id", "app")], 400, "invalid_request"),
        (vec![("grant_type", "authorization_code"), ("code", "qc_x")], 400, "invalid_request"),
        (with_code("app", "qc_x").to_vec(), 400, "invalid_grant"),
        (
            vec![("grant_type", "refresh_token"), ("client_id", "app"), ("refresh_token", "x")],
            400,
            "invalid_grant",
        ),
    ] {
        let answer = house.token(&pairs).await;
        assert_eq!(error(&answer), (status, word.to_owned()), "{pairs:?}");
        assert!(!answer.json()["error_description"].as_str().unwrap().is_empty());
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{pairs:?}");
    }
    for body in ["%", "a=%zz", "grant_type=%ff", "&&&&", "=", "grant_type"] {
        assert_eq!(house.ask("", "POST", "/oauth/token", body).await.status(), 400, "{body}");
    }
    let huge = format!("grant_type=password&username=ada&password={}", "x".repeat(70_000));
    assert_eq!(error(&house.ask("", "POST", "/oauth/token", &huge).await), (413, "invalid_request".into()));
    let long = format!("grant_type=password&username={0}&password={0}", "x".repeat(30_000));
    assert_eq!(error(&house.ask("", "POST", "/oauth/token", &long).await), (400, "access_denied".into()));
    for method in ["GET", "PUT", "DELETE"] {
        let answer = house.ask("", method, "/oauth/token", "").await;
        assert_eq!((answer.status(), answer.header("allow")), (405, Some("POST")));
    }
}

#[tokio::test]
async fn a_client_gets_a_token_by_its_secret() {
    let house = House::open().await;
    let id = house.make("clients", json!({ "client": "robot one", "secret": "pass: word+%" })).await;
    house.grant("clients", &id, "events->_->get").await;
    let by_form = house
        .token(&[
            ("grant_type", "client_credentials"),
            ("client_id", "robot one"),
            ("client_secret", "pass: word+%"),
        ])
        .await;
    let shown = basic(&encoded("robot one"), &encoded("pass: word+%"));
    let by_basic = house.ask(&shown, "POST", "/oauth/token", "grant_type=client_credentials").await;
    let shown = basic(&id, &encoded("pass: word+%"));
    let by_id = house.ask(&shown, "POST", "/oauth/token", "grant_type=client_credentials").await;
    for granted in [by_form, by_basic, by_id] {
        let token = bearer(&token_of(&granted, "access_token"));
        let seen = house.seen(&house.ask(&token, "GET", "/v1/events/m", "").await);
        assert_eq!(seen.label(), "client:robot one");
    }
    let twice = "grant_type=client_credentials&client_secret=x";
    let shown = basic(&encoded("robot one"), &encoded("pass: word+%"));
    assert_eq!(
        error(&house.ask(&shown, "POST", "/oauth/token", twice).await),
        (400, "invalid_request".into())
    );
    let login = basic("robot one", "pass: word+%");
    assert_eq!(house.ask(&login, "GET", "/v1/events/m", "").await.status(), 401, "a client is no user");
}

#[tokio::test]
async fn a_scope_limits_what_a_token_opens() {
    let house = House::open().await;
    house.user("ada", &["..."]).await;
    let scope = json!({ "name": "events", "permissions": ["events->_->get", "cloud->events->list"] });
    assert_eq!(house.admin("POST", "/admin/scopes", scope).await.status(), 200);
    let ada = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)];
    let all = house.token(&ada).await;
    assert_eq!(all.json()["scope"], "* events", "none asked for is all");
    let limited = house.token(&[&ada[..], &[("scope", "events")]].concat()).await;
    assert_eq!(limited.json()["scope"], "events");
    let (all, limited) =
        (bearer(&token_of(&all, "access_token")), bearer(&token_of(&limited, "access_token")));
    for (path, status) in
        [("/v1/events/m", 200), ("/v1/events", 200), ("/v1/streams", 403), ("/v1/users", 403)]
    {
        assert_eq!(house.ask(&limited, "GET", path, "").await.status(), status, "{path}");
        assert_eq!(house.ask(&all, "GET", path, "").await.status(), 200, "{path}");
    }
    let seen = house.seen(&house.ask(&limited, "GET", "/v1/events", "").await);
    assert_eq!(seen.permissions, ["cloud->events->list", "events->_->get"], "services see no more");
    assert_eq!(house.admin("DELETE", "/admin/scopes/events", Value::Null).await.status(), 204);
    house.later();
    assert_eq!(house.ask(&limited, "GET", "/v1/events", "").await.status(), 403, "nothing is left of it");
}

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

#[tokio::test]
async fn who_guesses_at_the_token_endpoint_is_put_off() {
    let house = House::with(Setup::secure().with(|config| config.limits.login_failures_per_min = 3)).await;
    let guess = [("grant_type", "password"), ("username", "admin"), ("password", "guess")];
    for _ in 0..3 {
        assert_eq!(error(&house.token(&guess).await), (400, "access_denied".into()));
    }
    let put_off = house.token(&guess).await;
    assert_eq!(error(&put_off), (429, "temporarily_unavailable".into()));
    assert!((1..=21).contains(&put_off.header("retry-after").unwrap().parse::<u64>().unwrap()));
    let password = house.gateway.secret("admin_password");
    let right = [("grant_type", "password"), ("username", "admin"), ("password", password.as_str())];
    assert_eq!(house.token(&right).await.status(), 429, "no oracle");
    let failures = house.gateway.running.urls().len();
    assert_eq!(failures, 1);
}

#[tokio::test]
async fn in_the_open_mode_a_client_that_wants_to_log_in_may() {
    let gateway = Setup::default().start().await;
    let body = form(&[("grant_type", "password"), ("username", "any"), ("password", "any")]);
    let answer = gateway.ask(&request("POST", "/api/3/oauth/token", "", &body)).await;
    assert_eq!((answer.status(), &answer.json()["token_type"]), (200, &json!("bearer")));
    let once = gateway.ask(&request("GET", "/api/3/sessions/one_time_token", "", "")).await;
    assert_eq!(once.status(), 200);
}

#[tokio::test]
async fn a_service_learns_whose_a_token_is() {
    use shared::clock::Clock;
    use shared::identity::{HEADER, Principal};
    let house = House::open().await;
    house.user("ada", &["dtrace->u1->stream"]).await;
    let token = bearer(&house.log_in("ada").await);
    let signed = |subject: &str| {
        let own = Principal { subject: subject.into(), ..Principal::default() };
        format!("{HEADER}: {}\r\n", house.gateway.key.sign(&own, house.gateway.clock.now()))
    };
    let asked =
        house.ask(&format!("{token}{}", signed("service:dtrace")), "POST", "/internal/identity", "").await;
    assert_eq!(asked.status(), 200);
    let told = house.gateway.key.verify(asked.header(HEADER).unwrap(), house.gateway.clock.now()).unwrap();
    assert_eq!(told.label(), "user:ada");
    let wrong = format!("{}{}", bearer("qa_wrong"), signed("service:dtrace"));
    assert_eq!(house.ask(&wrong, "POST", "/internal/identity", "").await.status(), 401);
    for headers in
        [token.clone(), format!("{token}{}", signed("user:ada")), format!("{token}{HEADER}: v1.x.y\r\n")]
    {
        let answer = house.ask(&headers, "POST", "/internal/identity", "").await;
        assert_eq!((answer.status(), answer.header(HEADER)), (404, None));
    }
}
