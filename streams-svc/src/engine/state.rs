//! The eight states, with the numbers they are stored by and the words the API speaks.

use std::fmt;

/// State of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Takes events until it is ready or expires.
    Active,
    /// A worker runs the fire pipeline.
    Firing,
    /// A worker runs the expire pipeline.
    Expiring,
    /// The fire pipeline failed.
    Error,
    /// The expire pipeline failed.
    ExpireError,
    /// Done.
    Completed,
    /// Waits for the fire pipeline to run again.
    RetryFire,
    /// Waits for the expire pipeline to run again.
    RetryExpire,
}

impl State {
    /// All states in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Active,
        Self::Firing,
        Self::Expiring,
        Self::Error,
        Self::ExpireError,
        Self::Completed,
        Self::RetryFire,
        Self::RetryExpire,
    ];

    /// The number it is stored by.
    #[must_use]
    pub fn number(self) -> i16 {
        match self {
            Self::Active => 1,
            Self::Firing => 2,
            Self::Expiring => 3,
            Self::Error => 4,
            Self::ExpireError => 5,
            Self::Completed => 6,
            Self::RetryFire => 7,
            Self::RetryExpire => 8,
        }
    }

    /// The word of the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Firing => "firing",
            Self::Expiring => "expiring",
            Self::Error => "error",
            Self::ExpireError => "expire_error",
            Self::Completed => "completed",
            Self::RetryFire => "retry_fire",
            Self::RetryExpire => "retry_expire",
        }
    }

    /// The state with this number.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// The state with this word, in any letter case.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word().eq_ignore_ascii_case(word))
    }

    /// What a reset by a user makes of it; `None` leaves it alone. A running state is reset only when the
    /// lease of its worker is over.
    #[must_use]
    pub fn after_reset(self, is_lease_over: bool) -> Option<Self> {
        match self {
            Self::Error => Some(Self::RetryFire),
            Self::ExpireError => Some(Self::RetryExpire),
            Self::Firing | Self::Expiring if is_lease_over => self.after_lost_lease(),
            Self::Firing
            | Self::Expiring
            | Self::Active
            | Self::Completed
            | Self::RetryFire
            | Self::RetryExpire => None,
        }
    }

    /// Where a running state returns to when its worker is gone.
    #[must_use]
    pub fn after_lost_lease(self) -> Option<Self> {
        match self {
            Self::Firing => Some(Self::RetryFire),
            Self::Expiring => Some(Self::RetryExpire),
            Self::Active
            | Self::Error
            | Self::ExpireError
            | Self::Completed
            | Self::RetryFire
            | Self::RetryExpire => None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
