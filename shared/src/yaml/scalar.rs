//! The type of a plain (unquoted) scalar, as `PyYAML`'s safe loader finds it (YAML 1.1).
//!
//! Two differences: timestamps stay text, for their readers parse times themselves; and an integer beyond
//! 64 bits stays text, so that no digit is lost.

use super::Value;

/// The value of a plain scalar.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => integer(text)
            .map(Value::Int)
            .or_else(|| float(text).map(Value::Float))
            .unwrap_or_else(|| Value::Text(text.to_owned())),
    }
}

/// Decimal, `0b101`, octal `017`, `0x1F` or base 60 `1:30`, all with `_` between digits and a sign.
pub(super) fn integer(text: &str) -> Option<i64> {
    let (sign, body) = signed(text);
    if !body.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = body.replace('_', "");
    if let Some(binary) = digits.strip_prefix("0b") {
        return radix(sign, binary, 2);
    }
    if let Some(hex) = digits.strip_prefix("0x") {
        return radix(sign, hex, 16);
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return radix(sign, &digits, 8);
    }
    match digits.split_once(':') {
        Some((first, rest)) => base_60(first, rest)?.checked_mul(if sign == "-" { -1 } else { 1 }),
        None => radix(sign, &digits, 10),
    }
}

fn radix(sign: &str, digits: &str, base: u32) -> Option<i64> {
    let digits_only = digits.chars().all(|c| c.is_digit(base));
    if digits_only { i64::from_str_radix(&format!("{sign}{digits}"), base).ok() } else { None }
}

fn base_60(first: &str, rest: &str) -> Option<i64> {
    rest.split(':').try_fold(radix("", first, 10)?, |sum, part| {
        let part = radix("", part, 10).filter(|value| part.len() <= 2 && *value < 60)?;
        sum.checked_mul(60)?.checked_add(part)
    })
}

/// A point is required, and a sign in the exponent: `1e3` is text, `1.0e+3` a number.
pub(super) fn float(text: &str) -> Option<f64> {
    let (sign, body) = signed(text);
    let negative = if sign == "-" { -1.0 } else { 1.0 };
    match body {
        ".inf" | ".Inf" | ".INF" => return Some(negative * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" if sign.is_empty() => return Some(f64::NAN),
        _ => {}
    }
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit() || c == '_');
    let starts_with_digit = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
    if !digits(fraction) || !exponent.is_none_or(signed_digits) {
        return None;
    }
    if let Some((first, rest)) = whole.split_once(':') {
        let whole = base_60(&first.replace('_', ""), rest).filter(|_| exponent.is_none())?;
        let fraction: f64 = format!("0.{}", fraction.replace('_', "")).parse().ok()?;
        #[expect(clippy::as_conversions, reason = "the nearest double is what is asked for")]
        return Some(negative * (whole as f64 + fraction));
    }
    let leading = if whole.is_empty() {
        sign.is_empty() && starts_with_digit(fraction)
    } else {
        starts_with_digit(whole)
    };
    if leading && digits(whole) { text.replace('_', "").parse().ok() } else { None }
}

fn signed_digits(exponent: &str) -> bool {
    let (sign, digits) = signed(exponent);
    !sign.is_empty() && !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
}

fn signed(text: &str) -> (&str, &str) {
    match text.split_at_checked(1) {
        Some((sign @ ("+" | "-"), rest)) => (sign, rest),
        _ => ("", text),
    }
}
