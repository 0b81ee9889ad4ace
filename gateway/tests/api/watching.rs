//! Open streams and websockets end within a second of the login that they were opened with.

use crate::house::{House, PASSWORD, basic, bearer, form};
use crate::support::{Service, Setup, Wire, answer, get, request, soon};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const HANDSHAKE: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// A house whose annotate, streams and dtrace services the test plays by hand.
struct Hall {
    house: House,
    played: Service,
}

/// Both ends of an open stream.
struct Open {
    client: Wire,
    service: Wire,
}

impl Hall {
    async fn open() -> Self {
        let played = Service::new().await;
        let setup = Setup::secure().with(|config| {
            let urls = vec![played.url.clone()];
            config.upstreams.annotate = urls.clone();
            config.upstreams.streams = urls.clone();
            config.upstreams.dtrace = urls;
        });
        Self { house: House::with(setup).await, played }
    }

    async fn stream(&self, path: &str, login: &str) -> Open {
        let mut client = self.house.gateway.connect().await;
        client.send(request("GET", path, login, "")).await;
        let mut service = self.played.accept().await;
        service.message().await.unwrap();
        service.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        assert_eq!(client.head().await.unwrap().status(), 200);
        Open { client, service }
    }

    async fn socket(&self, path: &str, login: &str) -> Open {
        let mut client = self.house.gateway.connect().await;
        client.send(request("GET", path, &format!("{login}{HANDSHAKE}"), "")).await;
        let mut service = self.played.accept().await;
        service.message().await.unwrap();
        service.send(SWITCHING).await;
        assert_eq!(client.head().await.unwrap().status(), 101);
        Open { client, service }
    }
}

impl Open {
    /// Whether what the service says comes through, after everybody has been looked at.
    async fn goes_on(&mut self, is_socket: bool) {
        tokio::time::sleep(Duration::from_millis(700)).await;
        self.service.send("3\r\nabc\r\n").await;
        if is_socket {
            assert_eq!(self.client.exactly(8).await, b"3\r\nabc\r\n");
        } else {
            assert_eq!(self.client.chunk().await.unwrap(), b"abc");
        }
    }

    /// Both ends see the end soon after `since`.
    async fn ends(&mut self, since: Instant, why: &str) {
        assert!(self.client.is_ended().await, "{why}");
        assert!(self.service.is_ended().await, "{why}: the service learns it too");
        // A second is promised; the machine of a test may be busy.
        assert!(since.elapsed() < Duration::from_secs(4), "{why}: {:?}", since.elapsed());
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_token_is_revoked_and_others_go_on() {
    let hall = Hall::open().await;
    let house = &hall.house;
    let make = async |name: &str| {
        let wish = json!({ "name": name, "permissions": ["..."] });
        let made = house.admin("POST", "/admin/tokens", wish).await.json();
        (bearer(made["token"].as_str().unwrap()), format!("/admin/tokens/{}", made["id"].as_str().unwrap()))
    };
    let ((one, place), (two, _)) = (make("one").await, make("two").await);
    let mut streams = Vec::new();
    for path in ["/annotation/changes", "/v1/streams/tail", "/dtrace/u/runs/r/events"] {
        streams.push(hall.stream(path, &one).await);
    }
    let mut socket = hall.socket("/dtrace/u/stream", &one).await;
    let mut other = hall.stream("/annotation/changes", &two).await;
    let mut other_socket = hall.socket("/dtrace/u/stream", &two).await;
    for stream in &mut streams {
        stream.goes_on(false).await;
    }
    let since = Instant::now();
    assert_eq!(house.admin("DELETE", &place, Value::Null).await.status(), 204);
    for stream in &mut streams {
        stream.ends(since, "a stream").await;
    }
    socket.ends(since, "a websocket").await;
    other.goes_on(false).await;
    other_socket.goes_on(true).await;
}

#[tokio::test]
async fn a_stream_ends_with_every_way_of_ending_or_changing_its_login() {
    let hall = Hall::open().await;
    let house = &hall.house;
    let ada = house.user("ada", &["dtrace->u->...", "cloud->annotations->list"]).await;
    let role = house.make("roles", json!({ "name": "watchers" })).await;
    house.grant("roles", &role, "streams->_->get").await;
    let password = basic("ada", PASSWORD);
    let own = format!("/v1/users/{ada}");
    for (method, path) in [
        ("PUT", format!("{own}/permissions/events/m/get")),
        ("PUT", format!("{own}/roles/{role}")),
        ("PUT", format!("/v1/roles/{role}/permissions/tasks/_/get")),
        ("DELETE", format!("{own}/roles/{role}")),
        ("DELETE", format!("{own}/permissions/dtrace/u/...")),
        ("DELETE", format!("{own}/logins")),
    ] {
        let token = bearer(&house.log_in("ada").await);
        let mut by_token = hall.stream("/annotation/changes", &token).await;
        let since = Instant::now();
        assert_eq!(house.admin(method, &path, Value::Null).await.status(), 204, "{method} {path}");
        by_token.ends(since, &format!("{method} {path}")).await;
    }
    let token = house.log_in("ada").await;
    let mut by_token = hall.stream("/annotation/changes", &bearer(&token)).await;
    let mut by_password = hall.stream("/annotation/changes", &password).await;
    let since = Instant::now();
    house.ask("", "POST", "/oauth/revoke", &form(&[("token", &token)])).await;
    by_token.ends(since, "revoked").await;
    by_password.goes_on(false).await;
    let since = Instant::now();
    assert_eq!(house.admin("PUT", &own, json!({ "password": "another one" })).await.status(), 204);
    by_password.ends(since, "another password").await;
    let mut last = hall.stream("/annotation/changes", &basic("ada", "another one")).await;
    let since = Instant::now();
    assert_eq!(house.admin("DELETE", &own, Value::Null).await.status(), 204);
    last.ends(since, "removed").await;
}

#[tokio::test]
async fn a_websocket_by_a_one_time_token_ends_with_the_login_that_made_it() {
    let hall = Hall::open().await;
    let house = &hall.house;
    house.user("ada", &["dtrace->u->..."]).await;
    let token = house.log_in("ada").await;
    let once = async || {
        let made = house.ask(&bearer(&token), "GET", "/v1/sessions/one_time_token", "").await.json();
        format!("/dtrace/u/stream?fifo_ott={}", made["token"].as_str().unwrap())
    };
    let mut socket = hall.socket(&once().await, "").await;
    socket.goes_on(true).await;
    let since = Instant::now();
    house.ask("", "POST", "/oauth/revoke", &form(&[("token", &token)])).await;
    socket.ends(since, "revoked").await;
}

#[tokio::test]
async fn a_stream_ends_when_the_time_of_its_token_is_over() {
    let hall = Hall::open().await;
    hall.house.user("ada", &["cloud->annotations->list"]).await;
    let token = bearer(&hall.house.log_in("ada").await);
    let mut stream = hall.stream("/annotation/changes", &token).await;
    hall.house.gateway.clock.advance(chrono::Duration::seconds(86_399));
    stream.goes_on(false).await;
    let since = Instant::now();
    hall.house.gateway.clock.advance(chrono::Duration::seconds(1));
    stream.ends(since, "a day is over").await;
}

#[tokio::test]
async fn a_websocket_without_credentials_reaches_the_service_as_nobody() {
    let hall = Hall::open().await;
    let gateway = &hall.house.gateway;
    for path in ["/dtrace/u/stream", "/api/3/dtrace/u/stream", "/v1/dtrace/u/stream"] {
        let mut client = gateway.connect().await;
        client.send(request("GET", path, HANDSHAKE, "")).await;
        let mut service = hall.played.accept().await;
        let seen = service.message().await.unwrap();
        let caller = gateway.caller(&seen);
        assert_eq!(
            (caller.subject.as_str(), caller.roles.len(), caller.permissions.len()),
            ("anonymous", 0, 0)
        );
        service.send(SWITCHING).await;
        assert_eq!(client.head().await.unwrap().status(), 101);
        client.send(b"\x81\x05hello").await;
        assert_eq!(service.exactly(7).await, b"\x81\x05hello", "{path}");
    }
}

#[tokio::test]
async fn nothing_but_a_real_handshake_without_any_credentials_is_let_through() {
    let hall = Hall::open().await;
    let house = &hall.house;
    house.user("ada", &[]).await;
    let path = "/api/0.1.0/dtrace/u/stream";
    let plain = HANDSHAKE.replace("sec-websocket-version: 13\r\n", "");
    let version = HANDSHAKE.replace("13", "12");
    let key = HANDSHAKE.replace("dGhlIHNhbXBsZSBub25jZQ==", "x");
    for (headers, status) in [
        (String::new(), 401),
        (plain, 401),
        (version, 401),
        (key, 401),
        (format!("authorization: Bearer qa_wrong\r\n{HANDSHAKE}"), 401),
        (format!("authorization: Bearer\r\n{HANDSHAKE}"), 401),
        (format!("x-auth-token: x\r\n{HANDSHAKE}"), 401),
        (format!("cookie: x-snarl-token=qa_wrong\r\n{HANDSHAKE}"), 401),
        (format!("{}{HANDSHAKE}", basic("ada", PASSWORD)), 403),
        (format!("origin: http://evil.example\r\n{HANDSHAKE}"), 403),
        (format!("sec-fetch-site: cross-site\r\n{HANDSHAKE}"), 403),
    ] {
        assert_eq!(house.ask(&headers, "GET", path, "").await.status(), status, "{headers}");
    }
    for other in
        ["/dtrace/u", "/dtrace/u/runs", "/annotation/changes", "/v1/streams/tail", "/v1/tasks/7/watch"]
    {
        assert_eq!(house.ask(HANDSHAKE, "GET", other, "").await.status(), 401, "{other}");
    }
    assert_eq!(house.ask(HANDSHAKE, "POST", path, "").await.status(), 405);
    let once = format!("{path}?fifo_ott=qo_wrong");
    assert_eq!(house.ask(HANDSHAKE, "GET", &once, "").await.status(), 401);
    assert_eq!(house.ask(HANDSHAKE, "GET", &format!("{path}?fifo_ott="), "").await.status(), 401);
}

#[tokio::test]
async fn strangers_get_few_websockets_and_leave_room_for_others() {
    let played = Service::new().await;
    let setup = Setup::secure().service("dtrace", &played.url).with(|config| config.limits.max_streams = 32);
    let gateway = setup.start().await;
    let ask = request("GET", "/dtrace/u/stream", HANDSHAKE, "");
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut client = gateway.connect().await;
        client.send(&ask).await;
        let mut service = played.accept().await;
        service.message().await.unwrap();
        service.send(SWITCHING).await;
        assert_eq!(client.head().await.unwrap().status(), 101);
        open.push((client, service));
    }
    let refused = gateway.ask(&ask).await;
    assert_eq!((refused.status(), refused.header("retry-after")), (429, Some("1")));
    let login = bearer(&gateway.secret("admin_token"));
    let mut known = gateway.connect().await;
    known.send(request("GET", "/dtrace/u/stream", &format!("{login}{HANDSHAKE}"), "")).await;
    let mut service = played.accept().await;
    service.message().await.unwrap();
    service.send(SWITCHING).await;
    assert_eq!(known.head().await.unwrap().status(), 101, "who has logged in has other places");
    drop(open.pop());
    gateway.settled().await;
    let mut again = gateway.connect().await;
    again.send(&ask).await;
    let mut service = soon(played.accept()).await;
    service.message().await.unwrap();
    service.send(answer("404 Not Found", "", "")).await;
    assert_eq!(again.message().await.unwrap().status(), 404);
    assert_eq!(gateway.ask(&get("/livez")).await.status(), 200);
}
