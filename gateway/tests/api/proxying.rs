//! Requests go to the service that owns the path, and come back unchanged.

use crate::support::{Service, Setup, answer, get, request};

#[tokio::test]
async fn a_request_reaches_its_service_as_it_came_and_the_answer_comes_back() {
    let service = Service::new().await;
    let gateway = Setup::default().service("streams", &service.url).start().await;
    let mut client = gateway.connect().await;
    client
        .send(request("PUT", "/v1/streams/7/?a=%20b&c", "x-own: 1\r\ncontent-type: text/x\r\n", "hello"))
        .await;
    let mut wire = service.accept().await;
    let seen = wire.message().await.unwrap();
    assert_eq!(seen.first_line, "PUT /v1/streams/7/?a=%20b&c HTTP/1.1");
    assert_eq!(seen.header("host"), Some("localhost"));
    assert_eq!(seen.header("x-own"), Some("1"));
    assert_eq!(seen.header("content-type"), Some("text/x"));
    assert_eq!(seen.text(), "hello");
    assert_eq!(gateway.caller(&seen).subject, "open");
    wire.send(answer("201 Created", "x-theirs: 2\r\ncontent-type: text/y\r\n", "there")).await;
    let back = client.message().await.unwrap();
    assert_eq!((back.status(), back.text()), (201, "there"));
    assert_eq!(back.header("x-theirs"), Some("2"));
    assert_eq!(back.header("content-type"), Some("text/y"));
}

#[tokio::test]
async fn one_connection_to_a_service_carries_one_request_after_another() {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    let mut client = gateway.connect().await;
    client.send(get("/v1/events")).await;
    let mut wire = service.accept().await;
    for number in 0..5 {
        wire.message().await.unwrap();
        wire.send(answer("200 OK", "", &number.to_string())).await;
        assert_eq!(client.message().await.unwrap().text(), number.to_string());
        client.send(get("/v1/events")).await;
    }
}

#[tokio::test]
async fn headers_of_the_connection_and_of_the_house_do_not_pass() {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    let mut client = gateway.connect().await;
    let headers = "connection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nte: trailers\r\n\
        proxy-authorization: Basic eA==\r\nproxy-connection: close\r\nupgrade: h2c\r\nauthorization: Bearer x\r\n\
        x-auth-token: x\r\nx-user-id: u\r\nx-project-id: p\r\nx-roles: admin\r\nx-service-token: s\r\n\
        x-quintet-identity: forged\r\nX-Quintet-Anything: forged\r\nx-stays: 1\r\naccept-encoding: gzip\r\n";
    client.send(request("GET", "/v1/events", headers, "")).await;
    let mut wire = service.accept().await;
    let seen = wire.message().await.unwrap();
    let mut names: Vec<&str> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept-encoding", "host", "x-quintet-identity", "x-request-id", "x-stays"]);
    assert_eq!(gateway.caller(&seen).subject, "open", "the forged identity is gone");
    let theirs = "connection: close, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-authenticate: Basic\r\n\
        x-quintet-secret: 1\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n";
    wire.send(answer("200 OK", theirs, "x")).await;
    let back = client.message().await.unwrap();
    let mut names: Vec<&str> = back.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "date", "set-cookie", "set-cookie", "x-request-id"]);
}

#[tokio::test]
async fn a_connection_header_cannot_name_away_what_frames_the_message() {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    let mut client = gateway.connect().await;
    client
        .send(request(
            "POST",
            "/v1/notifications",
            "connection: host, content-length, x-quintet-identity\r\n",
            "{}",
        ))
        .await;
    let seen = service.accept().await.message().await.unwrap();
    assert_eq!((seen.header("host"), seen.header("content-length")), (Some("localhost"), Some("2")));
    assert_eq!(gateway.caller(&seen).subject, "open");
}

#[tokio::test]
async fn the_request_id_goes_to_the_service_and_back() {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    let mut client = gateway.connect().await;
    client.send(request("GET", "/v1/events", "x-request-id: mine-1\r\n", "")).await;
    let mut wire = service.accept().await;
    assert_eq!(wire.message().await.unwrap().header("x-request-id"), Some("mine-1"));
    wire.send(answer("200 OK", "x-request-id: theirs\r\n", "")).await;
    assert_eq!(client.message().await.unwrap().header("x-request-id"), Some("mine-1"));
    client.send(get("/v1/events")).await;
    let made = wire.message().await.unwrap().header("x-request-id").unwrap().to_owned();
    wire.send(answer("200 OK", "", "")).await;
    assert_eq!(client.message().await.unwrap().header("x-request-id"), Some(made.as_str()));
}

#[tokio::test]
async fn chunked_bodies_pass_both_ways() {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    let mut client = gateway.connect().await;
    client
        .send("POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        .await;
    let mut wire = service.accept().await;
    assert_eq!(wire.message().await.unwrap().text(), "abcde");
    wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n").await;
    assert_eq!(client.message().await.unwrap().text(), "xyz");
}

#[tokio::test]
async fn a_body_with_two_lengths_cannot_smuggle_a_second_request() {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    let mut client = gateway.connect().await;
    client
        .send("POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /internal/feed HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    // Refused, or read as chunked and framed anew; never both lengths to the service.
    let mut accept = tokio::spawn(async move {
        let mut wire = service.accept().await;
        (wire.message().await.unwrap(), wire, service)
    });
    tokio::select! {
        first = client.message() => assert!(matches!(first.map(|first| first.status()), None | Some(400)), "refused"),
        seen = &mut accept => {
            let (seen, mut wire, _service) = seen.unwrap();
            wire.send(answer("200 OK", "", "first")).await;
            assert_eq!(seen.body, b"");
            assert!(seen.header("content-length").is_none() || seen.header("transfer-encoding").is_none(), "{seen:?}");
            assert_eq!(client.message().await.unwrap().text(), "first");
            // What follows on the wire is a request to the gateway, and refused as such.
            assert!(client.message().await.is_none_or(|second| second.status() == 404 || second.status() == 400));
        }
    }
}

#[tokio::test]
async fn head_and_empty_answers_keep_their_headers() {
    let service = Service::new().await;
    let gateway = Setup::default().service("dtrace", &service.url).start().await;
    let mut client = gateway.connect().await;
    client.send(request("HEAD", "/dtrace/u", "", "")).await;
    let mut wire = service.accept().await;
    assert_eq!(wire.message().await.unwrap().first_line, "HEAD /dtrace/u HTTP/1.1");
    wire.send("HTTP/1.1 200 OK\r\ncontent-length: 77\r\netag: \"a\"\r\n\r\n").await;
    let back = client.head().await.unwrap();
    assert_eq!((back.header("content-length"), back.header("etag")), (Some("77"), Some("\"a\"")));
    client.send(request("DELETE", "/dtrace/u", "", "")).await;
    wire.message().await.unwrap();
    wire.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(client.head().await.unwrap().status(), 204);
    client.send(request("GET", "/dtrace/u", "if-none-match: \"a\"\r\n", "")).await;
    assert_eq!(wire.message().await.unwrap().header("if-none-match"), Some("\"a\""));
    wire.send("HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n").await;
    assert_eq!(client.head().await.unwrap().status(), 304);
}

#[tokio::test]
async fn old_clients_and_absolute_request_lines_are_understood() {
    let service = Service::new().await.automatic(|request| {
        let host = request.header("host").unwrap_or("none");
        answer("200 OK", "", &format!("{} at {host}", request.first_line))
    });
    let gateway = Setup::default().service("events", &service.url).start().await;
    let mut old = gateway.connect().await;
    old.send("GET /v1/events HTTP/1.0\r\n\r\n").await;
    let back = old.message().await.unwrap();
    let own = gateway.address("main");
    assert_eq!(back.text(), format!("GET /v1/events HTTP/1.1 at {own}"), "links lead back to the gateway");
    assert!(old.is_ended().await, "HTTP/1.0 ends the connection");
    let absolute = "GET http://localhost:99/v1/events?x=1 HTTP/1.1\r\nhost: other.example\r\n\r\n";
    let back = gateway.ask(absolute).await;
    assert_eq!(back.text(), "GET /v1/events?x=1 HTTP/1.1 at localhost:99", "the request line wins over Host");
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    let mut client = gateway.connect().await;
    client
        .send("POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        .await;
    assert_eq!(client.head().await.unwrap().status(), 100);
    client.send("{}").await;
    let mut wire = service.accept().await;
    let seen = wire.message().await.unwrap();
    assert_eq!((seen.text(), seen.header("expect")), ("{}", None));
    wire.send(answer("202 Accepted", "", "")).await;
    assert_eq!(client.message().await.unwrap().status(), 202);
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    let mut client = gateway.connect().await;
    client
        .send("POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\nbegin")
        .await;
    let mut wire = service.accept().await;
    wire.head().await.unwrap();
    wire.send(answer("400 Bad Request", "", "no")).await;
    let back = client.message().await.unwrap();
    assert_eq!((back.status(), back.text()), (400, "no"));
    // The connection to the service is still busy with the rest of that body; the next request takes another.
    let mut other = gateway.connect().await;
    other.send(get("/v1/events")).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    wire.send(answer("200 OK", "", "")).await;
    assert_eq!(other.message().await.unwrap().status(), 200);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let service = Service::new().await.automatic(|request| answer("200 OK", "", &request.first_line));
    let gateway = Setup::default().service("events", &service.url).start().await;
    let mut client = gateway.connect().await;
    client.send(["/v1/events?1", "/v1/events?2", "/v1/events?3"].map(get).concat()).await;
    for number in 1..=3 {
        assert_eq!(client.message().await.unwrap().text(), format!("GET /v1/events?{number} HTTP/1.1"));
    }
}
