//! Dates as Go's time package reads them in its RFC 3339 layout, with its words for what is wrong.

use super::quote;
use crate::model::stamp::Stamp;
use chrono::NaiveDate;

const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";

/// What went wrong, and where.
enum Fault<'v> {
    /// The value does not go on as this element of the layout wants.
    Mismatch { rest: &'v [u8], element: &'static str },
    /// A number is too large for its place.
    Range(&'static str),
    /// Something follows the date.
    Extra(&'v [u8]),
}

/// Reads `2016-02-24T22:08:41-05:00`: `T`, seconds and zone are needed, a fraction is allowed.
///
/// # Errors
/// Go's message.
pub fn parse_rfc3339(value: &str) -> Result<Stamp, String> {
    let mut cursor = Cursor { rest: value.as_bytes() };
    cursor.stamp().map_err(|fault| message(value, &fault))
}

/// Reads a whole number of 64 bits, as Go's `strconv.ParseInt`.
///
/// # Errors
/// Go's message.
pub(in crate::model) fn parse_int(value: &str) -> Result<i64, String> {
    value.parse::<i64>().map_err(|cause| {
        use std::num::IntErrorKind::{NegOverflow, PosOverflow};
        let is_range = matches!(cause.kind(), PosOverflow | NegOverflow);
        int_message(value, if is_range { "value out of range" } else { "invalid syntax" })
    })
}

/// Go's message for a whole number that cannot be used.
#[must_use]
pub(in crate::model) fn int_message(value: &str, fault: &str) -> String {
    format!("strconv.ParseInt: parsing {}: {fault}", quote::quote(value))
}

fn message(value: &str, fault: &Fault<'_>) -> String {
    let quoted = quote(value.as_bytes());
    match fault {
        Fault::Mismatch { rest, element } => {
            format!("parsing time {quoted} as \"{LAYOUT}\": cannot parse {} as \"{element}\"", quote(rest))
        }
        Fault::Range(what) => format!("parsing time {quoted}: {what} out of range"),
        Fault::Extra(rest) => format!("parsing time {quoted}: extra text: {}", quote(rest)),
    }
}

/// Quotes as Go does in these messages: control and non-ASCII bytes as `\xNN`.
fn quote(value: &[u8]) -> String {
    let mut quoted = String::from('"');
    for byte in value {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(*byte)]),
            0..0x20 | 0x80.. => quoted.push_str(&format!("\\x{byte:02x}")),
            plain => quoted.push(char::from(*plain)),
        }
    }
    quoted.push('"');
    quoted
}

struct Cursor<'v> {
    rest: &'v [u8],
}

impl<'v> Cursor<'v> {
    fn stamp(&mut self) -> Result<Stamp, Fault<'v>> {
        let year = self.year()?;
        self.literal("-")?;
        let month = self.two_digits("01")?;
        in_range((1..=12).contains(&month), "month")?;
        self.literal("-")?;
        let day = self.two_digits("02")?;
        self.literal("T")?;
        let hour = self.hour()?;
        self.literal(":")?;
        let minute = self.two_digits("04")?;
        in_range(minute < 60, "minute")?;
        self.literal(":")?;
        let second = self.two_digits("05")?;
        in_range(second < 60, "second")?;
        let micros = self.fraction();
        let offset_secs = self.zone()?;
        if !self.rest.is_empty() {
            return Err(Fault::Extra(self.rest));
        }
        let date = NaiveDate::from_ymd_opt(year, month, day).ok_or(Fault::Range("day"))?;
        let time = date.and_hms_micro_opt(hour, minute, second, micros).ok_or(Fault::Range("day"))?;
        // Go 1.19 takes any offset; newer versions bound it, in these words.
        in_range(offset_secs.abs() < 86_400, "time zone offset hour")?;
        Ok(Stamp {
            micros: time.and_utc().timestamp_micros() - i64::from(offset_secs) * 1_000_000,
            offset_secs,
        })
    }

    fn mismatch<T>(&self, element: &'static str) -> Result<T, Fault<'v>> {
        Err(Fault::Mismatch { rest: self.rest, element })
    }

    fn literal(&mut self, element: &'static str) -> Result<(), Fault<'v>> {
        match self.rest.strip_prefix(element.as_bytes()) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => self.mismatch(element),
        }
    }

    /// Four digits. Quirk: when only the first is one, the message quotes what follows the four.
    fn year(&mut self) -> Result<i32, Fault<'v>> {
        let is_year = |four: &[u8]| four.first().is_some_and(u8::is_ascii_digit);
        let Some((four, rest)) = self.rest.split_at_checked(4).filter(|(four, _)| is_year(four)) else {
            return self.mismatch("2006");
        };
        self.rest = rest;
        number(four).and_then(|year| i32::try_from(year).ok()).map_or_else(|| self.mismatch("2006"), Ok)
    }

    fn two_digits(&mut self, element: &'static str) -> Result<u32, Fault<'v>> {
        let two = self.rest.split_at_checked(2).and_then(|(two, rest)| Some((number(two)?, rest)));
        let Some((number, rest)) = two else { return self.mismatch(element) };
        self.rest = rest;
        Ok(number)
    }

    /// One digit or two: Go is lenient here.
    fn hour(&mut self) -> Result<u32, Fault<'v>> {
        let digits = if self.rest.get(1).is_some_and(u8::is_ascii_digit) { 2 } else { 1 };
        let hour = self.rest.split_at_checked(digits).and_then(|(own, rest)| Some((number(own)?, rest)));
        let Some((hour, rest)) = hour else { return self.mismatch("15") };
        self.rest = rest;
        in_range(hour < 24, "hour")?;
        Ok(hour)
    }

    /// A point or comma and digits, cut to microseconds.
    fn fraction(&mut self) -> u32 {
        let [b'.' | b',', digits @ ..] = self.rest else { return 0 };
        let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = digits.split_at(length);
        if digits.is_empty() {
            return 0;
        }
        self.rest = rest;
        let padded = digits.iter().chain([b'0'; 6].iter()).take(6);
        padded.fold(0, |micros, digit| micros * 10 + u32::from(digit - b'0'))
    }

    /// `Z` or `+hh:mm`; in seconds. Quirk: a bad sign or digit is only seen after the six characters, so that the
    /// message quotes what follows them.
    fn zone(&mut self) -> Result<i32, Fault<'v>> {
        if let [b'Z', rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(0);
        }
        let Some((zone, rest)) = self.rest.split_first_chunk::<6>().filter(|(zone, _)| zone[3] == b':')
        else {
            return self.mismatch("Z07:00");
        };
        self.rest = rest;
        let [sign, h1, h2, _, m1, m2] = *zone;
        let read = |tens, ones| number(&[tens, ones]).and_then(|number| i32::try_from(number).ok());
        let (Some(hours), Some(minutes), b'+' | b'-') = (read(h1, h2), read(m1, m2), sign) else {
            return self.mismatch("Z07:00");
        };
        let seconds = (hours * 60 + minutes) * 60;
        Ok(if sign == b'-' { -seconds } else { seconds })
    }
}

fn in_range(is_in_range: bool, what: &'static str) -> Result<(), Fault<'static>> {
    if is_in_range { Ok(()) } else { Err(Fault::Range(what)) }
}

fn number(digits: &[u8]) -> Option<u32> {
    let add = |sum: u32, digit: &u8| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0'));
    digits.iter().try_fold(0, add)
}
