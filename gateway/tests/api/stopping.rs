//! Draining: what is under way ends well, nothing new begins, and it does not last for ever.

use crate::support::{Service, Setup, answer, get, request, soon};
use tokio::net::TcpStream;

#[tokio::test]
async fn open_requests_end_and_new_connections_are_refused() {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    let address = gateway.address("main");
    let mut client = gateway.connect().await;
    client.send(get("/v1/events")).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    let mut idle = gateway.connect().await;
    idle.send(get("/livez")).await;
    idle.message().await.unwrap();
    let stopping = tokio::spawn(gateway.running.stop());
    assert!(idle.is_ended().await, "idle connections are closed");
    assert!(TcpStream::connect(&address).await.is_err(), "nobody listens any more");
    assert!(!stopping.is_finished(), "the open request is waited for");
    wire.send(answer("200 OK", "", "whole")).await;
    let back = client.message().await.unwrap();
    assert_eq!((back.status(), back.text()), (200, "whole"));
    assert_eq!(back.header("connection"), Some("close"));
    soon(stopping).await.unwrap();
}

#[tokio::test]
async fn endless_answers_are_ended() {
    let service = Service::new().await;
    let gateway =
        Setup::default().service("tasks", &service.url).service("dtrace", &service.url).start().await;
    let mut watcher = gateway.connect().await;
    watcher.send(get("/v1/tasks/7/watch")).await;
    let mut watched = service.accept().await;
    watched.message().await.unwrap();
    watched.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    watcher.head().await.unwrap();
    watcher.chunk().await.unwrap();
    let mut socket = gateway.connect().await;
    socket
        .send(request("GET", "/dtrace/u/stream", "connection: upgrade\r\nupgrade: websocket\r\n", ""))
        .await;
    let mut other = service.accept().await;
    other.message().await.unwrap();
    other.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await;
    assert_eq!(socket.head().await.unwrap().status(), 101);
    soon(gateway.running.stop()).await;
    assert!(watcher.is_ended().await && socket.is_ended().await);
    assert!(watched.is_ended().await && other.is_ended().await);
}

/// Who reads a feed comes again, and should not take a stop for a fault; half of anything else must not seem whole.
#[tokio::test]
async fn feeds_end_well_and_other_answers_do_not() {
    const EVENTS: &str = "text/event-stream";
    for (service, path, media, end) in [
        ("streams", "/v1/streams/tail", EVENTS, &b"0\r\n\r\n"[..]),
        ("streams", "/v1/streams/tail", "application/json", b""),
        ("dtrace", "/dtrace/u/runs/r/events", EVENTS, b""),
    ] {
        let wire = Service::new().await;
        let gateway = Setup::default().service(service, &wire.url).start().await;
        let mut reader = gateway.connect().await;
        reader.send(get(path)).await;
        let mut wire = wire.accept().await;
        wire.message().await.unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ntransfer-encoding: chunked\r\n\r\n");
        wire.send(head + "3\r\nabc\r\n").await;
        reader.head().await.unwrap();
        reader.chunk().await.unwrap();
        soon(gateway.running.stop()).await;
        assert_eq!(reader.rest().await, end, "{path} {media}");
    }
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off_after_the_grace_time() {
    let service = Service::new().await;
    let setup = Setup { shutdown_timeout_secs: 1, ..Setup::default() };
    let gateway = setup.service("events", &service.url).start().await;
    let mut client = gateway.connect().await;
    client.send(get("/v1/events")).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    soon(gateway.running.stop()).await;
    assert!(client.is_ended().await && wire.is_ended().await);
}
