//! The same rows with the same SQL and no HTTP.

use crate::data;
use events_svc::store::{self, Prepared};
use shared::db::Db;
use std::ops::Range;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Stores events in lists, over so many connections at once; answers how long that took.
pub(crate) fn put(db: &Db, events: Range<usize>, list: usize, connections: usize) -> Duration {
    let lists: Vec<Vec<Prepared>> =
        events.step_by(list).map(|start| data::events(start..start + list)).collect();
    let barrier = Barrier::new(connections + 1);
    let started = std::thread::scope(|scope| {
        for place in 0..connections {
            let (lists, barrier) = (&lists, &barrier);
            scope.spawn(move || {
                let shard = i16::try_from(place).unwrap();
                barrier.wait();
                for list in lists.iter().skip(place).step_by(connections) {
                    let put = db.commit_blocking(|conn| store::put_events(conn, list, shard)).unwrap();
                    assert_eq!(put.saved(), list.len());
                }
            });
        }
        barrier.wait();
        Instant::now()
    });
    started.elapsed()
}
