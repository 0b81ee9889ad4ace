//! Annotations of five years, the same for every run and engine.

use annotate_svc::model::{Annotation, Field, Stamp, Texts};
use annotate_svc::store::{Change, MIGRATIONS, Write};
use diesel::connection::SimpleConnection;
use shared::db::{Db, DbConn, Target};
use std::ops::Range;
use uuid::Uuid;

/// 2020-01-01, in seconds since 1970.
pub const BASE: i64 = 1_577_836_800;

/// Days that the annotations lie in.
pub const DAYS: i64 = 5 * 365;

pub const DAY: i64 = 86_400;

/// Where a benchmark runs.
#[derive(Clone, Debug)]
pub enum Engine {
    Sqlite,
    Postgres(String),
}

/// A store of the benchmark's own, removed at its end unless it lies in the schema that `--schema` names.
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
            let folder = tempfile::tempdir().unwrap();
            (Target::Sqlite { file: folder.path().join("bench.sqlite") }, Some(folder), None)
        }
        Engine::Postgres(url) => {
            let named = std::env::args().skip_while(|argument| argument != "--schema").nth(1);
            let removed = named.is_none().then(|| format!("bench_{}", Uuid::new_v4().simple()));
            let schema = named.or(removed.clone()).unwrap();
            (Target::postgres(url, &schema).unwrap(), None, removed.map(|schema| (url.clone(), schema)))
        }
    };
    Store { db: Db::open(target, 8, MIGRATIONS).unwrap(), _folder: folder, schema }
}

pub fn analyze(conn: &mut DbConn) {
    match conn {
        DbConn::Postgres(conn) => {
            conn.batch_execute("VACUUM ANALYZE").unwrap();
            // Its pages are then where those of a server are that has run for a while.
            let prewarm = "CREATE EXTENSION IF NOT EXISTS pg_prewarm SCHEMA public; \
                 SELECT public.pg_prewarm(oid) FROM pg_class \
                 WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'i')";
            conn.batch_execute(prewarm).unwrap();
        }
        // No ANALYZE: with its samples SQLite plans a statement anew for every value that is bound.
        DbConn::Sqlite(conn) => conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").unwrap(),
    }
}

/// The argument after `name`.
pub fn number(name: &str, default: usize) -> usize {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1).map_or(default, |text| text.parse().unwrap())
}

/// A number that looks random and is the same for every run.
pub fn mixed(seed: usize) -> usize {
    let mut x = (seed as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((x ^ (x >> 31)) >> 1) as usize
}

pub fn id(place: usize) -> Uuid {
    Uuid::from_u64_pair(mixed(place) as u64, place as u64)
}

/// The annotations of these places, of `total` over the five years: 20 owners, 1000 hosts, 10 categories, half made
/// by machines; seven in ten without duration, one in a thousand over months.
pub fn annotations(places: Range<usize>, total: usize) -> Vec<Annotation> {
    places.map(|place| annotation(place, total)).collect()
}

fn annotation(place: usize, total: usize) -> Annotation {
    let pick = |salt: usize, of: usize| mixed(place * 16 + salt) % of;
    let start = BASE + (place as i64) * DAYS * DAY / (total as i64);
    let duration = match pick(0, 1000) {
        0 => 90 * DAY,
        1..=20 => 3 * DAY,
        21..=100 => 8 * 3600,
        101..=300 => pick(1, 3600) as i64,
        _ => 0,
    };
    let mut texts = Texts::default();
    let words: Vec<String> =
        (4..12).map(|salt| format!("word{}", (pick(salt, 5000) * pick(salt, 77)) / 77)).collect();
    texts.set(Field::Message, words.join(" "));
    texts.set(Field::Owner, format!("team{}", pick(12, 20)));
    texts.set(Field::Host, format!("host{:04}", pick(13, 1000)));
    texts.set(Field::Category, format!("category{}", pick(14, 10)));
    texts.set(Field::Source, "bench".to_owned());
    if pick(15, 2) == 0 {
        texts.set(Field::CreationUser, format!("user{}", pick(3, 50)));
    }
    let stamp = |secs: i64| Stamp { micros: secs * 1_000_000, offset_secs: 0 };
    Annotation { id: id(place), texts, start: stamp(start), end: stamp(start + duration), tags: Vec::new() }
}

pub fn create(annotations: Vec<Annotation>) -> Write {
    Write {
        change: Change::Create(annotations),
        by: "bench".into(),
        at: BASE * 1_000_000,
        guard: None,
        key: None,
    }
}
