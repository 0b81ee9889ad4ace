use serde_json::json;
use shared::yaml;

use super::*;

fn plugin(text: &str) -> Box<dyn TraitPlugin> {
    made(&Plugins::ceilometer(), text).unwrap()
}

fn made(plugins: &Plugins, text: &str) -> Result<Box<dyn TraitPlugin>, Error> {
    plugins.make(&yaml::parse("d.yaml", text).unwrap(), "t")
}

fn refusal(text: &str) -> String {
    made(&Plugins::ceilometer(), text).unwrap_err().to_string()
}

fn matches(pairs: &[(&str, Value)]) -> Vec<Match> {
    pairs.iter().map(|(path, value)| Match { path: (*path).to_owned(), value: value.clone() }).collect()
}

fn on(text: &str, value: Value) -> Value {
    plugin(text).trait_values(&matches(&[("x", value)])).swap_remove(0)
}

#[test]
fn split_takes_a_segment() {
    assert_eq!(on("split", json!("compute.node.7")), json!("compute"));
    assert_eq!(on("{name: split, parameters: {segment: 1}}", json!("compute.node.7")), json!("node"));
    assert_eq!(
        on("{name: split, parameters: {segment: 1, max_split: 1}}", json!("compute.node.7")),
        json!("node.7")
    );
    assert_eq!(on("{name: split, parameters: {segment: 5}}", json!("a.b")), json!(null));
    assert_eq!(on("{name: split, parameters: {segment: -1}}", json!("a.b")), json!("b"));
    assert_eq!(on("{name: split, parameters: {segment: -3}}", json!("a.b")), json!(null));
    assert_eq!(on("{name: split, parameters: {separator: '--', segment: 1}}", json!("a--b")), json!("b"));
    assert_eq!(on("{name: split, parameters: {segment: 1}}", json!(1.25)), json!("25"));
    assert_eq!(
        on("{name: split, parameters: {separator: ~, segment: 1, max_split: 1}}", json!(" a  b c ")),
        json!("b c ")
    );
    assert_eq!(on("{name: split, parameters: {max_split: -1, segment: 2}}", json!("a.b.c")), json!("c"));
}

#[test]
fn split_looks_at_one_match_or_at_all() {
    let two = matches(&[("x", json!("a")), ("y", json!("b.c"))]);
    let text = "{name: split, parameters: {segment: 1}}";
    assert_eq!(plugin(text).trait_values(&two), [json!(null), json!("c")]);
    let first = made(&Plugins::stackdistiller(), text).unwrap();
    assert_eq!(first.trait_values(&two), [json!(null)]);
    assert_eq!(first.trait_values(&[]), Vec::<Value>::new());
}

#[test]
fn bitfield_sets_a_bit_for_each_field_that_is_there() {
    let text = "
name: bitfield
parameters:
  initial_bitfield: 0x10
  flags:
    - {path: payload.a, bit: 0}
    - {path: payload.b, bit: 1, value: 7}
    - {path: payload.c, bit: '2', value: x}
    - {path: 'payload.d.[0]', bit: 3}
";
    let value = |pairs: &[(&str, Value)]| plugin(text).trait_values(&matches(pairs));
    assert_eq!(value(&[]), [json!(16)]);
    assert_eq!(value(&[("payload.a", json!(""))]), [json!(17)]);
    assert_eq!(value(&[("payload.b", json!(7.0)), ("payload.c", json!("y"))]), [json!(18)]);
    assert_eq!(
        value(&[("payload.b", json!(7)), ("payload.b", json!(8))]),
        [json!(16)],
        "the last one counts"
    );
    assert_eq!(value(&[("payload.d.[0]", json!({})), ("payload.c", json!("x"))]), [json!(28)]);
}

#[test]
fn timedelta_is_seconds_between_two_times() {
    let value = |times: &[Value]| {
        let matches: Vec<_> =
            times.iter().map(|value| Match { path: "x".into(), value: value.clone() }).collect();
        plugin("timedelta").trait_values(&matches)
    };
    let (early, late) = (json!("2015-02-27T15:00:00"), json!("2015-02-27 17:00:01.5+01:00"));
    assert_eq!(value(&[early.clone(), late.clone()]), [json!(3601.5)]);
    assert_eq!(value(&[late, early.clone()]), [json!(3601.5)]);
    assert_eq!(value(std::slice::from_ref(&early)), Vec::<Value>::new());
    assert_eq!(value(&[early.clone(), early.clone(), early.clone()]), Vec::<Value>::new());
    assert_eq!(value(&[early.clone(), json!(5)]), Vec::<Value>::new());
    assert_eq!(value(&[early, json!("soon")]), Vec::<Value>::new());
}

#[test]
fn map_looks_values_up() {
    let text = "{name: map, parameters: {values: {a: 1, 2: two, yes: truth, 2.5: half}, default: ~}}";
    assert_eq!(on(text, json!("a")), json!(1));
    assert_eq!(on(text, json!("A")), json!(null));
    assert_eq!(on(text, json!(2.0)), json!("two"));
    assert_eq!(on(text, json!(1)), json!("truth"));
    assert_eq!(on(text, json!(2.5)), json!("half"));
    assert_eq!(on(text, json!("2")), json!(null));
    assert_eq!(on(text, json!([1])), json!(null));
    let folding = "{name: map, parameters: {values: {STRASSE: 1}, default: 0, case_sensitive: false}}";
    assert_eq!(on(folding, json!("straße")), json!(1));
    assert_eq!(on(folding, json!("weg")), json!(0));
    assert_eq!(plugin(folding).trait_values(&[]), Vec::<Value>::new());
}

#[test]
fn wrong_plugins_are_refused() {
    for (text, expected) in [
        ("nonsense", "d.yaml:1: No plugin named nonsense available for trait t"),
        ("{parameters: {}}", "d.yaml:1: Plugin specified, but no plugin name supplied for trait t"),
        ("~", "d.yaml:1: Plugin specified, but no plugin name supplied for trait t"),
        (
            "{name: split, parameters: [1]}",
            "d.yaml:1: parameters of plugin split must be a mapping, not a list",
        ),
        ("{name: split, parameters: {segment: x}}", "d.yaml:1: segment must be an integer, not a text"),
        (
            "{name: split, parameters: {separator: ''}}",
            "d.yaml:1: separator must be a text that is not empty",
        ),
        ("{name: bitfield, parameters: {flags: {}}}", "d.yaml:1: flags must be a list"),
        ("{name: bitfield, parameters: {flags: [{bit: 1}]}}", "d.yaml:1: a flag needs a path"),
        (
            "{name: bitfield, parameters: {flags: [{path: a, bit: 63}]}}",
            "d.yaml:1: a flag needs a bit from 0 to 62",
        ),
        ("map", "d.yaml:1: The 'values' parameter is required for the map trait plugin"),
        (
            "{name: map, parameters: {values: {}}}",
            "d.yaml:1: The 'values' parameter is required for the map trait plugin",
        ),
        (
            "{name: map, parameters: {values: [a]}}",
            "d.yaml:1: The 'values' parameter needs to be a dict for the map trait plugin",
        ),
    ] {
        assert_eq!(refusal(text), expected);
    }
    assert!(made(&Plugins::stackdistiller(), "timedelta").is_err());
    assert!(made(&Plugins::ceilometer(), "{name: split, parameters: ~}").is_ok());
}

#[test]
fn classes_of_the_originals_can_be_renamed_and_foreign_ones_are_refused_in_use() {
    let mut plugins = Plugins::stackdistiller();
    plugins.register_class("delta", "ceilometer.event.trait_plugins:TimedeltaPlugin");
    plugins.register_class("own", "acme.plugins:Own");
    assert!(made(&plugins, "delta").is_ok());
    let error = made(&plugins, "own").unwrap_err().to_string();
    assert_eq!(
        error,
        "d.yaml:1: plugin own for trait t is the Python class acme.plugins:Own, which does not run here"
    );
}
