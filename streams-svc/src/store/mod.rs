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
pub use cursor::{
    Cursor, Place, find_present, leave_partitions, list_cursors, share_partitions, start_partitions,
};
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

use diesel::deserialize::FromSqlRow;
use diesel::sql_types::Untyped;
use diesel::{QueryableByName, RunQueryDsl};
use shared::db::{DbConn, DbError, Migrations, Sql, embed_migrations};
use shared::on_backend;

/// The service's tables.
pub const MIGRATIONS: Migrations = Migrations {
    sqlite: embed_migrations!("migrations/sqlite"),
    postgres: embed_migrations!("migrations/postgres"),
};

/// Runs a statement and reads its rows.
fn load<R>(conn: &mut DbConn, sql: Sql) -> Result<Vec<R>, DbError>
where
    R: FromSqlRow<Untyped, diesel::pg::Pg> + FromSqlRow<Untyped, diesel::sqlite::Sqlite> + 'static,
{
    Ok(on_backend!(conn, c => sql.load::<R>(c))?)
}

/// Runs a statement; how many rows it changed.
fn execute(conn: &mut DbConn, sql: Sql) -> Result<usize, DbError> {
    Ok(on_backend!(conn, c => sql.execute(c))?)
}

/// Numbers of our own as a list in SQL; there may be too many to bind.
fn id_list(ids: impl IntoIterator<Item = i64>) -> String {
    let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    format!("({})", ids.join(","))
}

/// A row of one number.
#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    number: i64,
}
