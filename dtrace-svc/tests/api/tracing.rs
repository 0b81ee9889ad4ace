//! Real tracing, end to end, where bpftrace is there and may trace; elsewhere these tests say that they are skipped, and
//! fail where `QUINTET_TEST_REQUIRE_BPFTRACE` is set.

use crate::harness::{Server, eventually, fast, is_alive};
use crate::socket::Socket;
use dtrace_svc::config::{Config, Setting, TracerLimits};
use dtrace_svc::executor::{self, Capability, Installed, Tracer};
use dtrace_svc::script::Dialect;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use tokio_util::task::TaskTracker;

/// With `1`, what hinders bpftrace fails the tests that need it.
const REQUIRED: &str = "QUINTET_TEST_REQUIRE_BPFTRACE";

/// A service with the machine's bpftrace; `None`, with a word on why, where it cannot trace.
async fn real() -> Option<Server> {
    let capability = bpftrace().probe().await;
    usable(&capability).then(|| Server::with(Config { executor: Setting::Bpftrace, ..fast() }))
}

fn bpftrace() -> Installed {
    executor::bpftrace("bpftrace".into(), TracerLimits::default(), TaskTracker::new())
}

fn usable(capability: &Capability) -> bool {
    if let Some(hindrance) = &capability.hindrance {
        skip(hindrance);
    }
    capability.hindrance.is_none()
}

/// Says that a test is skipped, where it may be.
#[track_caller]
fn skip(hindrance: &str) {
    assert!(
        std::env::var(REQUIRED).as_deref() != Ok("1"),
        "bpftrace cannot trace here, but {REQUIRED} is set: {hindrance}"
    );
    eprintln!("SKIPPED, it needs bpftrace: {hindrance}");
}

async fn open(server: &Server, script: &str, start: Value) -> Socket {
    let config = json!({"start": 0, "end": 1000, "step": 100});
    let uuid = server.create(json!({ "name": "n", "script": script, "config": config })).await;
    let mut socket =
        server.socket_as(&["..."], &format!("/dtrace/{uuid}/stream?lines=true")).await.ok().unwrap();
    socket.send_json(&start).await;
    let answer = socket.json().await;
    assert!(answer.get("config").is_some(), "{answer}");
    socket
}

/// Whether the test runs as the process it says.
fn own_pid() -> u32 {
    std::process::id()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_histogram_with_the_seeds_variables_counts_what_the_probe_fires() {
    let Some(server) = real().await else { return };
    // A value for each bucket: 10 fires of 50, of 150, of 250 … every 100 ms.
    let script = "BEGIN { @i = 0; } interval:ms:10 { @i = (@i + 1) % 10; @time = lhist(@i * 100 + 50, $start$, $end$, $step$); }";
    let mut socket = open(&server, script, json!({})).await;
    let mut sum = 0;
    let mut ranges = std::collections::BTreeSet::new();
    while sum < 30 {
        let message = socket.figures().await;
        for (range, count) in message.as_object().unwrap() {
            let (low, high) = range.split_once('-').unwrap();
            let (low, high): (i64, i64) = (low.parse().unwrap(), high.parse().unwrap());
            assert_eq!((low % 100, high - low), (0, 99), "{range}");
            sum += count.as_u64().unwrap();
            ranges.insert(low);
        }
    }
    assert_eq!(ranges.into_iter().collect::<Vec<_>>(), [0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_uprobe_with_a_filter_sees_the_calls_of_one_process_only() {
    let Some(server) = real().await else { return };
    let libc = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", "/usr/lib/libc.so.6"];
    let Some(libc) = libc.into_iter().find(|path| std::path::Path::new(path).exists()) else {
        return skip("no libc where it usually is");
    };
    let script = "uprobe:$libc$:malloc $filter$ { @calls[pid] = count(); }";
    let mut shell =
        Command::new("sh").arg("-c").arg("while :; do x=$(echo $x); sleep 0.01; done").spawn().unwrap();
    let start = json!({"libc": libc, "filter": [["pid", shell.id()]]});
    let mut socket = open(&server, script, start).await;
    let message = socket.figures().await;
    let _ = shell.kill();
    let _ = shell.wait();
    let keys: Vec<&String> = message.as_object().unwrap().keys().collect();
    assert_eq!(keys, [&shell.id().to_string()]);
    assert!(message[keys[0]].as_u64().unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_keys_nest_and_two_aggregations_stand_below_their_names() {
    let Some(server) = real().await else { return };
    let script = "interval:ms:10 { @a[\"x\", 7] = count(); @b = sum(2); }";
    let mut socket = open(&server, script, json!({})).await;
    let message = socket.figures().await;
    let (a, b) = (message["@a"]["x"]["7"].as_u64().unwrap(), message["@b"].as_u64().unwrap());
    // The two are printed one after the other, and the probe goes on in between.
    assert!(a > 0 && b.abs_diff(2 * a) <= 6, "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn printed_lines_and_the_scripts_own_end_arrive() {
    let Some(server) = real().await else { return };
    let script = "BEGIN { printf(\"hello %d\\n\", 7); } interval:ms:300 { @n = count(); exit(); }";
    let mut socket = open(&server, script, json!({})).await;
    assert_eq!(socket.figures().await, json!({"lines": ["hello 7"], "lost": 0}));
    assert_eq!(socket.figures().await, json!({"@n": 1}));
    assert_eq!(socket.closed().await, 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_bpftrace_refuses_is_told_in_its_words_and_no_script_may_do_harm() {
    let Some(server) = real().await else { return };
    for (script, text) in [
        ("BEGIN { @x = hist(zork); }", "Unknown identifier: 'zork'"),
        ("nosuch:foo { }", "Invalid probe type"),
        ("BEGIN { @x = count( }", "syntax error"),
        ("BEGIN { system(\"touch /tmp/quintet-dtrace-harm\"); }", "unsafe"),
    ] {
        let uuid = server.create(json!({ "name": "n", "script": script })).await;
        let mut socket = server.socket(&uuid).await;
        socket.send("").await;
        let answer = socket.json().await;
        assert!(answer["error"].as_str().unwrap().contains(text), "{script}: {answer}");
        assert_eq!(socket.closed().await, 1011);
        let refused = server
            .call("POST", "/dtrace?check=1")
            .json(&json!({ "name": "n", "script": script }))
            .send()
            .await;
        assert_eq!(refused.status, 422, "{script}: {}", refused.text());
    }
    assert!(!std::path::Path::new("/tmp/quintet-dtrace-harm").exists());
    let fine = json!({ "name": "n", "script": "BEGIN { @x = count(); }" });
    assert_eq!(server.call("POST", "/dtrace?check=1").json(&fine).send().await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_script_streams_a_file_unless_the_settings_allow_it() {
    let Some(server) = real().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "of the service\n").unwrap();
    let secret = secret.display();
    let called = format!("BEGIN {{ cat(\"{secret}\"); }} interval:ms:300 {{ exit(); }}");
    let macros = format!("#define c cat\nBEGIN {{ c(\"{secret}\"); }} interval:ms:300 {{ exit(); }}");
    let quoted = format!("struct s {{\n#include \"{secret}\"\n}};\nBEGIN {{ exit(); }}");
    for script in [&called, &macros, &quoted] {
        let uuid = server.create(json!({ "name": "n", "script": script })).await;
        let answer = server.call("POST", &format!("/dtrace/{uuid}/runs")).send().await;
        assert_eq!(answer.status, 422, "{script}");
        assert!(answer.text().contains("dtrace.allow_files"), "{script}: {}", answer.text());
        assert!(!answer.text().contains("of the service"), "{script}: {}", answer.text());
    }
    // It would have been streamed.
    let server = Server::with(Config { executor: Setting::Bpftrace, allow_files: true, ..fast() });
    let mut socket = open(&server, &called, json!({})).await;
    assert_eq!(socket.figures().await, json!({"lines": ["of the service"], "lost": 0}));
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_scripts_compile_where_their_probes_exist() {
    let tracer = bpftrace();
    if !usable(&tracer.probe().await) {
        return;
    }
    let has_tracepoints = std::path::Path::new("/sys/kernel/tracing/available_events").exists();
    for entry in dtrace_svc::catalogue::entries() {
        let is_here = has_tracepoints || !entry.script.contains("tracepoint:");
        if entry.dialect != Dialect::Bpftrace || !is_here {
            continue;
        }
        let values = serde_json::from_value(entry.config.clone()).unwrap();
        let script = dtrace_svc::script::fill(entry.script, &values, |_name| true, None).unwrap();
        assert_eq!(tracer.check(&script).await, Ok(()), "{}", entry.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_tracer_ends_with_its_listener() {
    let Some(server) = real().await else { return };
    let mut socket = open(&server, "interval:ms:10 { @n = count(); }", json!({})).await;
    socket.figures().await;
    let tracers = || children("bpftrace");
    let before = tracers();
    assert!(!before.is_empty());
    drop(socket);
    eventually("the tracer ends", || before.iter().all(|pid| !is_alive(pid) || !tracers().contains(pid)))
        .await;
}

/// This process's children of that name.
fn children(name: &str) -> Vec<String> {
    let folders = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = folders.map(|folder| folder.file_name().to_string_lossy().into_owned());
    let is_child = |pid: &String| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit(") ").next().unwrap_or_default().to_owned();
        stat.contains(&format!("({name})")) && rest.split(' ').nth(1) == Some(&own_pid().to_string())
    };
    pids.filter(|pid| pid.parse::<u32>().is_ok()).filter(is_child).collect()
}

/// The service is killed, so nobody tells the tracer to stop: it must notice by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_tracer_dies_with_a_service_that_is_killed() {
    if !usable(&bpftrace().probe().await) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut service = Command::new(env!("CARGO_BIN_EXE_dtrace-svc"))
        .current_dir(folder.path())
        .env("QUINTET_DATA_DIR", folder.path())
        .env("QUINTET_AUTH__INTERNAL_KEY", std::str::from_utf8(crate::harness::KEY).unwrap())
        .env("QUINTET_DTRACE__EXECUTOR", "bpftrace")
        .env("QUINTET_DTRACE__LISTEN__ADDRESS", "127.0.0.1:0")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let url = ready_url(service.stderr.take().unwrap());
    let (identity, client) = (crate::harness::signed("user:ada", &["..."]), reqwest::Client::new());
    let created = client
        .post(format!("{url}/v1/dtrace"))
        .header(shared::identity::HEADER, &identity)
        .header("content-type", "application/json")
        .body(json!({ "name": "n", "script": "interval:ms:10 { @n = count(); }" }).to_string());
    let no_redirect = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let created = no_redirect.execute(created.build().unwrap()).await.unwrap();
    let location = created.headers()["location"].to_str().unwrap().to_owned();
    let run = client.post(format!("{url}{location}/runs")).header(shared::identity::HEADER, &identity);
    let mut run = run.send().await.unwrap();
    assert_eq!(run.status(), 200);
    run.chunk().await.unwrap();
    let tracers = of_parent(service.id());
    assert_eq!(tracers.len(), 1, "{tracers:?}");
    service.kill().unwrap();
    service.wait().unwrap();
    eventually("the tracer dies", || !is_alive(&tracers[0])).await;
}

/// The address that the service says it is ready on.
fn ready_url(stderr: std::process::ChildStderr) -> String {
    use std::io::BufRead;
    let mut lines = std::io::BufReader::new(stderr).lines();
    let url = lines.find_map(|line| {
        let line = line.unwrap();
        Some(line.split_once("ready on ")?.1.split('"').next()?.to_owned())
    });
    // The rest is read, so that the service never waits for room.
    std::thread::spawn(move || lines.for_each(drop));
    url.unwrap()
}

/// Processes whose parent is `pid`.
fn of_parent(pid: u32) -> Vec<String> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let mut all: Vec<String> = list.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    // Children belong to the thread that started them.
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().filter_map(Result::ok) {
        let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        all.extend(list.split_whitespace().map(str::to_owned));
    }
    all.sort();
    all.dedup();
    all
}
