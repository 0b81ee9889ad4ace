//! Adds up the figures of one tick: those of several servers, and those that come in several pieces.

use crate::executor::{Reading, Sample};
use crate::histogram::Histogram;
use crate::script::{Kind, Scan};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

/// Most key combinations of one message; figures of further ones are dropped and counted as lost.
const MAX_CELLS: usize = 5000;

/// Figures since the last message.
#[derive(Debug)]
pub(super) struct Tally {
    /// Aggregations stand under their names when there are several, else their keys could meet.
    is_named: bool,
    cells: IndexMap<Vec<String>, Cell>,
    lost: u64,
}

#[derive(Debug)]
enum Cell {
    /// The sum (of a mean: of `n` means), the least, the greatest or the last.
    Number(Kind, i64, i64),
    Stats(i64, i64),
    Histogram(Histogram),
    Word(String),
}

impl Tally {
    /// For a script with these aggregations.
    pub(super) fn new(scan: &Scan) -> Self {
        Self { is_named: scan.aggregations.len() > 1, cells: IndexMap::new(), lost: 0 }
    }

    /// Adds figures.
    pub(super) fn add(&mut self, sample: Sample) {
        let Sample { name, mut keys, reading } = sample;
        let is_histogram = matches!(reading, Reading::Buckets(_));
        if self.is_named || (keys.is_empty() && !is_histogram) {
            keys.insert(0, name);
        }
        if is_nothing(&reading) {
            return;
        }
        if self.cells.len() >= MAX_CELLS && !self.cells.contains_key(&keys) {
            self.lost += 1;
            return;
        }
        match self.cells.get_mut(&keys) {
            Some(cell) => cell.add(reading),
            None => {
                self.cells.insert(keys, Cell::of(reading));
            }
        }
    }

    /// Figures that had no room since the last time this was asked.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// The message `{key: {key: {"low-high": count}}}`; the tally is empty afterwards.
    pub(super) fn take(&mut self) -> Map<String, Value> {
        let mut message = Map::new();
        for (path, cell) in self.cells.drain(..) {
            put(&mut message, &path, cell.message());
        }
        message
    }
}

/// Sums and histograms to which nothing was added.
fn is_nothing(reading: &Reading) -> bool {
    match reading {
        Reading::Number(kind, number) => *kind == Kind::Sum && *number == 0,
        Reading::Stats(count, _) => *count == 0,
        Reading::Buckets(buckets) => buckets.iter().all(|bucket| bucket.count == 0),
        Reading::Word(_) => false,
    }
}

impl Cell {
    fn of(reading: Reading) -> Self {
        match reading {
            Reading::Number(kind, number) => Self::Number(kind, number, 1),
            Reading::Stats(count, total) => Self::Stats(count, total),
            Reading::Buckets(buckets) => {
                let mut histogram = Histogram::default();
                histogram.extend(buckets);
                Self::Histogram(histogram)
            }
            Reading::Word(word) => Self::Word(word),
        }
    }

    fn add(&mut self, reading: Reading) {
        match (self, reading) {
            (Self::Number(kind, sum, n), Reading::Number(_, number)) => {
                *sum = match kind {
                    Kind::Min => number.min(*sum),
                    Kind::Max => number.max(*sum),
                    Kind::Last => number,
                    Kind::Sum | Kind::Mean | Kind::Stats | Kind::Histogram => sum.saturating_add(number),
                };
                *n += 1;
            }
            (Self::Stats(count, total), Reading::Stats(more, further)) => {
                (*count, *total) = (count.saturating_add(more), total.saturating_add(further));
            }
            (Self::Histogram(histogram), Reading::Buckets(buckets)) => histogram.extend(buckets),
            // The same keys with figures of another kind: the last counts.
            (cell, reading) => *cell = Self::of(reading),
        }
    }

    fn message(self) -> Value {
        match self {
            Self::Number(Kind::Mean, sum, n) => (sum / n.max(1)).into(),
            Self::Number(_, number, _) => number.into(),
            Self::Stats(count, total) => {
                json!({ "count": count, "average": total / count.max(1), "total": total })
            }
            Self::Histogram(histogram) => histogram.message().into(),
            Self::Word(word) => word.into(),
        }
    }
}

/// Puts a value below its path. Members of a histogram without keys stand at the top.
fn put(object: &mut Map<String, Value>, path: &[String], value: Value) {
    match (path, value) {
        ([], Value::Object(members)) => object.extend(members),
        ([], _) => (),
        ([key], value) => {
            object.insert(key.clone(), value);
        }
        ([key, rest @ ..], value) => {
            let below = object.entry(key.clone()).or_insert_with(|| Map::new().into());
            if let Value::Object(below) = below {
                put(below, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::Bucket;
    use crate::script::{Dialect, scan};

    fn tally(script: &str) -> Tally {
        Tally::new(&scan(script, Dialect::Bpftrace).unwrap())
    }

    fn add(tally: &mut Tally, name: &str, keys: &[&str], reading: Reading) {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        tally.add(Sample { name: name.into(), keys, reading });
    }

    fn buckets(rows: &[(i64, i64, u64)]) -> Reading {
        Reading::Buckets(
            rows.iter().map(|(low, high, count)| Bucket { low: *low, high: *high, count: *count }).collect(),
        )
    }

    #[test]
    fn buckets_of_several_servers_add_up_below_their_keys() {
        let mut tally = tally("@h[a, b] = hist(1)");
        add(&mut tally, "@h", &["bash", "read"], buckets(&[(0, 3, 1), (-8, -5, 2)]));
        add(&mut tally, "@h", &["bash", "read"], buckets(&[(0, 3, 4)]));
        add(&mut tally, "@h", &["bash", "write"], buckets(&[(0, 3, 1), (4, 7, 0)]));
        add(&mut tally, "@h", &["cat", "read"], buckets(&[]));
        let expected = json!({"bash": {"read": {"-8--5": 2, "0-3": 5}, "write": {"0-3": 1}}});
        assert_eq!(Value::from(tally.take()), expected);
        assert_eq!(Value::from(tally.take()), json!({}));
    }

    #[test]
    fn without_keys_buckets_stand_at_the_top_and_numbers_below_the_name() {
        let mut one = tally("@h = hist(1)");
        add(&mut one, "@h", &[], buckets(&[(0, 3, 1)]));
        assert_eq!(Value::from(one.take()), json!({"0-3": 1}));
        let mut one = tally("@n = count()");
        add(&mut one, "@n", &[], Reading::Number(Kind::Sum, 2));
        assert_eq!(Value::from(one.take()), json!({"@n": 2}));
    }

    #[test]
    fn several_aggregations_stand_below_their_names() {
        let mut both = tally("@h[x] = hist(1); @n[x] = count();");
        add(&mut both, "@h", &["bash"], buckets(&[(0, 3, 1)]));
        add(&mut both, "@n", &["bash"], Reading::Number(Kind::Sum, 2));
        assert_eq!(Value::from(both.take()), json!({"@h": {"bash": {"0-3": 1}}, "@n": {"bash": 2}}));
    }

    #[test]
    fn each_kind_goes_together_in_its_own_way() {
        let mut all = tally("@a[1] = sum(1); @b[1] = min(1)");
        for (kind, numbers, expected) in [
            (Kind::Sum, [3, -5, 4], 2),
            (Kind::Min, [3, -5, 4], -5),
            (Kind::Max, [3, -5, 4], 4),
            (Kind::Mean, [3, -5, 8], 2),
            (Kind::Last, [3, -5, 4], 4),
            (Kind::Sum, [i64::MAX, 1, 1], i64::MAX),
        ] {
            for number in numbers {
                add(&mut all, "@a", &["k"], Reading::Number(kind, number));
            }
            assert_eq!(Value::from(all.take()), json!({"@a": {"k": expected}}), "{kind:?}");
        }
        add(&mut all, "@s", &["k"], Reading::Stats(2, 10));
        add(&mut all, "@s", &["k"], Reading::Stats(1, 2));
        assert_eq!(Value::from(all.take()), json!({"@s": {"k": {"count": 3, "average": 4, "total": 12}}}));
    }

    #[test]
    fn sums_of_nothing_are_left_out() {
        let mut one = tally("@n = count()");
        add(&mut one, "@n", &[], Reading::Number(Kind::Sum, 0));
        assert_eq!(Value::from(one.take()), json!({}));
    }

    #[test]
    fn a_tick_has_room_for_so_many_keys_and_counts_the_rest() {
        let mut one = tally("@n[pid] = count()");
        for pid in 0..MAX_CELLS + 5 {
            add(&mut one, "@n", &[&pid.to_string()], Reading::Number(Kind::Sum, 1));
        }
        add(&mut one, "@n", &["0"], Reading::Number(Kind::Sum, 1));
        assert_eq!(one.take_lost(), 5);
        let message = one.take();
        assert_eq!((message.len(), &message["0"]), (MAX_CELLS, &json!(2)));
    }
}
