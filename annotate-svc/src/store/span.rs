//! Classes of durations. Inside a class every annotation is at most so long, so that those of a window begin in a
//! range of times: a window is a few range reads on (span, start), wherever in time it lies.

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// Longest duration of each class in microseconds. The last holds everything.
pub(super) const LONGEST: [i64; 7] =
    [60 * MINUTE, DAY, 8 * DAY, 64 * DAY, 512 * DAY, 4096 * DAY, 4_000_000 * DAY];

/// The class of a duration.
pub(super) fn span(micros: i64) -> i64 {
    let class = LONGEST.iter().position(|longest| micros <= *longest).unwrap_or(LONGEST.len() - 1);
    i64::try_from(class).unwrap_or(i64::MAX)
}
