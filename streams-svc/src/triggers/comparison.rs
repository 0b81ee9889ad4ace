//! What a criteria asks of one trait.

use std::cmp::Ordering;

use shared::datetime;

use crate::counters::{Group, Reason};
use crate::model::{Event, Value};
use crate::timex::{EvaluationError, Expression};

/// A demand on one trait.
#[derive(Debug)]
pub(super) enum Comparison {
    /// Equal to a constant in value and type.
    Constant(Value),
    /// A number in a relation to another.
    Number(Sign, Value),
    /// An instant within a time expression over the times of the event.
    Time(Expression),
}

/// How a trait has to relate to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// A sign nobody knows. The original takes any and never matches; so do we, that its files load.
    Unknown,
}

impl Sign {
    /// The sign with this text.
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "=" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => Self::Unknown,
        }
    }

    /// Name of the reason when it does not hold; an equality that fails is `==` in the original's words.
    fn reason(self) -> Reason<'static> {
        match self {
            Self::Equal => Reason::ComparisonFailed("=="),
            Self::NotEqual => Reason::ComparisonFailed("!="),
            Self::Less => Reason::ComparisonFailed("<"),
            Self::LessOrEqual => Reason::ComparisonFailed("<="),
            Self::Greater => Reason::ComparisonFailed(">"),
            Self::GreaterOrEqual => Reason::ComparisonFailed(">="),
            Self::Unknown => Reason::UnknownComparison,
        }
    }

    /// Whether an ordering satisfies the sign; unlike types and not-a-number have none.
    fn accepts(self, ordering: Option<Ordering>) -> bool {
        let Some(ordering) = ordering else { return false };
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Unknown => false,
        }
    }
}

impl Comparison {
    /// Whether the trait of this name satisfies the demand.
    pub(super) fn holds(&self, name: &str, event: &Event, group: &mut Group) -> bool {
        let missing = match self {
            Self::Time(_) => Reason::TimeTraitMissing(name),
            Self::Constant(_) | Self::Number(..) => Reason::TraitMissing(name),
        };
        let Some(value) = event.get(name) else { return group.fail(missing) };
        match self {
            Self::Constant(constant) => group.check(equals(&value, constant), Sign::Equal.reason()),
            Self::Number(sign, number) => {
                group.check(sign.accepts(compare_numbers(&value, number)), sign.reason())
            }
            Self::Time(expression) => match expression.evaluate(event) {
                Err(EvaluationError::Undefined(_)) => group.fail(Reason::TimeVariableMissing),
                Err(EvaluationError::NoDate) => group.fail(Reason::NotInTimeRange),
                Ok(times) => {
                    let inside = value.as_datetime().is_some_and(|at| times.contains(at));
                    group.check(inside, Reason::NotInTimeRange)
                }
            },
        }
    }
}

/// Equal in value and type; an unquoted date in YAML arrives as text, so an instant may equal one.
fn equals(value: &Value, constant: &Value) -> bool {
    match (value, constant) {
        (Value::Datetime(at), Value::Text(text)) => datetime::parse(text) == Some(*at),
        _ => value == constant || compare_numbers(value, constant) == Some(Ordering::Equal),
    }
}

/// The order of two numbers, exact for whole numbers beyond the precision of a double.
pub(crate) fn compare_numbers(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::Int(left), Value::Float(right)) => compare_mixed(*left, *right),
        (Value::Float(left), Value::Int(right)) => compare_mixed(*right, *left).map(Ordering::reverse),
        _ => None,
    }
}

#[expect(clippy::as_conversions, reason = "the float is whole and within the range of i64")]
fn compare_mixed(int: i64, float: f64) -> Option<Ordering> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if float.is_nan() {
        None
    } else if float >= LIMIT {
        Some(Ordering::Less)
    } else if float < -LIMIT {
        Some(Ordering::Greater)
    } else {
        let whole = float.floor();
        let rest = if float > whole { Ordering::Less } else { Ordering::Equal };
        Some(int.cmp(&(whole as i64)).then(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_and_doubles_compare_exactly() {
        let cases = [
            (Value::Int(7), Value::Float(7.0), Some(Ordering::Equal)),
            (Value::Int(7), Value::Float(7.5), Some(Ordering::Less)),
            (Value::Int(-7), Value::Float(-7.5), Some(Ordering::Greater)),
            // 2^53 + 1 has no double; the nearest is 2^53.
            (
                Value::Int(9_007_199_254_740_993),
                Value::Float(9_007_199_254_740_992.0),
                Some(Ordering::Greater),
            ),
            (Value::Int(i64::MAX), Value::Float(9_223_372_036_854_775_808.0), Some(Ordering::Less)),
            (Value::Int(i64::MIN), Value::Float(-9_223_372_036_854_775_808.0), Some(Ordering::Equal)),
            (Value::Int(0), Value::Float(f64::NAN), None),
            (Value::Int(0), Value::Float(f64::NEG_INFINITY), Some(Ordering::Greater)),
            (Value::Int(7), Value::Text("7".to_owned()), None),
        ];
        for (left, right, expected) in cases {
            assert_eq!(compare_numbers(&left, &right), expected, "{left:?} {right:?}");
            assert_eq!(compare_numbers(&right, &left), expected.map(Ordering::reverse), "{right:?} {left:?}");
        }
    }
}
