//! Reads the text that `printa` writes: one line per key for numbers, a small table per key for distributions.
//!
//! ```text
//!   bash
//!            value  ------------- Distribution ------------- count
//!                0 |                                         0
//!                1 |@@@@@@@@@@@@@@@@@@@@                     5
//!                2 |                                         0
//! ```
//! A row's bucket ends where the next row begins; DTrace writes the empty row after the last one.

use crate::executor::{Bucket, Event, Reading, Sample};
use crate::script::{Aggregation, Kind, Scan};

/// Reads the output of one run.
pub(super) struct Tables {
    scan: Scan,
    mark: String,
    /// The aggregation that is being printed.
    current: Option<Aggregation>,
    keys: Vec<String>,
    rows: Option<Vec<Row>>,
}

/// One row of a distribution.
#[derive(Clone, Copy)]
struct Row {
    low: i64,
    is_below: bool,
    is_above: bool,
    count: u64,
}

impl Tables {
    /// For a script with these aggregations; lines that begin with `mark` are ours.
    pub(super) fn new(scan: Scan, mark: String) -> Self {
        Self { scan, mark, current: None, keys: Vec::new(), rows: None }
    }

    /// The events of one line.
    pub(super) fn read(&mut self, line: &str) -> Vec<Event> {
        if let Some(word) = line.strip_prefix(&self.mark).and_then(|rest| rest.strip_prefix(' ')) {
            let word = word.trim().to_owned();
            return self.marked(&word);
        }
        let Some(aggregation) = self.current.clone() else {
            return if line.trim().is_empty() { Vec::new() } else { vec![Event::Line(line.to_owned())] };
        };
        if aggregation.kind == Kind::Histogram {
            return self.distribution(line).into_iter().collect();
        }
        number(line)
            .map(|(keys, number)| self.sample(split_keys(keys, aggregation.keys), number))
            .into_iter()
            .collect()
    }

    /// A line of ours: the start, an aggregation's name, or the end of a tick.
    fn marked(&mut self, word: &str) -> Vec<Event> {
        let mut events: Vec<Event> = self.end_of_table().into_iter().collect();
        self.current = self.scan.find(word).cloned();
        match word {
            "started" => events.push(Event::Started),
            "tick" => events.push(Event::Tick),
            _ => (),
        }
        events
    }

    /// A line of a distribution. Its end is seen only at the next key or mark.
    fn distribution(&mut self, line: &str) -> Option<Event> {
        if let (Some(rows), Some(row)) = (&mut self.rows, Row::read(line)) {
            rows.push(row);
            return None;
        }
        if line.contains("- Distribution -") {
            self.rows = Some(Vec::new());
            return None;
        }
        let finished = self.end_of_table();
        if !line.trim().is_empty() {
            let keys = self.current.as_ref().map_or(0, |aggregation| aggregation.keys);
            self.keys = split_keys(line, keys);
        }
        finished
    }

    fn end_of_table(&mut self) -> Option<Event> {
        let buckets = buckets(&self.rows.take()?);
        let keys = std::mem::take(&mut self.keys);
        let name = self.current.as_ref()?.name.clone();
        Some(Event::Sample(Sample { name, keys, reading: Reading::Buckets(buckets) }))
    }

    fn sample(&self, keys: Vec<String>, number: i64) -> Event {
        let (name, kind) =
            self.current.as_ref().map_or((String::new(), Kind::Sum), |one| (one.name.clone(), one.kind));
        Event::Sample(Sample { name, keys, reading: Reading::Number(kind, number) })
    }
}

impl Row {
    fn read(line: &str) -> Option<Self> {
        let (value, bar) = line.split_once('|')?;
        let value = value.trim();
        let (is_below, is_above) = (value.starts_with('<'), value.starts_with(">="));
        let low = value.trim_start_matches(['<', '>', '=', ' ']).parse().ok()?;
        let count = bar.split_whitespace().next_back()?.parse().ok()?;
        Some(Self { low, is_below, is_above, count })
    }
}

/// The filled rows as buckets.
fn buckets(rows: &[Row]) -> Vec<Bucket> {
    let next = rows.iter().skip(1).map(Some).chain([None]);
    let ranged = rows.iter().zip(next).map(|(row, next)| {
        let (low, high) = match (row.is_below, next) {
            // `< n`: everything below n.
            (true, _) => (i64::MIN, row.low.saturating_sub(1)),
            _ if row.is_above => (row.low, i64::MAX),
            (_, Some(next)) => (row.low, next.low.saturating_sub(1)),
            // The last row of a quantize that fills the range: a power of two and up.
            (_, None) => (row.low, row.low.saturating_mul(2).saturating_sub(1).max(row.low)),
        };
        Bucket { low, high, count: row.count }
    });
    ranged.filter(|bucket| bucket.count > 0).collect()
}

/// The last word of a line is its number, the rest its keys.
fn number(line: &str) -> Option<(&str, i64)> {
    let line = line.trim();
    let (keys, number) = line.rsplit_once(char::is_whitespace).unwrap_or(("", line));
    Some((keys, number.parse().ok()?))
}

/// Keys stand in columns, at least two blanks apart; a single key may hold blanks of its own.
fn split_keys(text: &str, count: usize) -> Vec<String> {
    match count {
        0 => Vec::new(),
        1 => vec![text.trim().to_owned()],
        _ => text.split("  ").map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Dialect, scan};
    use proptest::prelude::*;

    fn tables() -> Tables {
        let script = "BEGIN { @q[execname] = quantize(1); @l = lquantize(1, 0, 100, 10); @n[pid, execname] = count(); \
                      @all = sum(1); }";
        Tables::new(scan(script, Dialect::D).unwrap(), "M".into())
    }

    fn read(text: &str) -> Vec<Event> {
        let mut tables = tables();
        text.lines().flat_map(|line| tables.read(line)).collect()
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

    // The tables below have the form that the DTrace guide shows for printa, quantize and lquantize.

    #[test]
    fn quantize_has_a_table_for_each_key() {
        let text = "M started
M @q

  bash                                              
           value  ------------- Distribution ------------- count    
              -2 |                                         0        
              -1 |@@@@@@                                   3        
               0 |@@@@@@@@@@@@@@@@@@@                      8        
               1 |                                         0        
               2 |@@@@@@                                   3        
               4 |                                         0        

  Web Content                                       
           value  ------------- Distribution ------------- count    
            2048 |                                         0        
            4096 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@ 1        
            8192 |                                         0        

M tick";
        assert_eq!(
            read(text),
            [
                Event::Started,
                sample("@q", &["bash"], buckets(&[(-1, -1, 3), (0, 0, 8), (2, 3, 3)])),
                sample("@q", &["Web Content"], buckets(&[(4096, 8191, 1)])),
                Event::Tick
            ]
        );
    }

    #[test]
    fn lquantize_has_open_ends() {
        let text = "M @l


           value  ------------- Distribution ------------- count    
             < 0 |@@@@                                     1        
               0 |                                         0        
              10 |@@@@@@@@                                 2        
              20 |                                         0        
           >= 100 |@@@@@@@@@@@@@@@@@@@@@@@@@@@              7        

M tick";
        assert_eq!(
            read(text),
            [sample("@l", &[], buckets(&[(i64::MIN, -1, 1), (10, 19, 2), (100, i64::MAX, 7)])), Event::Tick]
        );
    }

    #[test]
    fn numbers_come_one_a_line_after_their_keys() {
        let text = "M @n

             1234  bash                                                             12
                7  Web Content                                                       3
M @all

               42
M tick";
        assert_eq!(
            read(text),
            [
                sample("@n", &["1234", "bash"], Reading::Number(Kind::Sum, 12)),
                sample("@n", &["7", "Web Content"], Reading::Number(Kind::Sum, 3)),
                sample("@all", &[], Reading::Number(Kind::Sum, 42)),
                Event::Tick
            ]
        );
    }

    #[test]
    fn text_outside_of_our_marks_is_the_scripts_own() {
        assert_eq!(
            read("hello\n\nM @all\n 1\nM tick\nworld"),
            [
                Event::Line("hello".into()),
                sample("@all", &[], Reading::Number(Kind::Sum, 1)),
                Event::Tick,
                Event::Line("world".into())
            ]
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(M (@q|@l|@n|tick)\n|[|@<>= 0-9a-z-]{0,30}\n| - Distribution - \n){0,20}") {
            let _ = read(&text);
        }
    }
}
