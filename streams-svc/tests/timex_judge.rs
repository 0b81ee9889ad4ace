//! Our time expressions against the answers of the original timex 0.20.
//!
//! The fixture holds 13 000 different generated expressions with variables and the original's answers;
//! `e2e/judges/timex-generate.py` made it and describes its form.

use std::collections::BTreeMap;
use std::io::Read;

use chrono::NaiveDateTime;
use serde::Deserialize;
use streams_svc::timex::{EvaluationError, Expression, Times, Variables};

const ANSWERS: &[u8] = include_bytes!("fixtures/timex.jsonl.gz");

#[derive(Deserialize)]
struct Case {
    #[serde(rename = "e")]
    expression: String,
    #[serde(rename = "v")]
    variables: BTreeMap<String, NaiveDateTime>,
    #[serde(rename = "r")]
    answer: Vec<String>,
}

impl Variables for Case {
    fn instant(&self, name: &str) -> Option<NaiveDateTime> {
        self.variables.get(name).copied()
    }
}

/// Our answer in the fixture's words.
fn answer(case: &Case) -> Vec<String> {
    let instant = |at: NaiveDateTime| shared::datetime::iso(at);
    match Expression::parse(&case.expression).map(|expression| expression.evaluate(case)) {
        Err(_) => vec!["parse".to_owned()],
        Ok(Err(EvaluationError::Undefined(_) | EvaluationError::NoDate)) => vec!["eval".to_owned()],
        Ok(Ok(Times::Stamp(at))) => vec!["stamp".to_owned(), instant(at)],
        Ok(Ok(Times::Range(range))) => {
            vec!["range".to_owned(), instant(range.begin()), instant(range.end())]
        }
    }
}

/// Where the contract decides otherwise than the original, whose answer is a crash or none at all.
fn is_beyond_the_original(case: &Case) -> bool {
    case.answer.first().is_some_and(|kind| kind == "plus")
}

#[test]
fn answers_equal_those_of_the_original() {
    let mut text = String::new();
    flate2::read::GzDecoder::new(ANSWERS).read_to_string(&mut text).unwrap();
    let (mut compared, mut differing) = (BTreeMap::new(), Vec::new());
    for line in text.lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        if is_beyond_the_original(&case) {
            continue;
        }
        let ours = answer(&case);
        // An unknown function is refused by us when parsing, by the original when evaluating.
        let refused_earlier = case.answer == ["unknown"] && ours == ["parse"];
        if ours != case.answer && !refused_earlier {
            differing.push(format!("{line}\n    ours: {ours:?}"));
        }
        *compared.entry(case.answer[0].clone()).or_insert(0) += 1;
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
    assert!(compared.values().sum::<i32>() >= 10_000, "too few compared: {compared:?}");
    assert!(compared["range"] >= 3_000 && compared["stamp"] >= 2_000, "lopsided: {compared:?}");
}
