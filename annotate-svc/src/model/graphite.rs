//! Times as Graphite's `from` and `until` have them.

use super::stamp::Stamp;
use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, NaiveTime, Utc};

/// Reads `now`, `-24h`, seconds since 1970, `20160224`, `HH:MM_YYYYMMDD`; `None` for anything else.
#[must_use]
pub fn graphite_time(text: &str, now: DateTime<Utc>) -> Option<Stamp> {
    if text == "now" {
        return Some(Stamp::utc(now));
    }
    if let Some(age) = text.strip_prefix('-') {
        return Some(Stamp::utc(now.checked_sub_signed(age_of(age)?)?));
    }
    let day = |text: &str| NaiveDate::parse_from_str(text, "%Y%m%d").ok().filter(|_| text.len() == 8);
    if let Some((time, date)) = text.split_once('_') {
        let time = NaiveTime::parse_from_str(time, "%H:%M").ok()?;
        return Some(Stamp::utc(NaiveDateTime::new(day(date)?, time).and_utc()));
    }
    match day(text) {
        Some(day) => Some(Stamp::utc(day.and_time(NaiveTime::MIN).and_utc())),
        None => Stamp::epoch(text.parse().ok()?),
    }
}

/// `24h`, `7d`, `30min`: a number and a unit.
fn age_of(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let number: i64 = number.parse().ok()?;
    let secs = match unit {
        "s" | "sec" | "second" | "seconds" => 1,
        "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 7 * 86_400,
        "mon" | "month" | "months" => 30 * 86_400,
        "y" | "year" | "years" => 365 * 86_400,
        _ => return None,
    };
    Duration::try_seconds(number.checked_mul(secs)?)
}
