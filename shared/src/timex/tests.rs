use chrono::NaiveDate;
use proptest::prelude::*;

use super::*;

/// An instant, written `YYYY-MM-DD HH:MM:SS[.ffffff]`.
fn at(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").unwrap()
}

fn evaluate(expression: &str, variables: &dyn Variables) -> Result<Times, EvaluationError> {
    Expression::parse(expression).unwrap().evaluate(variables)
}

/// Begin and end of a range; nothing for an instant.
fn ends(times: &Times) -> Option<(NaiveDateTime, NaiveDateTime)> {
    match times {
        Times::Range(range) => Some((range.begin(), range.end())),
        Times::Stamp(_) => None,
    }
}

fn range_at(expression: &str, timestamp: &str) -> Option<(NaiveDateTime, NaiveDateTime)> {
    ends(&evaluate(expression, &[("timestamp", at(timestamp))]).unwrap())
}

fn stamp_at(expression: &str, timestamp: &str) -> Option<NaiveDateTime> {
    match evaluate(expression, &[("timestamp", at(timestamp))]).unwrap() {
        Times::Stamp(stamp) => Some(stamp),
        Times::Range(_) => None,
    }
}

fn refusal(expression: &str) -> String {
    Expression::parse(expression).unwrap_err().to_string()
}

#[test]
fn verified_values_of_the_contract_hold() {
    let table = [
        ("day + 6h", "2014-08-01 02:10:23.000550", "2014-07-31 06:00:00", "2014-08-01 06:00:00"),
        ("day @ 6h", "2014-08-01 02:10:23.000550", "2014-07-31 06:00:00", "2014-08-01 06:00:00"),
        ("day - 6h", "2014-08-01 19:45:00", "2014-08-01 18:00:00", "2014-08-02 18:00:00"),
        ("day @ 2", "2014-08-01 02:10:23.000550", "2014-08-01 02:00:00", "2014-08-02 02:00:00"),
        ("day @ 2h", "2014-08-01 02:10:23.000550", "2014-08-01 02:00:00", "2014-08-02 02:00:00"),
        ("day + 24h", "2014-08-01 02:10:23.000550", "2014-08-01 00:00:00", "2014-08-02 00:00:00"),
        ("day + 30", "2014-08-01 02:10:23.000550", "2014-07-31 06:00:00", "2014-08-01 06:00:00"),
        ("hour - 90m", "2014-08-01 02:10:23.000550", "2014-08-01 01:30:00", "2014-08-01 02:30:00"),
        ("month + 3d", "2014-08-01 02:10:23.000550", "2014-07-04 00:00:00", "2014-08-04 00:00:00"),
        ("month + 40", "2014-08-01 02:10:23.000550", "2014-07-10 00:00:00", "2014-08-10 00:00:00"),
    ];
    for (expression, timestamp, begin, end) in table {
        assert_eq!(range_at(expression, timestamp), Some((at(begin), at(end))), "{expression}");
    }
    assert_eq!(
        stamp_at("($timestamp + 1d) @ 0h 0m 0s", "2014-08-01 02:10:23.000550"),
        Some(at("2014-08-02 00:00:00.000550"))
    );
    let days = [("a", at("2014-01-31 02:10:23.000550")), ("b", at("2014-02-03 00:00:00"))];
    assert_eq!(
        ends(&evaluate("$a to $b @ 3h", &days).unwrap()),
        Some((at("2014-01-31 02:10:23.000550"), at("2014-02-03 03:00:00")))
    );
    let last = [("last", at("2015-02-28 00:27:18"))];
    assert_eq!(evaluate("$last + 2d", &last), Ok(Times::Stamp(at("2015-03-02 00:27:18"))));
}

#[test]
fn days_the_month_lacks_become_its_last_day() {
    assert_eq!(stamp_at("$timestamp + 1mo", "2015-01-31 10:00:00"), Some(at("2015-02-28 10:00:00")));
    assert_eq!(stamp_at("$timestamp + 1y", "2016-02-29 00:00:00"), Some(at("2017-02-28 00:00:00")));
    assert_eq!(stamp_at("$timestamp - 1mo", "2016-03-31 00:00:00"), Some(at("2016-02-29 00:00:00")));
    // The month carries into the year before its day is looked at.
    assert_eq!(stamp_at("$timestamp + 13mo", "2015-01-29 00:00:00"), Some(at("2016-02-29 00:00:00")));
    // Months first, years after: through the 28th of February 2015.
    assert_eq!(stamp_at("$timestamp + 1mo 1y", "2015-01-31 00:00:00"), Some(at("2016-02-28 00:00:00")));
}

#[test]
fn range_shifted_by_its_own_unit_is_no_longer_pinned() {
    let t = "2014-08-01 02:10:23";
    assert_eq!(range_at("day + 1d", t), Some((at("2014-08-02 00:00:00"), at("2014-08-03 00:00:00"))));
    assert_eq!(range_at("day + 1d + 6h", t), Some((at("2014-08-02 06:00:00"), at("2014-08-03 06:00:00"))));
    assert_eq!(range_at("month - 1y", t), Some((at("2013-08-01 00:00:00"), at("2013-09-01 00:00:00"))));
    // Nothing of the unit itself is smaller than one of it.
    assert_eq!(range_at("day + 0d 6h", t), Some((at("2014-07-31 06:00:00"), at("2014-08-01 06:00:00"))));
}

#[test]
fn number_without_unit_on_a_short_range_counts_microseconds() {
    let minute = [("a", at("2014-01-31 00:00:00")), ("b", at("2014-01-31 00:00:59"))];
    let moved = evaluate("($a to $b) + 7", &minute).unwrap();
    assert_eq!(moved.timestamp(), at("2014-01-31 00:00:00.000007"));
}

#[test]
fn range_without_length_cannot_follow_its_pin() {
    let variables = [("timestamp", at("2014-08-01 02:10:23"))];
    assert_eq!(evaluate("hour @ 0h", &variables), Err(EvaluationError::NoDate));
}

#[test]
fn range_contains_its_begin_and_not_its_end() {
    let day = evaluate("day", &[("timestamp", at("2014-08-01 02:10:23"))]).unwrap();
    assert!(day.contains(at("2014-08-01 00:00:00")));
    assert!(day.contains(at("2014-08-01 23:59:59.999999")));
    assert!(!day.contains(at("2014-08-02 00:00:00")));
    assert!(!day.contains(at("2014-07-31 23:59:59.999999")));
    assert_eq!(day.timestamp(), at("2014-08-01 00:00:00"));
}

#[test]
fn missing_variable_is_an_evaluation_error() {
    let variables = [("timestamp", at("2014-08-01 02:10:23"))];
    assert_eq!(evaluate("$first + 1d", &variables), Err(EvaluationError::Undefined("first".to_owned())));
    assert_eq!(evaluate("day($x)", &variables), Err(EvaluationError::Undefined("x".to_owned())));
}

#[test]
fn dates_beyond_the_calendar_are_evaluation_errors() {
    for (expression, timestamp) in [
        ("$timestamp + 1d", "9999-12-31 00:00:00"),
        ("$timestamp - 1mo", "0001-01-31 00:00:00"),
        ("day", "9999-12-31 12:00:00"),
        ("year", "9999-05-05 00:00:00"),
        ("hour - 1m", "0001-01-01 00:00:30"),
        ("$timestamp + 99999999999999999999999999y", "2014-01-01 00:00:00"),
        ("$timestamp - 18446744073709551615us 1us", "2014-01-01 00:00:00"),
        ("$timestamp @ 24h", "2014-01-01 00:00:00"),
        ("$timestamp @ 0mo", "2014-01-01 00:00:00"),
        ("$timestamp @ 0y", "2014-01-01 00:00:00"),
        ("$timestamp @ 10000y", "2014-01-01 00:00:00"),
        ("$timestamp @ 30d", "2014-02-01 00:00:00"),
        ("$timestamp @ 1000000us", "2014-02-01 00:00:00"),
        ("$timestamp @ 60s", "2014-02-01 00:00:00"),
    ] {
        let result = evaluate(expression, &[("timestamp", at(timestamp))]);
        assert_eq!(result, Err(EvaluationError::NoDate), "{expression} at {timestamp}");
    }
}

#[test]
fn refusals_name_what_was_found_and_where() {
    assert_eq!(refusal(""), "unexpected end of the time expression at character 1");
    assert_eq!(refusal("day +"), "unexpected end of the time expression at character 6");
    assert_eq!(refusal("$d"), "unexpected a unit at character 2");
    assert_eq!(refusal("$timestamp + 3"), "a number needs a unit here at character 14");
    assert_eq!(refusal("day + 6h + 3"), "a number needs a unit here at character 12");
    assert_eq!(refusal("week"), "unknown function 'week' at character 1");
    assert_eq!(refusal("day to $b"), "unexpected 'to' at character 5");
    assert_eq!(refusal("$a to day"), "an instant is needed here, found a range at character 7");
    assert_eq!(refusal("$a ; $b"), "unexpected character ';' at character 4");
    assert_eq!(refusal("2h30m"), "unexpected a number at character 1");
    assert_eq!(refusal("day + 2h30m"), "unexpected 'h30m' at character 8");
}

#[test]
fn nesting_and_length_are_bounded() {
    let nested = |depth: usize| format!("{}$a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Expression::parse(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(refusal(&nested(MAX_DEPTH + 1)), "parentheses deeper than 100 at character 101");
    assert!(refusal(&" ".repeat(MAX_LENGTH + 1)).starts_with("time expression longer than 4096 bytes"));
}

/// Pieces from which hostile and sensible texts are thrown together.
const WORDS: [&str; 22] = [
    "day",
    "hour",
    "month",
    "year",
    "(",
    ")",
    "$timestamp",
    "$a",
    "to",
    "+",
    "-",
    "@",
    "1",
    "1d",
    "6h",
    "99mo",
    "400y",
    "0us",
    "$",
    "30m",
    "99999999999999999999s",
    "%",
];

proptest! {
    #[test]
    fn any_text_parses_or_is_refused(text in ".{0,200}") {
        let _ = Expression::parse(&text);
    }

    #[test]
    fn whatever_parses_has_a_value_or_an_error_at_any_time(
        words in prop::collection::vec(prop::sample::select(WORDS.as_slice()), 1..12),
        days in 0_i64..3_652_059,
        micros in 0_i64..86_400_000_000,
    ) {
        let start = NaiveDate::from_ymd_opt(1, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap();
        let t = start + chrono::TimeDelta::days(days) + chrono::TimeDelta::microseconds(micros);
        if let Ok(expression) = Expression::parse(&words.join(" "))
            && let Ok(times) = expression.evaluate(&[("timestamp", t), ("a", start)])
        {
            prop_assert!((1..=9999).contains(&chrono::Datelike::year(&times.timestamp())));
        }
    }

    #[test]
    fn pinned_range_contains_its_instant(hours in 0_u32..5000, minutes in 0_u32..5000, micros in 0_i64..3_000_000_000_000_000) {
        let t = calendar::from_micros(micros).unwrap();
        let text = format!("day + {hours}h {minutes}m");
        let moved = Expression::parse(&text).unwrap().evaluate(&[("timestamp", t)]).unwrap();
        prop_assert!(moved.contains(t));
        prop_assert_eq!(ends(&moved).map(|(begin, end)| end - begin), Some(chrono::TimeDelta::days(1)));
    }
}
