//! Whom the gateway asks, when it asks again, and when it stops asking.

use crate::support::{Automatic, Gateway, Service, Setup, answer, get, request};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A replica that always answers `status`, and how often it was asked.
async fn replica(status: &'static str) -> (Automatic, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let service = Service::new().await.automatic(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        answer(status, "", "")
    });
    (service, asked)
}

/// The address of a port where nobody listens.
async fn nobody() -> String {
    Service::new().await.url
}

async fn statuses(gateway: &Gateway, times: usize, text: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    let mut client = gateway.connect().await;
    for _ in 0..times {
        client.send(text).await;
        statuses.push(client.message().await.unwrap().status());
    }
    statuses
}

fn count(asked: &AtomicUsize) -> usize {
    asked.load(Ordering::SeqCst)
}

#[tokio::test]
async fn load_is_spread_over_all_replicas() {
    let mut setup = Setup::default();
    let mut replicas = Vec::new();
    for _ in 0..4 {
        let (service, asked) = replica("200 OK").await;
        setup = setup.service("events", &service.url);
        replicas.push((service, asked));
    }
    let gateway = setup.start().await;
    statuses(&gateway, 400, &get("/v1/events")).await;
    // 100 each on average; a fair choice stays within 60 to 140 but once in a million runs.
    for (_, asked) in &replicas {
        assert!((60..=140).contains(&count(asked)), "{}", count(asked));
    }
}

#[tokio::test]
async fn the_replica_with_less_to_do_is_chosen() {
    let (busy, idle) = (Service::new().await, Service::new().await);
    let gateway = Setup::default().service("events", &busy.url).service("events", &idle.url).start().await;
    // Hold one request at one of them; the next must go to the other.
    let mut first = gateway.connect().await;
    first.send(get("/v1/events?1")).await;
    let (mut held, other) = tokio::select! {
        wire = busy.accept() => (wire, &idle),
        wire = idle.accept() => (wire, &busy),
    };
    held.message().await.unwrap();
    let mut second = gateway.connect().await;
    second.send(get("/v1/events?2")).await;
    let mut wire = other.accept().await;
    for number in 3..8 {
        wire.message().await.unwrap();
        wire.send(answer("200 OK", "", "")).await;
        second.message().await.unwrap();
        second.send(get(&format!("/v1/events?{number}"))).await;
    }
}

/// A service that has another internal key says 401 of the gateway's signature. That is no word on the client's login.
#[tokio::test]
async fn a_replica_with_another_key_is_as_good_as_none() {
    let foreign = Service::new().await.automatic(|_| {
        answer("401 Unauthorized", "x-quintet-identity: refused\r\n", r#"{"error":"identity not valid"}"#)
    });
    let alone = Setup::default().service("events", &foreign.url).start().await;
    let answers =
        [alone.ask(&get("/v1/events")).await, alone.ask(&request("POST", "/v2/events", "", "[]")).await];
    for answer in &answers {
        assert_eq!(answer.status(), 502, "{answer:?}");
        assert!(answer.text().contains("The events service could not be reached."), "{answer:?}");
    }
    let (well, _) = replica("200 OK").await;
    let both = Setup::default().service("events", &foreign.url).service("events", &well.url).start().await;
    assert_eq!(statuses(&both, 40, &get("/v1/events")).await, [200; 40], "reads go to the other one");
    let posts = statuses(&both, 40, &request("POST", "/v1/notifications", "", "{}")).await;
    assert!(posts.iter().all(|status| [200, 502].contains(status)), "{posts:?}");
    assert!(posts.ends_with(&[200; 20]), "and after five failures all does: {posts:?}");
}

#[tokio::test]
async fn a_read_that_fails_is_tried_at_another_replica() {
    for failing in ["503 Service Unavailable", "502 Bad Gateway", "504 Gateway Timeout"] {
        let ((sick, asked), (well, _)) = (replica(failing).await, replica("200 OK").await);
        let gateway =
            Setup::default().service("events", &sick.url).service("events", &well.url).start().await;
        assert_eq!(statuses(&gateway, 20, &get("/v1/events")).await, [200; 20], "{failing}");
        assert!(count(&asked) > 0, "the sick one was asked too");
    }
}

#[tokio::test]
async fn a_write_goes_to_another_replica_only_when_it_was_never_sent() {
    let (well, _) = replica("202 Accepted").await;
    let gateway =
        Setup::default().service("events", &nobody().await).service("events", &well.url).start().await;
    let post = request("POST", "/v1/notifications", "", "{\"a\":1}");
    assert_eq!(statuses(&gateway, 20, &post).await, [202; 20], "with its body");

    let ((sick, asked), (well, _)) =
        (replica("503 Service Unavailable").await, replica("202 Accepted").await);
    let gateway = Setup::default().service("events", &sick.url).service("events", &well.url).start().await;
    let answers = statuses(&gateway, 20, &post).await;
    let refused = answers.iter().filter(|status| **status == 503).count();
    assert!(
        refused > 0 && refused == count(&asked),
        "each refusal is passed on, none is tried again: {answers:?}"
    );
}

#[tokio::test]
async fn an_answer_of_500_is_an_answer() {
    let (service, asked) = replica("500 Internal Server Error").await;
    let gateway = Setup::default().service("annotate", &service.url).start().await;
    assert_eq!(statuses(&gateway, 30, &get("/annotation/query")).await, [500; 30]);
    assert_eq!(count(&asked), 30, "never tried again, never cut off: annotate says so to users' mistakes");
}

#[tokio::test]
async fn five_failures_open_the_breaker_and_a_probe_closes_it() {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    let post = request("POST", "/v1/notifications", "", "{}");
    let mut client = gateway.connect().await;
    for _ in 0..5 {
        client.send(&post).await;
        let mut wire = service.accept().await;
        wire.message().await.unwrap();
        drop(wire);
        assert_eq!(client.message().await.unwrap().status(), 502);
    }
    client.send(&post).await;
    let refused = client.message().await.unwrap();
    assert_eq!((refused.status(), refused.header("retry-after")), (503, Some("1")), "nobody is asked");
    gateway.clock.advance(chrono::Duration::milliseconds(999));
    client.send(&post).await;
    assert_eq!(client.message().await.unwrap().status(), 503);
    gateway.clock.advance(chrono::Duration::milliseconds(1));
    client.send(&post).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    let mut other = gateway.connect().await;
    other.send(&post).await;
    assert_eq!(other.message().await.unwrap().status(), 503, "one probe at a time");
    wire.send(answer("202 Accepted", "", "")).await;
    assert_eq!(client.message().await.unwrap().status(), 202);
    client.send(&post).await;
    wire.message().await.unwrap();
    wire.send(answer("202 Accepted", "", "")).await;
    assert_eq!(client.message().await.unwrap().status(), 202, "closed again");
}

#[tokio::test]
async fn answers_that_break_off_open_the_breaker_but_not_streams() {
    for (path, is_asked) in [("/v1/tasks/7/watch", true), ("/v1/tasks", false)] {
        let service = Service::new().await;
        let gateway = Setup::default().service("tasks", &service.url).start().await;
        // Each head is a success: nine times two points and eight times one less are ten.
        for _ in 0..9 {
            let mut client = gateway.connect().await;
            client.send(get(path)).await;
            let mut wire = service.accept().await;
            wire.message().await.unwrap();
            wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
            client.head().await.unwrap();
            assert_eq!(client.chunk().await.unwrap(), b"abc");
            // As a service does to listeners who read too slowly.
            drop(wire);
            assert!(client.is_ended().await);
        }
        let mut client = gateway.connect().await;
        client.send(get("/v1/tasks")).await;
        if is_asked {
            let mut wire = service.accept().await;
            wire.message().await.unwrap();
            wire.send(answer("200 OK", "", "")).await;
        }
        assert_eq!(client.message().await.unwrap().status(), if is_asked { 200 } else { 503 }, "{path}");
    }
}

#[tokio::test]
async fn where_every_write_is_refused_reads_still_pass() {
    let writes = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&writes);
    // A full disk.
    let service = Service::new().await.automatic(move |request| {
        let is_read = request.first_line.starts_with("GET ");
        seen.fetch_add(usize::from(!is_read), Ordering::SeqCst);
        answer(if is_read { "200 OK" } else { "503 Service Unavailable" }, "", "[]")
    });
    let gateway = Setup::default().service("events", &service.url).start().await;
    let (post, get) = (request("POST", "/v1/notifications", "", "{}"), get("/v1/events"));
    assert_eq!(statuses(&gateway, 8, &post).await, [503; 8]);
    assert_eq!(count(&writes), 5, "five failures open the breaker");
    assert_eq!(statuses(&gateway, 20, &get).await, [200; 20]);
    assert_eq!(statuses(&gateway, 1, &post).await, [503]);
    assert_eq!(count(&writes), 5, "reads do not close it");
    gateway.clock.advance(chrono::Duration::seconds(1));
    assert_eq!(statuses(&gateway, 1, &get).await, [200], "a probe");
    assert_eq!(statuses(&gateway, 1, &post).await, [503]);
    assert_eq!(count(&writes), 6, "closed again");
}

#[tokio::test]
async fn who_refuses_reads_rests_from_them_too() {
    let (service, asked) = replica("503 Service Unavailable").await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    assert_eq!(statuses(&gateway, 9, &get("/v1/events")).await, [503; 9]);
    assert_eq!(count(&asked), 5, "five failures open the breaker");
}

#[tokio::test]
async fn who_refuses_on_purpose_is_asked_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut setup = Setup::default();
    let mut services = Vec::new();
    for _ in 0..2 {
        let asked = Arc::clone(&asked);
        let service = Service::new().await.automatic(move |_| {
            asked.fetch_add(1, Ordering::SeqCst);
            answer("503 Service Unavailable", "x-quintet-well: 1\r\nretry-after: 7\r\n", "full")
        });
        setup = setup.service("events", &service.url);
        services.push(service);
    }
    let gateway = setup.start().await;
    for text in [get("/v1/events"), request("POST", "/v1/notifications", "", "{}")] {
        assert_eq!(statuses(&gateway, 20, &text).await, [503; 20]);
    }
    assert_eq!(count(&asked), 40, "each request once, and none was kept from them");
    let refused = gateway.ask(&get("/v1/events")).await;
    assert_eq!((refused.header("retry-after"), refused.text()), (Some("7"), "full"));
    assert_eq!(refused.header("x-quintet-well"), None);
}

#[tokio::test]
async fn retries_stay_within_a_fifth_of_the_requests() {
    // Two sick replicas whose breakers are kept from opening by answering well in between.
    let asked = Arc::new(AtomicUsize::new(0));
    let mut setup = Setup::default();
    let mut services = Vec::new();
    for _ in 0..2 {
        let asked = Arc::clone(&asked);
        let service = Service::new().await.automatic(move |_| {
            let number = asked.fetch_add(1, Ordering::SeqCst);
            answer(if number.is_multiple_of(3) { "503 Service Unavailable" } else { "200 OK" }, "", "")
        });
        setup = setup.service("events", &service.url);
        services.push(service);
    }
    let gateway = setup.start().await;
    statuses(&gateway, 600, &get("/v1/events")).await;
    // About a third of the requests fails; a fifth of 600 and a reserve of ten may be tried again.
    let retries = count(&asked) - 600;
    assert!((100..=130).contains(&retries), "{retries}");
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_a_bad_gateway() {
    let gateway = Setup::default().service("tasks", &nobody().await).start().await;
    let answer = gateway.ask(&get("/v1/tasks")).await;
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.json()["body"]["message"], "The tasks service could not be reached.");
}

#[tokio::test]
async fn a_connection_that_closed_while_idle_costs_no_request() {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    let mut client = gateway.connect().await;
    let post = request("POST", "/v1/notifications", "", "{}");
    for _ in 0..12 {
        client.send(&post).await;
        // Each time the service closes after its answer without a word, as after an idle time.
        let mut wire = service.accept().await;
        wire.message().await.unwrap();
        wire.send(answer("202 Accepted", "", "")).await;
        assert_eq!(client.message().await.unwrap().status(), 202);
        drop(wire);
        gateway.settled().await;
    }
}

#[tokio::test]
async fn a_connection_that_closes_under_a_read_costs_nothing() {
    let service = Service::new().await;
    let gateway = Setup::default().service("events", &service.url).start().await;
    let mut client = gateway.connect().await;
    client.send(get("/v1/events")).await;
    let mut wire = service.accept().await;
    // Nine failures, between nine answers, would open the breaker.
    for _ in 0..9 {
        wire.message().await.unwrap();
        wire.send(answer("200 OK", "", "")).await;
        assert_eq!(client.message().await.unwrap().status(), 200);
        client.send(get("/v1/events")).await;
        wire.message().await.unwrap();
        drop(wire);
        wire = service.accept().await;
    }
    wire.message().await.unwrap();
    drop(wire);
    assert_eq!(
        client.message().await.unwrap().status(),
        502,
        "a new connection that breaks off is a failure"
    );
}

#[tokio::test]
async fn what_a_service_may_have_done_or_begun_to_answer_is_not_sent_again() {
    let post = request("POST", "/v1/notifications", "", "{}");
    for (again, begun) in [(post.as_str(), ""), (&get("/v1/events"), "HTTP/1.1 200 OK\r\n")] {
        let service = Service::new().await;
        let gateway = Setup::default().service("events", &service.url).start().await;
        let mut client = gateway.connect().await;
        client.send(get("/v1/events")).await;
        let mut wire = service.accept().await;
        wire.message().await.unwrap();
        wire.send(answer("200 OK", "", "")).await;
        assert_eq!(client.message().await.unwrap().status(), 200);
        client.send(again).await;
        wire.message().await.unwrap();
        wire.send(begun).await;
        drop(wire);
        assert_eq!(client.message().await.unwrap().status(), 502, "{again:?}");
    }
}

#[tokio::test]
async fn a_service_that_takes_too_long_is_cut_off() {
    let service = Service::new().await;
    let setup =
        Setup::default().service("events", &service.url).with(|config| config.timeouts.answer_secs = 1);
    let gateway = setup.start().await;
    let mut client = gateway.connect().await;
    client.send(request("GET", "/v2/events", "accept: application/json\r\n", "")).await;
    let mut wire = service.accept().await;
    wire.message().await.unwrap();
    let answer = client.message().await.unwrap();
    assert_eq!(answer.status(), 504);
    assert_eq!(answer.json()["error_message"]["faultstring"], "The events service did not answer in time.");
    assert!(wire.is_ended().await, "the service is told that nobody waits any more");
}
