//! `quintet dtrace` against the running product: scripts, and runs of them over the gateway's websocket, with real
//! tracing where bpftrace is there and may trace.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed"
)]

use e2e::{Home, Product};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::{Command, Output};

/// The seed's script and variables: `lquantize(…, $start$, $end$, $step$)` below one key.
const ERLANG: &str = "erlang*:::global-function-entry\n$filter$\n{\n  self->t[copyinstr(arg1)] = vtimestamp;\n}\n\
    erlang*:::function-return\n/self->t[copyinstr(arg1)]/\n{\n  @time[copyinstr(arg1)] = lquantize((vtimestamp - \
    self->t[copyinstr(arg1)] ) / 1000, $start$, $end$, $step$);\n  self->t[copyinstr(arg1)] = 0;\n}";

/// Ten values, one in the middle of each of ten buckets, again and again.
const TEN_BUCKETS: &str = "BEGIN { @i = 0; } interval:ms:5 { @i = (@i + 1) % 10; \
    @time = lhist(@i * 100 + 50, $start$, $end$, $step$); }";

fn dtrace(home: &Home, product: &Product, arguments: &[&str]) -> Output {
    let mut command = home.command().unwrap();
    command.arg("dtrace").args(arguments).env("QUINTET_URL", &product.url).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a command that succeeds has printed.
fn printed(home: &Home, product: &Product, arguments: &[&str]) -> String {
    let output = dtrace(home, product, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Stores a text as a script; its id.
fn create(home: &Home, product: &Product, name: &str, script: &str, flags: &[&str]) -> String {
    let file = home.path().join("script");
    std::fs::write(&file, script).unwrap();
    let line = [&["create", name, file.to_str().unwrap()][..], flags].concat();
    printed(home, product, &line).trim().to_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_are_created_listed_changed_and_deleted() {
    let home = Home::sqlite().unwrap();
    let product = home.start(&[("QUINTET_DTRACE__EXECUTOR", "simulated")]).unwrap();
    let flags = ["--var", "start=127", "--var", "end=0", "--var", "step=4"];
    let id = create(&home, &product, "erlang function calls", ERLANG, &flags);
    let stored: Value =
        reqwest::get(format!("{}/dtrace/{id}", product.url)).await.unwrap().json().await.unwrap();
    let mut expected = json!({
        "uuid": id, "name": "erlang function calls", "script": ERLANG,
        "config": {"start": 127, "end": 0, "step": 4}, "metadata": {},
    });
    assert_eq!(stored, expected);
    assert_eq!(json(&printed(&home, &product, &["get", "erlang function calls", "-o", "json"])), expected);
    assert!(printed(&home, &product, &["get", &id]).contains(ERLANG.lines().next().unwrap()));

    let line = ["metadata", "set", &id, "jingles", r#"{"notes":[{"text":"yap"}]}"#];
    assert_eq!(printed(&home, &product, &line), "");
    let metadata = json!({"jingles": {"notes": [{"text": "yap"}]}});
    assert_eq!(json(&printed(&home, &product, &["metadata", "get", &id])), metadata);
    printed(&home, &product, &["metadata", "delete", &id, "jingles", "notes"]);
    assert_eq!(json(&printed(&home, &product, &["metadata", "get", &id])), json!({"jingles": {}}));

    printed(&home, &product, &["edit", &id, "--name", "calls", "--var", "start=0"]);
    let list = json(&printed(&home, &product, &["list", "-o", "json"]));
    assert_eq!(list, json!([{"uuid": id, "name": "calls", "config": {"start": 0}}]));
    expected = json(&printed(&home, &product, &["get", "calls", "-o", "json"]));
    assert_eq!([&expected["script"], &expected["name"]], [ERLANG, "calls"]);

    let catalogue = json(&printed(&home, &product, &["catalogue", "-o", "json"]));
    let names: Vec<&str> =
        catalogue.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert!(["biolatency", "opensnoop", "runqlat"].iter().all(|name| names.contains(name)), "{names:?}");

    printed(&home, &product, &["delete", "calls"]);
    assert_eq!(json(&printed(&home, &product, &["list", "-o", "json"])), json!([]));
    for (line, words) in [
        (&["get", "calls"][..], "no script is named calls"),
        (&["get", "b7c658e0-2ddb-46dd-8973-4a59ffc9957e"], "404"),
        (&["run", "calls"], "no script is named calls"),
        (&["create", "x", "/nonexistent"], "/nonexistent cannot be read"),
    ] {
        let output = dtrace(&home, &product, line);
        assert_eq!(output.status.code(), Some(1), "{line:?}");
        assert!(text(&output.stderr).contains(words), "{line:?}: {}", text(&output.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_shows_its_figures_and_a_recorded_one_shows_them_again() {
    let home = Home::sqlite().unwrap();
    let settings =
        [("QUINTET_DTRACE__EXECUTOR", "simulated"), ("QUINTET_DTRACE__RUNS__INTERVAL_MILLIS", "100")];
    let product = home.start(&settings).unwrap();
    let flags = ["--var", "start=0", "--var", "end=64", "--var", "step=4"];
    let id = create(&home, &product, "calls", ERLANG, &flags);

    let lines = printed(&home, &product, &["run", "calls", "--ticks", "5", "-o", "json"]);
    let messages: Vec<Value> = lines.lines().map(json).collect();
    assert_eq!(messages.len(), 5);
    // `{key: {"low-high": count}}`: every script with one key has this form, also with figures that are made up.
    let mut total = 0;
    for buckets in messages.iter().flat_map(|message| message.as_object().unwrap().values()) {
        for (range, count) in buckets.as_object().unwrap() {
            let (low, high) = range.split_once('-').unwrap();
            assert!(low.parse::<i64>().unwrap() <= high.parse::<i64>().unwrap(), "{range}");
            total += count.as_u64().unwrap();
        }
    }
    assert!(total > 0, "{lines}");

    let picture = printed(&home, &product, &["run", &id, "--ticks", "3", "--record"]);
    assert!(picture.contains("3 messages"), "{picture}");
    assert!(picture.contains("|@"), "{picture}");
    let runs = json(&printed(&home, &product, &["runs", "calls", "-o", "json"]));
    let kept: Vec<&Value> =
        runs.as_array().unwrap().iter().filter(|run| !run["recorded"].is_null()).collect();
    assert_eq!(kept.len(), 1, "{runs}");
    let run = kept[0]["run"].as_str().unwrap();
    let again = printed(&home, &product, &["replay", "calls", run, "--speed", "0"]);
    let bars = |picture: &str| {
        picture.lines().skip(1).map(str::to_owned).filter(|line| line.contains('|')).collect::<Vec<_>>()
    };
    // The recording may have one message more than the listener saw: it goes on until the run has stopped.
    assert!(bars(&again).len() >= bars(&picture).len(), "{again}\n{picture}");

    // A condition that is none, and variables without a value.
    create(&home, &product, "unset", ERLANG, &[]);
    for (line, words) in [
        (&["run", "calls", "--ticks", "1", "--filter", r#"[["custom", 5]]"#][..], "custom"),
        (&["run", "unset", "--ticks", "1"], "start"),
    ] {
        let output = dtrace(&home, &product, line);
        assert_eq!(output.status.code(), Some(1), "{line:?}");
        assert!(text(&output.stderr).contains(words), "{line:?}: {}", text(&output.stderr));
    }
}

/// The product with the machine's bpftrace; `None`, with a word on why, where it may not trace and need not.
fn real(home: &Home) -> Option<Product> {
    let probe = Command::new("bpftrace").args(["-f", "json", "-e", "BEGIN { exit(); }"]).output();
    let hindrance = match probe {
        Ok(output) if output.status.success() => {
            return Some(home.start(&[("QUINTET_DTRACE__EXECUTOR", "bpftrace")]).unwrap());
        }
        Ok(output) => text(&output.stderr),
        Err(cause) => cause.to_string(),
    };
    let is_required = std::env::var("QUINTET_TEST_REQUIRE_BPFTRACE").as_deref() == Ok("1");
    assert!(!is_required, "bpftrace cannot trace here: {hindrance}");
    eprintln!("skipped: bpftrace cannot trace here: {hindrance}");
    None
}

/// The ranges of a histogram's lines: `[0, 99] 20 |@@@|`.
fn ranges(picture: &str) -> BTreeSet<String> {
    let bars = picture.lines().filter(|line| line.contains('|'));
    bars.filter_map(|line| Some(line.trim().split_once(']')?.0.trim_start_matches('[').to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_run_of_bpftrace_draws_its_histogram_in_a_terminal() {
    let home = Home::sqlite().unwrap();
    let Some(product) = real(&home) else { return };
    let flags = ["--check", "--var", "start=0", "--var", "end=1000", "--var", "step=100"];
    create(&home, &product, "ten buckets", TEN_BUCKETS, &flags);
    // `script` gives the command a terminal of its own.
    let program = home.command().unwrap().get_program().to_owned().into_string().unwrap();
    let line = format!("stty rows 40 cols 90; exec '{program}' dtrace run 'ten buckets' --ticks 3");
    let typed = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(home.path())
        .env("QUINTET_URL", &product.url)
        .env("TERM", "xterm")
        .output()
        .unwrap();
    let shown = text(&typed.stdout);
    assert!(typed.status.success(), "{shown}");
    // Drawn once for each message, each time over the last picture.
    assert!(shown.contains("\u{1b}["), "nothing was drawn over: {shown:?}");
    let last = shown.rsplit("ten buckets").next().unwrap();
    assert!(last.contains("3 messages"), "{shown}");
    let expected: BTreeSet<String> = (0..10).map(|n| format!("{}, {}", n * 100, n * 100 + 99)).collect();
    assert_eq!(ranges(last), expected, "{last}");
    assert!(last.lines().filter(|line| line.contains("|@@@@@@@@@@")).count() >= 9, "{last}");

    // Without a terminal, and with a program that bpftrace refuses, whose words are told.
    let refused = home.path().join("refused.bt");
    std::fs::write(&refused, "BEGIN { @x = hist(zork); }").unwrap();
    let output = dtrace(&home, &product, &["run", "--file", refused.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("Unknown identifier: 'zork'"), "{}", text(&output.stderr));
    // The script of a file is not kept.
    assert_eq!(json(&printed(&home, &product, &["list", "-o", "json"])).as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_run_counts_the_calls_of_one_process_only() {
    let home = Home::sqlite().unwrap();
    let Some(product) = real(&home) else { return };
    let mut shell =
        Command::new("sh").arg("-c").arg("while :; do x=$(echo $x); sleep 0.01; done").spawn().unwrap();
    let pid = shell.id().to_string();
    let script = home.path().join("calls.bt");
    std::fs::write(&script, "profile:hz:199 $filter$ { @on[pid] = count(); }").unwrap();
    let script = script.to_str().unwrap();
    let lines =
        printed(&home, &product, &["run", "--file", script, "--pid", &pid, "--ticks", "4", "-o", "json"]);
    let _ = shell.kill();
    let _ = shell.wait();
    let keys: BTreeSet<String> = lines
        .lines()
        .flat_map(|line| json(line).as_object().unwrap().keys().cloned().collect::<Vec<_>>())
        .collect();
    assert_eq!(keys, BTreeSet::from([pid]), "{lines}");
}
