//! Conditions on one trait as one interval of the trait index.

use super::term;
use crate::model::{Operator, TraitFilter};
use shared::db::Sql;

/// All terms from `first` to before `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interval {
    first: Vec<u8>,
    end: Vec<u8>,
}

impl Interval {
    /// One interval for each trait name and type among the conditions; conditions that only exclude (`ne`) make none.
    pub(super) fn of_all(conditions: &[TraitFilter]) -> Vec<Self> {
        let mut intervals: Vec<(Vec<u8>, Self)> = Vec::new();
        for condition in conditions.iter().filter(|condition| condition.operator != Operator::Ne) {
            let (span, _) = term::span(&condition.name, &condition.value);
            let one = Self::of(condition);
            match intervals.iter_mut().find(|(other, _)| *other == span) {
                Some((_, interval)) => interval.narrow(one),
                None => intervals.push((span, one)),
            }
        }
        intervals.into_iter().map(|(_, interval)| interval).collect()
    }

    fn of(condition: &TraitFilter) -> Self {
        let exact = term::term(&condition.name, &condition.value);
        let (first, end) = term::span(&condition.name, &condition.value);
        // The smallest byte string above a term.
        let above = || [exact.as_slice(), &[0]].concat();
        match condition.operator {
            Operator::Eq => Self { end: above(), first: exact },
            Operator::Lt => Self { first, end: exact },
            Operator::Le => Self { first, end: above() },
            Operator::Ge => Self { first: exact, end },
            Operator::Gt => Self { first: above(), end },
            Operator::Ne => Self { first, end },
        }
    }

    fn narrow(&mut self, other: Self) {
        self.first = std::mem::take(&mut self.first).max(other.first);
        self.end = std::mem::take(&mut self.end).min(other.end);
    }

    /// The condition on the column `term`.
    pub(super) fn push_to(self, sql: &mut Sql) {
        sql.push("term >= ").bind(self.first).push(" AND term < ").bind(self.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TraitValue::Integer;

    fn condition(name: &str, operator: Operator, number: i64) -> TraitFilter {
        TraitFilter { name: name.into(), operator, value: Integer(number) }
    }

    fn holds(interval: &Interval, name: &str, number: i64) -> bool {
        let term = term::term(name, &Integer(number));
        interval.first <= term && term < interval.end
    }

    #[test]
    fn conditions_on_one_trait_are_one_interval() {
        let conditions = [
            condition("n", Operator::Ge, -5),
            condition("m", Operator::Eq, 1),
            condition("n", Operator::Lt, 5),
        ];
        let intervals = Interval::of_all(&conditions);
        assert_eq!(intervals.len(), 2);
        let held: Vec<i64> = (-9..9).filter(|n| holds(&intervals[0], "n", *n)).collect();
        assert_eq!(held, (-5..5).collect::<Vec<_>>());
        assert!(holds(&intervals[1], "m", 1) && !holds(&intervals[1], "m", 2));
    }

    #[test]
    fn each_operator_has_its_bounds() {
        let held = |operator| {
            let interval = Interval::of(&condition("n", operator, 0));
            (-1..=1).filter(|n| holds(&interval, "n", *n)).collect::<Vec<i64>>()
        };
        assert_eq!(held(Operator::Lt), [-1]);
        assert_eq!(held(Operator::Le), [-1, 0]);
        assert_eq!(held(Operator::Eq), [0]);
        assert_eq!(held(Operator::Ge), [0, 1]);
        assert_eq!(held(Operator::Gt), [1]);
    }
}
