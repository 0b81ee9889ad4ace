//! Date arithmetic in whole microseconds within the years 1 to 9999; `None` is "no such date".

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::duration::{Duration, Unit};

const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

/// Microseconds since 1970.
pub(super) fn to_micros(at: NaiveDateTime) -> i64 {
    at.and_utc().timestamp_micros()
}

/// The instant of these microseconds since 1970.
pub(super) fn from_micros(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|at| at.naive_utc()).filter(|at| YEARS.contains(&at.year()))
}

/// `at` plus the duration.
pub(super) fn add(at: NaiveDateTime, duration: &Duration) -> Option<NaiveDateTime> {
    shift(at, duration, 1)
}

/// `at` minus the duration.
pub(super) fn subtract(at: NaiveDateTime, duration: &Duration) -> Option<NaiveDateTime> {
    shift(at, duration, -1)
}

/// Moves by the fixed units together, then by months, then by years.
fn shift(at: NaiveDateTime, duration: &Duration, sign: i64) -> Option<NaiveDateTime> {
    let moved = from_micros(to_micros(at).checked_add(fixed_micros(duration)?.checked_mul(sign)?)?)?;
    let months = i64::try_from(duration.get(Unit::Month).unwrap_or(0)).ok()?;
    let years = i64::try_from(duration.get(Unit::Year).unwrap_or(0)).ok()?;
    let moved = move_months(moved, months.checked_mul(sign)?)?;
    move_months(moved, years.checked_mul(12)?.checked_mul(sign)?)
}

/// The part of a duration that has the same length everywhere, in microseconds.
fn fixed_micros(duration: &Duration) -> Option<i64> {
    const MICROS: [(Unit, u64); 5] = [
        (Unit::Day, 86_400_000_000),
        (Unit::Hour, 3_600_000_000),
        (Unit::Minute, 60_000_000),
        (Unit::Second, 1_000_000),
        (Unit::Microsecond, 1),
    ];
    let total = MICROS.iter().try_fold(0_u64, |sum, (unit, micros)| {
        sum.checked_add(duration.get(*unit).unwrap_or(0).checked_mul(*micros)?)
    })?;
    i64::try_from(total).ok()
}

/// Moves by months; a day that the new month lacks becomes its last day.
fn move_months(at: NaiveDateTime, months: i64) -> Option<NaiveDateTime> {
    if months == 0 {
        return Some(at);
    }
    let count = i64::from(at.year()).checked_mul(12)?.checked_add(i64::from(at.month0()))?;
    let count = count.checked_add(months)?;
    let year = i32::try_from(count.div_euclid(12)).ok().filter(|year| YEARS.contains(year))?;
    let month = u32::try_from(count.rem_euclid(12)).ok()?.checked_add(1)?;
    let last = (28..=31).rev().find(|day| NaiveDate::from_ymd_opt(year, month, *day).is_some())?;
    Some(NaiveDate::from_ymd_opt(year, month, at.day().min(last))?.and_time(at.time()))
}

/// Replaces the named parts, all at once.
pub(super) fn replace(at: NaiveDateTime, duration: &Duration) -> Option<NaiveDateTime> {
    let part = |unit, old: u32| duration.get(unit).map_or(Some(old), |new| u32::try_from(new).ok());
    let year = part(Unit::Year, at.year().try_into().ok()?)?;
    let year = i32::try_from(year).ok().filter(|year| YEARS.contains(year))?;
    let date = NaiveDate::from_ymd_opt(year, part(Unit::Month, at.month())?, part(Unit::Day, at.day())?)?;
    let micros = part(Unit::Microsecond, at.nanosecond() / 1_000)?;
    let time = NaiveTime::from_hms_micro_opt(
        part(Unit::Hour, at.hour())?,
        part(Unit::Minute, at.minute())?,
        part(Unit::Second, at.second())?,
        Some(micros).filter(|micros| *micros < 1_000_000)?,
    )?;
    Some(date.and_time(time))
}

/// The begin of the whole hour, day, month or year in which `at` lies.
pub(super) fn floor(at: NaiveDateTime, unit: Unit) -> Option<NaiveDateTime> {
    let date = at.date();
    let date = match unit {
        Unit::Year => date.with_month(1)?.with_day(1)?,
        Unit::Month => date.with_day(1)?,
        Unit::Day | Unit::Hour | Unit::Minute | Unit::Second | Unit::Microsecond => date,
    };
    let hour = if unit >= Unit::Hour { at.hour() } else { 0 };
    date.and_hms_opt(hour, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_the_calendar_hold() {
        let end =
            NaiveDate::from_ymd_opt(9999, 12, 31).unwrap().and_hms_micro_opt(23, 59, 59, 999_999).unwrap();
        let start = NaiveDate::from_ymd_opt(1, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap();
        let mut one = Duration::default();
        one.add(1, Some(Unit::Microsecond));
        assert_eq!(add(end, &one), None);
        assert_eq!(subtract(start, &one), None);
        assert_eq!(from_micros(to_micros(end)), Some(end));
        assert_eq!(from_micros(to_micros(start)), Some(start));
    }
}
