//! Notifications over AMQP, from a real RabbitMQ (`scripts/services start rabbitmq`).

mod delivery;
mod failures;
mod killed;
mod rabbit;

use crate::common::Fixture;
use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl};
use events_svc::config::amqp::{Broker, Queue};
use events_svc::distill::Distiller;
use events_svc::engine::amqp::Consumers;
use events_svc::engine::{Ingest, Notifications};
use events_svc::store::{Room, StoreError};
use serde_json::{Value, json};
use shared::config::Secret;
use shared::db::{Db, DbConn, DbError, Sql};
use shared::metrics::Metrics;
use shared::stop::Stop;
use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Longest time that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `holds`; a test that waits too long has failed with `what`.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn notification(id: &str) -> Value {
    json!({"message_id": id, "event_type": "compute.instance.update", "publisher_id": "compute.h1",
        "priority": "INFO", "timestamp": "2026-01-01 10:00:00.5", "_unique_id": format!("u-{id}"),
        "payload": {"tenant_id": "t1"}})
}

/// Numbered notifications as messages.
fn messages(numbers: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    numbers.map(|n| notification(&id(n)).to_string().into_bytes()).collect()
}

fn id(number: usize) -> String {
    format!("m{number:05}")
}

fn ids(numbers: std::ops::Range<usize>) -> BTreeSet<String> {
    numbers.map(id).collect()
}

/// Message ids in the store. The table holds each at most once.
async fn stored(db: &Db) -> BTreeSet<String> {
    #[derive(QueryableByName)]
    struct Stored {
        #[diesel(sql_type = Text)]
        message_id: String,
    }
    let select = |conn: &mut DbConn| {
        let sql = Sql::new("SELECT message_id FROM events");
        Ok::<Vec<Stored>, StoreError>(shared::on_backend!(conn, c => sql.load(c))?)
    };
    db.read(select).await.unwrap().into_iter().map(|row| row.message_id).collect()
}

/// A broker's settings with one queue, bound to an exchange of the same name.
fn settings(url: &str, queue: &str) -> Broker {
    let queue = Queue { exchanges: vec![queue.to_owned()], ..Queue::named(queue) };
    Broker { url: Some(Secret::new(url)), queues: vec![queue], ..Broker::default() }
}

/// Consumers at work.
struct Running {
    stop: Stop,
    tasks: Vec<JoinHandle<()>>,
    metrics: Metrics,
}

impl Running {
    fn start(notifications: &Notifications, brokers: &[Broker]) -> Self {
        for (place, broker) in brokers.iter().enumerate() {
            broker.validate(place).unwrap();
        }
        let (metrics, stop) = (Metrics::new("events").unwrap(), Stop::default());
        let consumers = Consumers::new(brokers).unwrap();
        consumers.register(&metrics).unwrap();
        Self { tasks: consumers.start(notifications, &stop), stop, metrics }
    }

    /// Stops as the service does.
    async fn stop(self) {
        self.stop.stop();
        for task in self.tasks {
            tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap();
        }
    }

    /// Stops at once, wherever the consumers are.
    async fn kill(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }

    /// The sum of a metric over all label sets that contain `label`.
    fn figure(&self, name: &str, label: &str) -> f64 {
        let text = self.metrics.text();
        let samples =
            text.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(label));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

impl Fixture {
    /// The way into this fixture's store, with other definitions or bounds than the fixture's own.
    fn notifications(&self, distiller: Distiller, max_dead_letters: i64) -> Notifications {
        let db = &self.database.db;
        Notifications::new(
            distiller,
            Ingest::start(db).unwrap(),
            db.clone(),
            self.clock.clone(),
            Room { letters: max_dead_letters, bytes: i64::MAX },
        )
    }

    fn builtin(&self) -> Notifications {
        self.notifications(Distiller::builtin().unwrap(), 100)
    }

    async fn stored(&self) -> BTreeSet<String> {
        stored(&self.database.db).await
    }

    /// Keeps all writers out of the store until the answer is dropped.
    fn lock(&self) -> Sender<()> {
        let ((release, released), (tell_locked, locked)) = (channel(), channel());
        let db = self.database.db.clone();
        std::thread::spawn(move || {
            db.write_blocking(|conn| {
                conn.batch_execute(match conn {
                    DbConn::Postgres(_) => "BEGIN; LOCK TABLE events IN EXCLUSIVE MODE",
                    DbConn::Sqlite(_) => "BEGIN IMMEDIATE",
                })?;
                tell_locked.send(()).unwrap();
                // It fails when the other end is dropped: that is the release.
                let _ = released.recv();
                Ok::<_, DbError>(conn.batch_execute("ROLLBACK")?)
            })
        });
        locked.recv().unwrap();
        release
    }
}
