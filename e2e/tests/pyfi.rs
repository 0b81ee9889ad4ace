//! The real pyfi, Project-FiFo's command line client, with every dtrace command it has (e2e/judges/README.md).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed"
)]

use e2e::{Home, Product};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn judge_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("judges").join(name)
}

/// Makes the original client ready. False, with a word about it, where it cannot be had and need not be.
fn is_ready() -> bool {
    let output = Command::new(judge_path("setup")).arg("fifo").output().unwrap();
    let fault = String::from_utf8_lossy(&output.stderr);
    let is_required = std::env::var_os("QUINTET_TEST_REQUIRE_SERVICES").is_some();
    assert!(output.status.success() || !is_required, "pyfi cannot be set up: {fault}");
    if !output.status.success() {
        eprintln!("skipped: pyfi cannot be set up: {fault}");
    }
    output.status.success()
}

/// Runs pyfi once for each line; status and output of each.
fn pyfi(host: &str, calls: &[Value]) -> Vec<(i64, String)> {
    let mut command = Command::new(judge_path("pyfi-run"));
    let mut child = command.arg(host).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let input: String = calls.iter().map(|call| format!("{call}\n")).collect();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|line| (line["status"].as_i64().unwrap(), line["printed"].as_str().unwrap().to_owned()))
        .collect()
}

/// The product with the listener that belongs to FiFo's API, and that listener's address.
fn start(home: &Home) -> (Product, String) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let product = home.start(&[("QUINTET_GATEWAY__COMPAT__FIFO", address.as_str())]).unwrap();
    (product, address)
}

/// An empty installation on the engine that the tests run on.
fn home() -> Home {
    match std::env::var_os("QUINTET_TEST_POSTGRES_URL") {
        Some(_) => Home::postgres().unwrap().unwrap(),
        None => Home::sqlite().unwrap(),
    }
}

/// Stores a script; pyfi has no command for it.
async fn create(host: &str, script: &Value) -> String {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = client.post(format!("http://{host}/api/3/dtrace")).json(script).send().await.unwrap();
    assert_eq!(answer.status(), 303);
    let location = answer.headers()["location"].to_str().unwrap();
    location.strip_prefix("/api/3/dtrace/").unwrap().to_owned()
}

/// JSON as pyfi prints it: sorted, indented by two.
fn pretty(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    format!("{value:#}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn pyfi_does_everything_it_can_do_with_scripts() {
    if !is_ready() {
        return;
    }
    let home = home();
    let (product, host) = start(&home);
    // Nothing there yet: an empty list is no error for pyfi.
    assert_eq!(pyfi(&host, &[json!(["dtrace", "list", "-H"])]), [(0, String::new())]);

    let seed = json!({
        "name": "zfs reads", "script": "/*some dtrace here/*", "config": {"start": 0, "end": 64, "step": 2},
    });
    let zfs = create(&host, &seed).await;
    let other = create(&host, &json!({"name": "another", "script": "BEGIN { }"})).await;
    let mut object = seed.clone();
    object["uuid"] = zfs.clone().into();
    object["metadata"] = json!({});
    let second =
        json!({"uuid": other, "name": "another", "script": "BEGIN { }", "config": {}, "metadata": {}});

    // The format of its table: `%36s %-40s ` (its own source).
    let row = |uuid: &str, name: &str| format!("{uuid:>36} {name:<40} \n");
    let rows = row(&other, "another") + &row(&zfs, "zfs reads");
    let header = row("UUID", "Name") + &row(&"-".repeat(36), &"-".repeat(40));
    let done = |text: &str| (0, format!("{text}\n"));
    let unknown = "00000000-0000-4000-8000-000000000000";
    let expected = [
        (json!(["dtrace", "list"]), (0, header + &rows)),
        (json!(["dtrace", "list", "-H"]), (0, rows)),
        (json!(["dtrace", "list", "-H", "-p"]), (0, format!("{other}:another\n{zfs}:zfs reads\n"))),
        (json!(["dtrace", "list", "-H", "-p", "--fmt", "name"]), (0, "another\nzfs reads\n".to_owned())),
        (json!(["dtrace", "list", "--raw"]), (0, pretty(&json!([second, object])))),
        (json!(["dtrace", "get", zfs]), (0, pretty(&object))),
        (json!(["dtrace", "get", unknown]), (1, "error!\n".to_owned())),
        (
            json!(["dtrace", "metadata", zfs, "set", "jingles.notes", "-j", r#"[{"text":"yap"}]"#]),
            done("204\nMetadata successfully updated!"),
        ),
        (
            json!(["dtrace", "metadata", zfs, "set", "n", "-i", "5"]),
            done("204\nMetadata successfully updated!"),
        ),
        (
            json!(["dtrace", "metadata", zfs, "set", "a.b.c", "-f", "1.5"]),
            done("204\nMetadata successfully updated!"),
        ),
        (json!(["dtrace", "metadata", zfs, "set", "s", "text"]), done("204\nMetadata successfully updated!")),
        (
            json!(["dtrace", "metadata", zfs, "get"]),
            (
                0,
                pretty(
                    &json!({"jingles": {"notes": [{"text": "yap"}]}, "n": 5, "a": {"b": {"c": 1.5}}, "s": "text"}),
                ),
            ),
        ),
        (json!(["dtrace", "metadata", zfs, "delete", "a.b"]), done("Metadata successfully updated!")),
        (
            json!(["dtrace", "metadata", zfs, "get"]),
            (0, pretty(&json!({"jingles": {"notes": [{"text": "yap"}]}, "n": 5, "a": {}, "s": "text"}))),
        ),
        (
            json!(["dtrace", "metadata", unknown, "set", "k", "v"]),
            (1, "Failed to update metadata!\n".to_owned()),
        ),
        (json!(["dtrace", "delete", zfs]), done(&format!("{zfs} deleted successful."))),
        (json!(["dtrace", "delete", zfs]), (1, format!("Failed to delete {zfs}\n"))),
        (json!(["dtrace", "list", "-H", "-p"]), (0, format!("{other}:another\n"))),
    ];
    let calls: Vec<Value> = expected.iter().map(|(call, _)| call.clone()).collect();
    for ((call, expected), told) in expected.iter().zip(pyfi(&host, &calls)) {
        assert_eq!(&told, expected, "{call}");
    }
    product.terminate().await.unwrap();
}

/// Asks the FiFo listener as the holder of a token; status, `Location`, body.
async fn ask(host: &str, token: &str, method: &str, path: &str, body: Value) -> (u16, String, Value) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let request = client.request(method.parse().unwrap(), format!("http://{host}/api/3/{path}"));
    let request = request.bearer_auth(token);
    let request = if body.is_null() { request } else { request.json(&body) };
    let answer = request.send().await.unwrap();
    let location = answer.headers().get("location").map(|location| location.to_str().unwrap().to_owned());
    let status = answer.status().as_u16();
    (status, location.unwrap_or_default(), answer.json().await.unwrap_or(Value::Null))
}

/// The bearer token of a user's password.
async fn login(host: &str, user: &str, password: &str) -> String {
    let form = [("grant_type", "password"), ("username", user), ("password", password)];
    let request = reqwest::Client::new().post(format!("http://{host}/api/3/oauth/token")).form(&form);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pyfi_logs_in_and_sees_what_its_user_may_see() {
    if !is_ready() {
        return;
    }
    let home = home();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = format!("127.0.0.1:{port}");
    let product = home
        .start(&[
            ("QUINTET_GATEWAY__COMPAT__FIFO", host.as_str()),
            ("QUINTET_AUTH__MODE", "secure"),
            ("QUINTET_AUTH__ADMIN_USER", "root"),
            ("QUINTET_AUTH__ADMIN_PASSWORD", "only for this test"),
        ])
        .unwrap();
    let admin = login(&host, "root", "only for this test").await;
    let mut scripts = Vec::new();
    for name in ["first", "second"] {
        let script = json!({"name": name, "script": "BEGIN { }"});
        let (status, location, _) = ask(&host, &admin, "POST", "dtrace", script).await;
        assert_eq!(status, 303);
        scripts.push(location.rsplit('/').next().unwrap().to_owned());
    }
    // Ada may list, and get the first script; nothing else.
    let user = json!({"user": "ada", "password": "a password of hers"});
    let (status, location, _) = ask(&host, &admin, "POST", "users", user).await;
    assert_eq!(status, 303);
    let ada = location.rsplit('/').next().unwrap();
    let get = format!("users/{ada}/permissions/dtraces/{}/get", scripts[0]);
    for path in [format!("users/{ada}/permissions/cloud/dtraces/list"), get] {
        let (status, ..) = ask(&host, &admin, "PUT", &path, Value::Null).await;
        assert!((200..300).contains(&status), "{path}: {status}");
    }

    let list = json!(["dtrace", "list", "-H", "-p"]);
    let told = pyfi(
        &host,
        &[
            json!({"user": "root", "pass": "only for this test"}),
            list.clone(),
            // With the token it has stored: it asks for its session first, without saying who it is.
            list.clone(),
            json!({"user": "ada", "pass": "a password of hers"}),
            list.clone(),
            json!(["dtrace", "get", scripts[1]]),
            json!(["dtrace", "metadata", scripts[0], "set", "k", "v"]),
            json!(["dtrace", "delete", scripts[0]]),
            json!({"user": "ada", "pass": "a wrong one"}),
            list,
        ],
    );
    let both = format!("{}:first\n{}:second\n", scripts[0], scripts[1]);
    let expected = [
        (0, both.clone()),
        (0, both),
        (0, format!("{}:first\n", scripts[0])),
        (1, "error!\n".to_owned()),
        (1, "Failed to update metadata!\n".to_owned()),
        (1, format!("Failed to delete {}\n", scripts[0])),
        (1, "error!\n".to_owned()),
    ];
    assert_eq!(told, expected);

    // The same user at the same scripts, without pyfi: 403 whether or not there is such a script.
    let token = login(&host, "ada", "a password of hers").await;
    let unknown = "00000000-0000-4000-8000-000000000000".to_owned();
    for (method, script, rest, status) in [
        ("GET", &scripts[0], "", 200),
        ("GET", &scripts[1], "", 403),
        ("GET", &unknown, "", 403),
        ("PUT", &scripts[0], "", 403),
        ("DELETE", &scripts[0], "", 403),
        ("PUT", &scripts[0], "/metadata/k", 403),
        ("DELETE", &scripts[0], "/metadata/k", 403),
        ("GET", &scripts[0], "/stream", 403),
        ("POST", &scripts[0], "/runs", 403),
        ("GET", &scripts[0], "/runs", 200),
        ("GET", &scripts[1], "/runs", 403),
    ] {
        let path = format!("dtrace/{script}{rest}");
        let body = if ["PUT", "POST"].contains(&method) { json!({"k": "v"}) } else { Value::Null };
        assert_eq!(ask(&host, &token, method, &path, body).await.0, status, "{method} {path}");
    }
    let (_, _, shown) = ask(&host, &token, "GET", "dtrace", Value::Null).await;
    assert_eq!(shown, json!([scripts[0]]));
    product.terminate().await.unwrap();
}
