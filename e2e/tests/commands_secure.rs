//! The command line in secure mode: who has no login is told how to get one, and the first hints work.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use e2e::{Home, Product};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

const SECURE: (&str, &str) = ("QUINTET_AUTH__MODE", "secure");

/// Runs a command with this token and this standard input.
fn run(home: &Home, product: &Product, token: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = home.command().unwrap();
    command.args(arguments).env("QUINTET_URL", &product.url);
    if !token.is_empty() {
        command.env("QUINTET_TOKEN", token);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a command that succeeds has printed.
fn printed(home: &Home, product: &Product, token: &str, arguments: &[&str]) -> String {
    let output = run(home, product, token, arguments, "");
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn admin_token(home: &Home) -> String {
    std::fs::read_to_string(home.path().join("data/secrets/admin_token")).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_tokens_tells_live_ones_from_revoked_ones() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[SECURE]).unwrap();
    let admin = admin_token(&home);
    let printed = |arguments: &[&str]| printed(&home, &product, &admin, arguments);
    for name in ["one", "two"] {
        let make = ["token", "create", name, "--role", "reader", "--role", "auditors"];
        printed(&[&make[..], &["--permission", "cloud->events->list", "--permission", "x->y"]].concat());
    }
    let all: Value = serde_json::from_str(&printed(&["token", "list", "-o", "json"])).unwrap();
    let all = all.as_array().unwrap();
    let id = all.iter().find(|token| token["name"] == "two").unwrap()["id"].as_str().unwrap();
    printed(&["token", "revoke", id]);
    let table = printed(&["token", "list"]);
    let row = |name: &str| {
        let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        rows.find(|row| row.contains(name)).unwrap_or_else(|| panic!("{table}"))
    };
    assert_eq!(row("ID"), "ID NAME STATE ROLES PERMISSIONS EXPIRES AT");
    let lists = "reader, auditors cloud->events->list, x->y";
    assert!(row("one").ends_with(&format!("one live {lists}")), "{table}");
    assert!(row("two").ends_with(&format!("two revoked {lists}")), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_caller_is_told_what_to_do() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[SECURE, ("QUINTET_GATEWAY__LIMITS__LOGIN_FAILURES_PER_MIN", "2")]).unwrap();
    for arguments in [&["events", "list"][..], &["health"], &["annotate", "list"], &["dtrace", "list"]] {
        let output = run(&home, &product, "", arguments, "");
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""), "{arguments:?}");
        assert!(said.contains("401 Unauthorized: Credentials are required."), "{arguments:?}: {said}");
        assert!(said.contains("--token") && said.contains("QUINTET_TOKEN"), "{arguments:?}: {said}");
    }
    let admin = admin_token(&home);
    assert!(printed(&home, &product, &admin, &["health"]).contains("events"));
    printed(&home, &product, &admin, &["user", "create", "ada"]);
    let login = || {
        let output = run(&home, &product, "", &["user", "login", "ada", "--password-stdin"], "wrong\n");
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""));
        text(&output.stderr)
    };
    let wrong = login();
    assert!(!wrong.contains("--token"), "he has none yet: {wrong}");
    let late = (0..20).map(|_| login()).find(|said| said.contains("429 Too Many Requests")).unwrap();
    assert!(late.contains("too many requests or wrong logins: try again in "), "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_told_in_json_too() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[SECURE, ("QUINTET_DTRACE__EXECUTOR", "simulated")]).unwrap();
    let admin = admin_token(&home);
    let done = |arguments: &[&str]| -> Value {
        let told = printed(&home, &product, &admin, &[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&told).unwrap_or_else(|cause| panic!("{arguments:?}: {cause}: {told}"))
    };
    let user = done(&["user", "create", "ada", "--role", "reader"]);
    assert_eq!(user["uuid"], done(&["user", "show", "ada"])["uuid"]);
    let password = user["password"].as_str().unwrap();
    let login = ["user", "login", "ada", "--password-stdin", "-o", "json"];
    let granted = run(&home, &product, "", &login, password);
    let granted: Value = serde_json::from_slice(&granted.stdout).unwrap();
    let token = granted["access_token"].as_str().unwrap();
    assert!(granted["expires_in"].as_u64().unwrap() > 0, "{granted}");
    assert_eq!(printed(&home, &product, token, &["events", "list", "-o", "json"]).trim(), "[]");

    let role = done(&["role", "create", "auditors", "--permission", "a->b"]);
    assert_eq!(role, json!({ "uuid": done(&["role", "show", "auditors"])["uuid"], "name": "auditors" }));
    let client = done(&["client", "create", "app", "--public"]);
    assert_eq!(client, json!({ "uuid": done(&["client", "show", "app"])["uuid"], "name": "app" }));
    assert_eq!(done(&["client", "secret", "app"])["changed"], "secret");
    let uri = "https://app.example/callback";
    let file = home.path().join("script");
    std::fs::write(&file, "BEGIN { exit(); }").unwrap();
    let script = done(&["dtrace", "create", "s", file.to_str().unwrap()])["uuid"].clone();
    let noted: Value = serde_json::from_str(&printed(&home, &product, &admin, &["annotate", "x"])).unwrap();
    let note = noted["Id"].as_str().unwrap();
    for (arguments, expected) in [
        (&["user", "grant", "ada", "a->b", "c"][..], json!({ "name": "ada", "granted": ["a->b", "c"] })),
        (&["user", "revoke", "ada", "c"], json!({ "name": "ada", "revoked": ["c"] })),
        (&["user", "join", "ada", "auditors"], json!({ "name": "ada", "joined": "auditors" })),
        (&["user", "leave", "ada", "auditors"], json!({ "name": "ada", "left": "auditors" })),
        (&["user", "logout", "ada"], json!({ "logged_out": "ada" })),
        (&["role", "grant", "auditors", "d"], json!({ "name": "auditors", "granted": ["d"] })),
        (&["client", "add-uri", "app", uri], json!({ "name": "app", "added": uri })),
        (&["dtrace", "edit", "s", "--name", "t"], json!({ "changed": script })),
        (&["dtrace", "metadata", "set", "t", "k", r#"{"n":1}"#], json!({ "changed": script })),
        (&["dtrace", "metadata", "get", "t"], json!({ "k": { "n": 1 } })),
        (&["dtrace", "metadata", "delete", "t", "k"], json!({ "changed": script })),
        (&["dtrace", "delete", "t"], json!({ "deleted": [script] })),
        (&["annotate", "delete", note], json!({ "deleted": [note] })),
        (&["streams", "reset", "--all"], json!([])),
        (&["client", "delete", "app"], json!({ "deleted": "app" })),
        (&["role", "delete", "auditors"], json!({ "deleted": "auditors" })),
        (&["user", "delete", "ada"], json!({ "deleted": "ada" })),
    ] {
        assert_eq!(done(arguments), expected, "{arguments:?}");
    }
}

#[test]
fn the_first_hints_work_where_callers_must_log_in() {
    let home = Home::sqlite().unwrap();
    // The hints are for people: standard error is a terminal, made by script(1).
    let quintet = home.command().unwrap().get_program().to_owned();
    let line = format!("echo $$ > pid; exec timeout 120 {} serve", quintet.to_str().unwrap());
    let mut terminal = Command::new("script")
        .args(["-qefc", &line, "/dev/null"])
        .current_dir(home.path())
        .envs([SECURE, ("QUINTET_GATEWAY__LISTEN", "127.0.0.1:0")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(terminal.stdout.take().unwrap()).lines().map(Result::unwrap);
    let hints = lines.skip_while(|line| !line.starts_with("Try")).skip(1).take(3);
    let commands: Vec<String> =
        hints.map(|line| format!("curl {}", line.split_once("curl ").unwrap().1)).collect();
    // From any folder: the other terminal may be anywhere.
    let answers: Vec<String> = commands
        .iter()
        .map(|line| text(&Command::new("sh").args(["-c", line]).current_dir("/").output().unwrap().stdout))
        .collect();
    assert!(
        Command::new("sh")
            .args(["-c", "kill $(cat pid)"])
            .current_dir(home.path())
            .status()
            .unwrap()
            .success()
    );
    terminal.wait().unwrap();
    let [posted, v1, v2] = &answers[..] else { panic!("{commands:?}") };
    assert!(posted.contains("\"saved\":1"), "{posted} to {}", commands[0]);
    for list in [v1, v2] {
        let events: Value = serde_json::from_str(list).unwrap_or(json!(list));
        assert_eq!(events[0]["message_id"], "hello-1", "{list} to {commands:?}");
    }
}
