//! All SQL of the event store. Functions take the open connection, so that they nest in transactions.
//!
//! | file | what |
//! |---|---|
//! | `prepared`, `term`, `key` | an event made ready for its rows |
//! | `insert` | the one transaction that stores events |
//! | `find` | the v2 list and single events |
//! | `find_flat` | the v1 list and count |
//! | `interval` | conditions on one trait as a piece of the index |
//! | `page` | a page of the v2 list in the making |
//! | `read` | what both lists share: rows, columns, conditions a database index cannot check |
//! | `types` | event types and their traits |
//! | `feed` | events in commit order |
//! | `retention` | removal of old events |
//! | `dead_letters` | messages that could not be read |

mod dead_letters;
mod feed;
mod find;
mod find_flat;
mod insert;
mod interval;
mod key;
mod page;
mod prepared;
mod read;
mod retention;
mod term;
mod types;

pub use dead_letters::{
    DeadLetter, DeadLetterHead, HEAD_BYTES, Room, count_dead_letters, delete_dead_letters,
    delete_oldest_dead_letters, find_dead_letter, last_dead_letter, list_dead_letters, put_dead_letters,
    read_dead_letters,
};
pub use feed::{FeedEvent, continue_feed, feed_end, find_newest_id, list_feed};
pub use find::{find_by_id, find_event, list_events};
pub use find_flat::{count_flat_events, find_flat_event, list_flat_events};
pub use insert::{Inserted, put_events, put_postgres_events};
pub use prepared::{Prepared, Unstorable, prepare};
pub use read::{FlatEvent, StoredEvent};
pub use retention::{Removed, claim_removal, delete_generated_before, delete_oldest, find_replay_time};
pub use types::{count_events, list_event_types, list_trait_descriptions, list_trait_values};

use shared::db::{Migrations, embed_migrations};

/// The service's tables.
pub const MIGRATIONS: Migrations = Migrations {
    sqlite: embed_migrations!("migrations/sqlite"),
    postgres: embed_migrations!("migrations/postgres"),
};

/// Why a query gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The event that a list should go on after does not exist.
    #[error("Marker {0} not found.")]
    MarkerNotFound(String),
    /// Too few events meet the conditions to find a page of them in time.
    #[error("the search takes too long: name a time range, or a condition that fewer events meet")]
    TooLong,
    /// The database failed or is away.
    #[error(transparent)]
    Database(#[from] shared::db::DbError),
}

impl From<diesel::result::Error> for StoreError {
    fn from(cause: diesel::result::Error) -> Self {
        Self::Database(cause.into())
    }
}
