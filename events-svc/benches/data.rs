//! Events as OpenStack sends them, 12 traits each, the same for every run and engine.

use chrono::Duration;
use diesel::connection::SimpleConnection;
use events_svc::model::{Event, Trait, TraitValue};
use events_svc::store::{self, Prepared};
use shared::db::{Db, DbConn, Target};
use std::ops::Range;

pub const BASE: &str = "2026-01-01T00:00:00";

/// Where a benchmark runs.
#[derive(Clone, Debug)]
pub enum Engine {
    Sqlite,
    Postgres(String),
}

/// A store of the benchmark's own, removed at its end.
pub struct Store {
    pub db: Db,
    _folder: Option<tempfile::TempDir>,
    schema: Option<(String, String)>,
}

impl Drop for Store {
    fn drop(&mut self) {
        use diesel::Connection;
        if let Some((url, schema)) = &self.schema {
            let mut conn = diesel::PgConnection::establish(url).unwrap();
            conn.batch_execute(&format!("DROP SCHEMA {schema} CASCADE")).unwrap();
        }
    }
}

pub fn engines() -> Vec<Engine> {
    let postgres = std::env::var("QUINTET_TEST_POSTGRES_URL").ok().map(Engine::Postgres);
    std::iter::once(Engine::Sqlite).chain(postgres).collect()
}

pub fn open(engine: &Engine) -> Store {
    let (target, folder, schema) = match engine {
        Engine::Sqlite => {
            let folder = tempfile::tempdir_in(".").unwrap();
            (Target::Sqlite { file: folder.path().join("bench.sqlite") }, Some(folder), None)
        }
        Engine::Postgres(url) => {
            let schema = format!("bench_{}", std::process::id());
            (Target::postgres(url, &schema).unwrap(), None, Some((url.clone(), schema)))
        }
    };
    Store { db: Db::open(target, 4, store::MIGRATIONS).unwrap(), _folder: folder, schema }
}

/// Does what autovacuum does by and by: the planner's figures, and on PostgreSQL the map of pages that an index alone
/// can answer for.
pub fn analyze(conn: &mut DbConn) {
    let statement = if let DbConn::Postgres(_) = conn { "VACUUM ANALYZE" } else { "ANALYZE" };
    conn.batch_execute(statement).unwrap();
}

pub fn age(n: usize) -> Duration {
    Duration::milliseconds(i64::try_from(n).unwrap() * 250)
}

pub fn message_id(n: usize) -> String {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, &n.to_le_bytes()).to_string()
}

pub fn event_type(n: usize) -> String {
    format!("compute.instance.step{}.end", n % 20)
}

pub fn host(n: usize) -> TraitValue {
    TraitValue::Text(format!("compute-{:03}.example.org", n % 200))
}

pub fn request_id(n: usize) -> TraitValue {
    TraitValue::Text(format!("req-{}", message_id(n / 4)))
}

/// Project and user: 500 projects of four users.
pub fn owner(n: usize) -> (String, String) {
    (format!("project-{:028}", n % 500), format!("user-{:031}", n % 2000))
}

/// Events ready to be stored. Their order of storage is their order in time, but for one in a hundred.
pub fn events(numbers: Range<usize>) -> Vec<Prepared> {
    numbers.map(|n| store::prepare(&event(n)).unwrap()).collect()
}

pub fn event(n: usize) -> Event {
    let (project, user) = owner(n);
    let integer = |n: usize| TraitValue::Integer(i64::try_from(n).unwrap());
    let late = if n.is_multiple_of(100) { Duration::seconds(30) } else { Duration::zero() };
    let generated = BASE.parse::<chrono::NaiveDateTime>().unwrap() + age(n) - late;
    let traits = [
        ("project_id", TraitValue::Text(project)),
        ("user_id", TraitValue::Text(user)),
        ("instance_id", TraitValue::Text(message_id(n / 50))),
        ("request_id", request_id(n)),
        ("host", host(n * 13)),
        ("service", TraitValue::Text("compute".into())),
        ("state", TraitValue::Text(["active", "building", "deleted"][n % 3].into())),
        ("memory_mb", integer(512 << (n % 4))),
        ("vcpus", integer(1 + n % 8)),
        ("sequence", integer(n)),
        ("load", TraitValue::Float(n as f64 / 7.0)),
        ("launched_at", TraitValue::Datetime(generated - Duration::hours(1))),
    ];
    let property = |(name, value): (&str, TraitValue)| Trait { name: name.into(), value };
    Event {
        message_id: message_id(n),
        event_type: event_type(n),
        generated,
        traits: traits.into_iter().map(property).collect(),
        raw: None,
    }
}
