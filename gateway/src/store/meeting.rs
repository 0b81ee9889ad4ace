//! What tests need to let two transactions meet. On PostgreSQL both are open at once; SQLite has one writer.

use super::create_holder;
use crate::model::{Action, Deed, Kind, NewHolder};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use shared::db::{Db, DbConn, DbError, Target};
use shared::testing::TestDb;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

pub(super) fn now() -> DateTime<Utc> {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

pub(super) fn deed() -> Deed {
    Deed {
        at: now(),
        actor: "test".into(),
        address: String::new(),
        action: Action::TokenIssue,
        target: String::new(),
        detail: String::new(),
    }
}

/// A user with a password; his id.
pub(super) fn user_with(test: &TestDb, secret_hash: &str) -> String {
    let kind = Kind::User;
    let wish = NewHolder { kind, name: "ada".into(), secret: None, user_id: None, project_id: None };
    let holder = wish.into_holder(Some(secret_hash.into()), now());
    let id = holder.id.clone();
    assert!(test.db.write_blocking(|conn| create_holder(conn, holder, &[], deed())).unwrap());
    id
}

/// Begins `second` before the transaction of `first` has ended.
pub(super) fn meet<A: Send, B: Send>(
    db: &Db,
    first: impl FnOnce(&mut DbConn) -> A + Send,
    second: impl FnOnce(&mut DbConn) -> B + Send,
) -> (A, B) {
    if let Target::Sqlite { .. } = db.target() {
        let first = db.write_blocking::<_, DbError>(|conn| Ok(first(conn))).unwrap();
        return (first, db.write_blocking::<_, DbError>(|conn| Ok(second(conn))).unwrap());
    }
    let (begun, has_begun) = channel();
    let (over, is_over) = channel::<()>();
    thread::scope(|scope| {
        let first = scope.spawn(move || {
            let run = |conn: &mut DbConn| {
                conn.transaction(|conn| {
                    let outcome = first(conn);
                    begun.send(()).unwrap();
                    until_awaited(conn, &is_over);
                    Ok(outcome)
                })
            };
            db.write_blocking::<_, DbError>(run).unwrap()
        });
        has_begun.recv().unwrap();
        let second = db.write_blocking::<_, DbError>(|conn| Ok(second(conn))).unwrap();
        drop(over);
        (first.join().unwrap(), second)
    })
}

/// Returns when another transaction waits for this one, or when none ever will.
fn until_awaited(conn: &mut DbConn, is_over: &Receiver<()>) {
    let DbConn::Postgres(conn) = conn else { return };
    let waiting =
        "SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))";
    while diesel::sql_query(waiting).execute(conn).unwrap() == 0
        && is_over.try_recv() == Err(TryRecvError::Empty)
    {
        thread::yield_now();
    }
}
