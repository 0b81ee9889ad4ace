//! Bounds of numbers in the settings: below them nobody is answered, above them clocks and counters end.

use super::{Limits, Timeouts, check};
use shared::config::ConfigError;
use std::ops::RangeInclusive;

/// Longest time of any kind in seconds: a day.
const LONGEST_SECS: u64 = 86_400;

/// Longest time for a connection in milliseconds.
const LONGEST_CONNECT_MILLIS: u64 = 60_000;

/// Most of anything that is counted.
const MOST: u64 = 1_000_000;

/// Most bytes of a body: a tebibyte.
const MOST_BYTES: u64 = 1 << 40;

/// Refuses limits that would answer nobody, or that cannot be counted.
///
/// # Errors
/// [`ConfigError::Conflict`] naming the key.
pub(super) fn check_limits(limits: &Limits) -> Result<(), ConfigError> {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    check_all(
        "gateway.limits",
        [
            ("max_connections", number(limits.max_connections), 1..=MOST),
            ("max_header_bytes", number(limits.max_header_bytes), 8192..=1_048_576),
            ("max_body_bytes", limits.max_body_bytes, 1..=MOST_BYTES),
            ("max_ingest_bytes", limits.max_ingest_bytes, 1..=MOST_BYTES),
            ("max_upload_bytes", limits.max_upload_bytes, 1..=MOST_BYTES),
            ("max_in_flight", number(limits.max_in_flight), 1..=MOST),
            ("max_uploads", number(limits.max_uploads), 1..=MOST),
            ("max_streams", number(limits.max_streams), 1..=MOST),
            ("requests_per_sec", limits.requests_per_sec.into(), 0..=MOST),
            ("min_body_bytes_per_sec", limits.min_body_bytes_per_sec, 0..=MOST),
            ("login_failures_per_min", limits.login_failures_per_min.into(), 0..=MOST),
        ],
    )
}

/// Refuses times in which nothing can be done, or that no clock can hold.
///
/// # Errors
/// [`ConfigError::Conflict`] naming the key.
pub(super) fn check_timeouts(timeouts: &Timeouts) -> Result<(), ConfigError> {
    check_all(
        "gateway.timeouts",
        [
            ("connect_millis", timeouts.connect_millis, 1..=LONGEST_CONNECT_MILLIS),
            ("answer_secs", timeouts.answer_secs, 1..=LONGEST_SECS),
            ("ingest_secs", timeouts.ingest_secs, 1..=LONGEST_SECS),
            ("upload_secs", timeouts.upload_secs, 1..=LONGEST_SECS),
            ("idle_secs", timeouts.idle_secs, 1..=LONGEST_SECS),
            ("client_secs", timeouts.client_secs, 1..=LONGEST_SECS),
            ("keep_alive_secs", timeouts.keep_alive_secs, 1..=LONGEST_SECS),
        ],
    )
}

fn check_all<const N: usize>(
    section: &str,
    values: [(&str, u64, RangeInclusive<u64>); N],
) -> Result<(), ConfigError> {
    for (key, value, range) in values {
        let (least, most) = (range.start(), range.end());
        check(
            range.contains(&value),
            &format!("{section}.{key}: expected {least} to {most}, found {value}"),
        )?;
    }
    Ok(())
}
