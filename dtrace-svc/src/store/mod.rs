//! All SQL of the service. Functions take the open connection, so that they nest in transactions.

mod runs;
mod scripts;

pub use runs::{
    Run, RunMessage, delete_old_runs, delete_recording, end_lost_runs, end_run, find_run, list_messages,
    list_runs, put_message, put_run, put_summary, touch_runs,
};
pub use scripts::{
    After, delete_script, edit_metadata, edit_script, find_script, list_keys, list_scripts, put_script,
};

use crate::model::Refused;
use shared::db::{Migrations, embed_migrations};

/// The service's tables.
pub const MIGRATIONS: Migrations = Migrations {
    sqlite: embed_migrations!("migrations/sqlite"),
    postgres: embed_migrations!("migrations/postgres"),
};

/// Why a query gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such script or metadata.
    #[error("{0} not found")]
    NotFound(String),
    /// The script is at another revision than the caller expects.
    #[error("the script has changed")]
    Changed,
    /// The change itself is refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The database failed or is away.
    #[error(transparent)]
    Database(#[from] shared::db::DbError),
}

impl From<diesel::result::Error> for StoreError {
    fn from(cause: diesel::result::Error) -> Self {
        Self::Database(cause.into())
    }
}
