//! Changes as server-sent events (section 11 of the contract), over a real connection.

use crate::rig::Rig;
use annotate_svc::config::Config;
use annotate_svc::store::{DbError, continue_changes, last_change, list_changes};
use serde_json::{Value, json};
use shared::connection::Connection;
use shared::db::DbConn;
use shared::stop::Stop;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A listener to the service.
struct Listener(BufReader<TcpStream>);

#[derive(Debug, Default, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: String,
}

impl Event {
    fn message(&self) -> String {
        serde_json::from_str::<Value>(&self.data).unwrap()["Message"].as_str().unwrap().to_owned()
    }
}

impl Listener {
    /// Asks for changes and reads the head of the answer.
    fn open(address: SocketAddr, query: &str, last: Option<&str>) -> (u16, Self) {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let head = format!("GET /annotation/changes?{query} HTTP/1.1\r\nHost: x\r\n{last}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut status = String::new();
        reader.read_line(&mut status).unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        (status.split(' ').nth(1).unwrap().parse().unwrap(), Self(reader))
    }

    /// The next event with data; `None` at the end of the answer.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // Lines of the chunked encoding have no colon.
            match line.trim_end().split_once(": ") {
                Some(("id", id)) => event.id = id.to_owned(),
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("data", data)) => event.data = data.to_owned(),
                Some(_) => {}
                None if line.trim_end() == "" && !event.data.is_empty() => return Some(event),
                None if line.trim_end() == "0" => return None,
                None => {}
            }
        }
    }
}

/// The service on a port of its own, with its background tasks.
struct Served {
    rig: Rig,
    address: SocketAddr,
    draining: Stop,
    stop: Stop,
}

impl Served {
    fn start(config: Config) -> Self {
        let rig = Rig::with(config);
        let (draining, stop) = (Stop::default(), Stop::default());
        let _tasks = rig.state.start_background(&draining, &stop);
        let state = rig.state.clone();
        let server = actix_web::HttpServer::new(move || crate::rig::app(state.clone()));
        let server = server.on_connect(Connection::remember).workers(1).disable_signals();
        let server = server.bind("127.0.0.1:0").unwrap();
        let address = server.addrs()[0];
        tokio::spawn(server.run());
        Self { rig, address, draining, stop }
    }

    async fn listen(&self, query: &'static str, last: Option<String>) -> (u16, Listener) {
        let address = self.address;
        blocking(move || Listener::open(address, query, last.as_deref())).await
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.draining.stop();
        self.stop.stop();
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn next(mut listener: Listener) -> (Option<Event>, Listener) {
    blocking(move || (listener.next(), listener)).await
}

#[actix_web::test]
async fn listener_hears_every_change() {
    let served = Served::start(Config::default());
    served.rig.create(json!({"Message": "before"})).await;
    let (status, listener) = served.listen("Epoch=1", None).await;
    assert_eq!(status, 200);
    let (ready, mut listener) = next(listener).await;
    assert_eq!(ready.unwrap().name, "ready");
    let id = served.rig.create(json!({"Message": "one", "StartDate": 5})).await;
    served.rig.put(&format!("/annotation/{id}"), json!({"Message": "two"}).to_string()).await.ok();
    served.rig.delete(&format!("/annotation/{id}")).await;
    served.rig.post(&format!("/annotation/{id}/restore"), "").await.ok();
    for (name, message) in [("create", "one"), ("update", "two"), ("delete", "two"), ("restore", "two")] {
        let (mut event, mut rest) = next(listener).await;
        // PostgreSQL shows a change when no older transaction runs, of other tests too: it may come after "ready".
        if event.as_ref().is_some_and(|event| event.message() == "before") {
            (event, rest) = next(rest).await;
        }
        let event = event.unwrap();
        assert_eq!((event.name.as_str(), event.message().as_str()), (name, message));
        if name == "create" {
            let document: Value = serde_json::from_str(&event.data).unwrap();
            assert_eq!((&document["Id"], &document["StartDate"]), (&json!(id), &json!(5)));
        }
        listener = rest;
    }
}

#[actix_web::test]
async fn listener_that_comes_back_hears_what_it_missed() {
    let served = Served::start(Config::default());
    let (_, listener) = served.listen("", None).await;
    let (ready, listener) = next(listener).await;
    drop(listener);
    let many: Vec<_> = (0..450).map(|n| json!({"Message": n.to_string()})).collect();
    served.rig.post("/annotation", json!(many).to_string()).await.ok();
    served.rig.create(json!({"Message": "last"})).await;
    let (_, listener) = served.listen("", Some(ready.unwrap().id)).await;
    let heard = blocking(move || {
        let mut listener = listener;
        assert_eq!(listener.next().unwrap().name, "ready");
        let mut heard = Vec::new();
        while heard.last().is_none_or(|last| last != "last") {
            heard.push(listener.next().unwrap().message());
        }
        heard
    })
    .await;
    // Each once, whatever the order inside one commit.
    let mut expected: Vec<String> = (0..450).map(|n| n.to_string()).collect();
    expected.sort_unstable();
    let mut first: Vec<String> = heard[..450].to_vec();
    first.sort_unstable();
    assert_eq!((first, heard.len()), (expected, 451));
}

/// A server that a dump is read into has counted fewer transactions than the rows name.
#[actix_web::test]
async fn changes_go_on_after_a_dump_was_read_into_another_server() {
    use diesel::connection::SimpleConnection;
    let served = Served::start(Config::default());
    let db = served.rig.db.db.clone();
    let id = served.rig.create(json!({"Message": "created"})).await;
    served.rig.put(&format!("/annotation/{id}"), json!({"Message": "updated"}).to_string()).await.ok();
    for _restored in 0..2 {
        db.write_blocking(|conn| {
            if let DbConn::Postgres(conn) = conn {
                // The newest change may be one in the history: a deletion.
                conn.batch_execute(
                    "UPDATE annotations SET change = change + 1000000000; \
                     UPDATE annotation_history SET change = change + 1000000000",
                )?;
            }
            continue_changes(conn)?;
            continue_changes(conn)
        })
        .unwrap();
        served.rig.delete(&format!("/annotation/{id}")).await;
        served.rig.post(&format!("/annotation/{id}/restore"), "").await.ok();
        served.rig.delete(&format!("/annotation/{id}")).await;
        served.rig.post(&format!("/annotation/{id}/restore"), "").await.ok();
    }
    let expected = ["create", "update"].into_iter().chain(["delete", "restore"].repeat(4));
    let first = format!("0.{}.0", uuid::Uuid::nil().simple());
    let (_, listener) = served.listen("", Some(first)).await;
    let (_, mut listener) = next(listener).await;
    for name in expected {
        let (event, rest) = next(listener).await;
        assert_eq!(event.unwrap().name, name);
        listener = rest;
    }
}

/// The number of the server's next transaction is none to come back with: where a dump is read into, it may be that of
/// a change.
#[actix_web::test]
async fn the_place_after_the_last_change_is_that_of_a_change() {
    let rig = Rig::new();
    let place = |after| {
        rig.db.db.write_blocking(move |conn| match after {
            None => last_change(conn).map(|place| (place, 0)),
            Some(after) => Ok::<_, DbError>((after, list_changes(conn, after, 9)?.len())),
        })
    };
    let (before, _) = place(None).unwrap();
    assert_eq!(before, format!("0.{}.{}", uuid::Uuid::max().simple(), i64::MAX).parse().unwrap());
    rig.create(json!({"Message": "x"})).await;
    // Transactions of other tests may hold the change back for a moment.
    while place(Some(before)).unwrap().1 == 0 {
        tokio::task::yield_now().await;
    }
    let newest = place(None).unwrap().0;
    let change: i64 = newest.to_string().split('.').next().unwrap().parse().unwrap();
    let next = format!("{}.{}.0", change - 1, uuid::Uuid::max().simple()).parse().unwrap();
    assert_eq!((place(Some(next)).unwrap().1, place(Some(newest)).unwrap().1), (1, 0));
}

#[actix_web::test]
async fn listener_hears_only_what_it_asked_for() {
    let served = Served::start(Config::default());
    let (_, listener) = served.listen("filter=owner:sre&Host=web01", None).await;
    let (_, listener) = next(listener).await;
    for (message, owner, host) in [("1", "sre", "web02"), ("2", "ops", "web01"), ("3", "SRE", "web01")] {
        served.rig.create(json!({"Message": message, "Owner": owner, "Host": host})).await;
    }
    let (event, _) = next(listener).await;
    assert_eq!(event.unwrap().message(), "3");
    for (query, last, expected) in
        [("filter=x", None, 400), ("Foo=1", None, 500), ("", Some("x"), 400), ("after=1.2", None, 400)]
    {
        let (status, _) = served.listen(query, last.map(str::to_owned)).await;
        assert_eq!(status, expected, "{query}");
    }
}

#[actix_web::test]
async fn listeners_are_bounded_and_end_with_the_service() {
    let served = Served::start(Config { max_listeners: 2, ..Config::default() });
    let (_, one) = served.listen("", None).await;
    let (_, two) = served.listen("", None).await;
    let (_, one) = next(one).await;
    assert_eq!(served.listen("", None).await.0, 503);
    drop(two);
    // A place is free again as soon as the service notices; it looks at the latest when the next event is sent.
    let mut status = 503;
    for _ in 0..100 {
        served.rig.create(json!({})).await;
        status = served.listen("", None).await.0;
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status, 200);
    served.draining.stop();
    let ended = blocking(move || {
        let mut one = one;
        let mut last = Event::default();
        while let Some(event) = one.next() {
            last = event;
        }
        last
    })
    .await;
    assert_eq!(
        (ended.name.as_str(), ended.data.as_str()),
        ("end", "{\"error\":\"the service is stopping\"}")
    );
}

#[actix_web::test]
async fn a_listener_who_reads_nothing_loses_place_and_connection() {
    let served = Served::start(Config { max_listeners: 1, listener_timeout_secs: 1, ..Config::default() });
    let (_, listener) = served.listen("", None).await;
    let (_, silent) = next(listener).await;
    // More than the buffers of a connection hold: 64 changes of 256 KiB.
    let large = "x".repeat(256 << 10);
    for _ in 0..64 {
        served.rig.create(json!({ "Message": large })).await;
    }
    // It reads again only after its place has gone to somebody else.
    let mut status = 503;
    for _ in 0..100 {
        let (answered, _) = served.listen("", None).await;
        status = answered;
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status, 200);
    let (ended, heard) = blocking(move || {
        let (mut stream, mut heard) = (silent.0.into_inner(), Vec::new());
        (std::io::Read::read_to_end(&mut stream, &mut heard), heard)
    })
    .await;
    // The connection is closed at once, without the last chunk that a whole answer has.
    let is_closed = ended.map_or_else(|cause| cause.kind() == ErrorKind::ConnectionReset, |_| true);
    assert!(is_closed && !heard.ends_with(b"0\r\n\r\n"), "{} bytes", heard.len());
}
