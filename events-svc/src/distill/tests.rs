use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::json;
use shared::datetime;
use tempfile::TempDir;

use super::*;
use crate::model::TraitValue;

fn now() -> NaiveDateTime {
    datetime::parse("2026-01-01T00:00:00").unwrap()
}

fn written(name: &str, text: &str) -> (PathBuf, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    (path, folder)
}

fn loaded(text: &str, dialect: Dialect, catch_all: bool) -> Result<Distiller, Error> {
    let (path, _folder) = written("defs.yaml", text);
    Distiller::load(&path, dialect, catch_all)
}

fn stackdistiller(text: &str) -> Distiller {
    loaded(text, Dialect::Stackdistiller, false).unwrap()
}

fn ceilometer(text: &str) -> Distiller {
    loaded(text, Dialect::Ceilometer, true).unwrap()
}

fn notification(event_type: &str, payload: Value) -> Value {
    json!({
        "message_id": "m-1", "event_type": event_type, "publisher_id": "pub", "timestamp": "2015-02-27 15:27:18.603932",
        "priority": "INFO", "_context_request_id": "req-1", "_context_tenant": "t-1", "_context_project_id": "p-1",
        "_context_user_id": "u-1", "payload": payload,
    })
}

fn event(distiller: &Distiller, notification: &Value) -> Event {
    match distiller.distill(notification, now()).outcome {
        Outcome::Event(event) => event,
        Outcome::Dropped => panic!("dropped"),
        Outcome::Invalid(reason) => panic!("{reason}"),
    }
}

/// Names and values of the traits.
fn traits(distiller: &Distiller, notification: &Value) -> Vec<(String, String)> {
    let value = |value| match value {
        TraitValue::Text(text) => text,
        TraitValue::Integer(number) => number.to_string(),
        TraitValue::Float(number) => python::float_text(number),
        TraitValue::Datetime(instant) => datetime::iso(instant),
    };
    event(distiller, notification).traits.into_iter().map(|own| (own.name, value(own.value))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn names(distiller: &Distiller, event_type: &str) -> Option<Vec<String>> {
    match distiller.distill(&notification(event_type, json!({"a": "x"})), now()).outcome {
        Outcome::Event(event) => Some(event.traits.into_iter().map(|own| own.name).collect()),
        Outcome::Dropped => None,
        Outcome::Invalid(reason) => panic!("{reason}"),
    }
}

#[test]
fn default_traits_are_those_of_the_dialect() {
    let plain = "[{event_type: '*', traits: {}}]";
    let value = notification("x", json!({"tenant_id": null}));
    assert_eq!(
        traits(&stackdistiller(plain), &value),
        pairs(&[("service", "pub"), ("request_id", "req-1"), ("tenant_id", "t-1")])
    );
    let context = [("service", "pub"), ("request_id", "req-1"), ("project_id", "p-1"), ("user_id", "u-1")];
    assert_eq!(traits(&ceilometer(plain), &value), pairs(&[&context[..], &[("tenant_id", "p-1")]].concat()));
    let of_payload = notification("x", json!({"tenant_id": "t-2", "user_id": "u-2"}));
    assert_eq!(traits(&stackdistiller(plain), &of_payload)[2], ("tenant_id".to_owned(), "t-2".to_owned()));
    assert_eq!(
        traits(&ceilometer(plain), &of_payload)[2..],
        pairs(&[("project_id", "t-2"), ("user_id", "u-2"), ("tenant_id", "t-2")])
    );
}

#[test]
fn last_matching_definition_is_used_alone() {
    let text = "
- {event_type: 'compute.*', traits: {first: {fields: payload.a}}}
- {event_type: ['*.create', '!volume.*'], traits: {second: {fields: payload.a}}}
- {event_type: '!*.x', traits: {service: {fields: payload.a}, third: {fields: payload.a}}}
- {event_type: '*.y', traits: {}}
";
    let distiller = stackdistiller(text);
    let defaults = |own: &[&str]| {
        Some(
            [&["service", "request_id", "tenant_id"], own]
                .concat()
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
        )
    };
    for _ in 0..2 {
        assert_eq!(names(&distiller, "compute.x"), defaults(&["first"]));
        assert_eq!(names(&distiller, "compute.create"), defaults(&["third"]));
        assert_eq!(names(&distiller, "compute.y"), defaults(&[]));
        assert_eq!(names(&distiller, "volume.x"), None);
    }
    let overridden = traits(&distiller, &notification("compute.create", json!({"a": "own"})));
    assert_eq!(
        overridden[0],
        ("service".to_owned(), "own".to_owned()),
        "an overridden default keeps its place"
    );
}

#[test]
fn catch_all_takes_what_no_definition_wants() {
    let text = "[{event_type: compute.*, traits: {}}]";
    for dialect in [Dialect::Stackdistiller, Dialect::Ceilometer] {
        assert!(names(&loaded(text, dialect, true).unwrap(), "volume.x").is_some());
        assert!(names(&loaded(text, dialect, false).unwrap(), "volume.x").is_none());
        assert!(names(&loaded("[]", dialect, true).unwrap(), "volume.x").is_some());
    }
    // A definition that takes everything makes the implicit one unnecessary, also if it stands first.
    let own =
        loaded("[{event_type: '*', traits: {own: {fields: payload.a}}}]", Dialect::Stackdistiller, true)
            .unwrap();
    assert!(names(&own, "volume.x").unwrap().contains(&"own".to_owned()));
}

#[test]
fn envelope_of_an_event() {
    let distiller = stackdistiller("[{event_type: '*', traits: {}}]");
    let own = event(&distiller, &notification("Some.Type", json!({})));
    assert_eq!((own.message_id.as_str(), own.event_type.as_str()), ("m-1", "Some.Type"));
    assert_eq!(datetime::iso(own.generated), "2015-02-27T15:27:18.603932");
    assert!(own.raw.is_none());
    let timeless = json!({"message_id": "m", "event_type": "t", "publisher_id": "p"});
    assert_eq!(event(&distiller, &timeless).generated, now());
}

#[test]
fn event_without_traits_is_invalid_in_one_dialect_only() {
    let bare = json!({"message_id": "m", "event_type": "t"});
    let distilled = stackdistiller("[{event_type: '*', traits: {}}]").distill(&bare, now());
    assert!(matches!(distilled.outcome, Outcome::Invalid(reason) if reason == "no trait could be made"));
    assert_eq!(traits(&ceilometer("[]"), &bare), []);
}

#[test]
fn value_that_cannot_be_converted_spoils_its_trait_or_the_notification() {
    let text = "[{event_type: '*', traits: {n: {fields: payload.n, type: int}, t: {fields: payload.t, type: datetime}}}]";
    let bad = notification("x", json!({"n": "3.7", "t": "2015-02-27"}));
    let distilled = stackdistiller(text).distill(&bad, now());
    assert_eq!(distilled.warnings.len(), 1);
    assert_eq!(distilled.warnings[0].to_string(), "trait n: not an integer");
    assert_eq!(traits(&stackdistiller(text), &bad)[3..], pairs(&[("t", "2015-02-27T00:00:00")]));
    let distilled = ceilometer(text).distill(&bad, now());
    assert!(matches!(distilled.outcome, Outcome::Invalid(reason) if reason == "trait n: not an integer"));
    // Null, blank and missing fields are no faults.
    for payload in [json!({"n": null}), json!({"n": ""}), json!({})] {
        let value = notification("x", payload);
        assert_eq!(ceilometer(text).distill(&value, now()).warnings, []);
        assert_eq!(traits(&ceilometer(text), &value).len(), 5);
    }
}

#[test]
fn value_that_no_store_can_hold_spoils_its_trait_alone() {
    let text = "[{event_type: '*', traits: {n: {fields: payload.n, type: int}, f: {fields: payload.f, type: float}}}]";
    let value = notification("x", json!({"n": u64::MAX, "f": "inf"}));
    for distiller in [stackdistiller(text), ceilometer(text)] {
        let reasons: Vec<_> =
            distiller.distill(&value, now()).warnings.into_iter().map(|error| error.reason).collect();
        assert_eq!(reasons, ["an integer beyond 64 bits", "not a finite number"]);
        assert!(!event(&distiller, &value).traits.is_empty());
    }
}

#[test]
fn ceilometers_short_forms_of_traits() {
    let text = "[{event_type: '*', traits: {a: payload.a, b: [payload.none, payload.b], c: 5, d: {fields: [6], type: Float}, e: {fields: yes}}}]";
    let value = notification("x", json!({"a": 1, "b": {"k": [1.0, null]}}));
    assert_eq!(
        traits(&ceilometer(text), &value)[5..],
        pairs(&[("a", "1"), ("b", "{'k': [1.0, None]}"), ("c", "5"), ("d", "6.0"), ("e", "True")])
    );
}

#[test]
fn raw_is_kept_for_chosen_priorities() {
    let text = "[{event_type: '*', traits: {}}]";
    let value = notification("x", json!({"a": "\u{0}é"}));
    let chosen = ["Info".to_owned()];
    let raw = |distiller: Distiller| event(&distiller, &value).raw.map(|raw| raw.get().to_owned());
    assert_eq!(raw(stackdistiller(text)), None);
    assert_eq!(raw(stackdistiller(text).with_store_raw(&["error".to_owned()])), None);
    assert_eq!(raw(stackdistiller(text).with_store_raw(&chosen)), Some(value.to_string()));
    let rewritten: Value =
        serde_json::from_str(&raw(ceilometer(text).with_store_raw(&chosen)).unwrap()).unwrap();
    assert_eq!(
        rewritten["ctxt"],
        json!({"request_id": "req-1", "tenant": "t-1", "project_id": "p-1", "user_id": "u-1"})
    );
    assert_eq!(rewritten["payload"], value["payload"]);
}

/// Left: definitions. Right: the start of the message.
#[test]
fn wrong_files_are_refused_naming_line_and_key() {
    for (text, expected) in [
        ("{}", "1: a list of definitions is expected, not a mapping"),
        ("", "1: a list of definitions is expected, not nothing"),
        ("[5]", "1: a definition must be a mapping, not an integer"),
        ("\n- {traits: {}}", "2: Required field event_type not specified"),
        ("- event_type: x", "1: Required field traits not specified"),
        ("- {event_type: x, traits: }", "1: traits must be a mapping, not nothing"),
        (
            "- {event_type: [x, 5], traits: {}}",
            "1: event_type must be a text or a list of texts, not an integer",
        ),
        ("- event_type: x\n  traits:\n    on: {fields: a}", "3: a trait name must be a text, not a boolean"),
        ("- event_type: x\n  traits:\n    t: {type: text}", "3: The field 'fields' is required for trait t"),
        (
            "- event_type: x\n  traits:\n    t:\n      type: string\n      fields: a",
            "4: Invalid trait type 'string' for trait t",
        ),
        (
            "- {event_type: x, traits: {t: {fields: a, type: 5}}}",
            "1: Invalid trait type 'an integer' for trait t",
        ),
        (
            "- {event_type: x, traits: {t: {fields: a, plugin: p}}}",
            "1: No plugin named p available for trait t",
        ),
        (
            "- event_type: x\n  traits:\n    t:\n      fields: a.[",
            "4: Parse error in JSONPath specification 'a.[' (a name, an index",
        ),
        (
            "- {event_type: x, traits: {t: {fields: [a, 'b c']}}}",
            "1: Parse error in JSONPath specification 'b c' (unexpected 'c') for trait t",
        ),
        (
            "- {event_type: x, traits: {t: {fields: []}}}",
            "1: Parse error in JSONPath specification without a path for trait t",
        ),
        (
            "- {event_type: x, traits: {t: {fields: [a, 5]}}}",
            "1: a path of trait t must be a text, not an integer",
        ),
        ("- {event_type: x, traits: {t: {fields: }}}", "1: a path of trait t must be a text, not nothing"),
        ("- {event_type: x\n- y", "2: "),
    ] {
        for dialect in [Dialect::Stackdistiller, Dialect::Ceilometer] {
            let message = loaded(text, dialect, true).unwrap_err().to_string();
            let (_, after_file) = message.split_once("defs.yaml:").unwrap();
            assert!(after_file.starts_with(expected), "{text:?} gave {message:?}");
        }
    }
    for text in [
        "- {event_type: x, traits: {t: payload.a}}",
        "- {event_type: x, traits: {t: {fields: 5}}}",
        "- {event_type: x, traits: {t: {fields: a, type: TEXT}}}",
        "- {event_type: x, traits: {t: {fields: a, type: none}}}",
        "- {event_type: x, traits: {t: {fields: a.`len`}}}",
        "- {event_type: x, traits: {t: {fields: a, plugin: timedelta}}}",
    ] {
        assert!(loaded(text, Dialect::Ceilometer, true).is_ok(), "{text}");
        assert!(loaded(text, Dialect::Stackdistiller, true).is_err(), "{text}");
    }
    let missing = Distiller::load(Path::new("/nowhere/defs.yaml"), Dialect::Ceilometer, true).unwrap_err();
    assert!(missing.to_string().starts_with("/nowhere/defs.yaml: cannot be read: "));
}

#[test]
fn builtin_definitions_keep_long_text_and_drop_bad_traits_alone() {
    let builtin = Distiller::builtin().unwrap();
    let long = "x".repeat(300);
    let value = notification(
        "compute.instance.update",
        json!({"display_name": long, "memory_mb": "much", "vcpus": 2}),
    );
    let distilled = builtin.distill(&value, now());
    assert_eq!(distilled.warnings.len(), 1);
    let made = traits(&builtin, &value);
    assert!(
        made.contains(&("display_name".to_owned(), long))
            && made.contains(&("vcpus".to_owned(), "2".to_owned()))
    );
    let made = traits(
        &builtin,
        &notification("port.create.end", json!({"port": {"id": "p", "name": "n", "status": "UP"}})),
    );
    assert_eq!(made[5..], pairs(&[("resource_id", "p"), ("display_name", "n"), ("state", "UP")]));
    assert!(names(&builtin, "anything").is_some());
}

#[test]
fn winchester_config_selects_definitions_beside_it_or_on_its_path() {
    let definitions = "[{event_type: 'compute.*', traits: {own: {fields: payload.a, plugin: mine}}}]";
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    let class =
        "distiller_trait_plugins: {mine: 'stackdistiller.trait_plugins:SplitterTraitPlugin', other: 'a.b:C'}";
    let config = |text: &str| {
        write("etc/winchester.yaml", &format!("{class}\n{text}\nstatistics_period: 10\nunknown: [1]\n"))
    };
    let load = |text: &str| Distiller::from_winchester(&config(text));

    let missing = load("distiller_config: defs.yaml").unwrap_err().to_string();
    assert!(missing.contains("winchester.yaml:2: distiller_config: no file defs.yaml in "), "{missing}");

    write("etc/defs.yaml", definitions);
    let distiller = load("distiller_config: defs.yaml").unwrap().unwrap();
    assert_eq!(names(&distiller, "volume.x"), None);
    let own = traits(&distiller, &notification("compute.x", json!({"a": "left.right"})));
    assert_eq!(own.last().unwrap().1, "left");

    let distiller = load("distiller_config: defs.yaml\ncatch_all_notifications: true").unwrap().unwrap();
    assert!(names(&distiller, "volume.x").is_some());

    write("etc/sub/deeper.yaml", definitions);
    assert!(load("distiller_config: deeper.yaml\nconfig_path: sub").is_ok());
    assert!(load("distiller_config: deeper.yaml\nconfig_path: [nowhere, sub]").is_ok());
    let absolute = folder.path().join("etc/sub/deeper.yaml");
    assert!(load(&format!("distiller_config: {}", absolute.display())).is_ok());

    for (text, expected) in [
        ("distiller_config: 5", "2: distiller_config must be a file name"),
        (
            "distiller_config: defs.yaml\ncatch_all_notifications: 5",
            "3: catch_all_notifications must be true or false",
        ),
        (
            "distiller_config: defs.yaml\nconfig_path: {a: b}",
            "3: config_path must be a folder or a list of folders",
        ),
    ] {
        let message = load(text).unwrap_err().to_string();
        assert!(message.ends_with(expected), "{message}");
    }
    write("etc/foreign.yaml", "[{event_type: x, traits: {t: {fields: a, plugin: other}}}]");
    let message = load("distiller_config: foreign.yaml").unwrap_err().to_string();
    assert!(message.ends_with("is the Python class a.b:C, which does not run here"), "{message}");
}

#[test]
fn winchester_config_may_leave_the_definitions_to_others() {
    for text in ["{}", "", "trigger_definitions: triggers.yaml", "distiller_config: ~"] {
        let (path, _folder) = written("winchester.yaml", text);
        assert!(Distiller::from_winchester(&path).unwrap().is_none(), "{text:?}");
    }
    let (path, _folder) = written("winchester.yaml", "[1]");
    assert!(Distiller::from_winchester(&path).is_err());
}

#[test]
fn many_event_types_do_not_fill_the_memory() {
    let distiller = stackdistiller("[{event_type: '*', traits: {}}]");
    for number in 0..5000 {
        assert!(names(&distiller, &format!("type.{number}")).is_some());
    }
    assert!(names(&distiller, &"x".repeat(10_000)).is_some());
    assert_eq!(distiller.chosen.0.read().unwrap().len(), 4096);
}

/// JSON of every kind, with the names that definitions ask for.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "message_id",
        "event_type",
        "timestamp",
        "payload",
        "ctxt",
        "metadata",
        "publisher_id",
        "oslo.version",
        "oslo.message",
        "_context_tenant",
        "state",
        "memory_mb",
        "launched_at",
        "fixed_ips",
        "2.0",
        "image_meta",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        name.clone().prop_map(Value::from),
        Just(json!("2015-02-27 15:27:18")),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..10).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_notification_panics(value in any_json(), payload in any_json()) {
        static DISTILLERS: std::sync::OnceLock<Vec<Distiller>> = std::sync::OnceLock::new();
        let distillers = DISTILLERS.get_or_init(|| {
            let fixture = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
            vec![
                Distiller::builtin().unwrap(),
                Distiller::load(&fixture("definitions_stackdistiller.yaml"), Dialect::Stackdistiller, true).unwrap(),
                Distiller::load(&fixture("definitions_ceilometer.yaml"), Dialect::Ceilometer, true).unwrap(),
            ]
        });
        for distiller in distillers {
            for value in [&value, &notification("compute.instance.exists", payload.clone())] {
                if let Outcome::Event(event) = distiller.distill(value, now()).outcome {
                    prop_assert!(!event.message_id.is_empty() && !event.event_type.is_empty());
                    for own in event.traits {
                        match own.value {
                            TraitValue::Text(text) => prop_assert!(!text.contains('\0')),
                            TraitValue::Float(number) => prop_assert!(number.is_finite()),
                            TraitValue::Integer(_) | TraitValue::Datetime(_) => {}
                        }
                    }
                }
            }
        }
    }
}
