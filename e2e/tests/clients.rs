//! The original clients, unchanged, against the real binary: what they send arrives, and what they are told is what
//! the original servers tell them (e2e/judges/README.md).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed"
)]

use anyhow::{Context, ensure};
use e2e::{Home, Product};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// Users, projects and roles that look at the events, of every rule of visibility one, and whether they find any
/// (events-v2.md, section 5).
const CALLERS: [([&str; 3], bool); 5] = [
    (["user-0", "project-0", "admin"], true),
    (["user-1", "project-1", "member"], true),
    (["user-9", "project-1", "reader,Admin"], true),
    (["user-9", "project-0", "member"], false),
    (["user-0", "project-9", "admin"], true),
];

/// The traits that every event has: name, ceilometer's number of the type, value as sent, type and value as read.
fn typed_traits() -> [(&'static str, u8, Value, &'static str, &'static str); 9] {
    [
        ("booted", 4, json!("2024-02-29T23:59:59"), "datetime", "2024-02-29T23:59:59"),
        ("display name", 1, json!("snow ☃ \"quoted\" \\ <&>"), "string", "snow ☃ \"quoted\" \\ <&>"),
        ("launched_at", 4, json!("2024-03-01T11:22:33.000004"), "datetime", "2024-03-01T11:22:33.000004"),
        ("load", 3, json!(0.1), "float", "0.1"),
        ("memory_bytes", 2, json!(9_007_199_254_740_993_i64), "integer", "9007199254740993"),
        ("offset", 2, json!(-5), "integer", "-5"),
        ("size", 3, json!(1e22), "float", "1e+22"),
        ("untyped", 0, json!("plain"), "string", "plain"),
        ("whole", 3, json!(3.0), "float", "3.0"),
    ]
}

/// Events in ceilometer's wire shape, of two projects and three users, with ties in time and some without an owner.
fn events() -> Vec<Value> {
    let event = |n: usize| {
        let fraction = if n.is_multiple_of(4) { "" } else { ".250000" };
        let mut traits: Vec<Value> =
            typed_traits().into_iter().map(|(name, dtype, value, ..)| json!([name, dtype, value])).collect();
        if !n.is_multiple_of(7) {
            traits.push(json!(["project_id", 1, format!("project-{}", n % 2)]));
            traits.push(json!(["user_id", 1, format!("user-{}", n % 3)]));
        }
        json!({
            "message_id": format!("00000000-0000-4000-8000-{:012}", n * 7919 % 1000),
            "event_type": format!("compute.instance.{}", ["create", "delete", "resize"][n % 3]),
            "generated": format!("2024-03-01T12:00:{:02}{fraction}", n / 2),
            "traits": traits,
            "raw": if n.is_multiple_of(5) { json!({"payload": {"n": n, "none": null, "list": [1.5, "é"]}}) } else { json!({}) },
        })
    };
    (0..60).map(event).collect()
}

/// The same event as v2 shows it (events-v2.md, section 2).
fn shown(sent: &Value) -> Value {
    let typed = typed_traits();
    let as_read = |sent: &Value| {
        let (kind, value) = match typed.iter().find(|(name, ..)| sent[0] == *name) {
            Some((.., kind, value)) => (*kind, *value),
            None => ("string", sent[2].as_str().unwrap()),
        };
        (sent[0].as_str().unwrap().to_owned(), json!({"name": sent[0], "type": kind, "value": value}))
    };
    let traits: BTreeMap<String, Value> = sent["traits"].as_array().unwrap().iter().map(as_read).collect();
    let mut event = sent.clone();
    event["traits"] = traits.into_values().collect();
    event
}

fn ndjson(documents: &[Value]) -> String {
    documents.iter().map(|document| format!("{document}\n")).collect()
}

fn judge_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("judges").join(name)
}

/// Makes the original programs ready. False, with a word about it, where they cannot be had and need not be.
fn are_ready(environments: &[&str]) -> bool {
    let output = Command::new(judge_path("setup")).args(environments).output();
    let fault = match output {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(cause) => cause.to_string(),
    };
    let is_required = std::env::var_os("QUINTET_TEST_REQUIRE_SERVICES").is_some();
    assert!(!is_required, "the original programs cannot be set up: {fault}");
    eprintln!("skipped: the original programs cannot be set up: {fault}");
    false
}

/// Runs an original program to its end; the lines that it printed. Its status tells of failure.
fn run(name: &str, arguments: &[&str], input: &str) -> anyhow::Result<Vec<Value>> {
    let (status, lines, words) = ask(name, arguments, input)?;
    ensure!(status.success(), "{name} {arguments:?}: {status}\n{}\n{words}", ndjson(&lines));
    Ok(lines)
}

/// Runs an original program to its end: its status, the lines that it printed, and what it complained of.
fn ask(name: &str, arguments: &[&str], input: &str) -> anyhow::Result<(ExitStatus, Vec<Value>, String)> {
    let mut command = Command::new(judge_path(name));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{name} cannot start"))?;
    let (mut stdin, input) = (child.stdin.take().context("no standard input")?, input.to_owned());
    // From a thread: a program that reads and writes in turns would wait for us otherwise.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    let printed = String::from_utf8(output.stdout)?;
    writer.join().ok().with_context(|| format!("{name} was not fed"))??;
    let lines = printed.lines().map(serde_json::from_str).collect::<Result<_, _>>();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status, lines.with_context(|| format!("{name} printed {printed}"))?, words))
}

/// The real Panko, serving beside ours.
struct Panko {
    child: Child,
    url: String,
}

impl Panko {
    /// Starts it on a database of its own that holds `events`.
    fn start(home: &Home, events: &[Value]) -> anyhow::Result<Self> {
        let database = format!("sqlite:///{}", home.path().join("panko.sqlite").display());
        let loaded = run("panko-load", &[&database], &ndjson(events))?;
        ensure!(loaded[0]["events"] == events.len() && loaded[0]["failed_calls"] == 0, "{loaded:?}");
        let log = home.path().join("panko.log");
        let mut command = Command::new(judge_path("panko-serve"));
        command.args([&free_port().to_string(), &database]).stdout(Stdio::piped());
        let mut child = command.stderr(std::fs::File::create(&log)?).spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut panko = Self { child, url: String::new() };
        for line in BufReader::new(stdout).lines() {
            if let Some(url) = line?.strip_prefix("ready ") {
                panko.url = url.to_owned();
                return Ok(panko);
            }
        }
        anyhow::bail!("panko-serve did not start: {}", std::fs::read_to_string(log)?)
    }
}

impl Drop for Panko {
    fn drop(&mut self) {
        // It ends its workers on SIGTERM; killed outright it would leave them.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The product with the listeners that belong to one API each: its own address, Panko's, StackTach's.
fn start(home: &Home) -> (Product, String, String) {
    let (panko, stacktach) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let listeners = [
        ("QUINTET_GATEWAY__COMPAT__PANKO", panko.as_str()),
        ("QUINTET_GATEWAY__COMPAT__STACKTACH", &stacktach),
    ];
    let product = home.start(&listeners).unwrap();
    (product, format!("http://{panko}"), format!("http://{stacktach}"))
}

/// An empty installation on the engine that the tests run on.
fn home() -> Home {
    match std::env::var_os("QUINTET_TEST_POSTGRES_URL") {
        Some(_) => Home::postgres().unwrap().unwrap(),
        None => Home::sqlite().unwrap(),
    }
}

async fn all_events(url: &str) -> Vec<Value> {
    let url = format!("{url}/v2/events?limit=1000&q.field=all_tenants&q.value=true&sort=message_id");
    let request = reqwest::Client::new().get(url).header("X-User-Id", "u").header("X-Project-Id", "p");
    request.header("X-Roles", "admin").send().await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_ceilometers_publisher_read_back_equal() {
    if !are_ready(&["openstack"]) {
        return;
    }
    let home = home();
    let (product, panko, _) = start(&home);
    let sent = events();
    // Through either door, as a list and one by one, and some of them twice.
    let deliveries = [
        (format!("{panko}/v2/events?timeout=5&max_retries=2"), &sent[..30]),
        (format!("{}/v2/events?batch=False", product.url), &sent[20..50]),
        (format!("{}/v2/events", product.url), &sent[40..]),
    ];
    for (url, events) in deliveries {
        let told = run("ceilometer-publish", &[&url], &ndjson(events)).unwrap();
        assert_eq!(told, [json!({"sent": events.len(), "failures": 0})]);
    }
    let mut expected: Vec<Value> = sent.iter().map(shown).collect();
    expected.sort_by_key(|event| event["message_id"].as_str().unwrap().to_owned());
    assert_eq!(all_events(&panko).await, expected);
    product.terminate().await.unwrap();
}

/// An error page without the explanation between its heading and what is said of this caller: that is Panko's own prose.
fn without_prose(text: &str) -> String {
    let Some((heading, page)) = text.split_once("</h1>") else { return text.to_owned() };
    let said = page.split_once("</body>").map_or(page, |(said, _)| said).trim();
    format!("{heading} {}", said.rsplit('\n').next().unwrap_or_default().trim())
}

/// A call without what Panko leaves open: the prose of its error pages, and the orders of an object's members, as the
/// command line prints them, and of the traits of a type.
fn comparable(line: &Value) -> Value {
    let mut line = line.clone();
    if line["call"].as_str().is_some_and(|call| call.starts_with("event_trait_description.list"))
        && let Some(Value::Array(traits)) = line.get_mut("result")
    {
        traits.sort_by_key(Value::to_string);
    }
    if let Some(Value::String(error)) = line.get_mut("error") {
        *error = without_prose(error);
    }
    if let Some(Value::String(printed)) = line.pointer_mut("/result/printed") {
        *printed = without_prose(printed);
        let cells = printed.split(['\n', '|']).map(|cell| cell.trim_matches([' ', ',']));
        let mut cells: Vec<&str> = cells.filter(|cell| !cell.is_empty() && !cell.starts_with("+-")).collect();
        cells.sort_unstable();
        *printed = cells.join("\n");
    }
    line
}

/// Tests of Panko's that are not about what is seen over HTTP.
const NOT_OVER_HTTP: [&str; 3] = [
    // A policy file of oslo's, which we have no place for.
    "functional.api.v2.test_acl_scenarios.TestApiEventAdminRBAC.test_get_event_bad",
    "functional.api.v2.test_acl_scenarios.TestApiEventAdminRBAC.test_get_events_bad",
    // A Python object without one of its attributes.
    "functional.storage.test_storage_scenarios.EventTest.test_bad_event",
];

/// Panko's own functional tests, on the product in Panko's place.
fn panko_tests_pass(server: Option<&str>) {
    if !are_ready(&["panko"]) {
        return;
    }
    let binary = e2e::binary().unwrap();
    let arguments: Vec<&str> = [binary.to_str().unwrap()].into_iter().chain(server).collect();
    let lines = run("panko-suite", &arguments, "").unwrap();
    // 93 tests in Python and 42 requests in gabbi's files.
    assert_eq!(lines.len(), 135, "{}", ndjson(&lines));
    let others = lines.iter().filter(|line| line["outcome"] != "passed");
    let (known, unexpected): (Vec<&Value>, Vec<_>) =
        others.partition(|line| NOT_OVER_HTTP.iter().any(|name| line["test"] == *name));
    assert!(
        unexpected.is_empty(),
        "{}",
        unexpected.iter().map(|line| format!("{line}\n")).collect::<String>()
    );
    assert_eq!(known.len(), NOT_OVER_HTTP.len(), "a test passes that cannot: {known:?}");
}

#[test]
fn tests_of_panko_pass_on_sqlite() {
    panko_tests_pass(None);
}

#[test]
fn tests_of_panko_pass_on_postgres() {
    if let Some(server) = e2e::postgres_server().unwrap() {
        panko_tests_pass(Some(&server));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pankoclient_is_told_what_the_real_panko_tells() {
    if !are_ready(&["openstack", "panko"]) {
        return;
    }
    let home = home();
    let (product, ours, _) = start(&home);
    let events = events();
    run("ceilometer-publish", &[&format!("{ours}/v2/events")], &ndjson(&events)).unwrap();
    let theirs = Panko::start(&home, &events).unwrap();
    for (caller, finds_events) in CALLERS {
        // Its commands fail where the caller may not call them, so its status says nothing here.
        let check = |url: &str| ask("pankoclient-check", &[&[url], caller.as_slice()].concat(), "").unwrap();
        let ((_, theirs, _), (_, ours, _)) = (check(&theirs.url), check(&ours));
        let found = theirs.iter().find(|line| line["call"] == "event.list(limit=5)").unwrap();
        assert_eq!(found["result"] != json!([]), finds_events, "{caller:?}");
        for (theirs, ours) in theirs.iter().zip(&ours) {
            assert_eq!(comparable(ours), comparable(theirs), "{caller:?}");
        }
        assert_eq!(ours.len(), theirs.len());
    }
    product.terminate().await.unwrap();
}

/// What klugman made of one of its calls.
fn result<'l>(lines: &'l [Value], call: &str) -> &'l Value {
    let line = lines.iter().find(|line| line["call"].as_str().is_some_and(|made| made.starts_with(call)));
    &line.unwrap_or_else(|| panic!("klugman never called {call}: {}", ndjson(lines)))["result"]
}

#[tokio::test(flavor = "multi_thread")]
async fn klugman_lists_counts_and_shows_events() {
    if !are_ready(&["stacktach"]) {
        return;
    }
    let home = home();
    let (product, _, stacktach) = start(&home);
    let notification = |n: usize| {
        let id = format!("00000000-0000-4000-8000-{n:012}");
        let kind = format!("compute.instance.{}", ["create", "delete", "resize"][n % 3]);
        json!({
            "message_id": id, "event_type": kind, "publisher_id": format!("compute.host-{}", n % 2),
            "timestamp": format!("2024-03-01 12:00:{n:02}.000004"), "_context_request_id": format!("req-{}", n / 4),
            "payload": {"tenant_id": "tenant-1"},
        })
    };
    let sent: Vec<Value> = (0..30).map(notification).collect();
    let request = reqwest::Client::new().post(format!("{stacktach}/v1/notifications")).json(&sent);
    assert_eq!(request.send().await.unwrap().status(), 202);
    let lines = run("klugman-check", &[&stacktach], "").unwrap();

    // klugman makes time objects of its own, and takes what is shown for one event as it is: a list of one.
    let shown = |n: usize| {
        let event = &sent[n];
        json!({
            "_mark": format!("{:x}", n + 1), "message_id": event["message_id"], "event_type": event["event_type"],
            "timestamp": {"t": "datetime", "v": format!("2024-03-01T12:00:{n:02}.000004")},
            "service": event["publisher_id"], "request_id": event["_context_request_id"],
            "project_id": "tenant-1", "tenant_id": "tenant-1",
        })
    };
    let newest_first =
        |kept: &dyn Fn(&usize) -> bool| (0..30).rev().filter(kept).map(shown).collect::<Value>();
    let newest = shown(29);
    assert_eq!(result(&lines, "events count()"), &json!([{"count": 30}]));
    assert_eq!(result(&lines, "events()"), &newest_first(&|_| true));
    assert_eq!(result(&lines, "events(from_datetime="), &newest_first(&|_| true));
    assert_eq!(result(&lines, "events(name="), &newest_first(&|n| n % 3 == 29 % 3));
    assert_eq!(result(&lines, "events(traits="), &newest_first(&|n| n % 2 == 29 % 2 && n / 4 == 29 / 4));
    let mut alone = newest.clone();
    alone.as_object_mut().unwrap().remove("_mark");
    assert_eq!(result(&lines, "event(msg_id='00000000-0000-4000-8000-000000000029')"), &json!([alone]));
    let unknown = lines.iter().find(|line| line["call"] == "event(msg_id='no-such-event')").unwrap();
    assert_eq!(unknown["error"], "status 404");
    for command in ["klugman events()", "klugman events --count()", "klugman events --msg_id"] {
        assert!(result(&lines, command).is_string(), "{}", ndjson(&lines));
    }
    for id in sent.iter().map(|event| event["message_id"].as_str().unwrap()) {
        assert!(result(&lines, "klugman events()").as_str().unwrap().contains(id));
    }
    product.terminate().await.unwrap();
}

/// The notifications of the worked example (streams-events-v1.md, section 17), and one that moves the clock on.
fn worked_example() -> Vec<Value> {
    let instance = "86def971-f2a2-4b1d-b379-fca1b0ddf0d7";
    let notification = |id: &str, kind: &str, time: &str, more: Value| {
        let mut payload = json!({"instance_id": instance, "tenant_id": "5853600", "memory_mb": 512});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"message_id": id, "event_type": kind, "publisher_id": "compute.host-1", "timestamp": time,
            "payload": payload})
    };
    let exists = json!({
        "launched_at": "2015-02-27 15:31:24", "state": "active",
        "audit_period_beginning": "2015-02-27 00:00:00", "audit_period_ending": "2015-02-28 00:00:00",
    });
    let kind = |name: &str| format!("compute.instance.{name}");
    let launched = json!({"launched_at": "2015-02-27 15:31:24"});
    vec![
        notification(
            "936a849a-6eb3-4750-a431-7ca1aec9d611",
            &kind("update"),
            "2015-02-27 15:27:18.603932",
            json!({}),
        ),
        notification(
            "d359a6db-a488-4522-8b94-2ad17fb7ac38",
            &kind("create.start"),
            "2015-02-27 15:33:22",
            json!({}),
        ),
        notification(
            "0b3fe8c5-52e6-44cd-ae8e-5fb05777d1e0",
            &kind("create.end"),
            "2015-02-27 15:33:56",
            launched,
        ),
        notification(EXISTS, &kind("exists"), "2015-02-28 00:27:18.603932", exists),
        notification(
            "5cfa6a2c-4b5c-4c9a-8a4e-2a4f8f0d1d55",
            &kind("update"),
            "2015-02-28 01:00:00",
            json!({"instance_id": "another"}),
        ),
    ]
}

const EXISTS: &str = "a16aa892-6e62-47fd-8aee-5183ef71d605";

#[tokio::test(flavor = "multi_thread")]
async fn klugman_lists_counts_and_shows_streams() {
    if !are_ready(&["stacktach"]) {
        return;
    }
    let home = home();
    let stacktach = format!("127.0.0.1:{}", free_port());
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/usage/winchester.yaml");
    let settings = [
        ("QUINTET_GATEWAY__COMPAT__STACKTACH", stacktach.as_str()),
        ("QUINTET_WINCHESTER_CONFIG", example.to_str().unwrap()),
    ];
    let product = home.start(&settings).unwrap();
    let stacktach = format!("http://{stacktach}");
    let client = reqwest::Client::new();
    for notification in worked_example() {
        let request = client.post(format!("{stacktach}/v1/notifications")).json(&notification);
        let answer = request.header("prefer", "wait=30").send().await.unwrap();
        assert_eq!(answer.headers()["preference-applied"], "wait=30");
    }
    // The clock of the example is that of the events, so the stream fired when the last one came.
    for _ in 0..100 {
        let completed =
            client.get(format!("{stacktach}/v1/streams/count?state=completed")).send().await.unwrap();
        let verified = format!("{stacktach}/v1/events/count?event_name=compute.instance.exists.verified");
        let verified = client.get(verified).send().await.unwrap().text().await.unwrap();
        if completed.text().await.unwrap().contains("1") && verified.contains("1") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let lines = run("klugman-check", &[&stacktach], "").unwrap();
    check_streams(&lines);
    product.terminate().await.unwrap();
}

/// What klugman makes of the two streams of the example.
fn check_streams(lines: &[Value]) {
    let time = |text: &str| json!({"t": "datetime", "v": text});
    let day = |from: &str, to: &str| json!({"t": "range", "v": [from, to]});
    let completed = json!({
        "_mark": "1", "id": 1, "name": "daily_usage", "state": "completed",
        "distinguishing_traits": {
            "instance_id": "86def971-f2a2-4b1d-b379-fca1b0ddf0d7",
            "timestamp": day("2015-02-27T00:00:00", "2015-02-28T00:00:00"),
        },
        "first_event": time("2015-02-27T15:27:18.603932"), "last_event": time("2015-02-28T00:27:18.603932"),
        "expire_timestamp": time("2015-03-02T00:27:18.603932"), "fire_timestamp": time("2015-02-28T00:27:18.603932"),
    });
    let active = json!({
        "_mark": "2", "id": 2, "name": "daily_usage", "state": "active",
        "distinguishing_traits": {
            "instance_id": "another", "timestamp": day("2015-02-28T00:00:00", "2015-03-01T00:00:00"),
        },
        "first_event": time("2015-02-28T01:00:00"), "last_event": time("2015-02-28T01:00:00"),
        "expire_timestamp": time("2015-03-02T01:00:00"), "fire_timestamp": null,
    });
    let both = json!([active, completed]);
    assert_eq!(result(lines, "streams count()"), &json!([{"count": 2}]));
    assert_eq!(result(lines, "streams count(state='active')"), &json!([{"count": 1}]));
    assert_eq!(result(lines, "streams()"), &both);
    // Its --from is sent as older_than and its --to as younger_than.
    assert_eq!(result(lines, "streams(from_datetime="), &both);
    assert_eq!(result(lines, "streams(name='daily_usage')"), &both);
    assert_eq!(result(lines, "streams(traits="), &json!([active]));
    assert_eq!(result(lines, "stream(stream_id=2)"), &json!([active]));
    let detailed = &result(lines, "streams(details=True, state='completed')")[0];
    let ids: Vec<&Value> =
        detailed["events"].as_array().unwrap().iter().map(|event| &event["message_id"]).collect();
    let sent = worked_example();
    assert_eq!(ids, sent[..4].iter().map(|event| &event["message_id"]).collect::<Vec<_>>());
    let mut plain = detailed.clone();
    plain.as_object_mut().unwrap().remove("events");
    assert_eq!(plain, completed);
    assert_eq!(result(lines, "stream(details=True, stream_id=2)")[0]["events"].as_array().unwrap().len(), 1);
    let refused = lines.iter().find(|line| line["call"] == "streams(state='bogus')").unwrap();
    assert_eq!(refused["error"], "status 400");
    let verified = result(lines, "events()").as_array().unwrap().iter().find(|event| {
        event["event_type"] == "compute.instance.exists.verified" && event["original_message_id"] == EXISTS
    });
    assert_eq!(verified.unwrap()["stream_id"], 1);
    for command in ["klugman streams()", "klugman streams --count()", "klugman streams --id 2 --details()"] {
        assert!(result(lines, command).is_string(), "{command}: {}", ndjson(lines));
    }
}
