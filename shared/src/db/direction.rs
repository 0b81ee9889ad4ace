//! Direction of an order.

use std::cmp::Ordering;

/// Direction of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Greatest first.
    Descending,
}

impl Direction {
    /// SQL's word for it: `ASC` or `DESC`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }

    /// The comparison that goes on after a value in this direction: `>` or `<`.
    #[must_use]
    pub fn beyond(self) -> &'static str {
        match self {
            Self::Ascending => ">",
            Self::Descending => "<",
        }
    }

    /// An order of values, smallest first, as it is in this direction.
    #[must_use]
    pub fn turn(self, order: Ordering) -> Ordering {
        match self {
            Self::Ascending => order,
            Self::Descending => order.reverse(),
        }
    }
}
