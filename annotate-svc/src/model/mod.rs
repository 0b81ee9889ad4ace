//! Annotations, their dates, and what a client can say about them. Nothing here knows HTTP or a database.

mod annotation;
pub mod data_source;
mod document;
mod filter;
mod go;
pub mod grafana;
mod graphite;
mod query;
mod stamp;
mod table;
mod visible;
mod words;

pub use annotation::{Annotation, Draft, EndsBeforeStart, Field, Stored, Texts};
pub use document::{Body, Unreadable, read_body};
pub use filter::{Filter, FilterError};
pub use go::time::parse_rfc3339;
pub use graphite::graphite_time;
pub use query::{Condition, Conditions, Parameters, QueryError, Verb, Window, pairs};
pub use stamp::{Form, Stamp, parse_either};
pub use table::{Column, Stats};
pub use visible::Visible;
pub use words::{SURELY_PLACED_CHARS, Words, tsvector, words};
