//! Batches that are stored at the same time.

use crate::common::{Fixture, event, text};
use events_svc::store::{Prepared, count_events, prepare, put_events};
use shared::db::DbError;
use std::sync::Barrier;

const ROUNDS: usize = 20;
const EVENTS: usize = 100;

/// What two replicas get when each message is published to both.
#[actix_web::test]
async fn the_same_events_in_opposite_orders_are_stored_once_and_nobody_is_locked_out() {
    let fixture = Fixture::new();
    let (db, start) = (&fixture.database.db, &Barrier::new(2));
    // Told at the end: who gave up at once would keep the other waiting for the next start.
    let stored = |is_reversed: bool| -> Vec<Result<usize, DbError>> {
        let one = |round: usize, n: usize| {
            let id = format!("{round}-{n}");
            prepare(&event(&id, "t", "2015-01-01T00:00:00", &[("host", text(&id))])).unwrap()
        };
        let round = |round| {
            let mut batch: Vec<Prepared> = (0..EVENTS).map(|n| one(round, n)).collect();
            if is_reversed {
                batch.reverse();
            }
            start.wait();
            let put = db.commit_blocking(|conn| put_events(conn, &batch, i16::from(is_reversed)));
            put.map(|inserted| inserted.saved())
        };
        (0..ROUNDS).map(round).collect()
    };
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| stored(true));
        (stored(false), other.join().unwrap())
    });
    let together: Vec<usize> =
        one.into_iter().zip(other).map(|(one, other)| one.unwrap() + other.unwrap()).collect();
    assert_eq!(together, [EVENTS; ROUNDS]);
    let counted = db.read(|conn| count_events(conn, None)).await.unwrap();
    assert_eq!(usize::try_from(counted), Ok(ROUNDS * EVENTS));
}
