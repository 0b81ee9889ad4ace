//! The two wire forms of an event, written once when it is stored and answered as they are ever after.
//!
//! * v1 (StackTach): a flat object, `__type__` objects for datetimes.
//! * v2 (Panko): a list of traits, every value as text.

mod json;
pub mod v1;
pub mod v2;

/// Room for a trait in either form without growing, in bytes.
pub(crate) const USUAL_TRAIT_BYTES: usize = 80;

pub use json::{push_quoted, python_float, quoted};
