//! `quintet annotate`, with the original's flags, against the running product (annotate.md, section 9).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use e2e::{Home, Product};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Output, Stdio};

/// Runs `quintet annotate` with these arguments and this standard input, as somebody on some host.
fn annotate(home: &Home, product: &Product, arguments: &[&str], input: &str) -> Output {
    let mut command = home.command().unwrap();
    command.arg("annotate").args(arguments).env("QUINTET_URL", &product.url);
    command.env("USER", "root").env("SUDO_USER", "kbrandt");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The annotation that the tool printed.
fn printed(home: &Home, product: &Product, arguments: &[&str]) -> Value {
    let output = annotate(home, product, arguments, "");
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn short_host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    name.trim().split('.').next().unwrap().to_lowercase()
}

async fn get(product: &Product, path: &str) -> Value {
    reqwest::get(format!("{}{path}", product.url)).await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_originals_flags_make_the_annotation_they_name() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[]).unwrap();
    let api = format!("{}/api", product.url);
    // One dash or two, the API's root as Bosun had it, and the message as words that may look like flags.
    let line =
        ["-h", &api, "-start", "Wed Feb 24 22:08:41 EST 2016", "-end", "2016-02-25T03:09:41Z", "-owner"];
    let line = [&line[..], &["sre", "--category=test", "-url", "http://bosun.org", "web", "-v2", "goes out"]];
    let made = printed(&home, &product, &line.concat());
    let mut expected = json!({
        "Id": "", "Message": "web -v2 goes out", "CreationUser": "kbrandt", "Url": "http://bosun.org",
        "Source": "annotate-cli", "Host": short_host(), "Owner": "sre", "Category": "test",
        "StartDate": "2016-02-24T22:08:41-05:00", "EndDate": "2016-02-25T03:09:41Z",
    });
    expected["Id"] = made["Id"].clone();
    assert_eq!(made, expected);
    let id = made["Id"].as_str().unwrap();
    assert_eq!(get(&product, &format!("/annotation/{id}")).await, expected);

    // Replacing takes the whole document; one of the dates is both, in either direction.
    let line = ["-id", id, "-host", "", "-user", "", "-start", "1456369836", "again"];
    let replaced = printed(&home, &product, &line);
    let at = "2016-02-25T03:10:36Z";
    assert_eq!([&replaced["Id"], &replaced["Host"], &replaced["CreationUser"]], [id, "", ""]);
    assert_eq!([&replaced["StartDate"], &replaced["EndDate"]], [at, at]);
    let ended = printed(&home, &product, &["-end", "1456369836", "ended"]);
    assert_eq!([&ended["StartDate"], &ended["EndDate"]], [at, at]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_printed_indented_with_tabs_and_json_is_taken_from_standard_input() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[]).unwrap();
    let document = r#"{"Message":"test","StartDate":1456369836,"CreationUser":"kbrandt","Owner":"sre"}"#;
    let output = annotate(&home, &product, &["-in"], document);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let stored: Value = serde_json::from_slice(&output.stdout).unwrap();
    let id = stored["Id"].as_str().unwrap();
    let expected = format!(
        "{{\n\t\"Id\": \"{id}\",\n\t\"Message\": \"test\",\n\t\"CreationUser\": \"kbrandt\",\n\t\"Url\": \"\",\n\t\
         \"Source\": \"\",\n\t\"Host\": \"\",\n\t\"Owner\": \"sre\",\n\t\"Category\": \"\",\n\t\
         \"StartDate\": 1456369836,\n\t\"EndDate\": 1456369836\n}}\n"
    );
    assert_eq!(text(&output.stdout), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_told_and_end_with_failure() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[]).unwrap();
    let unknown = "b2ffcb2b-f6bb-4fab-9a41-3ee34dbd1bb4";
    for (arguments, status, words) in [
        (&["-start", "1456369836", "-end", "1456369835", "x"][..], 1, "EndDate is before StartDate"),
        (&["-id", unknown, "x"], 1, "could not find annotation with id"),
        (&["-start", "yesterday", "x"], 1, "yesterday is no time"),
        (&["-in"], 1, "standard input is not JSON"),
        (&["delete", unknown], 1, "elastic: Error 404 (Not Found)"),
        (&["list", "-filter", "owner"], 1, "bad filter, filter must be in k:v format"),
        (&["-h", "http://127.0.0.1:9", "x"], 1, "no gateway answers"),
        (&["-onwer", "sre", "x"], 2, "unexpected argument"),
        (&["-in", "-owner", "sre"], 2, "cannot be used with"),
        (&[], 2, "MESSAGE"),
    ] {
        let output = annotate(&home, &product, arguments, "");
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
        assert!(text(&output.stderr).contains(words), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
    let all = "/annotation/query?StartDate=0&EndDate=4000000000";
    assert_eq!(get(&product, all).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn annotations_are_listed_searched_and_deleted() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[]).unwrap();
    let mut ids = Vec::new();
    for line in [
        &["-owner", "sre", "-start", "-2h", "disk full on web"][..],
        &["-owner", "dev", "-start", "-1h", "deploy \u{1b}[2J of web"],
        &["-owner", "sre", "-start", "-30d", "disk replaced"],
    ] {
        ids.push(printed(&home, &product, line)["Id"].as_str().unwrap().to_owned());
    }
    let found = |line: &[&str]| {
        let list = printed(&home, &product, &[line, &["-o", "json"]].concat());
        let id = |found: &Value| ids.iter().position(|id| found["Id"] == **id).unwrap();
        list.as_array().unwrap().iter().map(id).collect::<Vec<_>>()
    };
    // A list is of the last day, a search of all time; both newest first.
    assert_eq!(found(&["list"]), [1, 0]);
    assert_eq!(found(&["list", "-start", "-31d"]), [1, 0, 2]);
    assert_eq!(found(&["list", "-start", "-31d", "-limit", "1"]), [1]);
    assert_eq!(found(&["list", "-owner", "sre"]), [0]);
    assert_eq!(found(&["list", "--filter", "owner:sre OR message:*deploy*", "--start=-31d"]), [1, 0, 2]);
    assert_eq!(found(&["list", "-start", "-31d", "-end", "-1d"]), [2]);
    assert_eq!(found(&["search", "disk"]), [0, 2]);
    assert_eq!(found(&["search", "disk", "web"]), [0]);
    assert_eq!(found(&["search", "repl*", "-owner", "sre"]), [2]);

    let table = text(&annotate(&home, &product, &["list"], "").stdout);
    assert!(table.contains("OWNER") && table.contains("disk full on web"), "{table}");
    assert!(!table.contains('\u{1b}'), "a message steers the terminal: {table:?}");

    let output = annotate(&home, &product, &["delete", &ids[0], &ids[2]], "");
    assert!(output.status.success() && output.stdout.is_empty(), "{}", text(&output.stderr));
    assert_eq!(found(&["list", "-start", "-31d"]), [1]);
}
