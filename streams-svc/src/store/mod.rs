//! All SQL of the stream store. Functions take the open connection, so that they nest in transactions.
//!
//! What an event makes of a stream decides `engine`; which streams are due, and which state they come to when a worker
//! takes them or lets them go, is decided here (`work`), where the rows are locked. Each transaction begins with a
//! statement that writes, so that SQLite takes its lock at once.
//!
//! | file | what |
//! |---|---|
//! | `term` | distinguishing values and the keys of streams as bytes |
//! | `join` | the one transaction that takes a piece of the feed |
//! | `put` | the rows that it writes |
//! | `cursor` | how far the feed was followed, and who follows it |
//! | `replica` | which processes there are, and what they run by |
//! | `work` | what workers do: take, renew, finish |
//! | `find` | lists, counts and single streams |
//! | `change` | reset and delete by users |
//! | `history` | what became of streams |
//! | `outbox` | new events on their way to the event service |
//! | `trim` | removal of what is old |

mod change;
mod cursor;
mod find;
mod history;
mod join;
mod outbox;
mod put;
mod replica;
mod term;
mod trim;
mod work;

pub use change::{Reset, delete_stream, reset_stream};
pub use cursor::{Cursor, find_present, leave_partitions, list_cursors, share_partitions, start_partitions};
pub use find::{
    StreamFilter, StreamRow, count_streams, find_active, find_stream, list_events, list_streams,
    sum_event_bytes,
};
pub use history::{Change, continue_history, last_change, list_changes, list_history};
pub use join::{Added, Joining, add_events};
pub use outbox::{Outgoing, delete_outgoing, list_outgoing};
pub use replica::{
    Announced, ReplicaRow, announce_definitions, delete_replica, find_announced, list_replicas, put_replica,
};
pub use term::{active_key, wanted_terms};
pub use trim::{delete_history_before, delete_members_before};
pub use work::{Due, Finished, Outcome, Room, Taken, finish, list_due, renew, return_lost, take};

use shared::db::{Migrations, embed_migrations};

/// The service's tables.
pub const MIGRATIONS: Migrations = Migrations {
    sqlite: embed_migrations!("migrations/sqlite"),
    postgres: embed_migrations!("migrations/postgres"),
};
