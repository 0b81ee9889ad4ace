//! The command line where it is easily wrong: odd arguments, closed and full outputs, hostile texts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use e2e::{Home, Product};
use serde_json::{Value, json};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn run(home: &Home, product: &Product, arguments: &[&str]) -> Output {
    let mut command = home.command().unwrap();
    command.args(arguments).env("QUINTET_URL", &product.url).output().unwrap()
}

fn json_of(home: &Home, product: &Product, arguments: &[&str]) -> Value {
    let output = run(home, product, &[arguments, &["-o", "json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", words(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn notify(product: &Product, body: String) {
    let post = reqwest::Client::new().post(format!("{}/v1/notifications", product.url));
    let post = post.header("content-type", "application/x-ndjson").body(body);
    assert_eq!(post.send().await.unwrap().status(), 202);
}

fn notification(id: &str) -> String {
    json!({"message_id": id, "event_type": "t", "publisher_id": "p"}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_argument_never_names_another_place() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[]).unwrap();
    notify(&product, format!("broken\n{}\n{}", notification("a/b c?d#e"), notification("one"))).await;
    for id in ["../events/dead-letters", "..", ".", "", "../../admin/events/dead-letters"] {
        assert!(!run(&home, &product, &["token", "revoke", id]).status.success(), "token revoke {id:?}");
        assert!(
            !run(&home, &product, &["annotate", "delete", id]).status.success(),
            "annotate delete {id:?}"
        );
        assert!(!run(&home, &product, &["dtrace", "delete", id]).status.success(), "dtrace delete {id:?}");
    }
    assert_eq!(json_of(&home, &product, &["events", "dead-letters", "list"]).as_array().unwrap().len(), 1);
    for id in ["", ".", "..", "count", "nothing"] {
        let output = run(&home, &product, &["events", "get", id]);
        assert!(!output.status.success() && output.stdout.is_empty(), "events get {id:?}");
    }
    for id in ["one", "a/b c?d#e"] {
        assert_eq!(json_of(&home, &product, &["events", "get", id])["message_id"], id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_shown_tried_and_dropped_in_both_forms() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[]).unwrap();
    notify(&product, "first\nsecond\nthird\u{1b}[2J".to_owned()).await;
    let letters = ["events", "dead-letters"];
    let run = |arguments: &[&str]| run(&home, &product, &[&letters, arguments].concat());
    let json_of = |arguments: &[&str]| json_of(&home, &product, &[&letters, arguments].concat());
    assert_eq!(json_of(&["show", "1"])["body"], json!({"text": "first"}));
    let table = String::from_utf8(run(&["show", "3"]).stdout).unwrap();
    assert!(table.contains("MEMBER") && table.contains("third") && !table.contains('\u{1b}'), "{table}");
    let counts = json!({"replayed": 3, "saved": 0, "duplicate": 0, "dropped": 0, "invalid": 3});
    assert_eq!(json_of(&["replay", "--all"]), counts);
    let table = String::from_utf8(run(&["replay", "1"]).stdout).unwrap();
    assert!(table.contains("OUTCOME") && table.contains("replayed"), "{table}");
    assert_eq!(json_of(&["drop", "1"]), json!({"deleted": 1}));
    assert_eq!(json_of(&["drop", "--all"]), json!({"deleted": 2}));
    assert_eq!(json_of(&["list"]), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_ends_on_a_question_that_is_wrong() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[]).unwrap();
    let start = Instant::now();
    let output = run(&home, &product, &["events", "tail", "--trait", "nocolon"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("expected name:value"), "{}", words(&output));
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_full_disk_is_told_and_a_closed_pipe_is_not() {
    let home = Home::sqlite().unwrap();
    for arguments in [["completions", "bash"], ["config", "reference"], ["config", "print"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = home.command().unwrap().args(arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(words(&output).contains("No space left on device"), "{arguments:?}: {}", words(&output));

        let mut child = home
            .command()
            .unwrap()
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), words(&output).as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_asks_one_target_by_its_own_settings() {
    let home = Home::sqlite().unwrap();
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (gateway, events) = (free().to_string(), free().port());
    let settings = [
        ("QUINTET_GATEWAY__LISTEN", gateway.clone()),
        ("QUINTET_EVENTS__LISTEN__ADDRESS", format!("0.0.0.0:{events}")),
        ("QUINTET_AUTH__MODE", "secure".to_owned()),
    ];
    let ask = |target: &str| {
        let mut command: Command = home.command().unwrap();
        command.args(["health", "-o", "json", "--target", target]).envs(settings.clone()).output().unwrap()
    };
    assert_eq!(ask("events").status.code(), Some(1), "nothing runs");
    let product = home.start(&settings.each_ref().map(|(name, value)| (*name, value.as_str()))).unwrap();
    for target in ["gateway", "events"] {
        let output = ask(target);
        assert!(output.status.success(), "{target}: {}", words(&output));
        assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), json!({ target: "ok" }));
    }
    assert!(words(&ask("streams")).contains("free port"), "{}", words(&ask("streams")));
    assert_eq!(ask("evnts").status.code(), Some(2));
    assert!(words(&ask("evnts")).contains("invalid value 'evnts' for '--target"), "{}", words(&ask("evnts")));
    product.terminate().await.unwrap();
    assert_eq!(ask("gateway").status.code(), Some(1), "nothing runs any more");
}

#[test]
fn a_service_alone_gives_no_hints_that_it_would_refuse() {
    let home = Home::sqlite().unwrap();
    // The hints are for people: standard error is a terminal, made by script(1).
    let quintet = home.command().unwrap().get_program().to_owned();
    let said = |target: &str| {
        let mut command = Command::new("script");
        let line = format!("timeout 5 {} serve --target {target}", quintet.to_str().unwrap());
        command.args(["-qec", &line, "/dev/null"]).current_dir(home.path());
        command.env("QUINTET_GATEWAY__LISTEN", "127.0.0.1:0").stdin(Stdio::null());
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    };
    let alone = said("events");
    assert!(alone.contains("ready http://") && !alone.contains("curl"), "{alone}");
    let with_gateway = said("gateway,events");
    assert!(with_gateway.contains("ready http://") && with_gateway.contains("curl"), "{with_gateway}");
}

#[test]
fn flags_of_the_gateway_are_refused_where_none_is_started() {
    let home = Home::sqlite().unwrap();
    for (flags, named) in [
        (&["--target", "events", "--listen", "127.0.0.1:1"][..], "--listen"),
        (&["--target", "events,streams", "--compat"], "--compat"),
    ] {
        let output = home.command().unwrap().arg("serve").args(flags).output().unwrap();
        let said = words(&output);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {said}");
        assert!(said.contains(&format!("{named} is for the gateway")) && said.contains(flags[1]), "{said}");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "nothing is started or made");
    }
}
