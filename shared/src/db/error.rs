//! What can go wrong with a query, told apart by whose fault it is: the statement's, or that of the hour.

use diesel::result::{DatabaseErrorKind, Error};

/// What can go wrong on the way to a connection, or with a query.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection in time, too many waiting, a query that took too long, or the database is away or takes nothing
    /// now: the same can succeed later.
    #[error("no database connection: {0}")]
    Unavailable(String),
    /// The database refused the statement.
    #[error(transparent)]
    Query(Error),
}

impl From<Error> for DbError {
    fn from(cause: Error) -> Self {
        if let Error::DatabaseError(kind, said) = &cause
            && will_pass(kind, said.message())
        {
            return Self::Unavailable(said.message().to_owned());
        }
        Self::Query(cause)
    }
}

/// How the engines begin to say that they cannot now; their drivers have codes for little of it. PostgreSQL's words are
/// English unless its `lc_messages` says otherwise.
const PASSING: [&str; 13] = [
    // PostgreSQL, SQLSTATE 57014 and 55P03: statement_timeout, lock_timeout, an administrator.
    "canceling statement due to",
    "terminating connection due to",
    "could not obtain lock",
    // 53100, 58030
    "could not extend file",
    "could not write",
    "could not open file",
    "could not fsync",
    // SQLite: SQLITE_BUSY, LOCKED, FULL, READONLY, IOERR, CANTOPEN
    "database is locked",
    "database table is locked",
    "database or disk is full",
    "attempt to write a readonly database",
    "disk I/O error",
    "unable to open database file",
];

/// PostgreSQL, SQLSTATE 40P01 and 53200.
const AT_ONCE: [&str; 3] = ["deadlock detected", "out of memory", "out of shared memory"];

fn will_pass(kind: &DatabaseErrorKind, said: &str) -> bool {
    let is_said =
        || PASSING.iter().any(|text| said.starts_with(text)) || said.ends_with("No space left on device");
    // The first is a standby, until it is promoted.
    matches!(kind, DatabaseErrorKind::ReadOnlyTransaction)
        || matches!(kind, DatabaseErrorKind::Unknown) && is_said()
}

/// Whether a failure says nothing about what was to be stored: the connection broke, memory was short, or another
/// transaction was in the way. It may be tried again at once, each write by itself.
pub(crate) fn says_nothing(cause: &Error) -> bool {
    use DatabaseErrorKind::{ClosedConnection, SerializationFailure, UnableToSendCommand, Unknown};
    if let Error::DatabaseError(Unknown, said) = cause {
        return AT_ONCE.iter().any(|text| said.message().starts_with(text));
    }
    matches!(
        cause,
        Error::BrokenTransactionManager
            | Error::DatabaseError(ClosedConnection | UnableToSendCommand | SerializationFailure, _)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: DatabaseErrorKind, text: &str) -> Error {
        Error::DatabaseError(kind, Box::new(text.to_owned()))
    }

    #[test]
    fn what_will_pass_is_no_refusal() {
        for text in [
            "canceling statement due to lock timeout",
            "canceling statement due to statement timeout",
            "canceling statement due to user request",
            "could not extend file \"base/5/16384\": No space left on device",
            "database is locked",
            // sqlite3_errstr of SQLITE_FULL and SQLITE_READONLY
            "database or disk is full",
            "attempt to write a readonly database",
        ] {
            let told = DbError::from(failed(DatabaseErrorKind::Unknown, text));
            assert!(matches!(told, DbError::Unavailable(_)), "{text}");
        }
        let standby = failed(
            DatabaseErrorKind::ReadOnlyTransaction,
            "cannot execute INSERT in a read-only transaction",
        );
        assert!(matches!(DbError::from(standby), DbError::Unavailable(_)));
    }

    /// The words are the server's own, so it is asked.
    #[test]
    fn a_lock_that_another_holds_will_pass() {
        use diesel::connection::SimpleConnection;
        use diesel::{Connection, PgConnection};
        let Ok(url) = std::env::var(crate::testing::POSTGRES_URL) else { return };
        let (mut holder, mut waiting) =
            (PgConnection::establish(&url).unwrap(), PgConnection::establish(&url).unwrap());
        holder.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(4711)").unwrap();
        let refused = waiting.batch_execute("SET lock_timeout = '1ms'; SELECT pg_advisory_lock(4711)");
        assert!(matches!(DbError::from(refused.unwrap_err()), DbError::Unavailable(_)));
        let standby = waiting.batch_execute("BEGIN READ ONLY; CREATE TABLE none ()");
        assert!(matches!(DbError::from(standby.unwrap_err()), DbError::Unavailable(_)));
    }

    #[test]
    fn a_refusal_is_told_as_one() {
        for (kind, text) in [
            (DatabaseErrorKind::CheckViolation, "database is locked"),
            (DatabaseErrorKind::Unknown, "invalid byte sequence for encoding \"UTF8\": 0xff"),
            (DatabaseErrorKind::Unknown, "syntax error at or near \"out of memory\""),
        ] {
            let cause = failed(kind, text);
            assert!(!says_nothing(&cause), "{text}");
            assert!(matches!(DbError::from(cause), DbError::Query(_)), "{text}");
        }
    }

    #[test]
    fn a_broken_connection_and_a_deadlock_say_nothing_about_the_write() {
        use DatabaseErrorKind::{ClosedConnection, SerializationFailure, UnableToSendCommand, Unknown};
        for kind in [ClosedConnection, SerializationFailure, UnableToSendCommand] {
            assert!(says_nothing(&failed(kind, "x")));
        }
        assert!(says_nothing(&failed(Unknown, "deadlock detected")));
    }
}
