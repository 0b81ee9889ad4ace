//! All SQL of the annotation service. Functions take the open connection, so that they nest in transactions.
//!
//! | file | what |
//! |---|---|
//! | `row`, `span` | columns of an annotation, classes of durations |
//! | `write` | the one transaction that stores, changes and deletes |
//! | `insert`, `update` | new rows, rows that change or go |
//! | `keys` | writes that came with an idempotency key |
//! | `changes` | versions in the order of their commits |
//! | `history` | versions that were replaced, deletions |
//! | `retention` | removal of what is old |
//! | `counts` | the counters of values |
//! | `find` | single annotations |
//! | `search`, `statement` | the annotations of a window |

mod changes;
mod counts;
mod find;
mod history;
mod insert;
mod keys;
mod retention;
mod row;
mod search;
mod span;
mod statement;
mod update;
mod write;

pub use changes::{Cursor, continue_changes, last_change, list_changes};
pub use counts::list_values;
pub use find::{find_annotation, find_numbered};
pub use history::{Archived, list_versions};
pub use retention::{delete_ended_before, delete_history_before, delete_keys_before, merge_counters};
pub use search::{Order, Page, Place, Search, list_annotations, list_relevant};
pub use write::{Change, Guard, IdempotencyKey, Refusal, Write, Written, apply};

pub use crate::model::Stored;
pub use shared::db::DbError;

use shared::db::{Migrations, embed_migrations};

/// The service's tables.
pub const MIGRATIONS: Migrations = Migrations {
    sqlite: embed_migrations!("migrations/sqlite"),
    postgres: embed_migrations!("migrations/postgres"),
};
