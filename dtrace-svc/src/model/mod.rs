//! Scripts as they are on the wire and in the store; knows neither HTTP nor the database.

mod metadata;
mod script;

pub use metadata::{find_metadata, remove_metadata, set_metadata};
pub use script::{Change, Draft, Fields, Script, is_script_id};

/// Why a value from outside was refused; the text goes to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It does not have the form it must have.
    #[error("{0}")]
    Invalid(String),
    /// The script would be larger than this many bytes.
    #[error("larger than {0} bytes")]
    TooLarge(usize),
}

impl Refused {
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
}
