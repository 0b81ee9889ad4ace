//! `/dtrace/{uuid}/stream` (contract `dtrace`, section 6).

mod permissions;
mod sharing;

use crate::harness::{Server, faked, fast, is_alive};
use crate::socket::{Frame, Socket};
use dtrace_svc::config::{Config, RunLimits, Setting};
use serde_json::{Value, json};
use std::path::Path;

/// The seed's variables, in a script that keeps one histogram by one key.
const LQUANTIZE: &str = "BEGIN { @time[comm] = lquantize(1, $start$, $end$, $step$); }\n/* $filter$ */";

async fn lquantize(server: &Server) -> String {
    let config = json!({"start": 127, "end": 0, "step": 4});
    server.create(json!({ "name": "erlang function calls", "script": LQUANTIZE, "config": config })).await
}

async fn script(server: &Server, text: &str) -> String {
    server.create(json!({ "name": "n", "script": text })).await
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A script for the stand-in: it notes its process in a file, then ticks with one figure for ever.
fn ticking(pids: &Path) -> String {
    format!(
        "BEGIN {{ @n[comm] = count(); }} // $v$\n\
         //sh echo $$ >> {}; started; while :; do sleep 0.1; out map '{{\"@n\": {{\"a\": 1}}}}'; tick; done",
        pids.display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_start_runs_with_the_stored_config_on_all_servers() {
    let server = Server::simulated();
    let uuid = lquantize(&server).await;
    for start in ["", "{}", " ", "null", "[]"] {
        let mut socket = server.socket(&uuid).await;
        socket.send(start).await;
        let config = json!({"servers": ["local"], "start": 127, "end": 0, "step": 4});
        let mut expected = config.clone();
        expected["config"] = config;
        assert_eq!(socket.json().await, expected, "{start:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_message_wins_over_the_stored_config_and_variables_may_stand_in_config_or_beside_it() {
    let server = Server::simulated();
    let uuid = lquantize(&server).await;
    let mut socket = server.socket(&uuid).await;
    let start =
        json!({"servers": ["local"], "filter": [["pid", 1]], "config": {"end": 5, "step": 6}, "step": 7});
    socket.send_json(&start).await;
    let expected = json!({
        "start": 127, "end": 5, "step": 7, "servers": ["local"], "filter": [["pid", 1]],
        "config": {"start": 127, "end": 5, "step": 7, "servers": ["local"]},
    });
    assert_eq!(socket.json().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn then_about_every_interval_one_message_with_buckets_below_the_keys() {
    let server = Server::simulated();
    let uuid = lquantize(&server).await;
    let mut socket = server.socket(&uuid).await;
    socket.send("").await;
    socket.json().await;
    let began = std::time::Instant::now();
    for _ in 0..5 {
        let message = socket.figures().await;
        for (_key, buckets) in message.as_object().unwrap() {
            for (range, count) in buckets.as_object().unwrap() {
                let (low, high) = range.split_once('-').unwrap();
                assert!(low.parse::<i64>().unwrap() <= high.parse().unwrap(), "{range}");
                assert!(count.as_u64().unwrap() > 0);
            }
        }
    }
    let took = began.elapsed().as_millis();
    assert!((350..2000).contains(&took), "5 ticks of 100 ms took {took} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_new_is_an_empty_message() {
    let server = Server::faked();
    let uuid =
        script(&server, "BEGIN { @n = count(); }\n//sh started; while :; do sleep 0.1; tick; done").await;
    let mut socket = server.socket(&uuid).await;
    socket.send("").await;
    assert_eq!(socket.json().await["servers"], json!(["local"]));
    for _ in 0..3 {
        assert_eq!(socket.json().await, json!({}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_those_since_the_last_message() {
    let server = Server::faked();
    let text = "BEGIN { @t[probe, comm] = hist(1); }\n\
        //sh started; out hist '{\"@t\": {\"x,bash\": [{\"max\": -1, \"count\": 2}, {\"min\": 0, \"max\": 3, \"count\": 1}]}}'; tick\n\
        //sh out hist '{\"@t\": {\"x,bash\": [{\"min\": -8, \"max\": -5, \"count\": 4}], \"y,cat\": [{\"min\": 100, \"count\": 5}]}}'; tick; sleep 60";
    let uuid = script(&server, text).await;
    let mut socket = server.socket(&uuid).await;
    socket.send("").await;
    socket.json().await;
    let first = json!({"x": {"bash": {"-9223372036854775808--1": 2, "0-3": 1}}});
    let second = json!({"x": {"bash": {"-8--5": 4}}, "y": {"cat": {"100-9223372036854775807": 5}}});
    let got = [socket.figures().await, socket.figures().await];
    assert_eq!(got, [first, second]);
}

#[tokio::test(flavor = "multi_thread")]
async fn msgpack_is_spoken_when_offered_and_only_what_was_offered_is_answered() {
    let server = Server::simulated();
    let uuid = lquantize(&server).await;
    let path = format!("/dtrace/{uuid}/stream");
    for (offered, answered) in [
        ("", None),
        ("json", Some("json")),
        ("msgpack", Some("msgpack")),
        ("json, msgpack", Some("msgpack")),
        ("soap", None),
    ] {
        let mut socket = server.socket_with(&server.identity(&["..."]), &path, offered).await.ok().unwrap();
        assert_eq!(socket.protocol.as_deref(), answered, "{offered}");
        if answered == Some("msgpack") {
            // {"end": 5}
            socket.send_frame(0x82, b"\x81\xa3end\x05").await;
            let Frame::Binary(bytes) = socket.next().await else { unreachable!() };
            assert_eq!(dtrace_svc::wire::from_msgpack(&bytes).unwrap()["end"], json!(5));
            let Frame::Binary(_figures) = socket.next().await else { unreachable!() };
        } else {
            socket.send("{\"end\": 5}").await;
            assert_eq!(socket.json().await["end"], json!(5));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_handshake_is_refused_with_the_contracts_statuses() {
    let server = Server::simulated();
    let uuid = lquantize(&server).await;
    let path = format!("/dtrace/{uuid}/stream");
    let unknown = "/dtrace/b7c658e0-2ddb-46dd-8973-4a59ffc9957e/stream";
    let refused = |permission: &'static str, path: String| {
        let server = &server;
        async move { server.socket_as(&[permission], &path).await.err() }
    };
    assert_eq!(refused("dtrace->_->get", path.clone()).await, Some(403));
    assert_eq!(refused("dtrace->_->get", unknown.into()).await, Some(403));
    assert_eq!(refused("dtrace->_->stream", unknown.into()).await, Some(404));
    assert_eq!(refused("dtrace->_->stream", "/dtrace/x/stream".into()).await, Some(404));
    assert_eq!(refused("dtrace->_->stream", path.clone()).await, None);
    assert_eq!(refused("dtraces->_->stream", path.clone()).await, None);
    assert_eq!(server.socket_with("v1.forged.mac", &path, "").await.err(), Some(401));
    let plain = server.call("GET", &path).send().await;
    assert_eq!(plain.status, 400, "{}", plain.text());
    assert_eq!(server.call("HEAD", &path).send().await.status, 200);
    assert_eq!(server.call("POST", &path).send().await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_become_a_zone_filter_and_a_script_without_a_place_for_it_is_not_run() {
    let server = Server::simulated();
    let with_place = script(&server, "BEGIN $filter$ { @n = count(); }").await;
    let without = script(&server, "BEGIN { @n = count(); }").await;
    let mut socket = server.socket(&without).await;
    socket.send_json(&json!({"vms": ["vm1"]})).await;
    let error = socket.json().await["error"].clone();
    assert_eq!(error, "the script has no place for a filter: it needs $filter$ or $partial_filter$");
    let mut socket = server.socket(&with_place).await;
    socket
        .send_json(&json!({"vms": ["vm1", "v\"2"], "filter": {"or": [["pid", 1], ["arg", 0, "<", 2]]}}))
        .await;
    assert_eq!(socket.json().await["vms"], json!(["vm1", "v\"2"]));
    let runs = server.call("GET", &format!("/dtrace/{with_place}/runs")).send().await.json();
    let run = runs[0]["run"].as_str().unwrap();
    let run = server.call("GET", &format!("/dtrace/{with_place}/runs/{run}")).send().await.json();
    let expected = r#"BEGIN /((zonename=="vm1"||zonename=="v\"2")&&(pid==1||arg0<2))/ { @n = count(); }"#;
    assert_eq!(run["program"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_custom_condition_stays_within_the_machines_of_the_run() {
    let server = Server::simulated();
    let config = json!({"filter": [["custom", "a==1||b==2"]]});
    let body = json!({"name": "n", "script": "BEGIN $filter$ { @n = count(); }", "config": config});
    let uuid = server.create(body).await;
    let mut socket = server.socket(&uuid).await;
    socket.send_json(&json!({"vms": ["vm1"]})).await;
    socket.json().await;
    let runs = server.call("GET", &format!("/dtrace/{uuid}/runs")).send().await.json();
    let path = format!("/dtrace/{uuid}/runs/{}", runs[0]["run"].as_str().unwrap());
    let run = server.call("GET", &path).send().await.json();
    assert_eq!(run["program"], r#"BEGIN /(zonename=="vm1"&&(a==1||b==2))/ { @n = count(); }"#);
    socket.send_json(&json!({"vms": ["vm1"], "filter": [["custom", "a==1)||(b==2"]]})).await;
    let refused = "filter: custom: expected one expression, closed in itself";
    assert_eq!(socket.json().await["error"], refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_runner_sends_becomes_code() {
    let server = Server::simulated();
    let config = json!({"start": 127, "end": 0, "step": 4});
    let text = format!("{LQUANTIZE} $filter$ $text$");
    let body = json!({ "name": "n", "script": text, "config": {"text": "free; text", "start": 1, "end": 2, "step": 3} });
    let uuid = server.create(body).await;
    let path = format!("/dtrace/{uuid}/stream");
    let runner = ["dtrace->_->stream", "hypervisors->_->get"];
    let mut socket = server.socket_as(&runner, &path).await.ok().unwrap();
    for (start, error) in [
        (json!({"start": "0); } BEGIN { system(\"id\"); } //"}), "the value of start may hold"),
        (json!({"config": {"end": "0, 1); exit("}}), "the value of end may hold"),
        (json!({"step": "$start$"}), "the value of step may hold"),
        (json!({"step": "a//b"}), "the value of step would make a comment"),
        (json!({"step": [1]}), "the value of step must be"),
        (json!({"step": null}), "the value of step must be"),
        (json!({"text": "other; text"}), "the value of text may hold"),
        (json!({"filter": [["custom", "1==1"]]}), "denied"),
        (json!({"config": {"filter": [["custom", "1==1"]]}}), "denied"),
        (json!({"filter": [["pid", "||1==1||", 1]]}), "filter: unknown comparison"),
        (json!({"filter": [["pid", "1||1"]]}), "filter: pid: expected a number"),
        (json!({"filter": [["execname", "a\nb"]]}), "filter: execname: expected"),
        (json!({"filter": [["arg", "0]||x[1", 1]]}), "filter: arg: expected"),
        (json!({"filter": [["nosuch", 1]]}), "filter: unknown condition"),
        (json!({"filter": "pid==1"}), "filter: expected a condition"),
        (json!({"vms": [1]}), "vms holds what is no name"),
        (json!({"config": 1}), "config is no object"),
    ] {
        // A refusal five times over ends the websocket: a fresh one for each denial.
        if error == "denied" {
            socket = server.socket_as(&runner, &path).await.ok().unwrap();
        }
        socket.send_json(&start).await;
        let answer = socket.json().await;
        assert!(answer["error"].as_str().unwrap_or("").starts_with(error), "{start}: {answer}");
    }
    // The websocket is still good for a proper start.
    let mut socket = server.socket_as(&runner, &path).await.ok().unwrap();
    socket.send_json(&json!({"start": "x"})).await;
    assert_eq!(socket.json().await["start"], json!("x"));
    // Who may edit the script may send free text.
    let editor = [&runner[..], &["dtraces->_->edit"]].concat();
    let mut socket = server.socket_as(&editor, &path).await.ok().unwrap();
    socket.send_json(&json!({"filter": [["custom", "uid==0"]], "text": "/* x */"})).await;
    assert_eq!(socket.json().await["config"]["servers"], json!(["local"]));
    drop(config);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_without_value_is_named_and_the_client_may_try_again() {
    let server = Server::simulated();
    let uuid = script(&server, "BEGIN { @n[comm] = count(); exit($missing$); }").await;
    let mut socket = server.socket(&uuid).await;
    socket.send("").await;
    assert_eq!(socket.json().await, json!({"error": "the variable missing has no value"}));
    socket.send("not json").await;
    assert!(socket.json().await["error"].as_str().unwrap().starts_with("not valid JSON"));
    socket.send("[1]").await;
    assert_eq!(socket.json().await, json!({"error": "expected an object"}));
    socket.send_json(&json!({"missing": 0})).await;
    assert_eq!(socket.json().await["config"], json!({"servers": ["local"], "missing": 0}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_the_tracer_refuses_is_its_text_and_then_close_1011() {
    let server = Server::faked();
    let uuid = script(&server, "BEGIN {}\n//sh echo 'stdin:1:7: ERROR: syntax error' >&2; exit 1").await;
    let mut socket = server.socket(&uuid).await;
    socket.send("").await;
    assert_eq!(socket.json().await, json!({"error": "stdin:1:7: ERROR: syntax error"}));
    assert_eq!(socket.closed().await, 1011);
    // An abort before the probes are attached is one, too.
    let uuid = script(&server, "BEGIN {}\n//sh echo 'FATAL: odd probe' >&2; kill -ABRT $$").await;
    let mut socket = server.socket(&uuid).await;
    socket.send("").await;
    assert_eq!(socket.json().await, json!({"error": "FATAL: odd probe"}));
    assert_eq!(socket.closed().await, 1011);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_tracer_and_a_d_script_without_dtrace_are_told() {
    let config = Config {
        bpftrace_path: "/nonexistent/bpftrace".into(),
        dtrace_path: "/nonexistent/dtrace".into(),
        ..fast()
    };
    let server = Server::with(config);
    for (text, error) in [
        ("#!/usr/sbin/dtrace -s\nBEGIN {}", "this is a D script, and there is no DTrace here"),
        ("#!/usr/bin/env bpftrace\nBEGIN {}", "bpftrace: No such file or directory"),
    ] {
        let uuid = script(&server, text).await;
        let mut socket = server.socket(&uuid).await;
        socket.send("").await;
        let answer = socket.json().await;
        assert!(answer["error"].as_str().unwrap().starts_with(error), "{answer}");
        assert_eq!(socket.closed().await, 1011);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tracer_that_fails_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let server = Server::faked();
    let text = format!(
        "BEGIN {{ @n = count(); }}\n//sh echo $$ >> {0}; started; [ $(wc -l < {0}) = 1 ] && exit 3\n\
         //sh while :; do out map '{{\"@n\": 1}}'; tick; sleep 0.1; done",
        pids.display()
    );
    let uuid = script(&server, &text).await;
    let mut socket = server.socket(&uuid).await;
    socket.send("").await;
    socket.json().await;
    assert_eq!(socket.figures().await, json!({"@n": 1}));
    assert_eq!(lines(&pids).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_ends_itself_closes_with_1000_after_its_last_figures() {
    let server = Server::faked();
    let text = "BEGIN { @n = count(); @state[tid] = 1; delete(@state[1]); }\n\
        //sh started; out map '{\"@n\": 7}'; out map '{\"@state\": {\"1\": 2}}'; exit 0";
    let uuid = script(&server, text).await;
    let mut socket = server.socket(&uuid).await;
    socket.send("").await;
    assert_eq!(socket.json().await["servers"], json!(["local"]));
    assert_eq!(socket.figures().await, json!({"@n": 7}));
    assert_eq!(socket.closed().await, 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_sent_to_those_who_ask_for_them() {
    let server = Server::faked();
    let text = "BEGIN {}\n//sh started; out printf '\"one\\n\"'; out printf '\"two\"'; out lost_events '{\"events\": 3}'; sleep 60";
    let uuid = script(&server, text).await;
    let mut plain = server.socket(&uuid).await;
    let mut asking =
        server.socket_as(&["..."], &format!("/dtrace/{uuid}/stream?lines=true")).await.ok().unwrap();
    // Who starts the run hears all of it.
    asking.send("").await;
    asking.json().await;
    plain.send("").await;
    plain.json().await;
    let (mut lines, mut lost) = (Vec::new(), 0);
    while lines.len() < 2 || lost < 3 {
        let figures = asking.figures().await;
        lines.extend(figures["lines"].as_array().cloned().unwrap_or_default());
        lost += figures["lost"].as_u64().unwrap_or_default();
    }
    assert_eq!((lines, lost), (vec![json!("one"), json!("two")], 3));
    for _ in 0..3 {
        assert_eq!(plain.json().await, json!({}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_on_runs_and_listeners_hold() {
    let runs = RunLimits { max_runs: 3, max_runs_per_user: 2, max_listeners: 4, ..fast().runs };
    let server = Server::with(Config { executor: Setting::Simulated, runs, ..fast() });
    let mut open: Vec<Socket> = Vec::new();
    let mut start = async |subject: &str, uuid: &str| {
        let identity = server.identity_of(subject, &["..."]);
        let mut socket =
            server.socket_with(&identity, &format!("/dtrace/{uuid}/stream"), "").await.ok().unwrap();
        socket.send("").await;
        let answer = socket.json().await;
        let error = answer.get("error").and_then(Value::as_str).map(str::to_owned);
        if error.is_some() {
            assert_eq!(socket.closed().await, 1013);
        } else {
            open.push(socket);
        }
        error
    };
    let scripts = {
        let mut scripts = Vec::new();
        for _ in 0..4 {
            scripts.push(script(&server, "BEGIN { @n = count(); }").await);
        }
        scripts
    };
    assert_eq!(start("user:ada", &scripts[0]).await, None);
    assert_eq!(start("user:ada", &scripts[1]).await, None);
    assert_eq!(start("user:ada", &scripts[2]).await.unwrap(), "too many runs of user:ada");
    assert_eq!(start("user:bob", &scripts[2]).await, None);
    assert_eq!(start("user:bob", &scripts[3]).await.unwrap(), "too many runs");
    assert_eq!(start("user:cid", &scripts[0]).await, None, "joining is no run of one's own");
    assert_eq!(start("user:cid", &scripts[0]).await.unwrap(), "too many listeners");
    // A run that has ended makes room.
    open.clear();
    for _ in 0..500 {
        let mut socket = server.socket(&scripts[3]).await;
        socket.send("").await;
        if socket.json().await.get("error").is_none() {
            return;
        }
    }
    unreachable!("no room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_the_service_ends_streams_and_tracers_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let mut server = Server::with(faked());
    let uuid = script(&server, &ticking(&pids)).await;
    let mut socket = server.socket(&uuid).await;
    socket.send_json(&json!({"v": 1})).await;
    socket.json().await;
    socket.figures().await;
    let began = std::time::Instant::now();
    server.stop().await;
    assert!(!is_alive(&lines(&pids)[0]));
    assert_eq!(socket.closed().await, 1001);
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}
