//! Right: what Panko 10.0.0 does with the same request (events-v2.md, section 3.1); where it fails with 500, ours is 400.

use super::*;
use crate::api::v2::access::Caller;
use crate::api::v2::filter;
use crate::config::Config;
use proptest::prelude::*;

const JSON: &str = "application/json";

fn of_url(query: &str) -> Result<Arguments, String> {
    Arguments::read(&Received::new(query, "", b"")).map_err(|fault| fault.to_string())
}

fn of_body(body: &str) -> Result<Arguments, String> {
    Arguments::read(&Received::new("", JSON, body.as_bytes())).map_err(|fault| fault.to_string())
}

/// A filter of field, op, value and type; a blank text is an absent part.
fn filter_of([field, op, value, kind]: [&str; 4]) -> Query {
    let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Query { field: part(field), op: part(op), value: part(value), kind: part(kind) }
}

fn q(filters: &[[&str; 4]]) -> Result<Arguments, String> {
    let q = filters.iter().copied().map(filter_of).collect();
    Ok(Arguments { q: Some(q), ..Arguments::default() })
}

#[test]
fn all_forms_of_q_mean_the_same() {
    let expected = q(&[["n", "ge", "5", "integer"], ["s", "eq", "a", "string"]]);
    for url in [
        "q.field=n&q.op=ge&q.value=5&q.type=integer&q.field=s&q.op=eq&q.value=a&q.type=string",
        "q.type=integer&q.type=string&q.field=n&q.field=s&q.value=5&q.value=a&q.op=ge&q.op=eq",
        "q[0].field=n&q[0].op=ge&q[0].value=5&q[0].type=integer&q[1].field=s&q[1].op=eq&q[1].value=a&q[1].type=string",
        "q%5B7%5D.field=s&q%5B7%5D.op=eq&q%5B7%5D.value=a&q%5B7%5D.type=string&q[2].field=n&q[2].op=ge&q[2].value=5&q[2].type=integer",
    ] {
        assert_eq!(of_url(url), expected, "{url}");
    }
    let body = r#"{"q": [{"field":"n","op":"ge","value":"5","type":"integer"},{"type":"string","value":"a","op":"eq","field":"s"}]}"#;
    assert_eq!(of_body(body), expected);
}

#[test]
fn uneven_arrays_leave_defaults_or_are_refused() {
    assert_eq!(of_url("q.field=a&q.field=b&q.value=1"), q(&[["a", "", "1", ""], ["b", "", "", ""]]));
    assert_eq!(of_url("q.value=1"), q(&[["", "", "1", ""]]));
    for (url, text) in [
        ("q.field=a&q.value=1&q.value=2", "q.value is given 2 times for 1 filters"),
        ("q.field=a&q.field=b&q.type=string", "q.field is given 2 times for 1 filters"),
    ] {
        assert_eq!(of_url(url), Err(text.to_owned()));
    }
}

#[test]
fn unknown_arguments_are_named() {
    for (url, names) in [
        ("bad", "bad"),
        ("=x", ""),
        ("bad=1&worse=2&bad=3", "bad, worse"),
        ("q.zork=1", "q.zork"),
        ("q[0].zork=1", "q[0].zork"),
        ("q[0]=1", "q[0]"),
        ("q[x].field=a", "q[x].field"),
        ("q.field=a&q[0].field=b", "q[0].field"),
        ("q.=1", "q."),
        ("Limit=1", "Limit"),
    ] {
        assert_eq!(of_url(url), Err(format!("Unknown argument: \"{names}\"")), "{url}");
    }
    assert_eq!(of_body(r#"{"zork": 1}"#), Err("Unknown argument: \"zork\"".into()));
    assert_eq!(of_body(r#"{"zork": 1, "bork": 2}"#), Err("Unknown argument: \"zork, bork\"".into()));
}

#[test]
fn plain_q_is_no_list() {
    let text =
        "unable to convert to ArrayType. Error: Base.__init__() takes 1 positional argument but 2 were given";
    for (url, value) in [("q=1", "1"), ("q=", ""), ("q=1&q=b", "['1', 'b']")] {
        assert_eq!(
            of_url(url),
            Err(format!("Invalid input for field/attribute q. Value: '{value}'. {text}"))
        );
    }
}

#[test]
fn limit_is_what_python_reads_as_a_whole_number() {
    for (given, expected) in [("3", 3), ("%2B3", 3), ("+5", 5), ("-1", -1), ("1_000", 1000), ("0", 0)] {
        assert_eq!(of_url(&format!("limit={given}")).unwrap().limit, Some(Some(expected)), "{given}");
    }
    for (given, shown) in [("", ""), ("abc", "abc"), ("1.5", "1.5"), ("1e2", "1e2"), ("it's", "it's")] {
        let quote = if shown.contains('\'') { '"' } else { '\'' };
        let text = format!(
            "Invalid input for field/attribute limit. Value: '{shown}'. unable to convert to int. \
             Error: invalid literal for int() with base 10: {quote}{shown}{quote}"
        );
        assert_eq!(of_url(&format!("limit={given}")), Err(text));
    }
    let text = "Invalid input for field/attribute limit. Value: '['1', '2']'. unable to convert to int. \
                Error: int() argument must be a string, a bytes-like object or a real number, not 'list'";
    assert_eq!(of_url("limit=1&limit=2"), Err(text.to_owned()));
    for (body, expected) in [("5", 5), ("\" 7 \"", 7), ("true", 1), ("1.9", 1), ("-2", -2)] {
        assert_eq!(of_body(&format!("{{\"limit\":{body}}}")).unwrap().limit, Some(Some(expected)), "{body}");
    }
    let text = "Invalid input for field/attribute limit. Value: 'abc'. invalid literal for int() with base 10: 'abc'";
    assert_eq!(of_body(r#"{"limit":"abc"}"#), Err(text.to_owned()));
}

#[test]
fn faults_of_a_body_have_the_originals_texts() {
    let wrong = |field: &str, value: &str, class: &str| {
        format!(
            "Invalid input for field/attribute {field}. Value: '{value}'. Wrong type. \
             Expected '<class 'str'>', got '<class '{class}'>'"
        )
    };
    let no_list = |field: &str, value: &str| {
        format!(
            "Invalid input for field/attribute {field}. Value: '{value}'. Value not a valid list: {value}"
        )
    };
    for (body, text) in [
        ("{", "Request is not in valid JSON format".to_owned()),
        ("\u{feff}{}", "Request is not in valid JSON format".to_owned()),
        ("[]", "Request must be a JSON dict".to_owned()),
        ("null", "Request must be a JSON dict".to_owned()),
        (r#"{"q":[{"field":"s","zork":1}]}"#, "Unknown attribute for argument q: zork".to_owned()),
        (r#"{"q":[{"bork":1,"zork":1}]}"#, "Unknown attributes for argument q: bork, zork".to_owned()),
        (r#"{"q":[{"field":"s","value":5}]}"#, wrong("value", "5", "int")),
        (r#"{"q":[{"field":"s","value":true}]}"#, wrong("value", "True", "bool")),
        (r#"{"q":[{"field":"s","value":1.5}]}"#, wrong("value", "1.5", "float")),
        (r#"{"q":[{"field":[1,"a"],"value":"x"}]}"#, wrong("field", "[1, 'a']", "list")),
        (r#"{"q":[{"field":"s","value":"x","type":{}}]}"#, wrong("type", "{}", "dict")),
        (r#"{"q":{"field":"s","value":"abc"}}"#, no_list("q", "{'field': 's', 'value': 'abc'}")),
        (r#"{"sort":"x"}"#, no_list("sort", "x")),
        (
            r#"{"q":[{"field":"s"}]}"#,
            "Invalid input for field/attribute value. Value: 'None'. Mandatory field missing.".to_owned(),
        ),
        // The first fault in the order of the members.
        (r#"{"zork":1,"sort":"x"}"#, no_list("sort", "x")),
    ] {
        assert_eq!(of_body(body), Err(text), "{body}");
    }
    for body in
        [r#"{"q":[null]}"#, r#"{"q":["x"]}"#, r#"{"sort":[5]}"#, r#"{"limit":[1]}"#, r#"{"limit":{}}"#]
    {
        assert!(of_body(body).is_err(), "{body}");
    }
}

#[test]
fn nulls_are_as_good_as_absent() {
    let expected =
        Arguments { q: Some(Vec::new()), limit: Some(None), sort: Some(Vec::new()), marker: Some(None) };
    assert_eq!(of_body(r#"{"q":null,"limit":null,"sort":null,"marker":null}"#), Ok(expected));
    let body = r#"{"q":[{"field":"s","value":"x","op":null,"type":null}]}"#;
    assert_eq!(of_body(body), q(&[["s", "", "x", ""]]));
}

#[test]
fn an_operator_of_any_type_is_passed_on() {
    for (given, expected) in
        [("5", Some("5")), ("[]", None), ("[\"a\"]", Some("['a']")), ("0.0", None), ("false", None)]
    {
        let body = format!(r#"{{"q":[{{"field":"s","value":"x","op":{given}}}]}}"#);
        let arguments = of_body(&body).unwrap();
        assert_eq!(arguments.q.unwrap()[0].op.as_deref(), expected, "{given}");
    }
}

#[test]
fn an_argument_in_url_and_body_is_given_several_times() {
    for (url, body, name) in [
        ("limit=1", r#"{"limit":1}"#, "limit"),
        ("q.field=a&q.value=b", r#"{"q":[]}"#, "q"),
        ("sort=generated", r#"{"sort":[]}"#, "sort"),
        ("marker=", r#"{"marker":null}"#, "marker"),
    ] {
        let read = Arguments::read(&Received::new(url, JSON, body.as_bytes()));
        let text = format!("Parameter {name} was given several times");
        assert_eq!(read.map_err(|fault| fault.to_string()), Err(text));
    }
    let merged = Arguments::read(&Received::new("limit=1", JSON, br#"{"marker":"m"}"#)).unwrap();
    assert_eq!((merged.limit, merged.marker), (Some(Some(1)), Some(Some("m".to_owned()))));
}

#[test]
fn form_body_counts_as_more_arguments() {
    let form = "application/x-www-form-urlencoded";
    let read = Arguments::read(&Received::new("q.field=s", form, b"q.value=x&limit=7")).unwrap();
    assert_eq!((read.q.unwrap(), read.limit), (vec![filter_of(["s", "", "x", ""])], Some(Some(7))));
    let fault = Arguments::read(&Received::new("", form, b"zork=1")).unwrap_err();
    assert_eq!(fault.to_string(), "Unknown argument: \"zork\"");
}

#[test]
fn other_languages_are_not_read() {
    for mimetype in
        ["text/plain", "application/xml", "text/xml", "Application/JSON", "multipart/form-data", ""]
    {
        let fault = Arguments::read(&Received::new("", mimetype, b"x")).unwrap_err();
        assert_eq!(fault.to_string(), format!("Unknown mimetype: {mimetype}"));
        assert_eq!(Arguments::read(&Received::new("", mimetype, b"")).unwrap(), Arguments::default());
    }
    for mimetype in ["text/javascript", "application/javascript"] {
        let read = Arguments::read(&Received::new("", mimetype, br#"{"limit":2}"#)).unwrap();
        assert_eq!(read.limit, Some(Some(2)), "{mimetype}");
    }
}

#[test]
fn more_filters_than_a_join_has_tables_are_refused() {
    let many = |count: usize| vec!["q.field=a"; count].join("&");
    assert_eq!(of_url(&many(64)).unwrap().q.unwrap().len(), 64);
    assert_eq!(of_url(&many(65)), Err("65 filters are too many: at most 64 are taken".into()));
    let indexed: Vec<String> = (0..65).map(|index| format!("q[{index}].field=a")).collect();
    assert_eq!(of_url(&indexed.join("&")), Err("65 filters are too many: at most 64 are taken".into()));
    let body = format!("{{\"q\":[{}]}}", vec![r#"{"field":"a","value":"b"}"#; 65].join(","));
    assert_eq!(of_body(&body), Err("65 filters are too many: at most 64 are taken".into()));
}

fn caller() -> Caller {
    Caller { user: "u".into(), project: "p".into(), is_admin: true }
}

/// Query strings that are almost right.
fn near_query() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "q.field",
        "q.op",
        "q.value",
        "q.type",
        "q[0].field",
        "q[1].value",
        "q[0].op",
        "q[9].type",
        "q",
        "limit",
        "sort",
        "sort[1]",
        "marker",
        "bad",
    ]);
    let value = prop::sample::select(vec![
        "",
        "s",
        "event_type",
        "start_timestamp",
        "all_tenants",
        "eq",
        "ge",
        "integer",
        "float",
        "datetime",
        "5",
        "-1",
        "1e5",
        "nan",
        "-inf",
        "2019-01-01T00:00:00Z",
        "yes",
        "generated:desc",
        "message_id",
        "%00",
        "%FF",
        "9999999999999999999999999999999999999999999",
    ]);
    prop::collection::vec((name, value).prop_map(|(name, value)| format!("{name}={value}")), 0..8)
        .prop_map(|pairs| pairs.join("&"))
}

proptest! {
    #[test]
    fn no_request_panics(query in near_query(), wild in ".{0,80}", body in ".{0,80}") {
        for received in [
            Received::new(&query, "", b""),
            Received::new(&wild, JSON, body.as_bytes()),
            Received::new("", "application/x-www-form-urlencoded", query.as_bytes()),
        ] {
            if let Ok(arguments) = Arguments::read(&received) {
                let _ = filter::read(&caller(), arguments, &Config::default());
            }
        }
    }
}
