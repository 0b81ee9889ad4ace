//! The service's tables at its start.

use events_svc::store::MIGRATIONS;
use shared::db::{Db, Target};
use std::sync::Barrier;

/// Services of one machine that are started together, on a file that is not there yet. (PostgreSQL has its own lock, which
/// every test that starts beside others needs.)
#[test]
fn services_that_start_at_once_make_the_tables_once() {
    const SERVICES: usize = 8;
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::Sqlite { file: folder.path().join("events.sqlite") };
        let all = Barrier::new(SERVICES);
        std::thread::scope(|scope| {
            for _ in 0..SERVICES {
                scope.spawn(|| {
                    all.wait();
                    Db::open(target.clone(), 2, MIGRATIONS).unwrap()
                });
            }
        });
    }
}
