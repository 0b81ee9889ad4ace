use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn tree(text: &str) -> serde_json::Value {
    parse("t.yaml", text).unwrap().to_json()
}

fn refusal(text: &str) -> String {
    parse("t.yaml", text).unwrap_err().to_string()
}

/// Left: plain scalars. Right: what `PyYAML` 6 `safe_load` makes of them.
#[test]
fn plain_scalars_are_typed_as_by_pyyaml() {
    for (text, expected) in [
        ("yes", json!(true)),
        ("No", json!(false)),
        ("ON", json!(true)),
        ("y", json!("y")),
        ("yEs", json!("yEs")),
        ("~", json!(null)),
        ("", json!(null)),
        ("nULL", json!("nULL")),
        ("7", json!(7)),
        ("+7", json!(7)),
        ("-1_000", json!(-1000)),
        ("010", json!(8)),
        ("08", json!("08")),
        ("0o10", json!("0o10")),
        ("0x1F", json!(31)),
        ("-0b101", json!(-5)),
        ("_1", json!("_1")),
        ("1:30", json!(90)),
        ("12:30:45", json!(45045)),
        ("1:60", json!("1:60")),
        ("9223372036854775807", json!(i64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("1.5", json!(1.5)),
        ("1.", json!(1.0)),
        (".5", json!(0.5)),
        ("-.5", json!("-.5")),
        ("1e3", json!("1e3")),
        ("1.0e3", json!("1.0e3")),
        ("1.0e+3", json!(1000.0)),
        ("6_8.2_5", json!(68.25)),
        ("1:30.5", json!(90.5)),
        (".", json!(".")),
        ("1.2.3", json!("1.2.3")),
        ("-", json!([null])),
        ("+", json!("+")),
        ("'7'", json!("7")),
        ("\"yes\"", json!("yes")),
        ("!!str 7", json!("7")),
        ("! 7", json!(7)),
        ("!!int '7'", json!(7)),
        ("!!float 7", json!(7.0)),
        ("2015-02-28", json!("2015-02-28")),
        ("2015-02-28 13:30:00", json!("2015-02-28 13:30:00")),
        ("99999999999999999999", json!("99999999999999999999")),
        ("=", json!("=")),
        ("é.*", json!("é.*")),
    ] {
        assert_eq!(tree(text), expected, "{text}");
    }
    assert_eq!(parse("t", "-.inf").unwrap().as_f64(), Some(f64::NEG_INFINITY));
    assert!(parse("t", ".nan").unwrap().as_f64().unwrap().is_nan());
}

#[test]
fn anchors_and_merge_keys_are_resolved_and_own_keys_win() {
    let text = "
a: &a {x: 1, y: 2}
b: &b {y: 3, z: 4}
one: {<<: *a, y: 5}
list: {w: 0, <<: [*a, *b], z: 6}
quoted: {'<<': 1}
";
    let tree = tree(text);
    assert_eq!(tree["one"].to_string(), r#"{"x":1,"y":5}"#);
    // The first of the list is the strongest; what is merged comes before own keys.
    assert_eq!(tree["list"].to_string(), r#"{"y":2,"z":6,"x":1,"w":0}"#);
    assert_eq!(tree["quoted"], json!({"<<": 1}));
}

#[test]
fn merging_a_merged_mapping_brings_everything() {
    let text = "[&a {x: 1}, &b {<<: *a, y: 2}, {<<: *b, z: 3}]";
    assert_eq!(tree(text)[2], json!({"x": 1, "y": 2, "z": 3}));
}

#[test]
fn last_of_equal_keys_wins() {
    assert_eq!(tree("{a: 1, b: 2, a: 3}").to_string(), r#"{"a":3,"b":2}"#);
    assert_eq!(tree("{1: int, '1': text}"), json!({"1": "text"}), "both kept apart, one JSON name");
}

#[test]
fn nodes_know_their_lines() {
    let node =
        parse("defs.yaml", "- event_type: a\n  traits:\n    x: {fields: 7}\n- &m\n  k: v\n- *m\n").unwrap();
    let items = node.as_list().unwrap();
    let x = items[0].get("traits").unwrap().get("x").unwrap();
    assert_eq!(x.get("fields").unwrap().error("no path").to_string(), "defs.yaml:3: no path");
    assert_eq!(items[2].get("k").unwrap().line(), 5, "an alias keeps the line of its origin");
    assert!(x.get("nothing").is_none() && node.get("x").is_none());
}

#[test]
fn wrong_files_are_refused_with_their_line() {
    for (text, expected) in [
        ("a: 1\nb: [1, 2\nc: 3\n", "t.yaml:"),
        ("a: 1\n---\nb: 2\n", "t.yaml:2: a second document is not expected"),
        ("a: *nowhere\n", "t.yaml:1: "),
        ("a: &a\n  - *a\n", "t.yaml:2: "),
        ("\n? [1, 2]\n: 3\n", "t.yaml:2: a list or mapping cannot be a key"),
        ("a:\n  <<: 7\n", "t.yaml:2: << takes a mapping or a list of mappings"),
        ("a: !!python/object:os.system x\n", "t.yaml:1: tag 'python/object:os.system' is not known"),
        ("a: !Ref x\n", "t.yaml:1: tag 'Ref' is not known"),
        ("!!set {a, b}", "t.yaml:1: tag 'set' is not known"),
        ("!!int x", "t.yaml:1: 'x' is not an integer"),
        ("a: b: c", "t.yaml:1: "),
    ] {
        let message = refusal(text);
        assert!(message.starts_with(expected), "{text:?} gave {message:?}");
    }
}

#[test]
fn unreadable_files_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.yaml");
    let message = load(&missing).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}: cannot be read: ", missing.display())), "{message}");
    let latin = dir.path().join("latin.yaml");
    std::fs::write(&latin, b"a: \xe9").unwrap();
    assert!(load(&latin).unwrap_err().to_string().contains("latin.yaml: is not UTF-8"));
    assert!(load(dir.path()).unwrap_err().message.starts_with("cannot be read"));
}

#[test]
fn empty_file_is_null_and_a_byte_order_mark_is_skipped() {
    for text in ["", "\n", "# only a comment\n", "---\n", "\u{feff}"] {
        assert!(parse("t", text).unwrap().is_null(), "{text:?}");
    }
    assert_eq!(tree("\u{feff}a: 1"), json!({"a": 1}));
}

#[test]
fn billion_laughs_are_refused() {
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(text, "a{level}: &a{level} [{below}]").unwrap();
    }
    assert!(refusal(&text).ends_with("aliases expand to more than 64 MiB"));
}

#[test]
fn deep_nesting_is_refused_also_through_aliases() {
    let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    assert!(parse("t", &deep(60)).is_ok());
    assert!(refusal(&deep(100)).ends_with("nested deeper than 64 levels"));
    assert!(parse("t", &deep(100_000)).is_err());
    assert!(parse("t", &"- ".repeat(100_000)).is_err());
    let chained = format!("- &a {}\n- {}*a{}\n", deep(40), "[".repeat(40), "]".repeat(40));
    assert!(refusal(&chained).ends_with("t.yaml:2: nested deeper than 64 levels"));
}

proptest! {
    #[test]
    fn no_text_panics(text in r"[ \n\-:,\[\]{}&*!|>'#%@`?<~a-c0-9.é]{0,60}") {
        if let Ok(node) = parse("t", &text) {
            let _ = node.to_json();
        }
    }

    #[test]
    fn quoted_text_reads_back(text in "[ -~éß€]{0,40}") {
        let quoted = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(tree(&quoted), json!(text));
    }
}
