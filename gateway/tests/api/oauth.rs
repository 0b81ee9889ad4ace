//! OAuth 2 (RFC 6749, 7636, 7009; contract `dtrace`, section 5).

mod changed;
mod codes;
mod one_time;

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
