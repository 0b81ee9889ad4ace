//! The connections to services, as a service sees them: what it may say, and which of them are used again.

use crate::support::{Gateway, Service, Setup, Wire, answer, get, request, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn events() -> (Service, Gateway) {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    (service, gateway)
}

/// Asks for something; the service's end of it.
async fn ask(client: &mut Wire, service: &Service) -> Wire {
    client.send(get("/v1/events")).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    wire
}

#[tokio::test]
async fn an_answer_may_come_byte_by_byte() {
    for text in [
        answer("200 OK", "x-a: b\r\n", "body"),
        "HTTP/1.1 200 OK\r\nx-a: b\r\ntransfer-encoding: chunked\r\n\r\n1;x\r\nb\r\n3\r\nody\r\n0\r\nt: u\r\n\r\n".into(),
        "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 4\r\n\r\nbody".into(),
    ] {
        let (service, gateway) = events().await;
        let mut client = gateway.connect().await;
        let mut wire = ask(&mut client, &service).await;
        for byte in text.bytes() {
            wire.send([byte]).await;
            tokio::task::yield_now().await;
        }
        let back = client.message().await.unwrap();
        assert_eq!((back.status(), back.header("x-a"), back.text()), (200, Some("b"), "body"), "{text:?}");
        assert_eq!(back.header("link"), None, "of the interim answer");
    }
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_its_connection() {
    let (service, gateway) = events().await;
    let mut client = gateway.connect().await;
    let mut wire = ask(&mut client, &service).await;
    wire.send("HTTP/1.1 200 OK\r\n\r\nall of").await;
    wire.send(" it").await;
    drop(wire);
    assert_eq!(client.message().await.unwrap().text(), "all of it");
}

#[tokio::test]
async fn a_body_without_a_length_that_is_cut_by_a_reset_is_not_made_whole() {
    const BYTES: usize = 300_000;
    // Which side of the connection learns of the reset is chance; about one in seven times it was the one that sends.
    let mut answers = 0;
    for _ in 0..60 {
        let (service, gateway) = events().await;
        let mut client = gateway.connect().await;
        client
            .send("POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2000000\r\n\r\n")
            .await;
        let mut wire = service.accept().await;
        wire.head().await.unwrap();
        let (mut back, mut upload) = client.stream.into_split();
        let sending = tokio::spawn(async move { upload.write_all(&[b'u'; 2_000_000]).await });
        wire.send("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await;
        wire.send(vec![b'z'; BYTES]).await;
        // With the upload unread, this is a reset.
        drop(wire);
        let mut answer = Vec::new();
        // The client's own connection may end badly, too: then it knows.
        let _ = soon(back.read_to_end(&mut answer)).await;
        sending.abort();
        answers += usize::from(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
        let is_whole = answer.ends_with(b"\r\n0\r\n\r\n");
        answer.retain(|byte| *byte == b'z');
        assert!(!is_whole || answer.len() == BYTES, "{} bytes, said to be all", answer.len());
    }
    assert!(answers > 0, "none has begun");
}

#[tokio::test]
async fn a_body_that_ends_early_is_not_made_whole() {
    let of_five = ("content-length: 5", "four");
    let chunked = ("transfer-encoding: chunked", "4\r\nfour\r\n");
    let ends = ["", "\r\n", "0\r\n", "x\r\n", "4\r\nfou"].map(|end| (chunked, end));
    for ((header, begin), end) in [(of_five, "")].into_iter().chain(ends) {
        let (service, gateway) = events().await;
        let mut client = gateway.connect().await;
        let mut wire = ask(&mut client, &service).await;
        wire.send(format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n{begin}")).await;
        assert_eq!(client.head().await.unwrap().status(), 200);
        assert_eq!(client.exactly(begin.len()).await, begin.as_bytes());
        wire.send(end).await;
        drop(wire);
        assert!(client.until("\r\n0\r\n").await.is_none(), "{begin:?} {end:?}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_a_bad_gateway() {
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_owned(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nab".to_owned(),
        "HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101)),
        format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(1 << 16)),
        "HTTP/1.1 103 Early Hints\r\n\r\n".to_owned(),
    ] {
        let (service, gateway) = events().await;
        let mut client = gateway.connect().await;
        let mut wire = ask(&mut client, &service).await;
        wire.send(&text).await;
        wire.half_close().await;
        assert_eq!(client.message().await.unwrap().status(), 502, "{text:.60}");
    }
}

#[tokio::test]
async fn a_connection_is_used_again_only_when_both_have_said_all() {
    for (text, is_kept) in [
        (answer("200 OK", "", "x"), true),
        (answer("204 No Content", "", ""), true),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n".to_owned(), true),
        (answer("200 OK", "connection: keep-alive\r\n", ""), true),
        (answer("200 OK", "connection: close\r\n", "x"), false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx".to_owned(), false),
        // What nobody asked for must not be taken for the next answer.
        (answer("200 OK", "", "x") + &answer("200 OK", "", "another's"), false),
    ] {
        let (service, gateway) = events().await;
        let mut client = gateway.connect().await;
        let mut wire = ask(&mut client, &service).await;
        wire.send(&text).await;
        client.message().await.unwrap();
        client.send(get("/v1/events")).await;
        if is_kept {
            wire.message().await.unwrap();
        } else {
            assert!(wire.is_ended().await, "{text:?}");
            wire = service.accept().await;
            wire.message().await.unwrap();
        }
        wire.send(answer("200 OK", "connection: close\r\n", "mine")).await;
        assert_eq!(client.message().await.unwrap().text(), "mine", "{text:?}");
    }
}

#[tokio::test]
async fn words_on_an_idle_connection_are_nobodys_answer() {
    let (service, gateway) = events().await;
    let mut client = gateway.connect().await;
    let mut wire = ask(&mut client, &service).await;
    wire.send(answer("200 OK", "", "x")).await;
    client.message().await.unwrap();
    wire.send(answer("200 OK", "", "another's")).await;
    gateway.settled().await;
    let mut wire = ask(&mut client, &service).await;
    wire.send(answer("200 OK", "", "mine")).await;
    assert_eq!(client.message().await.unwrap().text(), "mine");
}

#[tokio::test]
async fn a_service_that_has_closed_all_its_connections_costs_no_request() {
    let (service, gateway) = events().await;
    // More than a task may look at in one turn.
    let (mut clients, mut wires) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let mut client = gateway.connect().await;
        wires.push(ask(&mut client, &service).await);
        clients.push(client);
    }
    for (client, wire) in clients.iter_mut().zip(&mut wires) {
        wire.send(answer("200 OK", "", "")).await;
        assert_eq!(client.message().await.unwrap().status(), 200);
    }
    drop(wires);
    gateway.settled().await;
    let mut wire = ask(&mut clients[0], &service).await;
    wire.send(answer("200 OK", "", "mine")).await;
    assert_eq!(clients[0].message().await.unwrap().text(), "mine");
}

#[tokio::test]
async fn a_service_may_answer_while_it_reads() {
    let service = Service::new().await;
    let gateway = Setup::default().service("tasks", &service.url).start().await;
    let mut client = gateway.connect().await;
    client.send("POST /v1/plugins HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\none").await;
    let mut wire = service.accept().await;
    wire.head().await.unwrap();
    assert_eq!(wire.exactly(3).await, b"one");
    wire.send("HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await;
    assert_eq!(client.head().await.unwrap().status(), 201);
    for text in ["two", "six"] {
        assert!(client.chunk().await.is_some());
        client.send(text).await;
        assert_eq!(wire.exactly(3).await, text.as_bytes());
        wire.send(format!("3\r\n{text}\r\n")).await;
    }
    wire.send("0\r\n\r\n").await;
    assert_eq!(client.chunk().await.unwrap(), b"six");
    assert_eq!(client.chunk().await, None);
}

#[tokio::test]
async fn an_early_answer_is_not_lost_on_a_client_that_sends_on() {
    const BYTES: usize = 4 << 20;
    for body in ["no", ""] {
        let (service, gateway) = events().await;
        let mut client = gateway.connect().await;
        let head = format!(
            "POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ncontent-length: {BYTES}\r\n\r\nbegin"
        );
        client.send(head).await;
        let mut wire = service.accept().await;
        wire.head().await.unwrap();
        wire.send(answer("400 Bad Request", "connection: close\r\n", body)).await;
        drop(wire);
        // As simple clients do: first everything out, then the answer.
        client.send(vec![b' '; BYTES - 5]).await;
        assert_eq!(client.message().await.unwrap().status(), 400);
    }
}

/// What becomes of a connection on which a large upload has begun.
#[derive(Debug, Clone, Copy)]
enum End {
    /// It closes after the head.
    Head,
    /// It closes in the middle of the body.
    Middle,
    /// Nothing, and nothing is read.
    Never,
}

#[tokio::test]
async fn no_failure_is_lost_on_a_client_that_sends_on() {
    const BYTES: usize = 8 << 20;
    for (end, status) in [(End::Head, 502), (End::Middle, 502), (End::Never, 504)] {
        let service = Service::new().await;
        let setup =
            Setup::default().service("events", &service.url).with(|config| config.timeouts.ingest_secs = 1);
        let gateway = setup.start().await;
        let mut client = gateway.connect().await;
        client
            .send(format!(
                "POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ncontent-length: {BYTES}\r\n\r\nbegin"
            ))
            .await;
        let mut wire = service.accept().await;
        wire.head().await.unwrap();
        let failing = async {
            match end {
                End::Head => None,
                End::Middle => {
                    wire.exactly(200_000).await;
                    None
                }
                End::Never => Some(wire),
            }
        };
        // As simple clients do: first everything out, then the answer.
        let asking = async {
            client.send(vec![b' '; BYTES - 5]).await;
            assert_eq!(client.message().await.unwrap().status(), status, "{end:?}");
            client.send(get("/livez")).await;
            assert_eq!(client.message().await.unwrap().status(), 200, "{end:?}");
        };
        let (_held, ()) = tokio::join!(failing, asking);
    }
}

#[tokio::test]
async fn no_refusal_is_lost_on_a_client_that_sends_on() {
    let body = "x".repeat(8 << 20);
    let service = Service::new().await;
    let setup = Setup::default()
        .service("events", &service.url)
        .service("tasks", "http://127.0.0.1:9")
        .with(|config| config.limits.max_in_flight = 1);
    let gateway = setup.start().await;
    let many: String = (0..96).map(|number| format!("x-{number}: 1\r\n")).collect();
    let mut holder = gateway.connect().await;
    let _wire = ask(&mut holder, &service).await;
    for (path, headers, status) in [
        ("/v1/notifications", "", 503),
        ("/v1/plugins", "", 502),
        ("/v1/plugins", many.as_str(), 431),
        ("/annotation", "", 503),
    ] {
        let mut client = gateway.connect().await;
        client.send(request("POST", path, headers, &body)).await;
        assert_eq!(client.message().await.unwrap().status(), status, "{path}");
        client.send(get("/livez")).await;
        assert_eq!(client.message().await.unwrap().status(), 200, "{path}: nothing of the body is left");
    }
}

#[tokio::test]
async fn an_early_answer_cuts_off_no_upload() {
    const BYTES: usize = 3 << 20;
    let upload = |more: &str| {
        format!("POST /v1/plugins HTTP/1.1\r\nhost: localhost\r\ncontent-length: {BYTES}\r\n\r\n{more}")
    };
    for early in [answer("202 Accepted", "", ""), answer("200 OK", "", "ok")] {
        let service = Service::new().await;
        let gateway = Setup::default().service("tasks", &service.url).start().await;
        let mut client = gateway.connect().await;
        client.send(upload("begin")).await;
        let mut wire = service.accept().await;
        wire.head().await.unwrap();
        wire.send(&early).await;
        assert!(client.message().await.unwrap().status() < 300);
        let sending = client.send(vec![b' '; BYTES - 5]);
        let ((), body) = tokio::join!(sending, wire.exactly(BYTES));
        assert!(body.starts_with(b"begin"));
        // The client's connection is as good as before.
        client.send(get("/v1/tasks")).await;
        let mut wire = service.accept().await;
        wire.message().await.unwrap();
        wire.send(answer("200 OK", "", "next")).await;
        assert_eq!(client.message().await.unwrap().text(), "next");
    }
}

#[tokio::test]
async fn an_upload_goes_on_while_nobody_reads_the_answer() {
    // More than the buffers of all sockets on the way.
    const BYTES: usize = 32 << 20;
    let service = Service::new().await;
    let gateway = Setup::default().service("tasks", &service.url).start().await;
    let mut client = gateway.connect().await;
    client
        .send(format!("POST /v1/plugins HTTP/1.1\r\nhost: localhost\r\ncontent-length: {BYTES}\r\n\r\n"))
        .await;
    let mut wire = service.accept().await;
    wire.head().await.unwrap();
    let (mut incoming, mut outgoing) = wire.stream.into_split();
    let answering = tokio::spawn(async move {
        outgoing.write_all(answer("200 OK", "", &"x".repeat(BYTES)).as_bytes()).await.unwrap();
        outgoing
    });
    let reading = tokio::spawn(async move {
        let mut body = vec![0; BYTES];
        incoming.read_exact(&mut body).await.unwrap();
    });
    client.send(vec![b' '; BYTES]).await;
    soon(reading).await.unwrap();
    assert_eq!(client.message().await.unwrap().body.len(), BYTES);
    soon(answering).await.unwrap();
}

#[tokio::test]
async fn a_large_answer_leaves_its_connection_fit_for_more() {
    let (service, gateway) = events().await;
    let mut client = gateway.connect().await;
    let mut wire = ask(&mut client, &service).await;
    for size in [300_000, 3, 70_000, 65_536, 8_192, 1] {
        wire.send(answer("200 OK", "", &"x".repeat(size))).await;
        assert_eq!(client.message().await.unwrap().body.len(), size);
        client.send(request("POST", "/v1/notifications", "", &"y".repeat(size))).await;
        assert_eq!(wire.message().await.unwrap().body.len(), size);
    }
}
