//! `Prefer: wait=N` on notifications (streams-events-v1, section 8).

use crate::support::{Automatic, Gateway, Message, Service, Setup, answer, request};

/// The event service: it stores everything and names a place in the feed.
async fn events() -> Automatic {
    let stored = answer("202 Accepted", "x-quintet-feed-cursor: 7-9\r\n", "{\"saved\":1}");
    Service::new().await.automatic(move |_| stored.clone())
}

async fn gateway(events: &Automatic, streams: &str) -> Gateway {
    Setup::default().service("events", &events.url).service("streams", streams).start().await
}

fn post(prefer: &str) -> String {
    request("POST", "/v1/notifications", prefer, "{}")
}

/// What the client sees when nobody says that the streams caught up.
fn assert_not_applied(back: &Message) {
    assert_eq!((back.status(), back.text()), (202, "{\"saved\":1}"));
    assert_eq!(back.header("preference-applied"), None);
    assert_eq!(back.header("x-quintet-feed-cursor"), None);
}

#[tokio::test]
async fn the_answer_waits_for_the_streams_and_says_so() {
    let (events, streams) = (events().await, Service::new().await);
    let gateway = gateway(&events, &streams.url).await;
    let mut client = gateway.connect().await;
    client.send(post("prefer: respond-async, wait=5\r\n")).await;
    let mut wire = streams.accept().await;
    for (processed, applied) in [("true", Some("wait=5")), ("false", None)] {
        let asked = wire.message().await.unwrap();
        assert_eq!(asked.first_line, "GET /internal/processed?after=7-9&wait_ms=5000 HTTP/1.1");
        assert_eq!(gateway.caller(&asked).subject, "service:gateway");
        wire.send(answer("200 OK", "", &format!("{{\"processed\":{processed}}}"))).await;
        let back = client.message().await.unwrap();
        assert_eq!((back.status(), back.text()), (202, "{\"saved\":1}"));
        assert_eq!(back.header("preference-applied"), applied);
        assert_eq!(back.header("x-quintet-feed-cursor"), None);
        // The connection carries the next question too.
        client.send(post("Prefer: WAIT=\"5\"\r\n")).await;
    }
}

#[tokio::test]
async fn nobody_is_asked_without_the_preference_and_a_long_one_is_cut() {
    let (events, streams) = (events().await, Service::new().await);
    let gateway = gateway(&events, &streams.url).await;
    for prefer in ["", "prefer: return=minimal\r\n", "prefer: wait=soon\r\n", "prefer: wait=-1\r\n"] {
        assert_not_applied(&gateway.ask(&post(prefer)).await);
    }
    let mut client = gateway.connect().await;
    client.send(post("prefer: wait=18446744073709551615\r\n")).await;
    let asked = streams.accept().await.message().await.unwrap();
    assert_eq!(asked.first_line, "GET /internal/processed?after=7-9&wait_ms=60000 HTTP/1.1");
}

#[tokio::test]
async fn the_answer_comes_without_the_streams_too() {
    let events = events().await;
    let alone = Setup::default().service("events", &events.url).start().await;
    assert_not_applied(&alone.ask(&post("prefer: wait=5\r\n")).await);
    let away = gateway(&events, "http://127.0.0.1:9").await;
    assert_not_applied(&away.ask(&post("prefer: wait=5\r\n")).await);
    let odd = [
        answer("500 Internal Server Error", "", "{\"processed\":true}"),
        answer("503 Service Unavailable", "", ""),
        answer("200 OK", "", "{\"processed\":1}"),
        answer("200 OK", "", "processed"),
        answer("200 OK", "", &"x".repeat(5000)),
        "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_owned() + &"x".repeat(98),
    ];
    for reply in odd {
        let streams = Service::new().await.automatic(move |_| reply.clone());
        let gateway = gateway(&events, &streams.url).await;
        assert_not_applied(&gateway.ask(&post("prefer: wait=5\r\n")).await);
    }
}

#[tokio::test]
async fn refused_notifications_wait_for_nothing() {
    let refusal = answer("400 Bad Request", "", "{}");
    let events = Service::new().await.automatic(move |_| refusal.clone());
    let gateway = gateway(&events, "http://127.0.0.1:9").await;
    assert_eq!(gateway.ask(&post("prefer: wait=5\r\n")).await.status(), 400);
}

#[tokio::test]
async fn a_gateway_that_stops_lets_waiting_answers_go() {
    let (events, streams) = (events().await, Service::new().await);
    let gateway = gateway(&events, &streams.url).await;
    let mut client = gateway.connect().await;
    client.send(post("prefer: wait=50\r\n")).await;
    streams.accept().await.message().await.unwrap();
    let (back, ()) = tokio::join!(client.message(), gateway.running.stop());
    assert_not_applied(&back.unwrap());
}
