//! An instant with the zone offset it was given in.

use super::go::time::{parse_int, parse_rfc3339};
use chrono::{DateTime, FixedOffset, TimeZone, Utc};
use serde::{Deserialize, Serialize};

/// First and last whole second that a date may have: the years 0 to 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

/// First and last second of all instants there are: with an offset, those of the first and last day lie beyond.
pub(super) const INSTANTS: std::ops::RangeInclusive<i64> =
    *SECONDS.start() - LARGEST_OFFSET_SECS..=*SECONDS.end() + LARGEST_OFFSET_SECS;

/// Of a date, see [`Stamp::offset_secs`].
const LARGEST_OFFSET_SECS: i64 = 25 * 3600;

/// Go's zero time, the first instant of the year 1: a date that was not set.
const UNSET_MICROS: i64 = -62_135_596_800_000_000;

/// An instant, to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Microseconds since 1970, UTC.
    pub micros: i64,
    /// East of UTC, within a day and an hour.
    pub offset_secs: i32,
}

/// The two forms of dates on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// `"2016-02-24T22:08:41-05:00"`
    #[default]
    Rfc3339,
    /// `1456369836`
    Epoch,
}

impl Stamp {
    /// An instant in UTC.
    #[must_use]
    pub fn utc(instant: DateTime<Utc>) -> Self {
        Self { micros: instant.timestamp_micros(), offset_secs: 0 }
    }

    /// Whole seconds since 1970; `None` beyond [`SECONDS`].
    #[must_use]
    pub fn epoch(seconds: i64) -> Option<Self> {
        SECONDS.contains(&seconds).then(|| Self { micros: seconds * 1_000_000, offset_secs: 0 })
    }

    /// Milliseconds since 1970; `None` beyond [`SECONDS`].
    #[must_use]
    pub fn epoch_millis(millis: i64) -> Option<Self> {
        SECONDS.contains(&millis.div_euclid(1000)).then(|| Self { micros: millis * 1000, offset_secs: 0 })
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub fn secs(&self) -> i64 {
        self.micros.div_euclid(1_000_000)
    }

    /// Whole milliseconds since 1970, rounded down.
    #[must_use]
    pub fn millis(&self) -> i64 {
        self.micros.div_euclid(1000)
    }

    /// Whether this is Go's zero time, which the original takes for "not set".
    #[must_use]
    pub fn is_unset(&self) -> bool {
        self.micros == UNSET_MICROS
    }

    /// RFC 3339 to the second, in the offset it was given in.
    #[must_use]
    pub fn rfc3339(&self) -> String {
        let utc = DateTime::from_timestamp(self.secs(), 0).unwrap_or_default();
        let zone = FixedOffset::east_opt(self.offset_secs);
        match zone.filter(|zone| zone.local_minus_utc() != 0) {
            None => utc.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Some(zone) => zone.from_utc_datetime(&utc.naive_utc()).format("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        }
    }
}

/// Reads a date of a query: RFC 3339 or whole seconds.
///
/// # Errors
/// Both reasons, in Go's words.
pub fn parse_either(value: &str) -> Result<Stamp, String> {
    parse_rfc3339(value).or_else(|first| {
        let seconds = parse_int(value).map_err(|second| format!("{first}, {second}"))?;
        // A window may begin before and end after all dates there are.
        let seconds = seconds.clamp(*INSTANTS.start(), *INSTANTS.end());
        Ok(Stamp { micros: seconds * 1_000_000, offset_secs: 0 })
    })
}
