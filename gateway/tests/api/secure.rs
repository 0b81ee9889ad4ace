//! The secure mode: nobody gets in without credentials, and everybody only as far as they reach.

use crate::support::{Automatic, Gateway, Message, Service, Setup, answer, get, request};
use base64::{Engine, engine::general_purpose::STANDARD};
use shared::identity::Principal;

fn basic(user: &str, password: &str) -> String {
    format!("authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// A gateway in front of services that send back the identity they were called with.
async fn secure(setup: Setup) -> (Gateway, Vec<Automatic>) {
    let mut setup = setup;
    let mut services = Vec::new();
    for name in ["events", "tasks", "annotate", "dtrace"] {
        let service = Service::new().await.automatic(|request| {
            answer(
                "200 OK",
                &format!("x-seen: {}\r\n", request.header("x-quintet-identity").unwrap_or_default()),
                "",
            )
        });
        setup = setup.service(name, &service.url);
        services.push(service);
    }
    (setup.start().await, services)
}

fn seen(gateway: &Gateway, answer: &Message) -> Principal {
    use shared::clock::Clock;
    gateway
        .key
        .verify(answer.header("x-seen").unwrap_or_else(|| unreachable!("{answer:?}")), gateway.clock.now())
        .unwrap()
}

async fn ask(gateway: &Gateway, path: &str, headers: &str) -> Message {
    gateway.ask(&request("GET", path, headers, "")).await
}

#[tokio::test]
async fn without_credentials_every_api_answers_401_in_its_shape() {
    let (gateway, _services) = secure(Setup::secure()).await;
    for path in [
        "/v1/events",
        "/v2/events",
        "/v1/tasks",
        "/v2/tasks",
        "/dtrace",
        "/annotation/query",
        "/admin/tokens",
        "/metrics",
    ] {
        for headers in
            ["", "x-user-id: u\r\nx-project-id: p\r\nx-roles: admin\r\n", "x-quintet-identity: forged\r\n"]
        {
            let answer = ask(&gateway, path, headers).await;
            assert_eq!((answer.status(), answer.header("x-seen")), (401, None), "{path} {headers}");
            assert!(answer.json().is_object(), "{path}");
        }
    }
    let v2 = ask(&gateway, "/v2/events", "accept: application/json\r\n").await;
    assert_eq!(v2.json()["error_message"]["title"], "Unauthorized");
    for path in ["/", "/livez", "/readyz", "/version", "/v2/capabilities"] {
        assert_eq!(ask(&gateway, path, "").await.status(), 200, "{path} is for everybody");
    }
    for (method, path, status) in
        [("GET", "/v1/events/a/b", 404), ("DELETE", "/v1/events", 405), ("GET", "/v2", 404)]
    {
        assert_eq!(
            gateway.ask(&request(method, path, "", "")).await.status(),
            status,
            "what is not there needs no key"
        );
    }
}

#[tokio::test]
async fn the_admin_token_of_the_first_start_opens_everything() {
    let (gateway, _services) = secure(Setup::secure()).await;
    let token = gateway.secret("admin_token");
    assert!(token.starts_with("qt_"));
    let ways = [bearer(&token), format!("x-auth-token: {token}\r\n"), basic("anybody", &token)];
    for path in ["/v1/events", "/v1/tasks", "/dtrace", "/annotation/query"] {
        for way in &ways {
            let caller = seen(&gateway, &ask(&gateway, path, way).await);
            assert_eq!((caller.label(), caller.has_role("admin")), ("token:admin", true), "{path} {way}");
        }
    }
    assert_eq!(ask(&gateway, "/metrics", &bearer(&token)).await.status(), 200);
    assert_eq!(ask(&gateway, "/admin/tokens", &bearer(&token)).await.status(), 200);
}

#[tokio::test]
async fn the_first_user_logs_in_by_password() {
    let (gateway, _services) = secure(Setup::secure()).await;
    let password = gateway.secret("admin_password");
    let caller = seen(&gateway, &ask(&gateway, "/v1/events", &basic("admin", &password)).await);
    assert_eq!((caller.label(), &caller.permissions), ("user:admin", &vec!["...".to_owned()]));
    for (user, wrong) in
        [("admin", "x"), ("admin", ""), ("nobody", password.as_str()), ("", password.as_str())]
    {
        assert_eq!(ask(&gateway, "/v1/events", &basic(user, wrong)).await.status(), 401, "{user} {wrong}");
    }
}

#[tokio::test]
async fn snaps_password_opens_snap_alone_under_any_user_name() {
    let (gateway, _services) = secure(Setup::secure()).await;
    let password = gateway.secret("snap_password");
    for user in ["snap", "anybody", ""] {
        let caller = seen(&gateway, &ask(&gateway, "/v1/tasks", &basic(user, &password)).await);
        assert_eq!(caller.subject, "snap");
    }
    for path in ["/v2/tasks/7", "/v1/plugins/a/b/1/config", "/v1/metrics/a", "/v1/tasks/7/watch"] {
        assert_eq!(ask(&gateway, path, &basic("snap", &password)).await.status(), 200, "{path}");
    }
    for path in ["/v1/events", "/v2/events", "/dtrace", "/annotation/query", "/admin/tokens", "/metrics"] {
        assert_eq!(ask(&gateway, path, &basic("snap", &password)).await.status(), 401, "{path}");
    }
}

#[tokio::test]
async fn events_v2_sees_an_administrator_as_himself_or_as_whom_he_says() {
    let (gateway, _services) = secure(Setup::secure()).await;
    let token = bearer(&gateway.secret("admin_token"));
    let caller = seen(&gateway, &ask(&gateway, "/v2/events", &token).await);
    assert_eq!((caller.user_id.as_deref(), caller.project_id.as_deref()), (Some("admin"), Some("admin")));
    let headers = format!("{token}x-user-id: u\r\nx-project-id: p\r\nx-roles: ignored\r\n");
    let caller = seen(&gateway, &ask(&gateway, "/v2/events", &headers).await);
    assert_eq!((caller.user_id.as_deref(), caller.project_id.as_deref()), (Some("u"), Some("p")));
    assert_eq!(caller.roles, ["admin"]);
}

#[tokio::test]
async fn a_trusted_proxy_vouches_for_events_v2_and_for_administrators() {
    let setup = Setup::secure().with(|config| config.trusted_proxies = vec!["127.0.0.0/8".into()]);
    let (gateway, _services) = secure(setup).await;
    let member = "x-user-id: u1\r\nx-project-id: p1\r\nx-roles: member\r\n";
    let caller = seen(&gateway, &ask(&gateway, "/v2/events", member).await);
    assert_eq!((caller.subject.as_str(), caller.project_id.as_deref()), ("proxy:u1", Some("p1")));
    assert_eq!(caller.roles, ["member"]);
    for path in ["/v1/events", "/dtrace", "/annotation/query", "/v1/tasks", "/admin/tokens"] {
        let status = ask(&gateway, path, member).await.status();
        assert_eq!(status, 403, "{path}: only events v2 keeps projects apart");
    }
    for path in ["/v2/events/m1", "/v2/event_types", "/v2/event_types/a/traits/b", "/v2/capabilities"] {
        assert_eq!(ask(&gateway, path, member).await.status(), 200, "{path}");
    }
    let post = |headers: &str| request("POST", "/v2/events", headers, "[]");
    let refused = gateway.ask(&post(member)).await;
    assert_eq!(refused.status(), 403, "an event may name any project");
    let admin = "x-user-id: u2\r\nx-roles: Admin\r\n";
    assert_eq!(gateway.ask(&post(admin)).await.status(), 200);
    assert_eq!(seen(&gateway, &ask(&gateway, "/v1/events", admin).await).subject, "proxy:u2");
    for headers in ["x-roles: admin\r\n", "x-user-id: u\r\nx-identity-status: Invalid\r\n"] {
        assert_eq!(ask(&gateway, "/v2/events", headers).await.status(), 401, "{headers}");
    }
    let confirmed = format!("{member}x-identity-status: Confirmed\r\n");
    assert_eq!(ask(&gateway, "/v2/events", &confirmed).await.status(), 200);
}

#[tokio::test]
async fn forwarded_headers_count_only_from_a_trusted_proxy() {
    for (trusted, expected) in [(vec!["127.0.0.1".to_owned()], Some("https")), (Vec::new(), None)] {
        let service = Service::new().await;
        let setup =
            Setup::secure().service("annotate", &service.url).with(|config| config.trusted_proxies = trusted);
        let gateway = setup.start().await;
        let headers = format!(
            "{}x-forwarded-proto: https\r\nforwarded: proto=https\r\n",
            bearer(&gateway.secret("admin_token"))
        );
        let mut client = gateway.connect().await;
        client.send(request("GET", "/annotation/query", &headers, "")).await;
        let seen = service.accept().await.message().await.unwrap();
        assert_eq!(seen.header("x-forwarded-proto"), expected);
        assert_eq!(seen.header("forwarded").is_some(), expected.is_some());
    }
}

#[tokio::test]
async fn an_address_that_guesses_is_locked_out_for_a_while() {
    let setup = Setup::secure().with(|config| config.limits.login_failures_per_min = 3);
    let (gateway, _services) = secure(setup).await;
    for number in 0..3 {
        let wrong = bearer(&format!("qt_wrong{number}"));
        assert_eq!(ask(&gateway, "/v1/events", &wrong).await.status(), 401);
    }
    let answer = ask(&gateway, "/v1/events", &bearer("qt_wrong3")).await;
    assert_eq!((answer.status(), answer.json()["title"].as_str()), (429, Some("Too Many Requests")));
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=21).contains(&wait), "a third of a minute for each: {wait}");
    let right = bearer(&gateway.secret("admin_token"));
    assert_eq!(ask(&gateway, "/v1/events", &right).await.status(), 200, "a token cannot be guessed");
    for (user, password) in [("admin", "admin_password"), ("snap", "snap_password")] {
        for path in ["/v1/tasks", "/v2/plugins"] {
            let right = basic(user, &gateway.secret(password));
            assert_eq!(ask(&gateway, path, &right).await.status(), 429, "{user}: a password can: no oracle");
        }
    }
}

#[tokio::test]
async fn guesses_that_come_at_once_are_counted_before_they_are_looked_at() {
    for (path, kind) in [("/v1/events", "a user's password"), ("/v1/tasks", "a user's, or Snap's")] {
        let setup = Setup::secure().with(|config| config.limits.login_failures_per_min = 3);
        let (gateway, _services) = secure(setup).await;
        let mut wires = Vec::new();
        for number in 0..12 {
            let mut wire = gateway.connect().await;
            wire.send(request("GET", path, &basic("admin", &format!("guess{number}")), "")).await;
            wires.push(wire);
        }
        let mut statuses = Vec::new();
        for wire in &mut wires {
            statuses.push(wire.message().await.unwrap().status());
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [&[401; 3][..], &[429; 9]].concat(), "{kind}");
    }
}

#[tokio::test]
async fn right_passwords_use_up_nothing() {
    let setup = Setup::secure().with(|config| config.limits.login_failures_per_min = 1);
    let (gateway, _services) = secure(setup).await;
    let snap = basic("any", &gateway.secret("snap_password"));
    let admin = basic("admin", &gateway.secret("admin_password"));
    for _ in 0..3 {
        for (path, headers) in [("/v1/tasks", &snap), ("/v1/tasks", &admin), ("/v1/events", &admin)] {
            assert_eq!(ask(&gateway, path, headers).await.status(), 200, "{path}");
        }
        // What is remembered of them has grown old.
        gateway.clock.advance(chrono::Duration::seconds(1));
    }
    assert_eq!(ask(&gateway, "/v1/tasks", &basic("admin", "wrong")).await.status(), 401);
    assert_eq!(ask(&gateway, "/v1/tasks", &basic("admin", "wrong too")).await.status(), 429);
}

#[tokio::test]
async fn who_guesses_behind_a_proxy_cannot_choose_his_address() {
    for hop in ["203.0.113.7:4711", "[2001:db8::7]:4711", "unknown"] {
        let setup = Setup::secure().with(|config| {
            config.limits.login_failures_per_min = 3;
            config.trusted_proxies = vec!["127.0.0.1".into()];
        });
        let (gateway, _services) = secure(setup).await;
        let mut statuses = Vec::new();
        for number in 0..5 {
            // The client has written the first, the proxy the second.
            let list = format!("x-forwarded-for: 9.9.9.{number}, {hop}\r\n");
            let headers = format!("{}{list}", bearer(&format!("qt_wrong{number}")));
            statuses.push(ask(&gateway, "/v1/events", &headers).await.status());
        }
        assert_eq!(statuses, [401, 401, 401, 429, 429], "{hop}");
    }
}

#[tokio::test]
async fn guesses_of_snaps_password_count() {
    let setup = Setup::secure().with(|config| config.limits.login_failures_per_min = 3);
    let (gateway, _services) = secure(setup).await;
    let right = basic("snap", &gateway.secret("snap_password"));
    let mut statuses = Vec::new();
    for number in 0..5 {
        statuses.push(ask(&gateway, "/v1/tasks", &right).await.status());
        statuses.push(ask(&gateway, "/v1/tasks", &basic("snap", &format!("guess{number}"))).await.status());
    }
    assert_eq!(statuses, [200, 401, 200, 401, 200, 401, 429, 429, 429, 429]);
}

#[tokio::test]
async fn a_zero_byte_in_credentials_is_wrong_and_no_fault() {
    let (gateway, _services) = secure(Setup::secure()).await;
    for (user, password) in [("a\0b", "x"), ("admin\0", "x"), ("\0", "\0"), ("admin", "x\0"), ("x", "qt_\0")]
    {
        for path in ["/v1/events", "/v1/tasks"] {
            assert_eq!(
                ask(&gateway, path, &basic(user, password)).await.status(),
                401,
                "{user:?} {password:?}"
            );
        }
    }
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    for body in [
        "grant_type=password&username=a%00b&password=x",
        "grant_type=password&username=a&password=x%00",
        "grant_type=client_credentials&client_id=%00&client_secret=x",
        "grant_type=authorization_code&code=%00&client_id=a&redirect_uri=%00",
        "grant_type=refresh_token&refresh_token=qr_%00",
        "grant_type=%00&scope=%00",
    ] {
        let refused = gateway.ask(&request("POST", "/oauth/token", form, body)).await;
        assert!((400..=401).contains(&refused.status()), "{body}: {refused:?}");
    }
    let session = request("POST", "/api/0.1.0/sessions", "", r#"{"user":"a\u0000b","password":"x"}"#);
    assert_eq!(gateway.ask(&session).await.status(), 401);
    for path in ["/api/0.2.0/dtrace?fifo_ott=%00", "/oauth/auth?response_type=code&client_id=%00"] {
        assert!((400..=401).contains(&gateway.ask(&get(path)).await.status()), "{path}");
    }
}

#[tokio::test]
async fn a_foreign_page_cannot_use_a_remembered_password() {
    let (gateway, _services) = secure(Setup::secure()).await;
    let password = basic("admin", &gateway.secret("admin_password"));
    let foreign = format!("{password}origin: http://evil.example\r\n");
    assert_eq!(gateway.ask(&request("POST", "/v1/tasks", &foreign, "{}")).await.status(), 403);
    let token = format!("{}origin: http://any.example\r\n", bearer(&gateway.secret("admin_token")));
    assert_eq!(
        gateway.ask(&request("POST", "/v1/tasks", &token, "{}")).await.status(),
        200,
        "no browser adds a token"
    );
}

#[tokio::test]
async fn a_foreign_page_cannot_use_whom_a_proxy_vouches_for() {
    let setup = Setup::secure().with(|config| {
        config.trusted_proxies = vec!["127.0.0.1".into()];
        config.cors_write_origins = vec!["https://friend.example".into()];
    });
    let (gateway, _services) = secure(setup).await;
    let admin = "x-user-id: root\r\nx-project-id: p\r\nx-roles: admin\r\n";
    let statuses = async |credentials: &str, from: &str| {
        let headers = format!("{credentials}{from}content-type: text/plain\r\n");
        let mut statuses = Vec::new();
        for path in ["/v1/tasks", "/v2/events", "/annotation", "/v1/users", "/admin/tokens"] {
            statuses.push(gateway.ask(&request("POST", path, &headers, "{}")).await.status());
        }
        statuses
    };
    for from in ["origin: http://evil.example\r\n", "origin: null\r\n", "sec-fetch-site: cross-site\r\n"] {
        assert_eq!(statuses(admin, from).await, [403; 5], "{from}");
        let alone = "x-user-id: root\r\nx-roles: admin\r\nx-identity-status: Confirmed\r\n";
        assert_eq!(statuses(alone, from).await, [403; 5], "{from}");
    }
    // Users and tokens want a name.
    let passed = [200, 200, 200, 400, 400];
    for from in ["", "origin: http://localhost\r\n", "sec-fetch-site: same-origin\r\n"] {
        assert_eq!(statuses(admin, from).await, passed, "{from}");
    }
    let friend = "origin: https://friend.example\r\n";
    assert_eq!(statuses(admin, friend).await, [200, 200, 200, 403, 403], "never where rights are made");
    let token = format!("{admin}{}", bearer(&gateway.secret("admin_token")));
    assert_eq!(statuses(&token, "origin: http://evil.example\r\n").await, passed, "no browser adds a token");
    let socket = "origin: http://evil.example\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n";
    assert_eq!(ask(&gateway, "/dtrace/u/stream", &format!("{admin}{socket}")).await.status(), 403);
    let read = format!("{admin}origin: http://evil.example\r\n");
    assert_eq!(ask(&gateway, "/v1/tasks", &read).await.status(), 200, "reading is the browser's matter");
}

#[tokio::test]
async fn an_identity_header_that_is_there_twice_is_refused_where_it_is_believed() {
    let setup = Setup::secure().with(|config| config.trusted_proxies = vec!["127.0.0.1".into()]);
    let (gateway, _services) = secure(setup).await;
    let admin = "x-user-id: root\r\nx-project-id: p\r\nx-roles: admin\r\nx-identity-status: Confirmed\r\n";
    for twice in [
        "x-user-id: eve\r\n",
        "x-project-id: q\r\n",
        "x-roles: member\r\n",
        "x-roles: admin\r\n",
        "x-roles: \r\n",
        "x-identity-status: Invalid\r\n",
        "x-identity-status: Confirmed\r\n",
    ] {
        for headers in [format!("{admin}{twice}"), format!("{twice}{admin}")] {
            for path in ["/v2/events", "/v1/events", "/admin/tokens"] {
                assert_eq!(ask(&gateway, path, &headers).await.status(), 400, "{path} {headers}");
            }
            let token = format!("{headers}{}", bearer(&gateway.secret("admin_token")));
            assert_eq!(ask(&gateway, "/v1/events", &token).await.status(), 200, "nobody looks at them");
        }
    }
    assert_eq!(ask(&gateway, "/v2/events", admin).await.status(), 200);
    let as_whom = format!("{}x-user-id: u\r\nx-user-id: v\r\n", bearer(&gateway.secret("admin_token")));
    assert_eq!(ask(&gateway, "/v2/events", &as_whom).await.status(), 400);
}

#[tokio::test]
async fn figures_can_be_made_public() {
    let gateway = Setup::secure().with(|config| config.public_metrics = true).start().await;
    assert_eq!(gateway.ask(&get("/metrics")).await.status(), 200);
}

#[tokio::test]
async fn a_changed_password_in_the_settings_replaces_the_old_one() {
    use quintet_gateway::{Config, Upstreams, start};
    use shared::clock::SystemClock;
    use shared::config::{AuthMode, Common, Secret};
    use shared::identity::IdentityKey;
    let folder = tempfile::tempdir().unwrap();
    let mut common = Common::default();
    common.data_dir = folder.path().to_owned();
    common.auth.mode = Some(AuthMode::Secure);
    for (password, other) in [("the first", "the second"), ("the second", "the first")] {
        common.auth.admin_password = Some(Secret::new(password));
        let config = Config { listen: "127.0.0.1:0".into(), ..Config::default() };
        let clock = std::sync::Arc::new(SystemClock);
        let running = start(config, &common, IdentityKey::new(b"k"), Upstreams::new(), clock).await.unwrap();
        let address = running.urls()[0].strip_prefix("http://").unwrap().to_owned();
        for (tried, status) in [(password, 200), (other, 401)] {
            let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
            let mut wire = crate::support::Wire::new(stream);
            wire.send(request("GET", "/metrics", &basic("admin", tried), "")).await;
            assert_eq!(wire.message().await.unwrap().status(), status, "{tried}");
        }
        running.stop().await;
    }
}
