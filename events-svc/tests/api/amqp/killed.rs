//! The service killed while messages flow, and its database cut off from it.

use super::rabbit::Rabbit;
use super::{Running, ids, messages, settings, stored, until};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use events_svc::distill::Distiller;
use events_svc::engine::{Ingest, Notifications};
use shared::clock::SystemClock;
use shared::db::{Db, Target};
use shared::testing::POSTGRES_URL;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

/// A folder, and on PostgreSQL a database, for a service of its own.
struct Home {
    folder: TempDir,
    postgres: Option<(String, String)>,
}

impl Home {
    fn new() -> Self {
        let postgres = std::env::var(POSTGRES_URL).ok().map(|url| {
            let name = format!("test_{}", uuid::Uuid::new_v4().simple());
            execute(&url, &format!("CREATE DATABASE {name}"));
            (url, name)
        });
        Self { folder: tempfile::tempdir().unwrap(), postgres }
    }

    fn database_url(&self) -> Option<String> {
        let (url, name) = self.postgres.as_ref()?;
        let (server, _) = url.rsplit_once('/').unwrap();
        Some(format!("{server}/{name}"))
    }

    /// The tables of the event service.
    fn open(&self) -> Db {
        let target = match self.database_url() {
            Some(url) => Target::postgres(&url, "events").unwrap(),
            None => Target::Sqlite { file: self.folder.path().join("events.sqlite") },
        };
        Db::open(target, 4, events_svc::store::MIGRATIONS).unwrap()
    }

    /// The service as a process, with one queue.
    fn serve(&self, url: &str, queue: &str) -> Child {
        let amqp =
            format!(r#"[{{url="{url}", prefetch=50, queues=[{{queue="{queue}", exchanges=["{queue}"]}}]}}]"#);
        let mut command = Command::new(env!("CARGO_BIN_EXE_events-svc"));
        command.current_dir(self.folder.path()).env("QUINTET_DATA_DIR", self.folder.path());
        command.env("QUINTET_EVENTS__AMQP", amqp).stdout(Stdio::null()).stderr(Stdio::null());
        command.envs(self.database_url().map(|url| ("QUINTET_DATABASE_URL", url)));
        command.spawn().unwrap()
    }

    /// Ends all connections to the database, as its restart does.
    fn disconnect(&self) {
        if let Some((url, name)) = &self.postgres {
            let others =
                format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
            execute(url, &others);
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some((url, name)) = &self.postgres {
            execute(url, &format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}

fn execute(url: &str, sql: &str) {
    PgConnection::establish(url).unwrap().batch_execute(sql).unwrap();
}

#[actix_web::test]
async fn a_service_that_is_killed_again_and_again_stores_everything_once() {
    const ALL: usize = 3000;
    let Some(rabbit) = Rabbit::find().await else { return };
    let (home, queue) = (Home::new(), rabbit.queue().await);
    let db = home.open();
    rabbit.publish("", &queue, &messages(0..ALL)).await;
    for part in 1..=4 {
        let mut service = home.serve(&rabbit.url, &queue);
        until("a part", async || stored(&db).await.len() > part * 300).await;
        service.kill().unwrap();
        service.wait().unwrap();
    }
    let mut service = home.serve(&rabbit.url, &queue);
    until("everything", async || stored(&db).await == ids(0..ALL)).await;
    assert!(Command::new("kill").arg(service.id().to_string()).status().unwrap().success());
    assert!(service.wait().unwrap().success(), "it ends well when it is asked to");
    assert_eq!(rabbit.ready(&queue).await, 0);
    rabbit.delete(&queue, &[&queue]).await;
}

#[actix_web::test]
async fn connections_that_the_database_ends_lose_nothing_and_make_no_dead_letters() {
    const ALL: usize = 2000;
    let Some(rabbit) = Rabbit::find().await else { return };
    let (home, queue) = (Home::new(), rabbit.queue().await);
    let db = home.open();
    let (ingest, distiller) = (Ingest::start(&db).unwrap(), Distiller::builtin().unwrap());
    let notifications = Notifications::new(
        distiller,
        ingest,
        db.clone(),
        Arc::new(SystemClock),
        events_svc::store::Room { letters: 100, bytes: i64::MAX },
    );
    rabbit.publish("", &queue, &messages(0..ALL)).await;
    let consumers = Running::start(&notifications, &[settings(&rabbit.url, &queue)]);
    // Asked over a connection that nobody ends.
    let seen = home.open();
    for part in 1..=5 {
        until("a part", async || {
            let stored = seen.read(|conn| events_svc::store::count_events(conn, None)).await;
            stored.is_ok_and(|events| events > part * 200)
        })
        .await;
        home.disconnect();
    }
    // Delivered once each, for the broker's connection stands.
    let acknowledged = async || consumers.figure("quintet_events_amqp_messages_total", &queue) == 2000.0;
    until("all acknowledged", acknowledged).await;
    consumers.stop().await;
    let db = home.open();
    assert_eq!((rabbit.ready(&queue).await, stored(&db).await), (0, ids(0..ALL)));
    assert_eq!(db.read(events_svc::store::count_dead_letters).await.unwrap(), 0);
    rabbit.delete(&queue, &[&queue]).await;
}
