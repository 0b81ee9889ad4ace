//! What is too much: bodies, requests at once, requests in a second, headers, patience.

use crate::support::{Service, Setup, answer, get, request};

#[tokio::test]
async fn a_body_over_the_limit_is_refused_by_its_length_alone() {
    let gateway = Setup::default()
        .service("events", "http://127.0.0.1:9")
        .service("annotate", "http://127.0.0.1:9")
        .with(|config| {
            config.limits.max_body_bytes = 100;
            config.limits.max_ingest_bytes = 200;
        })
        .start()
        .await;
    let body = "x".repeat(101);
    let refused = gateway.ask(&request("POST", "/annotation", "", &body)).await;
    assert_eq!(
        (refused.status(), refused.text()),
        (413, "{\"error\":\"The request body is larger than 100 bytes.\"}\n")
    );
    let body = "x".repeat(201);
    let refused = gateway.ask(&request("POST", "/v1/notifications", "", &body)).await;
    assert_eq!((refused.status(), refused.json()["title"].as_str()), (413, Some("Payload Too Large")));
    let refused = gateway.ask(&request("POST", "/v2/events", "", &body)).await;
    assert_eq!(
        (refused.status(), refused.json()["error_message"]["faultcode"].as_str()),
        (413, Some("Client"))
    );
}

#[tokio::test]
async fn a_body_without_length_is_refused_when_it_grows_over_the_limit() {
    let service = Service::new().await;
    let setup =
        Setup::default().service("events", &service.url).with(|config| config.limits.max_ingest_bytes = 10);
    let gateway = setup.start().await;
    let mut client = gateway.connect().await;
    client
        .send("POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n")
        .await;
    let mut wire = service.accept().await;
    wire.head().await.unwrap();
    assert_eq!(wire.chunk().await.unwrap(), b"12345");
    client.send("6\r\n123456\r\n").await;
    let refused = client.message().await.unwrap();
    assert_eq!((refused.status(), refused.json()["title"].as_str()), (413, Some("Payload Too Large")));
    assert!(wire.is_ended().await, "the service gets no half body to take for a whole one");
    // The replica is not to blame: after many such requests it is still asked.
    for _ in 0..10 {
        let mut client = gateway.connect().await;
        client
            .send("POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nb\r\n12345678901\r\n")
            .await;
        assert_eq!(client.message().await.unwrap().status(), 413);
    }
    let mut client = gateway.connect().await;
    client.send(get("/v1/events")).await;
    let mut wire = loop {
        let mut wire = service.accept().await;
        if wire.head().await.is_some_and(|head| head.first_line.starts_with("GET")) {
            break wire;
        }
    };
    wire.send(answer("200 OK", "", "")).await;
    assert_eq!(client.message().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_passes() {
    let service = Service::new().await.automatic(|request| answer("200 OK", "", request.text()));
    let setup =
        Setup::default().service("events", &service.url).with(|config| config.limits.max_ingest_bytes = 5);
    let gateway = setup.start().await;
    assert_eq!(gateway.ask(&request("POST", "/v1/notifications", "", "12345")).await.text(), "12345");
    let chunked = "POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n";
    assert_eq!(gateway.ask(chunked).await.text(), "12345");
}

#[tokio::test]
async fn a_large_refused_upload_still_gets_its_answer() {
    let setup = Setup::default()
        .service("tasks", "http://127.0.0.1:9")
        .with(|config| config.limits.max_upload_bytes = 1);
    let gateway = setup.start().await;
    let body = "x".repeat(8 << 20);
    let refused = gateway.ask(&request("POST", "/v1/plugins", "", &body)).await;
    assert_eq!((refused.status(), refused.json()["meta"]["code"].as_u64()), (413, Some(413)));
}

#[tokio::test]
async fn one_area_cannot_take_all_places() {
    let service = Service::new().await;
    let quick = Service::new().await.automatic(|_| answer("200 OK", "", ""));
    let gateway = Setup::default()
        .service("events", &service.url)
        .service("tasks", &quick.url)
        .with(|config| {
            config.limits.max_in_flight = 2;
            config.limits.max_streams = 1;
        })
        .start()
        .await;
    let mut holders = Vec::new();
    for _ in 0..2 {
        let mut client = gateway.connect().await;
        client.send(get("/v2/events")).await;
        let mut wire = service.accept().await;
        wire.message().await.unwrap();
        holders.push((client, wire));
    }
    let refused = gateway.ask(&get("/v1/events")).await;
    assert_eq!((refused.status(), refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.json()["description"], "The events service is busy or recovering.");
    assert_eq!(gateway.ask(&get("/v1/tasks")).await.status(), 200, "other areas go on");
    // A place is free when the answer has passed, and also when its client has broken off.
    let (mut client, mut wire) = holders.pop().unwrap();
    wire.send(answer("200 OK", "", "x")).await;
    assert_eq!(client.message().await.unwrap().status(), 200);
    client.send(get("/v2/events")).await;
    wire.message().await.unwrap();
    assert_eq!(gateway.ask(&get("/v1/events")).await.status(), 503);
    client.reset();
    assert!(wire.is_ended().await);
    let mut next = gateway.connect().await;
    next.send(get("/v2/events")).await;
    service.accept().await.message().await.unwrap();
}

#[tokio::test]
async fn streams_have_places_of_their_own() {
    let service = Service::new().await;
    let setup = Setup::default().service("tasks", &service.url).with(|config| {
        config.limits.max_in_flight = 1;
        config.limits.max_streams = 1;
    });
    let gateway = setup.start().await;
    let mut watcher = gateway.connect().await;
    watcher.send(get("/v1/tasks/7/watch")).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    watcher.head().await.unwrap();
    assert_eq!(gateway.ask(&get("/v1/tasks/8/watch")).await.status(), 503);
    let mut client = gateway.connect().await;
    client.send(get("/v1/tasks")).await;
    let mut other = service.accept().await;
    other.message().await.unwrap();
    other.send(answer("200 OK", "", "")).await;
    assert_eq!(client.message().await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_when_to_come_back() {
    let service = Service::new().await.automatic(|_| answer("200 OK", "", ""));
    let setup =
        Setup::default().service("events", &service.url).with(|config| config.limits.requests_per_sec = 1);
    let gateway = setup.start().await;
    let mut client = gateway.connect().await;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        client.send(get("/v1/events")).await;
        let answer = client.message().await.unwrap();
        if answer.status() == 429 {
            assert_eq!(answer.json()["title"], "Too Many Requests");
            assert!(matches!(answer.header("retry-after"), Some("1" | "2")), "{answer:?}");
        }
        statuses.push(answer.status());
    }
    assert_eq!(statuses[..10], [200; 10], "one a second, ten at once");
    assert_eq!(statuses[11], 429);
    for probe in ["/livez", "/readyz"] {
        assert_eq!(
            gateway.ask(&get(probe)).await.status(),
            200,
            "{probe}: an orchestrator is never turned away"
        );
    }
}

#[tokio::test]
async fn headers_beyond_what_services_take_are_refused_in_the_shape_of_the_api() {
    let service =
        Service::new().await.automatic(|request| answer("200 OK", "", &request.headers.len().to_string()));
    let setup = Setup::default().service("events", &service.url).service("annotate", &service.url);
    let gateway = setup.start().await;
    let many = |count: usize| (0..count).map(|number| format!("x-{number}: 1\r\n")).collect::<String>();
    // Services take 96. Host and the three that the gateway adds are among them: identity, id, and one to frame bodies.
    let passed = gateway.ask(&request("GET", "/v1/events", &many(92), "")).await;
    assert_eq!((passed.status(), passed.text()), (200, "95"));
    let words = "The request has more than 95 headers.";
    for (path, pointer) in [
        ("/v1/events", "/description"),
        ("/v2/events", "/error_message/faultstring"),
        ("/annotation/query", "/error"),
    ] {
        let refused = gateway.ask(&request("GET", path, &many(93), "")).await;
        let said = refused.json().pointer(pointer).cloned();
        assert_eq!((refused.status(), said), (431, Some(words.into())), "{path}");
    }
}

#[tokio::test]
async fn nobody_is_asked_for_a_body_that_is_refused() {
    let setup =
        Setup::default().service("events", "http://127.0.0.1:9").service("annotate", "http://127.0.0.1:9");
    let gateway = setup.start().await;
    for (method, path) in [
        ("POST", "/admin/tokens"),
        ("POST", "/v1/users"),
        ("POST", "/oauth/token"),
        ("DELETE", "/admin/events/dead-letters"),
        ("POST", "/admin/events/dead-letters/replay"),
        ("POST", "/v1/notifications"),
        ("POST", "/annotation"),
    ] {
        let mut client = gateway.connect().await;
        let headers =
            "content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 10000000000\r\n";
        client.send(request(method, path, headers, "")).await;
        assert_eq!(client.message().await.unwrap().status(), 413, "{method} {path}");
        assert!(client.is_ended().await, "{method} {path}");
    }
}

#[tokio::test]
async fn nobody_is_asked_for_a_body_that_no_service_takes() {
    let gateway = Setup::default().service("events", "http://127.0.0.1:9").start().await;
    for (path, status) in [("/v1/notifications", 502), ("/annotation", 503), ("/nothing", 404)] {
        let mut client = gateway.connect().await;
        client.send(request("POST", path, "expect: 100-continue\r\ncontent-length: 5000\r\n", "")).await;
        let refused = client.message().await.unwrap();
        assert_eq!((refused.status(), refused.header("connection")), (status, Some("close")), "{path}");
        assert!(client.is_ended().await, "{path}");
    }
}

#[tokio::test]
async fn a_body_must_keep_up_a_least_rate() {
    let service = Service::new().await;
    let setup = Setup::default().service("events", &service.url).with(|config| {
        config.timeouts.client_secs = 1;
        config.limits.min_body_bytes_per_sec = 1000;
    });
    let gateway = setup.start().await;
    let head = "POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4000\r\n\r\n";
    let pause = std::time::Duration::from_millis(400);
    let mut fast = gateway.connect().await;
    fast.send(head).await;
    let mut wire = service.accept().await;
    wire.head().await.unwrap();
    // Four times 400 ms are longer than the second that a client has, but a thousand bytes earn another second each time.
    for _ in 0..4 {
        tokio::time::sleep(pause).await;
        fast.send("x".repeat(1000)).await;
        wire.exactly(1000).await;
    }
    wire.send(answer("200 OK", "", "")).await;
    assert_eq!(fast.message().await.unwrap().status(), 200);
    let mut slow = gateway.connect().await;
    slow.send(head).await;
    let started = std::time::Instant::now();
    let refused = loop {
        assert!(started.elapsed().as_secs() < 10, "a byte now and then is enough");
        slow.send("x").await;
        if let Ok(answer) = tokio::time::timeout(pause, slow.message()).await {
            break answer.unwrap();
        }
    };
    assert_eq!((refused.status(), refused.json()["title"].as_str()), (408, Some("Request Timeout")));
}

#[tokio::test]
async fn one_address_cannot_take_all_places_with_bodies_that_never_come() {
    let service = Service::new().await;
    let setup =
        Setup::default().service("events", &service.url).with(|config| config.limits.max_in_flight = 4);
    let gateway = setup.start().await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut client = gateway.connect().await;
        client.send("POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{").await;
        let mut wire = service.accept().await;
        wire.head().await.unwrap();
        wire.exactly(1).await;
        slow.push((client, wire));
    }
    let refused = gateway.ask(&request("POST", "/v1/notifications", "", "{}")).await;
    assert_eq!((refused.status(), refused.header("retry-after")), (429, Some("1")));
    assert_eq!(refused.json()["title"], "Too Many Requests");
    let mut reader = gateway.connect().await;
    reader.send(get("/v1/events")).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    wire.send(answer("200 OK", "", "")).await;
    assert_eq!(reader.message().await.unwrap().status(), 200, "who sends no body is let in");
    // A body that is complete makes room, though its answer is not there yet.
    let (client, taken) = &mut slow[0];
    client.send("}").await;
    assert_eq!(taken.exactly(1).await, b"}");
    let mut next = gateway.connect().await;
    next.send(request("POST", "/v1/notifications", "", "{}")).await;
    wire.message().await.unwrap();
    wire.send(answer("202 Accepted", "", "")).await;
    assert_eq!(next.message().await.unwrap().status(), 202);
}

#[tokio::test]
async fn headers_have_a_limit() {
    let gateway = Setup::default().with(|config| config.limits.max_header_bytes = 8192).start().await;
    let answer =
        gateway.ask(&request("GET", "/livez", &format!("x-long: {}\r\n", "x".repeat(9000)), "")).await;
    assert_eq!(answer.status(), 431);
    let many: String = (0..500).map(|number| format!("x-{number}: 1\r\n")).collect();
    assert_eq!(gateway.ask(&request("GET", "/livez", &many, "")).await.status(), 431);
    let long = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(9000));
    assert!(matches!(gateway.ask(&long).await.status(), 414 | 431));
}

#[tokio::test]
async fn a_client_that_dawdles_is_let_go() {
    let service = Service::new().await;
    let setup =
        Setup::default().service("events", &service.url).with(|config| config.timeouts.client_secs = 1);
    let gateway = setup.start().await;
    let mut head = gateway.connect().await;
    head.send("GET /livez HTTP/1.1\r\nhost: loc").await;
    assert!(head.is_ended().await, "in the middle of the head");
    let mut body = gateway.connect().await;
    body.send("POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc").await;
    let mut wire = service.accept().await;
    wire.head().await.unwrap();
    assert_eq!(wire.exactly(3).await, b"abc");
    let refused = body.message().await.unwrap();
    assert_eq!((refused.status(), refused.json()["title"].as_str()), (408, Some("Request Timeout")));
    assert_eq!(refused.header("connection"), Some("close"));
    assert!(body.is_ended().await, "in the middle of the body");
    assert!(wire.is_ended().await, "and the service is told");
    let mut quiet = gateway.connect().await;
    quiet.send(get("/v1/events")).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    // The client has asked and waits: that is no dawdling, however long the service takes.
    assert!(tokio::time::timeout(std::time::Duration::from_millis(1500), quiet.more()).await.is_err());
    wire.send(answer("200 OK", "", "")).await;
    assert_eq!(quiet.message().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_client_that_dawdles_costs_the_service_nothing() {
    let service = Service::new().await;
    let setup = Setup::default().service("events", &service.url).with(|config| {
        config.timeouts.client_secs = 2;
        config.timeouts.ingest_secs = 1;
    });
    let gateway = setup.start().await;
    let begun = [
        "content-length: 10\r\n\r\n",
        "content-length: 10\r\n\r\nabc",
        "transfer-encoding: chunked\r\n\r\n5;x",
    ];
    let mut held = Vec::new();
    for rest in begun.iter().cycle().take(6) {
        let mut client = gateway.connect().await;
        client.send(format!("POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\n{rest}")).await;
        let mut wire = service.accept().await;
        wire.head().await.unwrap();
        held.push((client, wire));
    }
    for (client, _wire) in &mut held {
        assert_eq!(client.message().await.unwrap().status(), 408, "the service had nothing to answer yet");
    }
    let mut client = gateway.connect().await;
    client.send(get("/v1/events")).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    wire.send(answer("200 OK", "", "")).await;
    assert_eq!(client.message().await.unwrap().status(), 200, "and is still asked");
}

#[tokio::test]
async fn a_body_that_flows_goes_on_after_an_early_answer() {
    let service = Service::new().await;
    let setup = Setup::default().service("events", &service.url).with(|config| {
        config.timeouts.client_secs = 2;
        config.timeouts.keep_alive_secs = 2;
        config.limits.min_body_bytes_per_sec = 0;
    });
    let gateway = setup.start().await;
    let mut client = gateway.connect().await;
    client.send("POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ncontent-length: 6\r\n\r\n0").await;
    let mut wire = service.accept().await;
    wire.head().await.unwrap();
    wire.send(answer("202 Accepted", "", "")).await;
    assert_eq!(client.message().await.unwrap().status(), 202);
    // Longer than any pause may be.
    for byte in ["1", "2", "3", "4", "5"] {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        client.send(byte).await;
    }
    assert_eq!(wire.exactly(6).await, b"012345");
    client.send(get("/livez")).await;
    assert_eq!(client.message().await.unwrap().status(), 200);
    assert!(client.is_ended().await, "and then it is an idle connection");
    let mut slow = gateway.connect().await;
    slow.send("POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ncontent-length: 6\r\n\r\n0").await;
    let mut wire = service.accept().await;
    wire.head().await.unwrap();
    wire.send(answer("202 Accepted", "", "")).await;
    assert_eq!(slow.message().await.unwrap().status(), 202);
    assert!(slow.is_ended().await, "one that does not flow");
}

/// What a client leaves between a refusal and its next request is no pause of that request.
#[tokio::test]
async fn the_pause_after_a_refused_body_is_not_charged_to_the_next() {
    let service = Service::new().await;
    let setup =
        Setup::default().service("events", &service.url).with(|config| config.timeouts.client_secs = 2);
    let gateway = setup.start().await;
    let mut client = gateway.connect().await;
    client.send(request("POST", "/nothing", "", "12345")).await;
    assert_eq!(client.message().await.unwrap().status(), 404);
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    client.send("POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n").await;
    let mut wire = service.accept().await;
    wire.head().await.unwrap();
    client.send("a").await;
    assert_eq!(wire.exactly(1).await, b"a");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    client.send("b").await;
    assert_eq!(wire.exactly(1).await, b"b");
    wire.send(answer("202 Accepted", "", "")).await;
    assert_eq!(client.message().await.unwrap().status(), 202);
}

#[tokio::test]
async fn the_end_of_a_refused_body_is_not_that_of_the_next() {
    let service = Service::new().await;
    let setup =
        Setup::default().service("events", &service.url).with(|config| config.timeouts.client_secs = 1);
    let gateway = setup.start().await;
    let post = |path| format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n");
    let mut client = gateway.connect().await;
    client.send(post("/nothing") + "1234").await;
    assert_eq!(client.message().await.unwrap().status(), 404);
    client.send("5".to_owned() + &post("/v1/notifications") + "1234").await;
    let mut wire = service.accept().await;
    wire.head().await.unwrap();
    assert_eq!(client.message().await.unwrap().status(), 408, "its own end is still awaited");
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let gateway = Setup::default().with(|config| config.timeouts.keep_alive_secs = 1).start().await;
    let mut silent = gateway.connect().await;
    let mut used = gateway.connect().await;
    used.send(get("/livez")).await;
    assert_eq!(used.message().await.unwrap().status(), 200);
    assert!(silent.is_ended().await && used.is_ended().await);
}

#[tokio::test]
async fn further_connections_wait_for_a_place() {
    let gateway = Setup::default().with(|config| config.limits.max_connections = 1).start().await;
    let mut first = gateway.connect().await;
    first.send(get("/livez")).await;
    assert_eq!(first.message().await.unwrap().status(), 200);
    let mut second = gateway.connect().await;
    second.send(get("/livez")).await;
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(300), second.more()).await.is_err(),
        "it waits"
    );
    drop(first);
    assert_eq!(second.message().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_stream_may_be_quiet_for_longer_than_an_idle_connection() {
    let service = Service::new().await;
    let setup = Setup::default().service("tasks", &service.url).with(|config| {
        config.timeouts.keep_alive_secs = 1;
        config.timeouts.client_secs = 1;
        config.timeouts.idle_secs = 1;
    });
    let gateway = setup.start().await;
    let mut client = gateway.connect().await;
    client.send(get("/v1/tasks/7/watch")).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    client.head().await.unwrap();
    assert!(tokio::time::timeout(std::time::Duration::from_millis(1500), client.more()).await.is_err());
    wire.send("3\r\nabc\r\n0\r\n\r\n").await;
    assert_eq!(client.chunk().await.unwrap(), b"abc");
    assert_eq!(client.chunk().await, None);
    assert!(client.is_ended().await, "but then it is an idle connection");
}
