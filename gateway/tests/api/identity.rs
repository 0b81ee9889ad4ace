//! The open mode: nobody logs in, and only Panko's headers say who is calling.

use crate::support::{Gateway, Service, Setup, answer, get, request};
use shared::clock::Clock;
use shared::identity::{HEADER, LIFETIME_SECS, Principal};

/// Asks and tells whom the service saw.
async fn seen_as(gateway: &Gateway, service: &Service, path: &str, headers: &str) -> Principal {
    let mut client = gateway.connect().await;
    client.send(request("GET", path, &format!("{headers}connection: close\r\n"), "")).await;
    let mut wire = service.accept().await;
    let seen = wire.message().await.unwrap();
    wire.send(answer("200 OK", "connection: close\r\n", "")).await;
    client.message().await.unwrap();
    gateway.caller(&seen)
}

fn open(user: Option<&str>, project: Option<&str>, roles: &[&str]) -> Principal {
    Principal {
        subject: "open".into(),
        user_id: user.map(str::to_owned),
        project_id: project.map(str::to_owned),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        permissions: vec!["...".into()],
    }
}

#[tokio::test]
async fn everybody_is_the_administrator_of_every_api_but_events_v2() {
    let service = Service::new().await;
    let gateway =
        Setup::default().service("events", &service.url).service("dtrace", &service.url).start().await;
    for path in ["/v1/events", "/dtrace/u", "/admin/events/dead-letters"] {
        let caller = seen_as(&gateway, &service, path, "x-user-id: eve\r\nx-roles: none\r\n").await;
        assert_eq!(caller, open(None, None, &["admin"]), "{path}");
    }
}

#[tokio::test]
async fn events_v2_believes_the_headers_as_they_are() {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    for (headers, expected) in [
        ("", open(None, None, &[])),
        ("x-user-id: u1\r\nx-project-id: p1\r\n", open(Some("u1"), Some("p1"), &[])),
        ("x-user-id: \r\nx-project-id:   \r\n", open(None, None, &[])),
        ("x-roles: member, admin\r\n", open(None, None, &["member", " admin"])),
        ("x-roles: Admin,member\r\nx-user-id: \u{fc}\r\n", open(Some("\u{fc}"), None, &["Admin", "member"])),
        ("x-auth-token: anything\r\nauthorization: Basic eDp5\r\n", open(None, None, &[])),
    ] {
        assert_eq!(seen_as(&gateway, &service, "/v2/events", headers).await, expected, "{headers}");
    }
}

#[tokio::test]
async fn identity_headers_that_cannot_be_one_are_refused() {
    let gateway = Setup::default().service("events", "http://127.0.0.1:9").start().await;
    let long = format!("x-roles: {}\r\n", "r".repeat(2049));
    let answer = gateway.ask(&request("GET", "/v2/events", &long, "")).await;
    assert_eq!(
        (answer.status(), answer.json()["error_message"]["faultcode"].as_str()),
        (400, Some("Client"))
    );
    for name in ["x-user-id", "x-project-id", "x-roles"] {
        let twice = format!("{name}: a\r\n{name}: b\r\n");
        assert_eq!(gateway.ask(&request("GET", "/v2/events", &twice, "")).await.status(), 400, "{name}");
    }
    let mut client = gateway.connect().await;
    client.send(b"GET /v2/events HTTP/1.1\r\nhost: localhost\r\nx-user-id: \xff\r\n\r\n").await;
    assert_eq!(client.message().await.unwrap().status(), 400);
}

#[tokio::test]
async fn an_identity_is_signed_anew_while_the_last_one_is_still_good() {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    let mut client = gateway.connect().await;
    client.send(get("/v1/events")).await;
    let mut wire = service.accept().await;
    let mut signed = Vec::new();
    for _ in 0..7 {
        let seen = wire.message().await.unwrap();
        let header = seen.header(HEADER).unwrap().to_owned();
        let soon = gateway.clock.now() + chrono::Duration::seconds(LIFETIME_SECS / 2);
        assert!(gateway.key.verify(&header, soon).is_ok());
        signed.push(header);
        wire.send(answer("200 OK", "", "")).await;
        client.message().await.unwrap();
        gateway.clock.advance(chrono::Duration::seconds(5));
        client.send(get("/v1/events")).await;
    }
    assert_eq!(signed[0], signed[1], "kept for some seconds");
    assert_ne!(signed[0], signed[6], "not for half its life");
}
