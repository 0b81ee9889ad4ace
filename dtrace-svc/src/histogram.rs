//! Histograms: buckets that add up, their form in messages, percentiles, and bars for a terminal.

use crate::executor::Bucket;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Counts of values by ranges, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<(i64, i64), u64>);

impl Extend<Bucket> for Histogram {
    fn extend<I: IntoIterator<Item = Bucket>>(&mut self, buckets: I) {
        for Bucket { low, high, count } in buckets {
            if count > 0 {
                let sum = self.0.entry((low, high)).or_default();
                *sum = sum.saturating_add(count);
            }
        }
    }
}

impl Histogram {
    /// The filled buckets, lowest first.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> {
        self.0.iter().map(|((low, high), count)| Bucket { low: *low, high: *high, count: *count })
    }

    /// How many buckets are filled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many values were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The upper end of the bucket in which the `share` (0 to 1) of all values is reached: no value of that share is
    /// greater. Of a bucket that is open above, its lower end.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Option<i64> {
        #[expect(
            clippy::as_conversions,
            reason = "a count past 2^53 loses its last digits, which changes no bucket"
        )]
        let needed = (share.clamp(0.0, 1.0) * self.total() as f64).ceil().max(1.0);
        let mut sum = 0_u64;
        self.buckets().find_map(|Bucket { low, high, count }| {
            sum = sum.saturating_add(count);
            #[expect(clippy::as_conversions, reason = "as above")]
            let is_reached = sum as f64 >= needed;
            is_reached.then_some(if high == i64::MAX { low } else { high })
        })
    }

    /// The buckets as they stand in messages: `{"low-high": count}`.
    #[must_use]
    pub fn message(&self) -> Map<String, Value> {
        self.0.iter().map(|((low, high), count)| (format!("{low}-{high}"), (*count).into())).collect()
    }

    /// Reads buckets from a message; `None` when a member is no bucket.
    #[must_use]
    pub fn of_message(members: &Map<String, Value>) -> Option<Self> {
        let buckets = members.iter().map(|(range, count)| {
            let (low, high) = range_of(range)?;
            Some(((low, high), count.as_u64()?))
        });
        buckets.collect::<Option<_>>().map(Self)
    }

    /// One line for each bucket: range, count, a bar of up to `width` marks.
    #[must_use]
    pub fn bars(&self, width: usize) -> String {
        let most = self.0.values().copied().max().unwrap_or(1).max(1);
        let label = |Bucket { low, high, .. }: &Bucket| match (*low, *high) {
            (i64::MIN, high) => format!("(..., {high}]"),
            (low, i64::MAX) => format!("[{low}, ...)"),
            (low, high) if low == high => format!("[{low}]"),
            (low, high) => format!("[{low}, {high}]"),
        };
        let rows: Vec<(String, u64)> = self.buckets().map(|bucket| (label(&bucket), bucket.count)).collect();
        let wide = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (label, count) in rows {
            let marks = u128::from(count) * u128::try_from(width).unwrap_or(0) / u128::from(most);
            let bar = "@".repeat(usize::try_from(marks).unwrap_or(width));
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{label:>wide$} {count:>10} |{bar:<width$}|");
        }
        text
    }
}

/// `0-3`, `-8--5`: the second number begins after the first hyphen that follows a digit.
fn range_of(text: &str) -> Option<(i64, i64)> {
    let between = text.char_indices().skip(1).find(|(_, c)| *c == '-')?.0;
    let (low, high) = text.split_at_checked(between)?;
    Some((low.parse().ok()?, high.strip_prefix('-')?.parse().ok()?))
}

/// What stands at the end of a path of keys in a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Leaf {
    /// A histogram.
    Histogram(Histogram),
    /// A number, or a word.
    Value(Value),
}

/// Adds up messages, for whoever shows a run: a terminal, a summary.
#[derive(Debug, Clone, Default)]
pub struct Totals(BTreeMap<Vec<String>, Leaf>);

/// Paths that are kept; further ones are left out.
const MAX_PATHS: usize = 10_000;

impl Totals {
    /// Adds the figures of one message: buckets and whole numbers add up, of anything else the last counts.
    pub fn add(&mut self, message: &Map<String, Value>) {
        self.walk(&mut Vec::new(), message);
    }

    /// All paths with what they have come to.
    pub fn iter(&self) -> impl Iterator<Item = (&[String], &Leaf)> {
        self.0.iter().map(|(path, leaf)| (path.as_slice(), leaf))
    }

    fn walk(&mut self, path: &mut Vec<String>, members: &Map<String, Value>) {
        if members.is_empty() {
            return;
        }
        if let Some(histogram) = Histogram::of_message(members) {
            self.put(path, Leaf::Histogram(histogram));
            return;
        }
        for (key, value) in members {
            path.push(key.clone());
            if let Value::Object(members) = value {
                self.walk(path, members);
            } else {
                self.put(path, Leaf::Value(value.clone()));
            }
            path.pop();
        }
    }

    fn put(&mut self, path: &[String], leaf: Leaf) {
        let has_room = self.0.len() < MAX_PATHS;
        match (self.0.get_mut(path), leaf) {
            (Some(Leaf::Histogram(sum)), Leaf::Histogram(more)) => sum.extend(more.buckets()),
            (Some(Leaf::Value(sum)), Leaf::Value(more)) => {
                *sum = match (sum.as_i64(), more.as_i64()) {
                    (Some(sum), Some(more)) => sum.saturating_add(more).into(),
                    _ => more,
                };
            }
            (Some(other), leaf) => *other = leaf,
            (None, leaf) if has_room => {
                self.0.insert(path.to_vec(), leaf);
            }
            (None, _) => (),
        }
    }

    /// Everything as text for a terminal: each path, then its bars or its value.
    #[must_use]
    pub fn text(&self, width: usize) -> String {
        let mut text = String::new();
        for (path, leaf) in self.iter() {
            // Keys come from the traced programs: nothing of them may steer the terminal.
            let path: String = path.join(" ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let _ = match leaf {
                Leaf::Histogram(histogram) => writeln!(text, "{path}\n{}", histogram.bars(width)),
                Leaf::Value(value) => writeln!(text, "{path} {value}"),
            };
        }
        text
    }

    /// A summary of a run: for each histogram how many values, and percentiles; for anything else its value.
    #[must_use]
    pub fn summary(&self) -> Value {
        let of = |leaf: &Leaf| match leaf {
            Leaf::Histogram(histogram) => serde_json::json!({
                "count": histogram.total(), "p50": histogram.percentile(0.5),
                "p90": histogram.percentile(0.9), "p99": histogram.percentile(0.99),
            }),
            Leaf::Value(value) => value.clone(),
        };
        self.iter().map(|(path, leaf)| serde_json::json!({ "keys": path, "value": of(leaf) })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn histogram(buckets: &[(i64, i64, u64)]) -> Histogram {
        let mut histogram = Histogram::default();
        histogram.extend(buckets.iter().map(|(low, high, count)| Bucket {
            low: *low,
            high: *high,
            count: *count,
        }));
        histogram
    }

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn buckets_add_up_and_empty_ones_are_left_out() {
        let sum = histogram(&[(0, 3, 2), (4, 7, 1), (0, 3, 5), (8, 15, 0)]);
        assert_eq!(sum.message(), object(json!({"0-3": 7, "4-7": 1})));
        assert_eq!((sum.total(), sum.len()), (8, 2));
    }

    #[test]
    fn ranges_are_written_as_the_contract_says() {
        let all = histogram(&[(-8, -5, 1), (0, 3, 2), (i64::MIN, -9, 3), (100, i64::MAX, 4)]);
        let message = object(json!({
            "-9223372036854775808--9": 3, "-8--5": 1, "0-3": 2, "100-9223372036854775807": 4
        }));
        assert_eq!(all.message(), message);
        assert_eq!(Histogram::of_message(&message), Some(all));
        for odd in [json!({"a": 1}), json!({"0-3": "x"}), json!({"0-": 1}), json!({"-": 1}), json!({"": 1})] {
            assert_eq!(Histogram::of_message(&object(odd.clone())), None, "{odd}");
        }
    }

    #[test]
    fn a_percentile_is_the_upper_end_of_the_bucket_that_reaches_it() {
        // 50 values up to 3, 40 up to 7, 9 up to 15, 1 above 100.
        let all = histogram(&[(0, 3, 50), (4, 7, 40), (8, 15, 9), (100, i64::MAX, 1)]);
        let percentiles = [0.0, 0.5, 0.51, 0.9, 0.99, 1.0].map(|share| all.percentile(share).unwrap());
        assert_eq!(percentiles, [3, 3, 7, 7, 15, 100]);
        assert_eq!(Histogram::default().percentile(0.5), None);
    }

    #[test]
    fn bars_are_as_long_as_their_share_of_the_greatest() {
        let text = histogram(&[(i64::MIN, -1, 1), (0, 0, 4), (1, 7, 2)]).bars(8);
        assert_eq!(
            text,
            "(..., -1]          1 |@@      |\n      [0]          4 |@@@@@@@@|\n   [1, 7]          2 |@@@@    |\n"
        );
    }

    #[test]
    fn messages_add_up_by_their_paths() {
        let mut totals = Totals::default();
        totals.add(&object(json!({"bash": {"read": {"0-3": 1}}, "n": 5})));
        totals.add(&object(json!({})));
        totals.add(&object(json!({"bash": {"read": {"0-3": 2, "4-7": 1}, "write": {"0-3": 1}}, "n": -2})));
        let paths: Vec<String> = totals.iter().map(|(path, _)| path.join("/")).collect();
        assert_eq!(paths, ["bash/read", "bash/write", "n"]);
        let summary = json!([
            {"keys": ["bash", "read"], "value": {"count": 4, "p50": 3, "p90": 7, "p99": 7}},
            {"keys": ["bash", "write"], "value": {"count": 1, "p50": 3, "p90": 3, "p99": 3}},
            {"keys": ["n"], "value": 3},
        ]);
        assert_eq!(totals.summary(), summary);
        let mut keyless = Totals::default();
        keyless.add(&object(json!({"0-3": 1})));
        assert_eq!(
            keyless.summary(),
            json!([{"keys": [], "value": {"count": 1, "p50": 3, "p90": 3, "p99": 3}}])
        );
    }

    #[test]
    fn keys_cannot_steer_a_terminal() {
        let mut totals = Totals::default();
        totals.add(&object(json!({"\u{1b}[2J\u{7}x": 1})));
        assert_eq!(totals.text(10), " [2J x 1\n");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(buckets in proptest::collection::vec((any::<i64>(), any::<i64>(), 1..9_u64), 1..9)) {
            let all = histogram(&buckets);
            prop_assert_eq!(Histogram::of_message(&all.message()), Some(all));
        }

        #[test]
        fn no_key_panics(key in "\\PC{0,12}") {
            let _ = range_of(&key);
        }
    }
}
