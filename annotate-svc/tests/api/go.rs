//! Dates and bodies compared with what Go 1.19 says of them: `fixtures/judge.go` recorded its answers.

use annotate_svc::model::{Body, Field, Form, parse_either, parse_rfc3339, read_body};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DateVerdict {
    value: String,
    micros: Option<i64>,
    offset: Option<i32>,
    #[serde(default)]
    error: String,
    #[serde(default)]
    int: String,
}

#[test]
fn dates_are_read_and_refused_as_go_does() {
    let mut compared = 0;
    for line in include_str!("fixtures/go_times.ndjson").lines() {
        let go: DateVerdict = serde_json::from_str(line).unwrap();
        // Go 1.19 takes a fraction alone for seconds; the contract needs seconds.
        if go.value.contains(":.") || go.value.contains(":,") {
            continue;
        }
        match (parse_rfc3339(&go.value), go.micros, go.offset) {
            // Newer versions of Go refuse such offsets in these words.
            (Err(text), Some(_), Some(offset)) if offset.abs() >= 86_400 => {
                assert_eq!(
                    text,
                    format!("parsing time \"{}\": time zone offset hour out of range", go.value)
                );
            }
            (read, Some(micros), Some(offset)) => {
                let stamp = read.unwrap_or_else(|text| panic!("{text}"));
                assert_eq!((stamp.micros, stamp.offset_secs), (micros, offset), "{}", go.value);
            }
            (read, _, _) => {
                assert_eq!(read.unwrap_err(), go.error);
                let both = parse_either(&go.value).map(|stamp| stamp.secs());
                if go.int.is_empty() {
                    // The years 0 to 9999 with the largest offsets, 25 hours.
                    let expected = go.value.parse::<i64>().unwrap().clamp(-62_167_309_200, 253_402_390_799);
                    assert_eq!(both, Ok(expected));
                } else {
                    assert_eq!(both, Err(format!("{}, {}", go.error, go.int)));
                }
            }
        }
        compared += 1;
    }
    assert!(compared > 300, "{compared}");
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BodyVerdict {
    body: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    texts: Vec<String>,
    #[serde(default)]
    is_epoch: bool,
}

#[test]
fn bodies_are_read_and_refused_as_go_does() {
    let mut compared = 0;
    for line in include_str!("fixtures/go_bodies.ndjson").lines() {
        let go: BodyVerdict = serde_json::from_str(line).unwrap();
        let read = read_body(go.body.as_bytes(), 10).map_err(|cause| cause.to_string());
        if go.texts.is_empty() {
            let expected = format!("Could not unmarhsal json in RFC3339 fmt or Epoch fmt: {}", go.error);
            assert_eq!(read, Err(expected), "{:.200}", go.body);
        } else {
            let Ok(Body::One(draft)) = read else { panic!("{}: {read:?}", go.body) };
            let mut texts = vec![draft.id.clone()];
            for field in Field::ALL {
                let sent = draft.texts.iter().rev().find(|(sent, _)| *sent == field);
                texts.push(sent.map(|(_, text)| text.clone()).unwrap_or_default());
            }
            assert_eq!((texts, draft.form == Form::Epoch), (go.texts, go.is_epoch), "{}", go.body);
        }
        compared += 1;
    }
    assert!(compared > 300, "{compared}");
}

proptest! {
    #[test]
    fn dates_that_are_written_read_back(secs in -62_167_219_200_i64..=253_402_300_799, minutes in -1439_i32..1440) {
        let offset = i64::from(minutes) * 60;
        let local = secs + offset;
        prop_assume!((-62_167_219_200..=253_402_300_799).contains(&local));
        let stamp = annotate_svc::model::Stamp { micros: secs * 1_000_000, offset_secs: minutes * 60 };
        prop_assert_eq!(parse_rfc3339(&stamp.rfc3339()), Ok(stamp));
        prop_assert_eq!(parse_either(&secs.to_string()).map(|stamp| stamp.secs()), Ok(secs));
    }

    #[test]
    fn no_date_panics(text in r#"[0-9TZ:.,+\-é "\\]{0,40}"#) {
        let _ = parse_either(&text);
        if let Ok(stamp) = parse_rfc3339(&text) {
            prop_assert!(parse_rfc3339(&stamp.rfc3339()).is_ok());
        }
    }

    #[test]
    fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = read_body(&body, 10);
    }

    #[test]
    fn no_json_like_body_panics(body in r#"[\[\]{}:,"\\a-fu0-9.e\-Id \n]{0,60}"#) {
        let _ = read_body(body.as_bytes(), 10);
    }
}
