//! Durations as written: an amount for each unit, and one without unit.

/// A unit of time, largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// Calendar year.
    Year,
    /// Calendar month.
    Month,
    /// 24 hours.
    Day,
    /// 60 minutes.
    Hour,
    /// 60 seconds.
    Minute,
    /// One second.
    Second,
    /// A millionth of a second.
    Microsecond,
}

const SECOND_MICROS: i64 = 1_000_000;
const DAY_MICROS: i64 = 86_400 * SECOND_MICROS;

/// Lengths in microseconds from which a range counts as at least that unit, largest first, each with the
/// unit that a bare number then has.
const BARE_UNITS: [(i64, Unit); 5] = [
    (365 * DAY_MICROS, Unit::Month),
    (28 * DAY_MICROS, Unit::Day),
    (DAY_MICROS, Unit::Hour),
    (3_600 * SECOND_MICROS, Unit::Minute),
    (60 * SECOND_MICROS, Unit::Second),
];

/// Amounts by unit; an amount of zero that was written is not the same as none.
///
/// Amounts saturate: the largest one leads out of the calendar in every unit, as the true one would.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Duration {
    amounts: [Option<u64>; 7],
    bare: Option<u64>,
}

/// Place of a unit in the list of amounts.
const fn slot(unit: Unit) -> usize {
    match unit {
        Unit::Year => 0,
        Unit::Month => 1,
        Unit::Day => 2,
        Unit::Hour => 3,
        Unit::Minute => 4,
        Unit::Second => 5,
        Unit::Microsecond => 6,
    }
}

impl Duration {
    /// The amount of a unit, if it was written.
    pub(super) fn get(&self, unit: Unit) -> Option<u64> {
        self.amounts.get(slot(unit)).copied().flatten()
    }

    /// Adds an amount; without unit it waits for a range to tell.
    pub(super) fn add(&mut self, amount: u64, unit: Option<Unit>) {
        let place = match unit {
            Some(unit) => self.amounts.get_mut(slot(unit)),
            None => Some(&mut self.bare),
        };
        if let Some(place) = place {
            *place = Some(place.unwrap_or(0).saturating_add(amount));
        }
    }

    /// Whether there is a number without unit.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.bare.is_some()
    }

    /// The duration as it counts on a range of this length in microseconds.
    pub(super) fn resolved(&self, length_micros: i64) -> Self {
        let mut resolved = Self { amounts: self.amounts, bare: None };
        if let Some(bare) = self.bare {
            let length = length_micros.saturating_abs();
            let unit = BARE_UNITS.iter().find(|(least, _)| length >= *least);
            resolved.add(bare, Some(unit.map_or(Unit::Microsecond, |(_, unit)| *unit)));
        }
        resolved
    }

    /// Whether this is smaller than one `unit`, by the largest unit written alone.
    ///
    /// A bare number does not count, whatever it comes to: `day + 30` is 30 hours and yet smaller.
    pub(super) fn is_smaller_than(&self, unit: Unit) -> bool {
        let (larger, rest) = self.amounts.split_at(slot(unit));
        larger.iter().all(Option::is_none) && rest.first().copied().flatten().is_none_or(|amount| amount < 1)
    }
}
