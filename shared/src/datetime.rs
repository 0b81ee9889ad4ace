//! Reading and writing of instants in ISO 8601, as naive UTC in whole microseconds.
//!
//! Two readers, because old programs differ: [`parse`] is generous about blanks and letter case but
//! wants a full date; [`parse_iso8601`] takes exactly the forms of Python's `iso8601` package, where a
//! year alone is a date. Both refuse what Python's `datetime` cannot hold: year 0, second 60, hour 24.

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

/// Reads a full date with or without a time; an offset is moved to UTC, no offset means UTC.
///
/// `2015-02-28T13:30`, seconds and a fraction of any length (cut to microseconds) if given, blank instead
/// of `T`, `Z`, `+02:00`, `+0200`, `+02`, compact `20150228T1330`, date alone (midnight). Blanks around
/// the text and before the offset, and small letters `t` and `z`, are taken too.
#[must_use]
pub fn parse(text: &str) -> Option<NaiveDateTime> {
    Cursor { rest: text.trim().as_bytes(), lenient: true }.instant()
}

/// As [`parse`], of a value in a query string: a raw `+` before the offset arrives there as a blank.
#[must_use]
pub fn parse_query(text: &str) -> Option<NaiveDateTime> {
    parse(text).or_else(|| {
        let (instant, offset) = text.trim_end().rsplit_once(' ')?;
        parse(&format!("{instant}+{offset}"))
    })
}

/// Reads what Python's `iso8601` package reads: the forms of [`parse`], nothing around them, and also
/// a year (`2019`) or a year and month (`2019-02`), meaning their first instant.
#[must_use]
pub fn parse_iso8601(text: &str) -> Option<NaiveDateTime> {
    Cursor { rest: text.as_bytes(), lenient: false }.instant()
}

/// Writes `2015-02-27T15:27:18.603932`: six digits of fraction, or none when it is zero; no zone.
#[must_use]
pub fn iso(instant: NaiveDateTime) -> String {
    let mut text = String::with_capacity("2015-02-27T15:27:18.603932".len());
    push_iso(&mut text, instant);
    text
}

/// Appends what [`iso`] writes. Digit by digit: an event has several instants, and formatting took a large part of the
/// time for taking it in.
pub fn push_iso(out: &mut String, instant: NaiveDateTime) {
    let (date, time) = (instant.date(), instant.time());
    match u32::try_from(date.year()) {
        Ok(year) => push_digits(out, year, 4),
        Err(_before_christ) => out.push_str(&format!("{:04}", date.year())),
    }
    let parts = [
        ('-', date.month()),
        ('-', date.day()),
        ('T', time.hour()),
        (':', time.minute()),
        (':', time.second()),
    ];
    for (mark, number) in parts {
        out.push(mark);
        push_digits(out, number, 2);
    }
    // chrono counts a leap second as a fraction above one second; it has no text form here.
    let micros = (time.nanosecond() / 1000).min(999_999);
    if micros != 0 {
        out.push('.');
        push_digits(out, micros, 6);
    }
}

/// Appends a number below 1 000 000 with at least `width` digits.
fn push_digits(out: &mut String, number: u32, width: u32) {
    let mut unit = 10u32.pow(width - 1);
    while number / unit > 9 {
        unit *= 10;
    }
    while unit > 0 {
        out.push(char::from_digit(number / unit % 10, 10).unwrap_or('0'));
        unit /= 10;
    }
}

/// Microseconds since 1970, negative before. Never overflows: the calendar ends before `i64` does.
#[must_use]
pub fn to_micros(instant: NaiveDateTime) -> i64 {
    instant.and_utc().timestamp_micros()
}

/// The instant so many microseconds after 1970; numbers beyond the calendar (some 262 000 years either
/// way) give its first or last instant.
#[must_use]
pub fn from_micros(micros: i64) -> NaiveDateTime {
    let beyond = if micros < 0 { NaiveDateTime::MIN } else { NaiveDateTime::MAX };
    DateTime::from_timestamp_micros(micros).map_or(beyond, |instant| instant.naive_utc())
}

/// What is left to read.
struct Cursor<'a> {
    rest: &'a [u8],
    lenient: bool,
}

impl Cursor<'_> {
    fn instant(mut self) -> Option<NaiveDateTime> {
        let year = i32::try_from(self.number(4, 4)?).ok().filter(|year| *year > 0)?;
        let Some((month, day)) = self.month_and_day()? else {
            return Some(NaiveDate::from_ymd_opt(year, 1, 1)?.into());
        };
        let date = NaiveDate::from_ymd_opt(year, month, day)?;
        if self.rest.is_empty() {
            return Some(date.into());
        }
        let separated = self.eat(b'T') || self.eat(b' ') || (self.lenient && self.eat(b't'));
        let time = separated.then(|| self.time()).flatten()?;
        let offset = self.offset()?;
        let instant = date.and_time(time).checked_sub_signed(offset)?;
        (self.rest.is_empty() && (1..=9999).contains(&instant.year())).then_some(instant)
    }

    /// `Some(None)` is a year without more.
    fn month_and_day(&mut self) -> Option<Option<(u32, u32)>> {
        if self.rest.is_empty() && !self.lenient {
            return Some(None);
        }
        let dashed = self.eat(b'-');
        let month = if dashed { self.number(1, 2)? } else { self.number(2, 2)? };
        if self.rest.is_empty() {
            return (dashed && !self.lenient).then_some(Some((month, 1)));
        }
        let day = if self.eat(b'-') { self.number(1, 2)? } else { self.number(2, 2)? };
        Some(Some((month, day)))
    }

    fn time(&mut self) -> Option<NaiveTime> {
        let hour = self.number(2, 2)?;
        let (mut minute, mut second, mut micros) = (0, 0, 0);
        if self.eat(b':') || self.at_digit() {
            minute = self.number(2, 2)?;
            let colon = self.eat(b':');
            if colon || self.at_digit() {
                second = self.number(if colon { 1 } else { 2 }, 2)?;
                if self.eat(b'.') || self.eat(b',') {
                    micros = self.fraction()?;
                }
            }
        }
        NaiveTime::from_hms_micro_opt(hour, minute, second, micros)
    }

    /// Digits after the point, as microseconds; what is finer is cut off.
    fn fraction(&mut self) -> Option<u32> {
        let (mut micros, mut place) = (0, 1_000_000);
        if !self.at_digit() {
            return None;
        }
        while let Some(digit) = self.digit() {
            place /= 10;
            micros += digit * place;
        }
        Some(micros)
    }

    /// Distance from UTC; nothing left means UTC itself.
    fn offset(&mut self) -> Option<Duration> {
        if self.lenient {
            while self.eat(b' ') {}
        }
        if self.rest.is_empty() || self.eat(b'Z') || (self.lenient && self.eat(b'z')) {
            return Some(Duration::zero());
        }
        let west = self.eat(b'-');
        if !west && !self.eat(b'+') {
            return None;
        }
        let hours = self.number(2, 2).filter(|hours| *hours < 24)?;
        let colon = self.eat(b':');
        let minutes = if colon || self.at_digit() { self.number(2, 2)? } else { 0 };
        let ahead = Duration::minutes(i64::from(hours * 60 + minutes));
        (minutes < 60).then_some(if west { -ahead } else { ahead })
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        if found {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        found
    }

    fn at_digit(&self) -> bool {
        self.rest.first().is_some_and(u8::is_ascii_digit)
    }

    fn digit(&mut self) -> Option<u32> {
        let (first, rest) = self.rest.split_first()?;
        let digit = char::from(*first).to_digit(10)?;
        self.rest = rest;
        Some(digit)
    }

    /// A number of at least `min` and at most `max` digits.
    fn number(&mut self, min: usize, max: usize) -> Option<u32> {
        let mut value = 0;
        for place in 0..max {
            match self.digit() {
                Some(digit) => value = value * 10 + digit,
                None if place < min => return None,
                None => break,
            }
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(date: (i32, u32, u32), time: (u32, u32, u32), micros: u32) -> NaiveDateTime {
        NaiveDate::from_ymd_opt(date.0, date.1, date.2)
            .unwrap()
            .and_hms_micro_opt(time.0, time.1, time.2, micros)
            .unwrap()
    }

    #[test]
    fn both_readers_take_the_usual_forms() {
        let half_past = at((2015, 2, 28), (13, 30, 0), 0);
        for (text, expected) in [
            ("2015-02-28T13:30", half_past),
            ("2015-02-28 13:30", half_past),
            ("2015-02-28T13:30:00", half_past),
            ("2015-02-28T13:30:00Z", half_past),
            ("2015-02-28T15:30:00+02:00", half_past),
            ("2015-02-28T15:30+0200", half_past),
            ("2015-02-28 15:30:00.0+02", half_past),
            ("2015-02-28T08:00:00-05:30", half_past),
            ("20150228T1330", half_past),
            ("20150228T133000", half_past),
            ("2015-02-28T13:30:05.5", at((2015, 2, 28), (13, 30, 5), 500_000)),
            ("2015-02-27 15:27:18.603932", at((2015, 2, 27), (15, 27, 18), 603_932)),
            ("2015-02-27T15:27:18.6039329999", at((2015, 2, 27), (15, 27, 18), 603_932)),
            ("2015-02-27T15:27:18,25", at((2015, 2, 27), (15, 27, 18), 250_000)),
            ("20190101T010203", at((2019, 1, 1), (1, 2, 3), 0)),
            ("2019-01-01", at((2019, 1, 1), (0, 0, 0), 0)),
            ("20190101", at((2019, 1, 1), (0, 0, 0), 0)),
            ("2019-1-1", at((2019, 1, 1), (0, 0, 0), 0)),
            ("2016-02-29T23:00:00-02:00", at((2016, 3, 1), (1, 0, 0), 0)),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
            assert_eq!(parse_iso8601(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn both_readers_refuse_what_is_no_instant() {
        for text in [
            "",
            " ",
            "5",
            "01/02/2019",
            "2019-13-01",
            "2019-00-01",
            "2019-02-29",
            "0000-01-01",
            "201902",
            "2019-01-01T",
            "2019-01-01T24:00",
            "2019-01-01T23:60",
            "2019-01-01T23:59:60",
            "2019-01-01T1",
            "2019-01-01T010",
            "2019-01-01T01:02:",
            "2019-01-01T01:02:03.",
            "2019-01-01T01:02:03+",
            "2019-01-01T01:02:03+24:00",
            "2019-01-01T01:02:03+01:60",
            "2019-01-01T01:02:03+02:00x",
            "2019-01-01x01:02",
            "2019-01-01Z",
            "garbage",
            "２０１９-01-01",
            "2019-01-01T01:02é",
            "é019-01-01",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
            "12019-01-01",
            "+2019-01-01",
        ] {
            assert_eq!(parse(text), None, "{text}");
            assert_eq!(parse_iso8601(text), None, "{text}");
        }
    }

    #[test]
    fn short_dates_are_for_the_iso8601_reader_alone() {
        assert_eq!(parse_iso8601("2019"), Some(at((2019, 1, 1), (0, 0, 0), 0)));
        assert_eq!(parse_iso8601("2019-02"), Some(at((2019, 2, 1), (0, 0, 0), 0)));
        assert_eq!(parse("2019"), None);
        assert_eq!(parse("2019-02"), None);
    }

    #[test]
    fn blanks_and_small_letters_are_for_the_lenient_reader_alone() {
        let expected = at((2015, 2, 28), (13, 30, 0), 0);
        for text in
            [" 2015-02-28T13:30 ", "2015-02-28t13:30z", "2015-02-28 15:30 +02:00", "2015-02-28T13:30 Z"]
        {
            assert_eq!(parse(text), Some(expected), "{text}");
            assert_eq!(parse_iso8601(text), None, "{text}");
        }
    }

    #[test]
    fn blank_before_an_offset_is_the_plus_of_a_query() {
        let expected = at((2015, 2, 28), (13, 30, 0), 0);
        for text in ["2015-02-28T14:30:00 01:00", "2015-02-28 14:30 0100", "2015-02-28T14:30:00+01:00"] {
            assert_eq!(parse_query(text), Some(expected), "{text}");
        }
        assert_eq!(parse_query("2015-02-28 13:30"), Some(expected), "a blank for T");
        for text in [
            "",
            " ",
            "yesterday noon",
            "2015-02-28 25:00",
            "2015-02-28T13:30 1",
            "2015-02-28T13:30 01:00 01:00",
        ] {
            assert_eq!(parse_query(text), None, "{text}");
        }
    }

    #[test]
    fn fraction_is_written_with_six_digits_or_left_out() {
        assert_eq!(iso(at((2015, 2, 27), (15, 27, 18), 603_932)), "2015-02-27T15:27:18.603932");
        assert_eq!(iso(at((2015, 2, 27), (15, 27, 18), 0)), "2015-02-27T15:27:18");
        assert_eq!(iso(at((2019, 1, 1), (0, 0, 0), 500_000)), "2019-01-01T00:00:00.500000");
        assert_eq!(iso(at((33, 1, 1), (0, 0, 0), 1)), "0033-01-01T00:00:00.000001");
        assert_eq!(iso(at((12_345, 12, 31), (23, 59, 59), 999_999)), "12345-12-31T23:59:59.999999");
        assert_eq!(iso(at((-1, 1, 1), (0, 0, 0), 0)), "-001-01-01T00:00:00");
    }

    #[test]
    fn micros_count_from_1970_and_stay_in_the_calendar() {
        assert_eq!(to_micros(at((1970, 1, 2), (0, 0, 0), 7)), 86_400_000_007);
        assert_eq!(to_micros(at((1969, 12, 31), (23, 59, 59), 999_999)), -1);
        assert_eq!(from_micros(i64::MAX), NaiveDateTime::MAX);
        assert_eq!(from_micros(i64::MIN), NaiveDateTime::MIN);
        assert!(to_micros(NaiveDateTime::MAX) > 0 && to_micros(NaiveDateTime::MIN) < 0);
        let _ = (iso(NaiveDateTime::MAX), iso(NaiveDateTime::MIN));
    }

    proptest! {
        /// From the first instant of year 1 to the last of year 9999.
        #[test]
        fn written_instants_read_back(micros in -62_135_596_800_000_000i64..=253_402_300_799_999_999) {
            let instant = from_micros(micros);
            prop_assert_eq!(to_micros(instant), micros);
            prop_assert_eq!(parse(&iso(instant)), Some(instant));
            prop_assert_eq!(parse_iso8601(&iso(instant)), Some(instant));
        }

        #[test]
        fn offset_is_taken_away(minutes in -1439i64..=1439, micros in 0i64..4_000_000_000_000_000) {
            let utc = from_micros(micros);
            let local = utc + Duration::minutes(minutes);
            let sign = if minutes < 0 { '-' } else { '+' };
            let text = format!("{}{sign}{:02}:{:02}", iso(local), minutes.abs() / 60, minutes.abs() % 60);
            prop_assert_eq!(parse(&text), Some(utc));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}", near in "[0-9T:+.Z é-]{0,30}") {
            let _ = (parse(&text), parse_iso8601(&text), parse(&near), parse_iso8601(&near));
        }
    }
}
