//! Commands that go on for long, against a gateway that hangs or refuses.

use crate::cli::Cli;
use clap::Parser;
use std::process::{Command, ExitCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A gateway that answers as it is told.
struct Gateway {
    url: String,
    /// The first lines of its requests.
    asked: UnboundedReceiver<String>,
}

impl Gateway {
    /// `answer` gives a whole answer to a request's first line; with none the client is left waiting.
    async fn start(mut answer: impl FnMut(&str) -> Option<&'static str> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, asked) = unbounded_channel();
        tokio::spawn(async move {
            let mut waiting = Vec::new();
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let line = read_request(&mut client).await;
                let answer = answer(&line);
                tell.send(line).unwrap();
                match answer {
                    Some(answer) => client.write_all(answer.as_bytes()).await.unwrap(),
                    None => waiting.push(client),
                }
            }
        });
        Self { url, asked }
    }

    /// A command on it.
    fn run(&self, words: &[&str]) -> impl Future<Output = anyhow::Result<ExitCode>> + use<> {
        let words = [&["quintet"], words, &["--url", &self.url]].concat();
        crate::run(Cli::try_parse_from(words).unwrap())
    }

    /// Presses Ctrl-C when a request has come that begins so. The command listens by then.
    async fn interrupt_at(&mut self, start: &str) {
        while !self.asked.recv().await.unwrap().starts_with(start) {}
        let id = std::process::id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    }
}

/// Reads a request to its end; answers its first line.
async fn read_request(client: &mut TcpStream) -> String {
    let mut text = Vec::new();
    loop {
        client.read_buf(&mut text).await.unwrap();
        let text = String::from_utf8_lossy(&text);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
        });
        if body.len() >= length.unwrap_or(0) {
            return head.lines().next().unwrap().to_owned();
        }
    }
}

const SCRIPT: &str = "HTTP/1.1 201 Created\r\nlocation: /v1/dtrace/b7c658e0-2ddb-46dd-8973-4a59ffc9957e\r\n\
     content-length: 0\r\nconnection: close\r\n\r\n";
const DONE: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_tail_ends_when_it_is_interrupted_while_a_request_hangs() {
    for words in [["events", "tail"], ["streams", "tail"]] {
        let mut gateway = Gateway::start(|_| None).await;
        let tail = gateway.run(&words);
        let (ended, ()) = tokio::join!(tail, gateway.interrupt_at("GET"));
        assert!(ended.is_ok());
    }
}

#[tokio::test]
async fn a_tail_of_streams_ends_when_its_token_is_revoked() {
    let mut answers = [
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nid: 1-2\n\n",
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    ]
    .into_iter();
    let gateway = Gateway::start(move |_| answers.next()).await;
    let refused = gateway.run(&["streams", "tail", "--token", "t"]).await.unwrap_err().to_string();
    assert!(refused.starts_with("401"), "{refused}");
}

#[tokio::test]
async fn a_run_that_is_interrupted_while_it_begins_removes_its_script() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut gateway = Gateway::start(|line| match line.split(' ').next() {
        Some("POST") => Some(SCRIPT),
        Some("DELETE") => Some(DONE),
        _ => None,
    })
    .await;
    let run = gateway.run(&["dtrace", "run", "--file", file.path().to_str().unwrap()]);
    let (ended, ()) = tokio::join!(run, gateway.interrupt_at("GET"));
    assert!(ended.is_ok());
    let removed = gateway.asked.recv().await.unwrap();
    assert!(removed.starts_with("DELETE /v1/dtrace/b7c658e0-2ddb-46dd-8973-4a59ffc9957e"), "{removed}");
}

#[tokio::test]
async fn a_run_tells_its_own_failure_before_that_of_its_removal() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let gateway = Gateway::start(|line| match line.split(' ').next() {
        Some("POST") => Some(SCRIPT),
        Some("GET") => {
            Some("HTTP/1.1 501 Not Implemented\r\ncontent-length: 9\r\nconnection: close\r\n\r\nno tracer")
        }
        _ => Some("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
    })
    .await;
    let run = gateway.run(&["dtrace", "run", "--file", file.path().to_str().unwrap()]).await;
    let failure = run.unwrap_err().to_string();
    assert!(failure.ends_with("no tracer"), "{failure}");
}
