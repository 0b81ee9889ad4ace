//! How long a permission check takes for a principal with many patterns. The limit is 20 µs with 1 000 patterns; the peer,
//! measured in the same run, is looking at one pattern after the other. Figures are in `README.md`.
#![allow(clippy::print_stdout, clippy::cast_precision_loss, reason = "a benchmark prints figures")]

use shared::permission::{Patterns, matches};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Checks in one run, and runs of which the fastest counts.
const CHECKS: u32 = 10_000;
const RUNS: usize = 7;

/// Microseconds that a check may take.
const LIMIT_MICROS: f64 = 20.0;

fn id(number: usize) -> String {
    format!("{number:08x}-5a0f-4c38-9d3c-3a2b7b3c7f10")
}

/// Patterns as users have them: most about one thing, some about all, and as a hard case many that begin with `...`,
/// so that every word may be the next of each.
fn patterns(count: usize, hard: bool) -> Vec<String> {
    let pattern = |number: usize| match number % 10 {
        0 if hard => format!("...->{}->...->edit", id(number)),
        1 if hard => format!("_->...->{}", id(number)),
        0 => format!("vms->{}->...", id(number)),
        1 => format!("hypervisors->_->{}", id(number)),
        2 | 3 => format!("annotations->{}->get", id(number)),
        4 | 5 => format!("streams->{}->_", id(number)),
        _ => format!("dtraces->{}->get", id(number)),
    };
    (0..count).map(pattern).collect()
}

fn fastest(check: impl Fn() -> bool) -> f64 {
    let run = || {
        let started = Instant::now();
        for _ in 0..CHECKS {
            black_box(check());
        }
        started.elapsed()
    };
    let fastest = (0..RUNS).map(|_| run()).min().unwrap_or(Duration::MAX);
    fastest.as_secs_f64() * 1e6 / f64::from(CHECKS)
}

fn main() {
    println!(
        "{:<10} {:>9} {:<14} {:>10} {:>14} {:>8}",
        "patterns", "count", "permission", "check µs", "one by one µs", "ratio"
    );
    let mut is_slow = false;
    for (name, hard) in [("ordinary", false), ("hard", true)] {
        for count in [10, 100, 1000] {
            let list = patterns(count, hard);
            let set: Patterns = list.iter().collect();
            let last = id(count - 1);
            for (kind, words) in [
                ("held", vec!["dtraces", last.as_str(), "get"]),
                ("not held", vec!["dtraces", last.as_str(), "delete"]),
                ("long", vec!["dtraces", last.as_str(), "metadata", "a", "b", "c", "d", "e", "f", "edit"]),
            ] {
                let by_set = fastest(|| set.allows(black_box(&words)));
                let by_list = fastest(|| list.iter().any(|pattern| matches(black_box(&words), pattern)));
                assert_eq!(set.allows(&words), list.iter().any(|pattern| matches(&words, pattern)));
                println!(
                    "{name:<10} {count:>9} {kind:<14} {by_set:>10.2} {by_list:>14.2} {:>7.0}x",
                    by_list / by_set
                );
                is_slow |= by_set > LIMIT_MICROS;
            }
        }
    }
    let made = fastest_making();
    println!("making 1000 patterns ready: {made:.0} µs, at most twice a second for each caller and worker");
    assert!(!is_slow, "a check took more than {LIMIT_MICROS} µs");
}

/// Microseconds to make a thousand patterns ready.
fn fastest_making() -> f64 {
    let list = patterns(1000, false);
    let make = || {
        let started = Instant::now();
        black_box(list.iter().collect::<Patterns>());
        started.elapsed()
    };
    (0..50).map(|_| make()).min().unwrap_or(Duration::MAX).as_secs_f64() * 1e6
}
