//! Whatever a client sends, it is never the gateway's or the service's fault.

use crate::support::{Service, Setup, answer, get};

#[tokio::test]
async fn nonsense_is_refused_with_a_4xx_or_a_closed_connection() {
    let service = Service::new().await.automatic(|_| answer("200 OK", "", ""));
    let gateway = Setup::default().service("events", &service.url).start().await;
    let cases: [(&str, &[u16]); 23] = [
        ("\0\0\0\0\r\n\r\n", &[400]),
        ("GET\r\n\r\n", &[400]),
        ("GET /v1/events HTTP/9.9\r\nhost: localhost\r\n\r\n", &[400, 505]),
        ("GET v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n", &[400, 404]),
        ("GET /v1/events HTTP/1.1\r\n\r\n", &[400]),
        ("GET /v1/events HTTP/1.1\r\nhost: a\r\nhost: localhost\r\n\r\n", &[400]),
        ("GET /v1/events HTTP/1.1\r\nhost localhost\r\n\r\n", &[400]),
        ("GET /v1/events HTTP/1.1\r\nhost: localhost\r\nx y: 1\r\n\r\n", &[400]),
        ("GET /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n", &[400]),
        (
            "POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            &[400],
        ),
        ("POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: zip\r\n\r\n", &[400, 501]),
        (
            "POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            &[400],
        ),
        (
            "POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
            &[400],
        ),
        ("GET /v1/ev ents HTTP/1.1\r\nhost: localhost\r\n\r\n", &[400]),
        ("GET /v1/events/\u{e9} HTTP/1.1\r\nhost: localhost\r\n\r\n", &[200, 400]),
        ("GET /v1/events/%zz%00 HTTP/1.1\r\nhost: localhost\r\n\r\n", &[200]),
        ("OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n", &[404]),
        ("CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n", &[400]),
        ("BREW /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n", &[405]),
        ("TRACE /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n", &[405]),
        ("GET ftp://localhost/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n", &[200, 400]),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[400, 505]),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}", &[400]),
    ];
    for (nonsense, statuses) in cases {
        let mut client = gateway.connect().await;
        client.send(nonsense).await;
        match client.message().await {
            Some(answer) => assert!(statuses.contains(&answer.status()), "{nonsense:?}: {answer:?}"),
            None => assert!(statuses.contains(&400), "{nonsense:?}: closed without a word"),
        }
    }
    assert_eq!(gateway.ask(&get("/v1/events")).await.status(), 200, "and the gateway goes on");
}

#[tokio::test]
async fn a_refusal_that_comes_before_its_body_costs_no_connection() {
    let gateway = Setup::default().start().await;
    let mut client = gateway.connect().await;
    // Many clients send head and body one after the other.
    for (line, status) in [("POST /nothing", 404), ("PUT /v1/events", 405), ("DELETE /v2/events", 405)] {
        client.send(format!("{line} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\n")).await;
        assert_eq!(client.message().await.unwrap().status(), status, "{line}");
        client.send("abc").await;
    }
    client.send(get("/livez")).await;
    assert_eq!(client.message().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_that_breaks_off_blames_neither_replica_nor_gateway() {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    for _ in 0..10 {
        let mut client = gateway.connect().await;
        client
            .send("POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc")
            .await;
        let mut wire = service.accept().await;
        wire.head().await.unwrap();
        wire.exactly(3).await;
        drop(client);
        assert!(wire.is_ended().await);
    }
    let mut client = gateway.connect().await;
    client.send(get("/v1/events")).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    wire.send(answer("200 OK", "", "")).await;
    assert_eq!(client.message().await.unwrap().status(), 200, "the breaker is closed");
}

#[tokio::test]
async fn a_service_that_speaks_nonsense_is_a_bad_gateway() {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    for nonsense in
        ["", "hello\r\n\r\n", "HTTP/1.1 999999 x\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"]
    {
        let mut client = gateway.connect().await;
        client
            .send("POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}")
            .await;
        let mut wire = service.accept().await;
        wire.message().await.unwrap();
        wire.send(nonsense).await;
        drop(wire);
        assert_eq!(client.message().await.unwrap().status(), 502, "{nonsense:?}");
    }
}
