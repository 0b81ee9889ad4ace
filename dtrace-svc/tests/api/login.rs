//! Who a websocket belongs to: tokens in messages, and logins that end while it is open.

use crate::harness::{KEY, Server, fast};
use crate::socket::Socket;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use dtrace_svc::config::{Config, Setting};
use serde_json::{Value, json};
use shared::clock::{Clock, SystemClock};
use shared::identity::{HEADER, IdentityKey, Principal};
use std::sync::atomic::{AtomicBool, Ordering};

/// Stands in for the gateway: two tokens, one of them with the permission, and one that `is_revoked` ends.
fn gateway(is_revoked: &'static AtomicBool) -> String {
    let answer = move |req: HttpRequest| async move {
        let key = IdentityKey::new(KEY);
        let header = |name: &str| req.headers().get(name).unwrap().to_str().unwrap().to_owned();
        let asking = key.verify(&header(HEADER), SystemClock.now()).unwrap();
        assert_eq!(asking.subject, "service:dtrace");
        let permissions = match header("authorization").as_str() {
            "Bearer good" => vec!["...".to_owned()],
            "Bearer weak" => vec!["dtrace->_->get".to_owned()],
            "Bearer short" if !is_revoked.load(Ordering::SeqCst) => vec!["...".to_owned()],
            _ => return HttpResponse::Unauthorized().finish(),
        };
        let who = Principal { subject: "user:eve".into(), permissions, ..Principal::default() };
        HttpResponse::Ok().insert_header((HEADER, key.sign(&who, SystemClock.now()))).finish()
    };
    let gateway = HttpServer::new(move || App::new().route("/internal/identity", web::post().to(answer)));
    let gateway = gateway.workers(1).bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/internal/identity", gateway.addrs().first().unwrap());
    tokio::spawn(gateway.run());
    url
}

fn asking(identity_url: String) -> Config {
    Config { executor: Setting::Simulated, identity_url: Some(identity_url), ..fast() }
}

async fn script(server: &Server) -> String {
    server.create(json!({ "name": "n", "script": "BEGIN { @n = count(); }" })).await
}

/// The answer to a start, figures before it passed over.
async fn started(socket: &mut Socket) -> Value {
    socket.send("").await;
    loop {
        let message = socket.json().await;
        if message.get("config").or(message.get("error")).is_some() {
            return message;
        }
    }
}

/// Until all messages have been read: nothing is answered to a good token.
async fn settled(socket: &mut Socket) {
    socket.send("no JSON").await;
    let answer = socket.json().await;
    assert!(answer.get("error").and_then(Value::as_str).unwrap().starts_with("not valid JSON"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_is_not_known_names_himself_in_a_message() {
    static IS_REVOKED: AtomicBool = AtomicBool::new(false);
    let server = Server::with(asking(gateway(&IS_REVOKED)));
    let uuid = script(&server).await;
    let nobody = server.identity_of("anonymous", &[]);
    let path = format!("/dtrace/{uuid}/stream");
    let denied = json!({"error": "denied"});
    let mut socket = server.socket_with(&nobody, &path, "").await.ok().unwrap();
    for message in [json!({}), json!({"bearer": "bad"}), json!({"bearer": "weak"}), json!({"bearer": "a b"})]
    {
        socket.send_json(&message).await;
        assert_eq!(socket.json().await, denied, "{message}");
    }
    socket.send_json(&json!({"bearer": "good"})).await;
    socket.send("").await;
    assert_eq!(socket.json().await["servers"], json!(["local"]));
    let mut socket = server.socket_with(&nobody, &path, "").await.ok().unwrap();
    for _ in 0..5 {
        socket.send_json(&json!({"bearer": "bad"})).await;
        assert_eq!(socket.json().await, denied);
    }
    assert_eq!(socket.closed().await, 1008);
    // Unknown scripts are not told apart before the login.
    let unknown = "/dtrace/b7c658e0-2ddb-46dd-8973-4a59ffc9957e/stream";
    let mut socket = server.socket_with(&nobody, unknown, "").await.ok().unwrap();
    socket.send_json(&json!({"bearer": "bad"})).await;
    assert_eq!(socket.json().await, denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_starts_nothing_more() {
    static IS_REVOKED: AtomicBool = AtomicBool::new(false);
    let server = Server::with(asking(gateway(&IS_REVOKED)));
    let uuid = script(&server).await;
    let path = format!("/dtrace/{uuid}/stream");
    let mut socket = server.socket_with(&server.identity_of("anonymous", &[]), &path, "").await.ok().unwrap();
    socket.send_json(&json!({"bearer": "short"})).await;
    settled(&mut socket).await;
    IS_REVOKED.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        assert_eq!(started(&mut socket).await, json!({"error": "denied"}));
    }
    let runs = server.call("GET", &format!("/dtrace/{uuid}/runs")).send().await.json();
    assert_eq!(runs, json!([]));
    // Another login does.
    socket.send_json(&json!({"bearer": "good"})).await;
    assert_eq!(started(&mut socket).await["servers"], json!(["local"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_by_a_token_is_cut_off_when_it_is_revoked() {
    static IS_REVOKED: AtomicBool = AtomicBool::new(false);
    let server = Server::with(asking(gateway(&IS_REVOKED)));
    let path = format!("/dtrace/{}/stream", script(&server).await);
    let nobody = server.identity_of("anonymous", &[]);
    let (mut short, mut good) = (
        server.socket_with(&nobody, &path, "").await.ok().unwrap(),
        server.socket_with(&nobody, &path, "").await.ok().unwrap(),
    );
    for (socket, token) in [(&mut short, "short"), (&mut good, "good")] {
        socket.send_json(&json!({"bearer": token})).await;
        assert_eq!(started(socket).await["servers"], json!(["local"]));
    }
    IS_REVOKED.store(true, Ordering::SeqCst);
    let began = std::time::Instant::now();
    assert_eq!(short.closed().await, 1008);
    assert!(began.elapsed().as_millis() < 5000, "{:?}", began.elapsed());
    // Others of the same run hear on: more ticks than can have waited.
    for _ in 0..30 {
        assert_eq!(good.json().await.get("error"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_without_a_login_is_closed_in_time_the_first_time_and_after_a_login_has_ended() {
    static IS_REVOKED: AtomicBool = AtomicBool::new(false);
    let server = Server::with(Config { login_timeout_secs: 1, ..asking(gateway(&IS_REVOKED)) });
    let path = format!("/dtrace/{}/stream", script(&server).await);
    let nobody = server.identity_of("anonymous", &[]);
    let mut silent = server.socket_with(&nobody, &path, "").await.ok().unwrap();
    let mut known = server.socket_with(&nobody, &path, "").await.ok().unwrap();
    known.send_json(&json!({"bearer": "short"})).await;
    let began = std::time::Instant::now();
    assert_eq!(silent.closed().await, 1008);
    assert!((900..5000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    settled(&mut known).await;
    IS_REVOKED.store(true, Ordering::SeqCst);
    assert_eq!(started(&mut known).await, json!({"error": "denied"}));
    assert_eq!(known.closed().await, 1008);
}
