use std::io::Read;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn values(path: &str, grammar: Grammar, document: &Value) -> Vec<Value> {
    found(path, grammar, document).into_iter().map(|(_, value)| value).collect()
}

fn found(path: &str, grammar: Grammar, document: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let parsed = Path::parse(path, grammar).unwrap_or_else(|error| panic!("{path}: {error}"));
    let walked = parsed.visit(document, &mut |place| {
        found.push((place.dotted(), place.value.clone()));
        ControlFlow::Continue(())
    });
    assert_eq!(walked, Ok(()), "{path}");
    found
}

fn notification() -> Value {
    json!({
        "publisher_id": "compute.node.7",
        "_context_tenant": "t1",
        "payload": {
            "tenant_id": null,
            "state": "active",
            "value": 7,
            "image_meta": {"org.openstack__1__architecture": "x64"},
            "nics": [{"mac": "m1"}, {"mac": "m2"}, {"label": "n"}],
            "glance_metadata": [{"key": "image_id", "value": "i-1"}, {"key": "size", "value": "7"}],
            "bandwidth": {"public": {"bw_in": 5}, "private": {"bw_in": 3}},
        },
    })
}

/// Every form of path that the contract of v1 lists.
#[test]
fn forms_of_both_grammars() {
    for (path, expected) in [
        ("payload.state", json!(["active"])),
        ("payload[state]", json!(["active"])),
        ("payload['state']", json!(["active"])),
        ("$.payload.state", json!(["active"])),
        ("payload.image_meta.'org.openstack__1__architecture'", json!(["x64"])),
        ("payload.image_meta.\"org.openstack__1__architecture\"", json!(["x64"])),
        ("payload.image_meta['org.openstack__1__architecture']", json!(["x64"])),
        ("payload.bandwidth.*.bw_in", json!([5, 3])),
        ("payload.nics[0].mac", json!(["m1"])),
        ("payload.nics[-1].label", json!(["n"])),
        ("payload.nics[0:2].mac", json!(["m1", "m2"])),
        ("payload.nics[*].mac", json!(["m1", "m2"])),
        ("payload..bw_in", json!([5, 3])),
        ("(payload.tenant_id)|(_context_tenant)", json!([null, "t1"])),
        ("payload.value|state", json!([7, "active"])),
        ("payload.state.`parent`.value", json!([7])),
        ("payload.state.`this`", json!(["active"])),
        ("payload.bandwidth.public,private.bw_in", json!([5, 3])),
        ("payload.nics[*] where mac", json!([{"mac": "m1"}, {"mac": "m2"}])),
        ("payload.missing", json!([])),
    ] {
        for grammar in [Grammar::Plain, Grammar::Extended] {
            assert_eq!(Value::from(values(path, grammar, &notification())), expected, "{path}");
        }
    }
}

/// What the contract of v2 lists besides.
#[test]
fn forms_of_the_extended_grammar() {
    for (path, expected) in [
        ("payload.glance_metadata[?key=image_id].value", json!(["i-1"])),
        ("payload.glance_metadata[?value>5].key", json!(["size"])),
        ("payload.glance_metadata[?key=size & value='7'].value", json!(["7"])),
        ("payload.glance_metadata[?key~'im.*'].value", json!(["i-1"])),
        ("payload.glance_metadata[\\key][*].key", json!(["size", "image_id"])),
        ("payload.glance_metadata[/key][*].key", json!(["image_id", "size"])),
        ("payload.[state,value]", json!(["active", 7])),
        ("payload.nics.`len`", json!([3])),
        ("payload.value + 1", json!([8])),
        ("payload.value * 2 + 1", json!([21])),
        ("$.payload.state + '-' + $.publisher_id", json!(["active-compute.node.7"])),
        ("publisher_id.`split(., 0, -1)`", json!(["compute"])),
        ("publisher_id.`split(., 1, -1)`", json!(["node"])),
        ("publisher_id.`split(., 1, 1)`", json!(["node.7"])),
        ("publisher_id.`split(., 5, -1)`", json!([])),
        ("payload.value.`split(., 0, -1)`", json!([])),
        ("publisher_id.`sub(/n.de/, host)`", json!(["compute.host.7"])),
        ("payload.bandwidth.`sorted`", json!([["private", "public"]])),
    ] {
        assert_eq!(Value::from(values(path, Grammar::Extended, &notification())), expected, "{path}");
        // Only the comma form means the same in the plain grammar.
        assert!(path == "payload.[state,value]" || Path::parse(path, Grammar::Plain).is_err(), "{path}");
    }
}

#[test]
fn places_have_dotted_names() {
    let names = |path| -> Vec<String> {
        found(path, Grammar::Extended, &notification()).into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names("payload.nics[1].mac"), ["payload.nics.[1].mac"]);
    assert_eq!(
        names("$.payload..bw_in"),
        ["payload.bandwidth.public.bw_in", "payload.bandwidth.private.bw_in"]
    );
    assert_eq!(names("publisher_id.`split(., 0, -1)`"), [""]);
    assert_eq!(names("$"), [""]);
}

#[test]
fn wrong_paths_are_refused_in_words() {
    for (path, expected) in [
        ("", "ends too early"),
        ("a.", "ends too early"),
        ("a b", "unexpected 'b'"),
        ("a.'b", "a ' is not closed"),
        ("a[0", "']' is missing at the end"),
        ("a[", "a name, an index or a slice is expected after '['"),
        ("a & b", "'&' between paths is not defined"),
        ("a.`foo`", "unknown named operator `foo`"),
        ("a.`len`", "unknown named operator `len`"),
        ("été", "unexpected character 'é'"),
        ("a[99999999999999999999]", "number 99999999999999999999: number too large to fit in target type"),
    ] {
        assert_eq!(Path::parse(path, Grammar::Plain).unwrap_err(), expected, "{path}");
    }
    for (path, expected) in [
        ("1", "a lone number is no path"),
        ("a.`split(., x, 1)`", "'split(., x, 1)' is not split(SEPARATOR, SEGMENT, MAX)"),
        ("a.`sub(x, y)`", "'sub(x, y)' is not sub(/REGEX/, REPLACEMENT)"),
        ("a[?b=]", "a name, number or boolean is expected, not ']'"),
    ] {
        assert_eq!(Path::parse(path, Grammar::Extended).unwrap_err(), expected, "{path}");
    }
    let lookahead = Path::parse("a[?b~'(?=x)']", Grammar::Extended).unwrap_err();
    assert!(lookahead.starts_with("regular expression: "), "{lookahead}");
}

#[test]
fn hostile_paths_are_bounded() {
    for path in [
        "a.".repeat(5000) + "a",
        "a[0]".repeat(900),
        "a|".repeat(900) + "a",
        "(".repeat(2000),
        format!("{}a{}", "(".repeat(1000), ")".repeat(1000)),
        format!("a{}", "[?a".repeat(1000)),
        format!("a[?{}a{}]", "(".repeat(1000), ")".repeat(1000)),
        "1+".repeat(2000) + "1",
        format!("a[{}]", "/a".repeat(2000)),
    ] {
        assert!(Path::parse(&path, Grammar::Extended).is_err(), "{} characters", path.len());
    }
}

#[test]
fn endless_walks_are_given_up() {
    let mut document = json!([1, 2, 3]);
    for _ in 0..60 {
        document = json!([document, {"a": "x".repeat(200)}]);
    }
    let walked = |path| {
        let path = Path::parse(path, Grammar::Extended).unwrap();
        let mut matches = 0;
        let walked = path.visit(&document, &mut |_| {
            matches += 1;
            ControlFlow::Continue(())
        });
        walked.map(|()| matches)
    };
    for path in [
        "$..`this`..`this`..`this`..`this`..zz",
        "$..[/@]..[/@]..[/@]..zz",
        "$..`this`[*]..[*]..[*]..[*]..zz",
    ] {
        assert_eq!(walked(path), Err(TooManySteps), "{path}");
    }
    assert_eq!(walked("$..a * 100000000"), Ok(0), "no text grows that long");
}

/// Each `..z` finds its only match at the bottom of the document, and `$` goes back to its top. A test's thread has
/// 2 MiB of stack, like any other.
#[test]
fn deep_walks_are_given_up_before_the_stack_ends() {
    let mut document = json!({"z": 1});
    for _ in 0..120 {
        document = json!({"a": document});
    }
    let walked = |turns| {
        let path = Path::parse(&format!("${}", "..z.$".repeat(turns)), Grammar::Extended).unwrap();
        path.visit(&document, &mut |_| ControlFlow::Continue(()))
    };
    assert_eq!(walked(5), Ok(()));
    assert_eq!(walked(80), Err(TooManySteps));
    let long = "`this`.".repeat(255) + "a";
    assert_eq!(values(&long, Grammar::Extended, &json!({"a": 1})), [json!(1)]);
}

/// 6 000 generated paths and what the original packages found, recorded by `e2e/judges/paths-generate.py`.
#[test]
fn paths_find_what_the_originals_find() {
    let file =
        std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/paths.jsonl.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let mut lines = text.lines();
    let documents: Vec<Value> = serde_json::from_str(lines.next().unwrap()).unwrap();
    let (mut wrong, mut compared, mut plus) = (Vec::new(), 0, 0);
    for line in lines {
        let (grammar, path, document, answer): (String, String, usize, Value) =
            serde_json::from_str(line).unwrap();
        let grammar = if grammar == "plain" { Grammar::Plain } else { Grammar::Extended };
        let ours = match Path::parse(&path, grammar) {
            Err(_) => json!("refused"),
            Ok(parsed) => {
                let mut found = Vec::new();
                let walked = parsed.visit(&documents[document], &mut |place| {
                    found.push(json!([place.dotted(), place.value]));
                    ControlFlow::Continue(())
                });
                assert_eq!(walked, Ok(()));
                found.into()
            }
        };
        let same = match answer.as_str() {
            // Ours finds nothing in the failing place and may find something beside it.
            Some("fails") => ours.is_array(),
            _ => ours == answer,
        };
        compared += 1;
        if !same && is_plus(&path, &answer, &ours) {
            plus += 1;
        } else if !same {
            wrong.push(format!("{grammar:?} {path:?}\n  original {answer}\n  ours     {ours}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared == 6000 && plus == 10, "{compared} compared, {plus} on purpose");
}

/// Paths that the original refuses or cannot search, and that are clear enough to be taken.
fn is_plus(path: &str, answer: &Value, ours: &Value) -> bool {
    let refused = answer == "refused" && ours.is_array();
    // A bare `true` as a name; a filter or sort without a path before it; `1 + 1.5`.
    let taken =
        ["true", "false", ".[?", ".[/", ".[\\", "([?", "|[?", "[?[?"].iter().any(|part| path.contains(part));
    let numbers = path.contains(". ") || path.contains("1.5");
    refused && (taken || numbers || path.starts_with("[?") || path.starts_with("[/") || path.starts_with("[\\"))
        // `a & b` is two conditions of a filter, and nothing elsewhere.
        || answer == "intersection" && (ours == "refused" || path.contains("[?"))
}

proptest! {
    #[test]
    fn no_path_panics_or_hangs(path in r#"[abc.$*\[\]()?,:|&@=<~/\\'"`+0-9 -]{0,40}"#, plain in any::<bool>()) {
        let grammar = if plain { Grammar::Plain } else { Grammar::Extended };
        if let Ok(parsed) = Path::parse(&path, grammar) {
            let _ = parsed.visit(&notification(), &mut |_| ControlFlow::Continue(()));
        }
    }

    #[test]
    fn any_member_can_be_named_in_quotes(name in ".{0,12}", value in any::<i64>()) {
        prop_assume!(name != "*" && !name.contains(['\'', '\\']));
        let document = json!({"a": {&name: value}});
        let path = format!("a.'{name}'");
        prop_assert_eq!(values(&path, Grammar::Plain, &document), [json!(value)]);
        prop_assert_eq!(values(&path, Grammar::Extended, &document), [json!(value)]);
    }
}
