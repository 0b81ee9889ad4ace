//! Bodies pass as they come, in both directions, and a slow side slows the other down.

use crate::support::{Service, Setup, Wire, answer, get, request};
use tokio::io::AsyncWriteExt;

/// More than all socket buffers and the gateway's own together can hold.
const FLOOD_BYTES: usize = 64 << 20;

/// Writes until the other side takes no more for a while; tells how much went out.
async fn flood(wire: &mut Wire) -> usize {
    let piece = vec![b'x'; 65_536];
    let mut sent = 0;
    while sent < FLOOD_BYTES {
        let write = wire.stream.write_all(&piece);
        // Nothing is awaited here but a buffer that stays full: half a second without progress is the observation.
        match tokio::time::timeout(std::time::Duration::from_millis(500), write).await {
            Ok(written) => written.unwrap(),
            Err(_full) => return sent,
        }
        sent += piece.len();
    }
    sent
}

#[tokio::test]
async fn an_answer_arrives_piece_by_piece() {
    let service = Service::new().await;
    let gateway = Setup::default().service("tasks", &service.url).start().await;
    let mut client = gateway.connect().await;
    client.send(get("/v1/tasks/7/watch")).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    wire.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    assert_eq!(client.head().await.unwrap().header("content-type"), Some("text/event-stream"));
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        wire.send(format!("{:x}\r\n{event}\r\n", event.len())).await;
        assert_eq!(client.chunk().await.unwrap(), event.as_bytes(), "before the next is sent");
    }
    wire.send("0\r\n\r\n").await;
    assert_eq!(client.chunk().await, None);
}

#[tokio::test]
async fn a_body_arrives_piece_by_piece() {
    let service = Service::new().await;
    let gateway = Setup::default().service("tasks", &service.url).start().await;
    let mut client = gateway.connect().await;
    client.send("POST /v1/plugins HTTP/1.1\r\nhost: localhost\r\ncontent-length: 15\r\n\r\n").await;
    client.send("first").await;
    let mut wire = service.accept().await;
    wire.head().await.unwrap();
    assert_eq!(wire.exactly(5).await, b"first");
    client.send("second").await;
    assert_eq!(wire.exactly(6).await, b"second");
    client.send("last").await;
    assert_eq!(wire.exactly(4).await, b"last");
    wire.send(answer("201 Created", "", "")).await;
    assert_eq!(client.message().await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_service() {
    let service = Service::new().await;
    let gateway = Setup::default().service("tasks", &service.url).start().await;
    let mut client = gateway.connect().await;
    client.send(get("/v1/tasks")).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    wire.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {FLOOD_BYTES}\r\n\r\n")).await;
    let sent = flood(&mut wire).await;
    assert!(sent < FLOOD_BYTES / 2, "{sent} bytes were taken although nobody reads them");
    client.head().await.unwrap();
    let rest = vec![b'x'; FLOOD_BYTES - sent];
    let writing = tokio::spawn(async move { wire.send(rest).await });
    assert_eq!(client.exactly(FLOOD_BYTES).await.len(), FLOOD_BYTES, "nothing is lost");
    writing.await.unwrap();
}

#[tokio::test]
async fn a_service_that_does_not_read_stops_the_client() {
    let service = Service::new().await;
    let gateway = Setup::default().service("tasks", &service.url).start().await;
    let mut client = gateway.connect().await;
    client
        .send(format!(
            "POST /v1/plugins HTTP/1.1\r\nhost: localhost\r\ncontent-length: {FLOOD_BYTES}\r\n\r\n"
        ))
        .await;
    let mut wire = service.accept().await;
    let sent = flood(&mut client).await;
    assert!(sent < FLOOD_BYTES / 2, "{sent} bytes were taken although nobody reads them");
    wire.head().await.unwrap();
    let rest = vec![b'x'; FLOOD_BYTES - sent];
    let writing = tokio::spawn(async move {
        client.send(rest).await;
        client
    });
    assert_eq!(wire.exactly(FLOOD_BYTES).await.len(), FLOOD_BYTES, "nothing is lost");
    let mut client = writing.await.unwrap();
    wire.send(answer("201 Created", "", "")).await;
    assert_eq!(client.message().await.unwrap().status(), 201);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_made_whole() {
    let service = Service::new().await;
    let gateway = Setup::default().service("tasks", &service.url).start().await;
    let mut client = gateway.connect().await;
    client.send(get("/v1/tasks")).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    client.head().await.unwrap();
    assert_eq!(client.chunk().await.unwrap(), b"abc");
    drop(wire);
    assert!(client.is_ended().await, "the client sees the end of the connection, not of the body");
}

#[tokio::test]
async fn a_service_that_pauses_in_the_middle_of_an_answer_is_given_up() {
    let service = Service::new().await;
    let setup = Setup::default().service("tasks", &service.url).with(|config| config.timeouts.idle_secs = 1);
    let gateway = setup.start().await;
    let mut client = gateway.connect().await;
    client.send(get("/v1/tasks")).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    wire.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await;
    client.head().await.unwrap();
    assert_eq!(client.exactly(3).await, b"abc");
    assert!(client.is_ended().await);
    assert!(wire.is_ended().await);
}

#[tokio::test]
async fn the_service_learns_at_once_that_a_client_has_gone() {
    let service = Service::new().await;
    let gateway = Setup::default().service("tasks", &service.url).start().await;
    for is_begun in [false, true] {
        let mut client = gateway.connect().await;
        client.send(get("/v1/tasks/7/watch")).await;
        let mut wire = service.accept().await;
        wire.message().await.unwrap();
        if is_begun {
            wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
            client.head().await.unwrap();
        }
        if is_begun {
            drop(client);
        } else {
            client.reset();
        }
        assert!(wire.is_ended().await, "begun: {is_begun}");
    }
}

#[tokio::test]
async fn a_client_that_says_it_has_asked_all_gets_its_answer() {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    let length = request("POST", "/v1/notifications", "", "{\"a\":1}");
    let chunked = "POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n0\r\n\r\n";
    for (asked, body) in [(length.as_str(), "{\"a\":1}"), (chunked, "{\"a\":1}"), (&get("/v1/events"), "")] {
        let mut client = gateway.connect().await;
        client.send(asked).await;
        client.half_close().await;
        let mut wire = service.accept().await;
        assert_eq!(wire.message().await.unwrap().text(), body);
        gateway.settled().await;
        wire.send("HTTP/1.1 202 Accepted\r\ncontent-length: 6\r\n\r\nabc").await;
        assert_eq!(client.head().await.unwrap().status(), 202);
        assert_eq!(client.exactly(3).await, b"abc");
        wire.send("def").await;
        assert_eq!(client.exactly(3).await, b"def");
        assert!(client.is_ended().await, "and the connection ends, since nothing more can come");
    }
}

#[tokio::test]
async fn who_watches_stays_on_the_line() {
    let service = Service::new().await;
    let gateway = Setup::default().service("tasks", &service.url).start().await;
    let mut client = gateway.connect().await;
    client.send(get("/v1/tasks/7/watch")).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    client.head().await.unwrap();
    assert_eq!(client.chunk().await.unwrap(), b"abc");
    client.half_close().await;
    assert!(
        wire.is_ended().await,
        "nobody could tell a listener who has left from one who has fallen silent"
    );
}

#[tokio::test]
async fn a_websocket_passes_through_both_ways() {
    let service = Service::new().await;
    let gateway = Setup::default().service("dtrace", &service.url).start().await;
    let mut client = gateway.connect().await;
    let headers = "connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: msgpack, json\r\n";
    client.send(request("GET", "/api/3/dtrace/u/stream", headers, "")).await;
    let mut wire = service.accept().await;
    let seen = wire.message().await.unwrap();
    assert_eq!(seen.first_line, "GET /api/3/dtrace/u/stream HTTP/1.1");
    assert_eq!((seen.header("connection"), seen.header("upgrade")), (Some("upgrade"), Some("websocket")));
    assert_eq!(seen.header("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    assert_eq!(seen.header("sec-websocket-protocol"), Some("msgpack, json"));
    wire.send(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-protocol: json\r\n\r\n",
    )
    .await;
    let back = client.head().await.unwrap();
    assert_eq!(back.status(), 101);
    assert_eq!((back.header("connection"), back.header("upgrade")), (Some("upgrade"), Some("websocket")));
    assert_eq!(back.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(back.header("sec-websocket-protocol"), Some("json"));
    for word in [b"\x81\x02hi".as_slice(), b"\0\xff\x00any"] {
        client.send(word).await;
        assert_eq!(wire.exactly(word.len()).await, word);
        wire.send(word).await;
        assert_eq!(client.exactly(word.len()).await, word);
    }
    drop(wire);
    assert!(client.is_ended().await);
}

#[tokio::test]
async fn a_refused_websocket_is_an_ordinary_answer_and_other_routes_know_none() {
    let service = Service::new().await;
    let gateway =
        Setup::default().service("dtrace", &service.url).service("tasks", &service.url).start().await;
    let headers = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n";
    let mut client = gateway.connect().await;
    client.send(request("GET", "/dtrace/u/stream", headers, "")).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    wire.send(answer("404 Not Found", "", "gone")).await;
    let back = client.message().await.unwrap();
    assert_eq!((back.status(), back.text()), (404, "gone"));
    let mut old = gateway.connect().await;
    old.send(request("GET", "/dtrace/u/stream", headers, "").replace("HTTP/1.1", "HTTP/1.0")).await;
    let seen = wire.message().await.unwrap();
    assert_eq!((seen.header("connection"), seen.header("upgrade")), (None, None), "HTTP/1.0 knows none");
    client.send(request("GET", "/v1/tasks", headers, "")).await;
    let mut wire = service.accept().await;
    let seen = wire.message().await.unwrap();
    assert_eq!((seen.header("connection"), seen.header("upgrade")), (None, None));
}
