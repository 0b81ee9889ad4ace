//! Runs over plain HTTP, the audit log, recordings (contract `dtrace`, section 8), ready scripts.

use crate::harness::{Answer, ERLANG, Server, faked, fast};
use chrono::{DateTime, Utc};
use diesel::RunQueryDsl;
use dtrace_svc::config::{Config, RemoteServer, RunLimits, Setting};
use dtrace_svc::store::{self, Run, RunMessage};
use serde_json::{Value, json};
use shared::clock::ManualClock;
use shared::db::DbConn;

/// Ticks with one figure more each time, then waits.
const COUNTING: &str = "BEGIN { @n[comm] = hist(1); }\n\
    //sh started; for i in 1 2 3; do out hist \"{\\\"@n\\\": {\\\"a\\\": [{\\\"min\\\": 4, \\\"max\\\": 7, \\\"count\\\": $i}]}}\"; tick; sleep 0.1; done\n\
    //sh out printf '\"done\\n\"'; exit 0";

/// The events of an answer: name and data.
fn events(answer: &Answer) -> Vec<(String, Value)> {
    let read = |block: &str| {
        let (name, data) = block.split_once('\n').unwrap();
        let data = data.strip_prefix("data: ").unwrap();
        (name.strip_prefix("event: ").unwrap().to_owned(), serde_json::from_str(data).unwrap())
    };
    answer.text().split_terminator("\n\n").map(read).collect()
}

fn event(name: &str, data: Value) -> (String, Value) {
    (name.to_owned(), data)
}

async fn script(server: &Server, text: &str) -> String {
    server.create(json!({ "name": "n", "script": text, "config": {"x": 1} })).await
}

/// The runs of a script, newest first, once the newest has ended.
#[expect(clippy::indexing_slicing, reason = "a helper of tests")]
async fn ended(server: &Server, uuid: &str) -> Value {
    loop {
        let list = server.call("GET", &format!("/dtrace/{uuid}/runs")).send().await.json();
        if !list[0]["ended"].is_null() {
            return list;
        }
    }
}

/// A recorded run once all of it is written: its messages and its end come from two tasks.
#[expect(clippy::indexing_slicing, reason = "a helper of tests")]
async fn written(server: &Server, path: &str) -> Value {
    loop {
        let run = server.call("GET", path).send().await.json();
        if !run["recorded"].is_null() && !run["ended"].is_null() {
            return run;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_over_http_is_config_ticks_output_and_end() {
    let server = Server::faked();
    let uuid = script(&server, COUNTING).await;
    let answer =
        server.call("POST", &format!("/api/3/dtrace/{uuid}/runs")).json(&json!({"y": 2})).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/event-stream"));
    // A proxy that gathered them would pass ticks on in bursts.
    assert_eq!((answer.header("cache-control"), answer.header("x-accel-buffering")), ("no-store", "no"));
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let merged = json!({"x": 1, "y": 2, "servers": ["local"]});
    let mut config = merged.clone();
    config["config"] = merged;
    let tick = |count: u64| event("tick", json!({"a": {"4-7": count}}));
    let got: Vec<_> = events(&answer).into_iter().filter(|(_, data)| *data != json!({})).collect();
    let expected = [
        event("config", config),
        tick(1),
        tick(2),
        tick(3),
        event("output", json!({"lines": ["done"], "lost": 0})),
        event("end", json!({"outcome": "finished"})),
    ];
    assert_eq!(got, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_body_starts_with_the_stored_config_and_ticks_ends_after_so_many() {
    let server = Server::simulated();
    let uuid = script(&server, "BEGIN { @n = count(); }").await;
    let answer = server.call("POST", &format!("/dtrace/{uuid}/runs?ticks=2")).send().await;
    let names: Vec<String> = events(&answer).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["config", "tick", "tick"]);
    assert_eq!(server.call("POST", &format!("/dtrace/{uuid}/runs?ticks=x")).send().await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_tracer_is_not_the_scripts_fault() {
    let server = Server::with(Config {
        bpftrace_path: "/nonexistent/bpftrace".into(),
        dtrace_path: "/nonexistent/dtrace".into(),
        ..fast()
    });
    let bpftrace = "bpftrace: No such file or directory (os error 2): /nonexistent/bpftrace cannot be run here \
                    (setting dtrace.bpftrace_path)";
    let neither = format!("{bpftrace}, and there is no DTrace (setting dtrace.dtrace_path)");
    let dtrace = "this is a D script, and there is no DTrace here (setting dtrace.dtrace_path; a script for bpftrace \
                  begins with #!/usr/bin/env bpftrace)";
    for (text, error) in [
        ("BEGIN {}", neither.as_str()),
        ("#!/usr/bin/env bpftrace\nBEGIN {}", bpftrace),
        ("#!/usr/sbin/dtrace -s\nBEGIN {}", dtrace),
    ] {
        let body = json!({"name": "n", "script": text});
        let checked = server.call("POST", "/dtrace?check=1").json(&body).send().await;
        assert_eq!((checked.status.as_u16(), checked.json()), (501, json!({ "error": error })));
        let uuid = script(&server, text).await;
        let run = server.call("POST", &format!("/dtrace/{uuid}/runs")).send().await;
        assert_eq!((run.status.as_u16(), run.json()), (501, json!({ "error": error })));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_start_is_a_4xx() {
    let server = Server::faked();
    let path = |uuid: &str| format!("/dtrace/{uuid}/runs");
    let refused = script(&server, "BEGIN {}\n//sh echo 'stdin:1:7: ERROR: syntax error' >&2; exit 1").await;
    let answer = server.call("POST", &path(&refused)).send().await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.json(), json!({"error": "stdin:1:7: ERROR: syntax error"}));
    let open = script(&server, "BEGIN { $x$ $y$ }\n//sh started; sleep 60").await;
    for (body, content_type, status) in [
        ("{}", "application/json", 400),
        ("[]", "application/json", 400),
        ("{", "application/json", 400),
        ("\x01", "application/x-msgpack", 400),
        ("{}", "text/plain", 415),
        ("{\"y\": \"a b\"}", "application/json", 400),
        ("{\"y\": 1, \"servers\": [\"nowhere\"]}", "application/json", 400),
        ("{\"y\": 1, \"filter\": [[\"pid\", 1]]}", "application/json", 400),
    ] {
        let runner = ["dtrace->_->stream", "hypervisors->_->get"];
        let call = server.call_as(&runner, "POST", &path(&open)).header("content-type", content_type);
        let answer = call.body(body).send().await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
    let body = json!({"y": 1, "filter": [["custom", "1"]]});
    let runner = ["dtrace->_->stream", "hypervisors->_->get"];
    assert_eq!(server.call_as(&runner, "POST", &path(&open)).json(&body).send().await.status, 403);
    assert_eq!(server.call_as(&["dtrace->_->get"], "POST", &path(&open)).send().await.status, 403);
    let unknown = path("b7c658e0-2ddb-46dd-8973-4a59ffc9957e");
    assert_eq!(server.call("POST", &unknown).send().await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_with_more_maps_or_keys_than_are_looked_after_is_refused_as_by_a_tracer() {
    let server = Server::simulated();
    let keys = format!("BEGIN {{ @n[{}] = count(); }}", ["1"; 65].join(","));
    let maps: String = (0..=1000).map(|map| format!("@a{map} = count(); ")).collect();
    for (text, error) in [
        (keys, "the script has a map with more than 64 keys"),
        (format!("BEGIN {{ {maps} }}"), "the script has more than 1000 maps"),
    ] {
        let checked = server.call("POST", "/dtrace?check=1").json(&json!({"name": "n", "script": text}));
        let checked = checked.send().await;
        assert_eq!((checked.status.as_u16(), checked.json()), (422, json!({ "error": error })));
        let uuid = script(&server, &text).await;
        let run = server.call("POST", &format!("/dtrace/{uuid}/runs")).send().await;
        assert_eq!((run.status.as_u16(), run.json()), (422, json!({ "error": error })));
        assert_eq!(ended(&server, &uuid).await[0]["outcome"], json!(format!("refused: {error}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_runs_are_429() {
    let runs = RunLimits { max_runs: 1, ..fast().runs };
    let server = Server::with(Config { executor: Setting::Simulated, runs, ..fast() });
    let held = script(&server, "BEGIN { @n = count(); }").await;
    let held = server.call("POST", &format!("/dtrace/{held}/runs")).begin().await;
    assert_eq!(held.status().as_u16(), 200);
    let uuid = script(&server, "BEGIN { @m = count(); }").await;
    let answer = server.call("POST", &format!("/dtrace/{uuid}/runs")).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "1"));
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_says_who_ran_what_with_which_variables_and_how_it_ended() {
    let server = Server::faked();
    let uuid = script(&server, &format!("{COUNTING}\n// $y$")).await;
    let runs = format!("/dtrace/{uuid}/runs");
    assert_eq!(server.call("GET", &runs).send().await.json(), json!([]));
    server.call("POST", &runs).json(&json!({"y": "two"})).send().await;
    let list = ended(&server, &uuid).await;
    let run = &list[0];
    let config =
        json!({"servers": ["local"], "vms": [], "config": {"x": 1, "y": "two", "servers": ["local"]}});
    assert_eq!(
        (&run["subject"], &run["script"], &run["name"], &run["outcome"], &run["config"], &run["recorded"]),
        (&json!("user:ada"), &json!(uuid), &json!("n"), &json!("finished"), &config, &Value::Null)
    );
    let one = server.call("GET", &format!("{runs}/{}", run["run"].as_str().unwrap())).send().await.json();
    assert_eq!(one["program"], json!(format!("{COUNTING}\n// two")));
    // Whoever may not see the servers does not see the run.
    let some = ["dtrace->_->get"];
    assert_eq!(server.call_as(&some, "GET", &runs).send().await.json(), json!([]));
    let path = format!("{runs}/{}", run["run"].as_str().unwrap());
    assert_eq!(server.call_as(&some, "GET", &path).send().await.status, 404);
    assert_eq!(server.call_as(&[], "GET", &runs).send().await.status, 403);
    // Refused scripts are in it, too.
    let refused = script(&server, "BEGIN {}\n//sh echo 'no such probe' >&2; exit 1").await;
    server.call("POST", &format!("/dtrace/{refused}/runs")).send().await;
    let list = ended(&server, &refused).await;
    assert_eq!(list[0]["outcome"], json!("refused: no such probe"));
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_outlive_their_script_for_those_who_may_see_them() {
    let server = Server::faked();
    let uuid = script(&server, COUNTING).await;
    let runs = format!("/dtrace/{uuid}/runs");
    let streamed = server.call("POST", &format!("{runs}?record=true")).send().await;
    let path = format!("{runs}/{}", streamed.header("x-dtrace-run"));
    let run = written(&server, &path).await;
    let list = server.call("GET", &runs).send().await.json();
    assert_eq!(server.call("DELETE", &format!("/dtrace/{uuid}")).send().await.status, 204);
    assert_eq!(server.call("GET", &runs).send().await.json(), list);
    assert_eq!(list[0]["run"], json!(streamed.header("x-dtrace-run")));
    assert_eq!(server.call("GET", &path).send().await.json(), run);
    let owner = [format!("dtrace->{uuid}->..."), "hypervisors->local->get".to_owned()];
    let owner: Vec<&str> = owner.iter().map(String::as_str).collect();
    assert_eq!(server.call_as(&owner, "GET", &runs).send().await.json(), list);
    let replayed = server.call_as(&owner, "GET", &format!("{path}/events")).send().await;
    assert_eq!(events(&replayed)[0], event("tick", json!({"a": {"4-7": 1}})));
    // Others learn no more than before.
    assert_eq!(server.call_as(&["dtrace->_->get"], "GET", &runs).send().await.json(), json!([]));
    assert_eq!(server.call_as(&["dtrace->_->get"], "GET", &path).send().await.status, 404);
    assert_eq!(server.call_as(&["hypervisors->_->get"], "GET", &runs).send().await.status, 403);
    // There is nothing to run any more, and a script that never was has no runs.
    assert_eq!(server.call("POST", &runs).send().await.status, 404);
    assert_eq!(server.call_as(&owner, "DELETE", &path).send().await.status, 204);
    for unknown in ["b7c658e0-2ddb-46dd-8973-4a59ffc9957e", "x"] {
        for path in [format!("/dtrace/{unknown}/runs"), format!("/dtrace/{unknown}/runs/x")] {
            assert_eq!(server.call("GET", &path).send().await.status, 404, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_run_can_be_replayed_summed_up_and_removed() {
    let server = Server::faked();
    let uuid = script(&server, COUNTING).await;
    let runs = format!("/dtrace/{uuid}/runs");
    let streamed = server.call("POST", &format!("{runs}?record=true")).send().await;
    let path = format!("{runs}/{}", streamed.header("x-dtrace-run"));
    let run = written(&server, &path).await;
    // 1 + 2 + 3 values between 4 and 7.
    assert_eq!(run["summary"], json!([{"keys": ["a"], "value": {"count": 6, "p50": 7, "p90": 7, "p99": 7}}]));
    let replayed = server.call("GET", &format!("{path}/events")).send().await;
    assert_eq!(replayed.header("content-type"), "text/event-stream");
    assert_eq!(replayed.header("x-accel-buffering"), "no");
    let told: Vec<_> =
        events(&streamed).into_iter().filter(|(name, _)| name == "tick" || name == "output").collect();
    assert_eq!(events(&replayed), told);
    assert_eq!(run["recorded"], json!(told.len()));
    let began = std::time::Instant::now();
    server.call("GET", &format!("{path}/events?speed=1")).send().await;
    assert!(began.elapsed().as_millis() >= 150, "a run of 0.3 s at its own pace: {:?}", began.elapsed());
    assert_eq!(server.call_as(&["dtrace->_->get"], "DELETE", &path).send().await.status, 403);
    assert_eq!(server.call("DELETE", &path).send().await.status, 204);
    assert_eq!(server.call("DELETE", &path).send().await.status, 404);
    assert_eq!(server.call("GET", &format!("{path}/events")).send().await.status, 404);
    assert_eq!(server.call("GET", &path).send().await.json()["outcome"], json!("finished"));
    assert_eq!(server.call("GET", &format!("{runs}/nosuch")).send().await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_ends_where_its_room_ends() {
    let runs = RunLimits { max_recorded_messages: 2, ..fast().runs };
    let server = Server::with(Config { runs, ..faked() });
    let uuid = script(&server, COUNTING).await;
    let streamed = server.call("POST", &format!("/dtrace/{uuid}/runs?record=true")).send().await;
    let path = format!("/dtrace/{uuid}/runs/{}", streamed.header("x-dtrace-run"));
    let run = written(&server, &path).await;
    assert_eq!(run["recorded"], json!(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_keeps_the_newest_runs() {
    let runs = RunLimits { max_runs_kept: 2, ..fast().runs };
    let server = Server::with(Config { runs, ..faked() });
    let uuid = script(&server, "BEGIN {}\n//sh started; exit 0").await;
    let path = format!("/dtrace/{uuid}/runs");
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(server.call("POST", &path).send().await.header("x-dtrace-run").to_owned());
    }
    let delete = move |conn: &mut DbConn| store::delete_old_runs(conn, 2, 100);
    assert_eq!(server.db.db.write(delete).await.unwrap(), 2);
    let list = server.call("GET", &path).send().await.json();
    let kept: Vec<&str> = list.as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap()).collect();
    assert_eq!(kept, [&ids[3], &ids[2]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_service_was_killed_ends_when_it_was_last_heard_of_with_what_was_recorded() {
    let server = Server::with(faked());
    let uuid = script(&server, "BEGIN {}\n//sh started; exit 0").await;
    let path = format!("/dtrace/{uuid}/runs");
    server.call("POST", &path).send().await;
    let start = "2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap();
    let micros = move |minutes: i64| (start + chrono::Duration::minutes(minutes)).timestamp_micros();
    let left = |id: &str| Run {
        id: id.to_owned(),
        script: uuid.clone(),
        name: "n".to_owned(),
        subject: "user:ada".to_owned(),
        config: "{}".to_owned(),
        program: String::new(),
        started: micros(0),
        ended: None,
        outcome: None,
        messages: None,
        summary: None,
    };
    let (killed, living) = (left("killed"), left("living"));
    let write = move |conn: &mut DbConn| {
        store::put_run(conn, &killed)?;
        store::put_run(conn, &living)?;
        for number in 0..3 {
            let body = "{}".to_owned();
            let message =
                RunMessage { run: "killed".to_owned(), number, at: number, event: "tick".to_owned(), body };
            store::put_message(conn, &message)?;
        }
        let heard = format!("UPDATE runs SET alive = {} WHERE id = 'killed'", micros(1));
        diesel::sql_query(heard).execute(conn)?;
        store::touch_runs(conn, &["living".to_owned()])
    };
    server.db.db.write(write).await.unwrap();
    // Another replica ends what was silent for five minutes (`engine/record.rs` says when it may).
    let end = |conn: &mut DbConn| store::end_lost_runs(conn, 300_000_000, 200);
    assert_eq!(server.db.db.write(end).await.unwrap(), 1);
    let run = written(&server, &format!("{path}/killed")).await;
    assert_eq!(
        (&run["ended"], &run["outcome"], &run["recorded"], &run["summary"]),
        (&json!("2026-01-01T00:01:00"), &json!("lost"), &json!(3), &Value::Null),
    );
    let replayed = server.call("GET", &format!("{path}/killed/events")).send().await;
    assert_eq!(events(&replayed).len(), 3);
    let living = server.call("GET", &format!("{path}/living")).send().await.json();
    assert_eq!((&living["ended"], &living["outcome"]), (&Value::Null, &Value::Null));
    assert_eq!(ended(&server, &uuid).await[0]["outcome"], json!("finished"));
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_a_remote_server_add_to_those_of_this_one() {
    let start = "2026-01-01T00:00:00Z".parse().unwrap();
    let (near_clock, far_clock) = (ManualClock::at(start), ManualClock::at(start));
    // The identities of the calls are signed now; the clocks must be near enough for them.
    let now = shared::clock::Clock::now(&shared::clock::SystemClock);
    near_clock.set(now);
    far_clock.set(now);
    let far = Server::at(Config { executor: Setting::Simulated, ..fast() }, far_clock.clone());
    let remote = RemoteServer { url: far.url.clone(), vms: vec!["vm9".into()] };
    let remotes = [("far".to_owned(), remote)].into();
    let near = Server::at(Config { executor: Setting::Simulated, remotes, ..fast() }, near_clock.clone());
    let uuid = script(&near, "BEGIN { @n[comm] = count(); } $filter$").await;
    let mut ticks = Vec::new();
    for servers in [json!(["local"]), json!(["far"]), json!(["local", "far"])] {
        let mut socket = near.socket(&uuid).await;
        socket.send_json(&json!({ "servers": servers })).await;
        assert_eq!(socket.json().await["servers"], servers);
        // Both servers must trace before time goes on.
        if servers.as_array().unwrap().len() == 2 {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
        near_clock.advance(chrono::Duration::milliseconds(100));
        far_clock.advance(chrono::Duration::milliseconds(100));
        ticks.push(socket.figures().await);
        drop(socket);
        // The next one would join a run that still goes on.
        ended(&near, &uuid).await;
    }
    assert_eq!(ticks[0], ticks[1], "the same seed and script give the same figures on both");
    let double: Value = ticks[0]
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, n)| (key.clone(), json!(n.as_i64().unwrap() * 2)))
        .collect();
    assert_eq!(ticks[2], double);
    // A machine's home is where it runs.
    let mut socket = near.socket(&uuid).await;
    socket.send_json(&json!({"vms": ["vm9"]})).await;
    assert_eq!(socket.json().await["servers"], json!(["far"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lines_and_long_keys_of_a_remote_server_do_not_end_the_run() {
    let far = Server::faked();
    let remote = RemoteServer { url: far.url.clone(), vms: Vec::new() };
    let near = Server::with(Config { remotes: [("far".to_owned(), remote)].into(), ..faked() });
    // A line and a key of 2 MiB each, then a line of 8 bytes.
    let text = "BEGIN { @n[str(arg0)] = count(); }\n\
        //sh started; x=$(head -c 2097152 /dev/zero | tr '\\0' x)\n\
        //sh printf '{\"type\": \"printf\", \"data\": \"%s\"}\\n' \"$x\"\n\
        //sh printf '{\"type\": \"map\", \"data\": {\"@n\": {\"%s\": 1}}}\\n' \"$x\"\n\
        //sh out printf '\"the last\"'; tick; exit 0";
    let uuid = script(&near, text).await;
    let call = near.call("POST", &format!("/dtrace/{uuid}/runs")).json(&json!({"servers": ["far"]}));
    let events = events(&call.send().await);
    let (mut lines, mut lost) = (Vec::new(), 0);
    for (_, output) in events.iter().filter(|(name, _)| name == "output") {
        lines
            .extend(output["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()));
        lost += output["lost"].as_u64().unwrap();
    }
    assert_eq!(lines, ["x".repeat(8192), "the last".to_owned()]);
    assert_eq!(lost, 1);
    assert_eq!(events.last(), Some(&event("end", json!({"outcome": "finished"}))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_server_that_cannot_be_reached_is_skipped_and_the_refusal_of_a_reached_one_is_told() {
    let far = Server::faked();
    let server = |url: &str| RemoteServer { url: url.into(), vms: Vec::new() };
    let remotes =
        [("far".to_owned(), server(&far.url)), ("gone".to_owned(), server("http://127.0.0.1:1"))].into();
    let near = Server::with(Config { remotes, ..faked() });
    let uuid = script(
        &near,
        "BEGIN { @n = count(); }\n//sh started; while :; do out map '{\"@n\": 1}'; tick; sleep 0.1; done",
    )
    .await;
    let mut socket = near.socket(&uuid).await;
    socket.send_json(&json!({"servers": ["far", "gone"]})).await;
    assert_eq!(socket.json().await["servers"], json!(["far", "gone"]));
    assert_eq!(socket.figures().await, json!({"@n": 1}));
    let refused = script(&near, "BEGIN {}\n//sh echo 'stdin:1:7: ERROR: odd' >&2; exit 1").await;
    let mut socket = near.socket(&refused).await;
    socket.send_json(&json!({"servers": ["far"]})).await;
    assert_eq!(socket.json().await, json!({"error": "stdin:1:7: ERROR: odd"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_services_are_answered_on_the_internal_route() {
    let server = Server::simulated();
    let job = json!({"script": "BEGIN {}", "dialect": "d", "interval_millis": 100, "subject": "x"});
    assert_eq!(server.call("POST", "/internal/runs").json(&job).send().await.status, 403);
    let service = server.identity_of("service:dtrace", &[]);
    assert_eq!(server.call_with(&service, "POST", "/internal/runs").body("{").send().await.status, 400);
    assert_eq!(server.call_with(&service, "POST", "/internal/runs").json(&job).begin().await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_scripts_can_be_created_as_they_are() {
    let server = Server::simulated();
    let list = server.call("GET", "/dtrace/catalogue").send().await.json();
    let names: Vec<&str> = list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    for wanted in ["biolatency", "opensnoop", "runqlat", "syscall counts", "erlang function calls"] {
        assert!(names.contains(&wanted), "{names:?}");
    }
    for entry in list.as_array().unwrap() {
        let uuid = server.create(entry.clone()).await;
        let answer = server.call("POST", &format!("/dtrace/{uuid}/runs?ticks=1")).send().await;
        assert_eq!(answer.status, 200, "{entry}");
    }
    assert_eq!(server.call_as(&["dtrace->..."], "GET", "/v1/dtrace/catalogue/").send().await.status, 403);
    let filtered =
        list.as_array().unwrap().iter().filter(|one| one["script"].as_str().unwrap().contains("$filter$"));
    assert!(filtered.count() >= 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_can_be_checked_when_it_is_created() {
    let server = Server::faked();
    let good = json!({"name": "n", "script": "BEGIN {}"});
    let bad = json!({"name": "n", "script": "BEGIN {}\n//sh echo 'stdin:3:7-9: ERROR: odd' >&2; exit 1"});
    assert_eq!(server.call("POST", "/dtrace?check=1").json(&good).send().await.status, 303);
    let refused = server.call("POST", "/dtrace?check=1").json(&bad).send().await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.json(), json!({"error": "stdin:3:7-9: ERROR: odd", "line": 3, "column": 7}));
    assert_eq!(server.call("POST", "/dtrace").json(&bad).send().await.status, 303);
    let list = server.call("GET", "/dtrace").send().await.json();
    assert_eq!(list.as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seeds_script_runs_with_its_variables_filled_in() {
    let server = Server::simulated();
    let uuid = server.create(serde_json::from_str(ERLANG).unwrap()).await;
    let start = json!({"filter": [["execname", "beam.smp"]]});
    let answer = server.call("POST", &format!("/dtrace/{uuid}/runs?ticks=1")).json(&start).send().await;
    let path = format!("/dtrace/{uuid}/runs/{}", answer.header("x-dtrace-run"));
    let program = server.call("GET", &path).send().await.json()["program"].clone();
    let sent: Value = serde_json::from_str(ERLANG).unwrap();
    let expected = sent["script"].as_str().unwrap().replace("$filter$", "/execname==\"beam.smp\"/");
    let expected = expected.replace("$start$", "127").replace("$end$", "0").replace("$step$", "4");
    assert_eq!(program, json!(expected));
}
