//! Websocket clients that misbehave: each is ended, none disturbs the others.

use crate::harness::{Server, eventually, fast};
use crate::socket::{Frame, Socket};
use dtrace_svc::config::{Config, Setting};
use serde_json::json;
use std::time::{Duration, Instant};

/// A text of several lines, so that ticks are large.
const WIDE: &str = "BEGIN {}\n//sh started; pad=$(head -c 7000 /dev/zero | tr '\\0' x)\n\
    //sh while :; do sleep 0.02; for i in 1 2 3 4 5 6 7 8; do out printf \"\\\"$i $pad\\\"\"; done; tick; done";

async fn open(server: &Server) -> (String, Socket) {
    let uuid = server.create(json!({ "name": "n", "script": "BEGIN { @n = count(); }" })).await;
    let mut socket = server.socket(&uuid).await;
    socket.send("").await;
    assert!(socket.json().await.get("config").is_some());
    (uuid, socket)
}

fn patient() -> Config {
    Config { executor: Setting::Simulated, listener_timeout_secs: 1, ..fast() }
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_frames_and_messages_in_many_pieces_are_closed_with_1009() {
    let server = Server::with(patient());
    let (uuid, mut socket) = open(&server).await;
    socket.send_frame(0x81, &vec![b' '; 10 << 20]).await;
    let code = socket.closed().await;
    assert!([1009, 1006].contains(&code), "{code}");
    // A frame that only says it is huge.
    let mut socket = server.socket(&uuid).await;
    socket.send_raw(&[0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]).await;
    assert_eq!(socket.closed().await, 1009);
    // Pieces that are small, and too large together.
    let mut socket = server.socket(&uuid).await;
    socket.send_frame(0x01, &[b' '; 40_000]).await;
    socket.send_frame(0x80, &[b' '; 40_000]).await;
    assert_eq!(socket.closed().await, 1009);
    // Pieces that are small enough together are one message.
    let mut socket = server.socket(&uuid).await;
    socket.send_frame(0x01, b"{\"en").await;
    socket.send_frame(0x00, b"d\":").await;
    socket.send_frame(0x80, b"3}").await;
    assert_eq!(socket.json().await["end"], json!(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_messages_pings_and_empty_pieces_are_closed_with_1008() {
    let server = Server::with(patient());
    let (uuid, _listening) = open(&server).await;
    for (first, payload) in [(0x81, b"x".as_slice()), (0x89, b""), (0x8a, b""), (0x81, b"{}")] {
        let mut socket = server.socket(&uuid).await;
        for _ in 0..500 {
            socket.send_frame(first, payload).await;
        }
        let code = socket.closed().await;
        assert!([1008, 1006].contains(&code), "{first:x}: {code}");
    }
    let mut socket = server.socket(&uuid).await;
    socket.send_frame(0x01, b"").await;
    for _ in 0..500 {
        socket.send_frame(0x00, b"").await;
    }
    let code = socket.closed().await;
    assert!([1008, 1006].contains(&code), "{code}");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_frames_are_closed_with_1002() {
    let server = Server::with(patient());
    let (uuid, _listening) = open(&server).await;
    for bytes in [
        // Not masked, as a client's must be; a reserved opcode; a piece of no message; a ping in pieces.
        b"\x81\x02{}".as_slice(),
        b"\x83\x80\0\0\0\0",
        b"\x80\x80\0\0\0\0",
        b"\x09\x80\0\0\0\0",
    ] {
        let mut socket = server.socket(&uuid).await;
        socket.send_raw(bytes).await;
        let code = socket.closed().await;
        assert!([1002, 1006].contains(&code), "{bytes:x?}: {code}");
    }
    // Text that is no UTF-8.
    let mut socket = server.socket(&uuid).await;
    socket.send_frame(0x81, b"\xff\xfe").await;
    let code = socket.closed().await;
    assert!([1002, 1006, 1007].contains(&code), "{code}");
    assert_eq!(server.call("GET", "/dtrace").send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_answers_no_ping_is_closed_and_its_run_ends() {
    let server = Server::with(patient());
    let (_uuid, mut socket) = open(&server).await;
    let began = Instant::now();
    let code = socket.closed_without_pongs().await;
    assert_eq!(code, 1008);
    assert!((1..8).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let metrics = async || server.call("GET", "/metrics").send().await.text().to_owned();
    for _ in 0..200 {
        if metrics().await.contains("quintet_dtrace_runs{service=\"dtrace\"} 0") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    unreachable!("the run goes on: {}", metrics().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_who_reads_nothing_is_cut_off_and_the_others_feel_nothing() {
    let server = Server::with(Config { listener_timeout_secs: 1, ..crate::harness::faked() });
    let uuid = server.create(json!({ "name": "n", "script": WIDE })).await;
    let path = format!("/dtrace/{uuid}/stream?lines=true");
    let mut slow = server.socket_as(&["..."], &path).await.ok().unwrap();
    slow.send("").await;
    slow.json().await;
    let mut quick = server.socket_as(&["..."], &path).await.ok().unwrap();
    quick.send("").await;
    quick.json().await;
    // The slow one reads nothing more; the quick one reads on, and misses nothing.
    let began = Instant::now();
    let mut expected = 1;
    let mut seen = 0;
    loop {
        let message = quick.json().await;
        assert!(message.get("dropped").is_none(), "{message}");
        for line in message["lines"].as_array().into_iter().flatten() {
            let number: u64 = line.as_str().unwrap().split(' ').next().unwrap().parse().unwrap();
            if seen == 0 {
                expected = number;
            }
            assert_eq!(number, expected);
            expected = expected % 8 + 1;
            seen += 1;
        }
        let metrics = server.call("GET", "/metrics").send().await.text().to_owned();
        if metrics.contains("quintet_dtrace_listeners{service=\"dtrace\"} 1\n") {
            break;
        }
        assert!(began.elapsed().as_secs() < 60, "{metrics}");
    }
    assert!(seen > 100, "{seen}");
    // Its connection is closed too, without the close that it had no room for: a second later it would have had it. Where
    // the script is slow, what ends it is the ping that it does not answer, and there is room to say so; but that close,
    // which it does not answer either, is then the last thing on the connection.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let code = slow.closed().await;
    if code != 1006 {
        assert_eq!((code, slow.next_silently().await), (1008, Frame::Eof));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_over_http_who_reads_nothing_loses_the_connection() {
    let server = Server::with(Config { listener_timeout_secs: 1, ..crate::harness::faked() });
    let uuid = server.create(json!({ "name": "n", "script": WIDE })).await;
    let run = server.call("POST", &format!("/dtrace/{uuid}/runs")).begin().await;
    assert_eq!(run.status(), 200);
    let began = Instant::now();
    loop {
        let metrics = server.call("GET", "/metrics").send().await.text().to_owned();
        if metrics.contains("quintet_dtrace_listeners{service=\"dtrace\"} 0\n") {
            break;
        }
        assert!(began.elapsed().as_secs() < 60, "{metrics}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What it then reads breaks off.
    assert!(run.bytes().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_without_a_word_leaves_no_run_behind() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let server = Server::faked();
    let text = format!("BEGIN {{}}\n//sh echo $$ > {}; started; sleep 600", pids.display());
    let uuid = server.create(json!({ "name": "n", "script": text })).await;
    let mut socket = server.socket(&uuid).await;
    socket.send("").await;
    socket.json().await;
    let pid = std::fs::read_to_string(&pids).unwrap().trim().to_owned();
    assert!(crate::harness::is_alive(&pid));
    drop(socket);
    eventually("the tracer ends", || !crate::harness::is_alive(&pid)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_while_the_tracer_starts_leaves_none_behind() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let server = Server::faked();
    let text = format!("BEGIN {{}}\n//sh echo $$ > {}; sleep 600", pids.display());
    let uuid = server.create(json!({ "name": "n", "script": text })).await;
    let mut socket = server.socket(&uuid).await;
    socket.send("").await;
    eventually("the tracer starts", || pids.exists() && std::fs::metadata(&pids).unwrap().len() > 1).await;
    let pid = std::fs::read_to_string(&pids).unwrap().trim().to_owned();
    drop(socket);
    eventually("the tracer ends", || !crate::harness::is_alive(&pid)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_before_the_handshake_and_odd_handshakes_do_no_harm() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = Server::with(patient());
    let (uuid, _listening) = open(&server).await;
    let host = server.url.strip_prefix("http://").unwrap();
    let identity = server.identity(&["..."]);
    for (headers, status) in [
        ("upgrade: websocket\r\nconnection: upgrade\r\n", "400"),
        (
            "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 8\r\nsec-websocket-key: x\r\n",
            "400",
        ),
        ("upgrade: h2c\r\nconnection: upgrade\r\n", "400"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
        let request = format!(
            "GET /dtrace/{uuid}/stream HTTP/1.1\r\nhost: x\r\nx-quintet-identity: {identity}\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer[9..], status.as_bytes(), "{headers}");
    }
    assert_eq!(server.call("GET", "/dtrace").send().await.status, 200);
}

impl Socket {
    /// The code of the close, read without answering pings.
    async fn closed_without_pongs(&mut self) -> u16 {
        loop {
            match self.next_silently().await {
                Frame::Close(code, _) => return code,
                Frame::Eof => return 1006,
                Frame::Text(_) | Frame::Binary(_) => (),
            }
        }
    }
}
