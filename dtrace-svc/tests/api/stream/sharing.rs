//! Runs that several listeners share, and restarts of one listener's run (contract `dtrace`, section 6).

use super::{lines, script, ticking};
use crate::harness::{Server, eventually, is_alive};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn listeners_of_one_script_share_one_run_and_the_last_one_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let server = Server::faked();
    let uuid = script(&server, &ticking(&pids)).await;
    let mut first = server.socket(&uuid).await;
    first.send_json(&json!({"v": 1})).await;
    assert_eq!(first.json().await["v"], json!(1));
    let mut second = server.socket(&uuid).await;
    second.send_json(&json!({"v": 2})).await;
    assert_eq!(second.json().await["v"], json!(1), "the first one's configuration counts");
    assert_eq!(first.figures().await, json!({"a": 1}));
    assert_eq!(second.figures().await, json!({"a": 1}));
    let started = lines(&pids);
    assert_eq!(started.len(), 1);
    drop(first);
    for _ in 0..3 {
        assert_eq!(second.figures().await, json!({"a": 1}), "the others do not feel it");
    }
    assert!(is_alive(&started[0]));
    second.send_frame(0x88, &1000_u16.to_be_bytes()).await;
    assert_eq!(second.closed().await, 1000);
    eventually("the tracer ends", || !is_alive(&started[0])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_start_message_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let server = Server::faked();
    let uuid = script(&server, &ticking(&pids)).await;
    let mut socket = server.socket(&uuid).await;
    for number in 1..3 {
        socket.send_json(&json!({ "v": number })).await;
        loop {
            let message = socket.json().await;
            if message.get("config").is_some() {
                assert_eq!(message["v"], json!(number));
                break;
            }
        }
        assert_eq!(socket.figures().await, json!({"a": 1}));
    }
    let started = lines(&pids);
    assert_eq!(started.len(), 2);
    eventually("the first tracer ends", || !is_alive(&started[0])).await;
    assert!(is_alive(&started[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_starts_that_come_while_one_is_under_way_the_last_counts() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let server = Server::faked();
    let uuid = script(&server, &ticking(&pids)).await;
    let mut socket = server.socket(&uuid).await;
    for number in 1..6 {
        socket.send_json(&json!({ "v": number })).await;
    }
    loop {
        let message = socket.json().await;
        assert!(message.get("error").is_none(), "{message}");
        if message.get("config").is_some() && message["v"] == 5 {
            break;
        }
    }
    assert_eq!(socket.figures().await, json!({"a": 1}));
    eventually("one tracer is left", || lines(&pids).iter().filter(|pid| is_alive(pid)).count() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_further_start_comes_back_to_a_run_that_others_listen_to() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let server = Server::faked();
    let uuid = script(&server, &ticking(&pids)).await;
    let (mut first, mut other) = (server.socket(&uuid).await, server.socket(&uuid).await);
    first.send_json(&json!({"v": 1})).await;
    assert_eq!(first.json().await["v"], json!(1));
    other.send_json(&json!({"v": 2})).await;
    assert_eq!(other.json().await["v"], json!(1));
    first.send_json(&json!({"v": 3})).await;
    let mut answer = first.json().await;
    while answer.get("config").is_none() {
        answer = first.json().await;
    }
    assert_eq!(answer["v"], json!(1));
    assert_eq!(other.figures().await, json!({"a": 1}));
    assert_eq!(lines(&pids).len(), 1);
}
