//! `quintet events import`, and what comes back of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use e2e::{Home, Product};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// A notification of at least this many bytes.
fn notification(id: u32, bytes: usize) -> String {
    let filler = "x".repeat(bytes);
    json!({"message_id": format!("m{id}"), "event_type": "t", "publisher_id": "p", "payload": {"filler": filler}})
        .to_string()
}

fn write(home: &Home, name: &str, lines: &[String]) -> PathBuf {
    let file = home.path().join(name);
    fs::write(&file, lines.join("\n")).unwrap();
    file
}

fn import(home: &Home, product: &Product, file: &Path) -> Output {
    let mut command = home.command().unwrap();
    command.args(["events", "import", "-o", "json", "--url", &product.url]).arg(file).output().unwrap()
}

fn counts(output: &Output) -> Value {
    assert!(output.status.success(), "{}", words(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn all_saved(lines: usize) -> Value {
    json!({"received": lines, "saved": lines, "duplicate": 0, "dropped": 0, "invalid": 0})
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lines_go_in_batches_of_bytes() {
    let home = Home::sqlite().unwrap();
    // 60 lines of 200 KB are 12 MB, and one batch by their number.
    let product = home.start(&[("QUINTET_GATEWAY__LIMITS__MAX_INGEST_BYTES", "6000000")]).unwrap();
    let lines: Vec<String> = (0..60).map(|id| notification(id, 200_000)).collect();
    assert_eq!(counts(&import(&home, &product, &write(&home, "long", &lines))), all_saved(60));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_less_gets_less() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[("QUINTET_GATEWAY__LIMITS__MAX_INGEST_BYTES", "50000")]).unwrap();
    let mut lines: Vec<String> = (0..40).map(|id| notification(id, 10_000)).collect();
    let event = json!({"message_id": "e", "event_type": "t", "generated": "2026-01-01T00:00:00",
        "traits": [["filler", 1, "x".repeat(10_000)]]});
    for id in 0..20 {
        let mut event = event.clone();
        event["message_id"] = format!("e{id}").into();
        lines.insert(id * 2, event.to_string());
    }
    assert_eq!(counts(&import(&home, &product, &write(&home, "many", &lines))), all_saved(60));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_stopped_goes_on_behind_its_last_batch() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[("QUINTET_GATEWAY__LIMITS__MAX_INGEST_BYTES", "4000000")]).unwrap();
    let address = product.url.strip_prefix("http://").unwrap().to_owned();
    // The first batch is full before the line that no batch can hold.
    let mut lines: Vec<String> = (0..30).map(|id| notification(id, 200_000)).collect();
    lines[25] = notification(25, 5_000_000);
    let file = write(&home, "part", &lines);
    let output = import(&home, &product, &file);
    let text = words(&output);
    assert!(output.status.code() == Some(1) && text.contains("line 26 alone is more"), "{text}");
    product.terminate().await.unwrap();

    let checkpoint = home.path().join("part.import");
    let place: Value = serde_json::from_str(&fs::read_to_string(&checkpoint).unwrap()).unwrap();
    let done = usize::try_from(place["lines"].as_u64().unwrap()).unwrap();
    assert!(done > 0 && done < 26, "{place}");
    assert!(text.contains(&format!("stopped after line {done}; once the cause is mended")), "{text}");

    let product = home.start(&[("QUINTET_GATEWAY__LISTEN", &address)]).unwrap();
    let mut beyond = place.clone();
    beyond["lines"] = 31.into();
    fs::write(&checkpoint, beyond.to_string()).unwrap();
    let text = words(&import(&home, &product, &file));
    assert!(text.contains("no line 31: the file has 30"), "{text}");

    fs::write(&checkpoint, place.to_string()).unwrap();
    let output = import(&home, &product, &file);
    assert!(words(&output).contains(&format!("going on after line {done}")), "{}", words(&output));
    let counts = counts(&output);
    assert_eq!(counts["received"], 30 - done);
    // What went with the refused batch before it was halved down to line 26 is there already.
    let stored = ["saved", "duplicate"].iter().map(|name| counts[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!(stored, counts["received"].as_u64().unwrap());
    assert!(!checkpoint.exists());

    // Nothing is passed over for another server, and it is said.
    fs::write(&checkpoint, place.to_string()).unwrap();
    let other = Home::sqlite().unwrap();
    let product = other.start(&[]).unwrap();
    let output = import(&home, &product, &file);
    assert!(words(&output).contains(&format!("is of an import into http://{address}")), "{}", words(&output));
    assert_eq!(self::counts(&output), all_saved(30));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_not_taken_are_told_and_kept_byte_for_byte() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[]).unwrap();
    let bad_event = json!({"event_type": "t", "generated": "2026-01-01T00:00:00", "traits": []});
    let mut text = format!("{}\n{bad_event}\n", notification(1, 0)).into_bytes();
    text.extend_from_slice(b"{\"message_id\": \"caf\xe9\"}\n");
    let file = home.path().join("mixed");
    fs::write(&file, text).unwrap();
    let output = import(&home, &product, &file);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    let counts: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(counts, json!({"received": 3, "saved": 1, "duplicate": 0, "dropped": 0, "invalid": 2}));
    assert!(text.contains("2 of 3 lines") && text.contains("quintet events dead-letters list"), "{text}");
    assert!(text.contains("line 2: message_id is missing"), "{text}");
    let show = ["events", "dead-letters", "show", "1", "-o", "json", "--url", &product.url];
    let letter = home.command().unwrap().args(show).output().unwrap();
    let letter: Value = serde_json::from_slice(&letter.stdout).unwrap();
    // base64 of `{"message_id": "caf\xe9"}`, by coreutils.
    assert_eq!(letter["body"]["base64"], "eyJtZXNzYWdlX2lkIjogImNhZukifQ==");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_cannot_be_kept_does_not_stop_an_import() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[]).unwrap();
    let file = write(&home, "f", &[notification(1, 0)]);
    fs::create_dir(home.path().join("f.import")).unwrap();
    let output = import(&home, &product, &file);
    assert!(words(&output).contains("f.import cannot be written"), "{}", words(&output));
    assert_eq!(counts(&output), all_saved(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_on_is_named() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[]).unwrap();
    let whole =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/notifications.ndjson.gz")).unwrap();
    let cut = home.path().join("cut.gz");
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let folder = home.path().join("folder");
    fs::create_dir(&folder).unwrap();
    for file in [cut, folder] {
        let output = import(&home, &product, &file);
        assert!(!output.status.success());
        assert!(words(&output).contains(file.to_str().unwrap()), "{}", words(&output));
        assert!(!words(&output).contains("run the same command"), "that cannot help: {}", words(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_goes_beyond_the_servers_page() {
    let home = Home::sqlite().unwrap();
    let settings = [("QUINTET_EVENTS__MAX_PAGE", "100"), ("QUINTET_EVENTS__DEFAULT_RETURN_LIMIT", "100")];
    let product = home.start(&settings).unwrap();
    let lines: Vec<String> = (0..250).map(|id| notification(id, 0)).collect();
    assert_eq!(counts(&import(&home, &product, &write(&home, "f", &lines))), all_saved(250));
    for (limit, expected) in [("230", 230), ("100", 100), ("7", 7), ("0", 0), ("20000", 250)] {
        let list = ["events", "list", "--limit", limit, "-o", "json", "--url", &product.url];
        let output = home.command().unwrap().args(list).output().unwrap();
        let events: Value = serde_json::from_slice(&output.stdout).unwrap();
        let ids: BTreeSet<&str> =
            events.as_array().unwrap().iter().map(|event| event["message_id"].as_str().unwrap()).collect();
        assert_eq!((ids.len(), events.as_array().unwrap().len()), (expected, expected), "--limit {limit}");
    }
}
