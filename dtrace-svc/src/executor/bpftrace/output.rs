//! Reads bpftrace's JSON lines (`-f json`), recorded from version 0.17.

use crate::executor::{Bucket, Event, Reading, Sample};
use crate::script::{Kind, Scan};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;

/// One line.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// One row of a histogram. Without `min` it takes everything below, without `max` everything above.
#[derive(Deserialize)]
struct Row {
    min: Option<i64>,
    max: Option<i64>,
    count: u64,
}

/// What `stats` prints.
#[derive(Deserialize)]
struct Stats {
    count: i64,
    total: i64,
}

/// The members of an object in their order. bpftrace writes two keys with the same text twice, and both count.
struct Members<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Collect<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Collect<T> {
            type Value = Members<T>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        reader.deserialize_map(Collect(PhantomData))
    }
}

/// Reads the output of one run.
pub(super) struct Output {
    scan: Scan,
    mark: String,
}

impl Output {
    /// For a script with these aggregations; a printed `mark` is the end of a tick.
    pub(super) fn new(scan: Scan, mark: String) -> Self {
        Self { scan, mark }
    }

    /// The events of one line. What cannot be read is passed on as text.
    pub(super) fn read(&mut self, line: &str) -> Vec<Event> {
        let line = line.trim();
        if line.is_empty() {
            return Vec::new();
        }
        let events = serde_json::from_str::<Line<'_>>(line).ok().and_then(|line| self.events(&line));
        events.unwrap_or_else(|| vec![Event::Line(line.to_owned())])
    }

    fn events(&self, line: &Line<'_>) -> Option<Vec<Event>> {
        let data = line.data.get();
        Some(match line.kind {
            "attached_probes" => vec![Event::Started],
            "map" | "hist" | "stats" => {
                let Members(maps) = serde_json::from_str::<Members<&RawValue>>(data).ok()?;
                maps.iter().filter_map(|(name, value)| self.samples(name, value.get())).flatten().collect()
            }
            "lost_events" => {
                let lost: Value = serde_json::from_str(data).ok()?;
                vec![Event::Lost(lost.get("events")?.as_u64()?)]
            }
            _ => {
                let text = serde_json::from_str::<String>(data).unwrap_or_else(|_other| data.to_owned());
                let text = text.strip_suffix('\n').unwrap_or(&text);
                vec![if text == self.mark { Event::Tick } else { Event::Line(text.to_owned()) }]
            }
        })
    }

    /// The samples of one map; none of a map that is a variable of the script's (bpftrace prints all at the end).
    fn samples(&self, name: &str, value: &str) -> Option<Vec<Event>> {
        let aggregation = self.scan.find(name)?;
        let sample =
            |keys: Vec<String>, reading| Event::Sample(Sample { name: name.to_owned(), keys, reading });
        if aggregation.keys == 0 {
            return Some(vec![sample(Vec::new(), reading(aggregation.kind, value)?)]);
        }
        let Members(keyed) = serde_json::from_str::<Members<&RawValue>>(value).ok()?;
        let samples = keyed.into_iter().filter_map(|(keys, value)| {
            // Several keys come joined. A key with a comma of its own goes to the last.
            let keys = keys.splitn(aggregation.keys, ',').map(str::to_owned).collect();
            Some(sample(keys, reading(aggregation.kind, value.get())?))
        });
        Some(samples.collect())
    }
}

fn reading(kind: Kind, value: &str) -> Option<Reading> {
    match kind {
        Kind::Histogram => {
            let rows: Vec<Row> = serde_json::from_str(value).ok()?;
            let buckets = rows.iter().filter(|row| row.count > 0).map(|row| Bucket {
                low: row.min.unwrap_or(i64::MIN),
                high: row.max.unwrap_or(i64::MAX),
                count: row.count,
            });
            Some(Reading::Buckets(buckets.collect()))
        }
        Kind::Stats => {
            let Stats { count, total } = serde_json::from_str(value).ok()?;
            Some(Reading::Stats(count, total))
        }
        Kind::Sum | Kind::Min | Kind::Max | Kind::Mean | Kind::Last => {
            let value: Value = serde_json::from_str(value).ok()?;
            match (value.as_i64(), value.as_str()) {
                (Some(number), _) => Some(Reading::Number(kind, number)),
                (None, Some(word)) => Some(Reading::Word(word.to_owned())),
                // Numbers past 64 bits with sign, lists of newer versions.
                (None, None) => Some(Reading::Word(value.to_string())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Dialect, scan};
    use proptest::prelude::*;

    const SCRIPT: &str = "BEGIN { @n = count(); @h = hist(1); @k[comm, pid] = lhist(1, 0, 200, 50); @a = avg(1); \
                          @s = stats(1); @ks[pid] = stats(1); @m[comm] = max(1); @w[1] = comm; print(@w); \
                          @sym[usym(1)] = count(); @l = lhist(1, 0, 10, 3); @state[tid] = 1; }";

    fn read(line: &str) -> Vec<Event> {
        Output::new(scan(SCRIPT, Dialect::Bpftrace).unwrap(), "quintet-tick-1".into()).read(line)
    }

    fn sample(name: &str, keys: &[&str], reading: Reading) -> Event {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        Event::Sample(Sample { name: name.to_owned(), keys, reading })
    }

    fn buckets(rows: &[(i64, i64, u64)]) -> Reading {
        Reading::Buckets(
            rows.iter().map(|(low, high, count)| Bucket { low: *low, high: *high, count: *count }).collect(),
        )
    }

    // The lines below are recorded from bpftrace 0.17.

    #[test]
    fn maps_become_numbers() {
        assert_eq!(
            read(r#"{"type": "map", "data": {"@n": 10}}"#),
            [sample("@n", &[], Reading::Number(Kind::Sum, 10))]
        );
        assert_eq!(
            read(r#"{"type": "map", "data": {"@m": {"bash": 74, "cat": 3}}}"#),
            [
                sample("@m", &["bash"], Reading::Number(Kind::Max, 74)),
                sample("@m", &["cat"], Reading::Number(Kind::Max, 3))
            ]
        );
        assert_eq!(
            read(r#"{"type": "map", "data": {"@w": {"1": "python"}}}"#),
            [sample("@w", &["1"], Reading::Word("python".into()))]
        );
    }

    #[test]
    fn histograms_become_buckets_with_open_ends() {
        let line = r#"{"type": "hist", "data": {"@h": [{"max": -1, "count": 10}, {"min": 0, "max": 0, "count": 0}, {"min": 2, "max": 3, "count": 7}]}}"#;
        assert_eq!(read(line), [sample("@h", &[], buckets(&[(i64::MIN, -1, 10), (2, 3, 7)]))]);
        let line = r#"{"type": "hist", "data": {"@l": [{"max": -1, "count": 1}, {"min": 3, "max": 5, "count": 2}, {"min": 10, "count": 20}]}}"#;
        assert_eq!(
            read(line),
            [sample("@l", &[], buckets(&[(i64::MIN, -1, 1), (3, 5, 2), (10, i64::MAX, 20)]))]
        );
        let line = r#"{"type": "hist", "data": {"@k": {"rustc,17033": [{"min": 100, "max": 149, "count": 1}], "a,b,9": [{"min": 200, "count": 2}]}}}"#;
        assert_eq!(
            read(line),
            [
                sample("@k", &["rustc", "17033"], buckets(&[(100, 149, 1)])),
                sample("@k", &["a", "b,9"], buckets(&[(200, i64::MAX, 2)]))
            ]
        );
    }

    #[test]
    fn stats_and_averages() {
        assert_eq!(
            read(r#"{"type": "stats", "data": {"@a": 3}}"#),
            [sample("@a", &[], Reading::Number(Kind::Mean, 3))]
        );
        assert_eq!(
            read(r#"{"type": "stats", "data": {"@s": {"count": 10, "average": 5, "total": 50}}}"#),
            [sample("@s", &[], Reading::Stats(10, 50))]
        );
        assert_eq!(
            read(r#"{"type": "stats", "data": {"@ks": {"7": {"count": 1, "average": 5, "total": 5}}}}"#),
            [sample("@ks", &["7"], Reading::Stats(1, 5))]
        );
    }

    #[test]
    fn a_key_that_comes_twice_counts_twice() {
        let line = r#"{"type": "map", "data": {"@sym": {"malloc": 1, "malloc": 740}}}"#;
        assert_eq!(
            read(line),
            [
                sample("@sym", &["malloc"], Reading::Number(Kind::Sum, 1)),
                sample("@sym", &["malloc"], Reading::Number(Kind::Sum, 740))
            ]
        );
    }

    #[test]
    fn the_other_lines() {
        assert_eq!(read(r#"{"type": "attached_probes", "data": {"probes": 2}}"#), [Event::Started]);
        assert_eq!(read(r#"{"type": "printf", "data": "a\"b\\\n"}"#), [Event::Line("a\"b\\".into())]);
        assert_eq!(read(r#"{"type": "time", "data": "08:17:06\n"}"#), [Event::Line("08:17:06".into())]);
        assert_eq!(read(r#"{"type": "printf", "data": "quintet-tick-1\n"}"#), [Event::Tick]);
        assert_eq!(
            read(r#"{"type": "printf", "data": "quintet-tick-2\n"}"#),
            [Event::Line("quintet-tick-2".into())]
        );
        assert_eq!(read(r#"{"type": "lost_events", "data": {"events": 12}}"#), [Event::Lost(12)]);
        assert_eq!(read(""), []);
        assert_eq!(read("Attaching"), [Event::Line("Attaching".into())]);
        // A variable of the script's, printed at the end.
        assert_eq!(read(r#"{"type": "map", "data": {"@state": {"5951": 3307004667424}}}"#), []);
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "\\PC{0,60}", data in "[@a-z0-9{}\\[\\]\":, -]{0,40}") {
            let _ = read(&line);
            for kind in ["map", "hist", "stats", "printf", "lost_events", "x"] {
                let _ = read(&format!(r#"{{"type": "{kind}", "data": {data}}}"#));
            }
        }
    }
}
