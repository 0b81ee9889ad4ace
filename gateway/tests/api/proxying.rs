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
