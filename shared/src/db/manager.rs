//! Opens connections. The engine is chosen by the settings, never by guessing at a text: diesel's own manager
//! opens a *file* named after a mistyped address.

use super::pool::Purpose;
use super::{DbConn, DbError};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest reading statement on PostgreSQL: the gateway's own wait for an answer is as long.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a service's tables are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file of this service alone.
    Sqlite {
        /// Path of the file; its folder is made when missing.
        file: PathBuf,
    },
    /// A schema of this service alone in one database.
    Postgres {
        /// `postgres://…`
        url: PostgresUrl,
        /// Schema name.
        schema: String,
    },
}

/// A PostgreSQL address; its password never shows in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

/// How soon a server is found out that has gone dark, as the driver's settings: a connection in 10 s, an answer's first
/// byte or its acknowledgement in half a minute, where the kernel would wait for a quarter of an hour.
const WATCH: [(&str, &str); 5] = [
    ("connect_timeout", "10"),
    ("keepalives_idle", "15"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "30000"),
];

impl PostgresUrl {
    /// The address with [`WATCH`]. Its own settings come later, and so win.
    fn watched(&self) -> String {
        let Self(url) = self;
        // A password may hold a `?`: what stands before the first `@`, unless a `/` comes earlier, is no place for settings.
        let scheme = url.find("://").map_or(0, |place| place + 3);
        let host =
            url.get(scheme..).and_then(|rest| rest.find(['@', '/'])).map_or(scheme, |place| scheme + place);
        let ours: Vec<String> = WATCH.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let ours = ours.join("&");
        match url.get(host..).and_then(|rest| rest.find('?')).map(|place| url.split_at(host + place)) {
            Some((place, settings)) => format!("{place}?{ours}&{}", settings.trim_start_matches('?')),
            None => format!("{url}?{ours}"),
        }
    }
}

/// Whether every host of the address is without a port or has one from 1 to 65535. As the driver reads it, a login ends
/// at the first `@` before the first `/`.
fn has_good_ports(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let hosts = authority.split_once('@').map_or(authority, |(_, hosts)| hosts);
    let hosts = hosts.split('?').next().unwrap_or_default();
    hosts.split(',').all(|host| {
        // An address of IPv6 has colons of its own, in brackets.
        let behind = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
        behind
            .split_once(':')
            .is_none_or(|(_, port)| port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0))
    })
}

impl std::fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("postgres://********")
    }
}

impl Target {
    /// `None` when `url` is no PostgreSQL address, has a `%` that encodes nothing (the driver's own error would show
    /// the word it stands in, be it the password), has a port that is none, or `schema` is not made of lower-case letters, digits and `_`.
    #[must_use]
    pub fn postgres(url: &str, schema: &str) -> Option<Self> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
        let mut encoded = url.split('%').skip(1).map(str::as_bytes);
        let is_decodable = encoded.all(|code| {
            code.len() >= 2 && code.iter().take(2).all(u8::is_ascii_hexdigit) && !code.starts_with(b"00")
        });
        (is_postgres
            && is_decodable
            && has_good_ports(url)
            && !schema.is_empty()
            && schema.chars().all(is_plain))
        .then(|| Self::Postgres { url: PostgresUrl(url.to_owned()), schema: schema.to_owned() })
    }

    /// The folder of a SQLite file.
    pub(super) fn folder(&self) -> Option<&Path> {
        let Self::Sqlite { file } = self else { return None };
        // That of a bare name is the current one.
        file.parent().map(|folder| if folder == Path::new("") { Path::new(".") } else { folder })
    }

    /// Makes that folder.
    pub(super) fn prepare(&self) -> Result<(), DbError> {
        if let Some(folder) = self.folder() {
            std::fs::create_dir_all(folder)
                .map_err(|cause| DbError::Unavailable(format!("{}: {cause}", folder.display())))?;
        }
        Ok(())
    }

    /// Opens one connection with everything set that the rest of the code relies on.
    pub(super) fn connect(&self) -> Result<DbConn, ConnectError> {
        match self {
            Self::Sqlite { file } => {
                let mut conn = SqliteConnection::establish(&file.to_string_lossy())?;
                // busy_timeout first: switching to WAL takes a lock. FULL: what is acknowledged survives a power cut.
                // Mapped pages are shared by all connections; a large cache for each would not be. A page that many commits
                // change is written back once in 32 MiB of log, not once in 4 MiB.
                conn.batch_execute(
                    "PRAGMA busy_timeout=5000; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; \
                     PRAGMA foreign_keys=ON; PRAGMA cache_size=-8000; \
                     PRAGMA wal_autocheckpoint=8192; PRAGMA mmap_size=2147418112; PRAGMA journal_size_limit=67108864;",
                )?;
                Ok(DbConn::Sqlite(conn))
            }
            Self::Postgres { url, schema } => {
                let mut conn = PgConnection::establish(&url.watched())?;
                // The schema name is checked in `Target::postgres`. Plans are made for the values at hand: one plan for
                // all values sorted whole time ranges to answer with a page. Random reads are cheap on today's disks. No
                // statement here runs as long as compiling it takes.
                conn.batch_execute(&format!(
                    "SET search_path TO {schema}; SET TIME ZONE 'UTC'; \
                     SET plan_cache_mode = force_custom_plan; SET random_page_cost = 1.1; SET jit = off"
                ))?;
                Ok(DbConn::Postgres(conn))
            }
        }
    }
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error(transparent)]
    Connect(#[from] diesel::ConnectionError),
    #[error(transparent)]
    Setup(#[from] diesel::result::Error),
}

/// A connection of the pool, and what is known of it.
pub(super) struct Kept {
    pub(super) conn: DbConn,
    /// Found dead.
    pub(super) is_dead: bool,
    /// When a query last had it.
    pub(super) used: Instant,
    /// The pool's count of dead connections at that time.
    pub(super) losses: u64,
}

/// r2d2's door to [`Target::connect`].
#[derive(Debug)]
pub(super) struct Manager {
    target: Target,
    purpose: Purpose,
}

impl Manager {
    pub(super) fn new(target: Target, purpose: Purpose) -> Self {
        Self { target, purpose }
    }
}

impl r2d2::ManageConnection for Manager {
    type Connection = Kept;
    type Error = ConnectError;

    fn connect(&self) -> Result<Kept, ConnectError> {
        let mut conn = self.target.connect()?;
        match (&mut conn, self.purpose) {
            // Whoever asked has gone by then; the database should not go on.
            (DbConn::Postgres(conn), Purpose::Read) => {
                conn.batch_execute(&format!("SET statement_timeout = '{}s'", READ_TIMEOUT.as_secs()))?;
            }
            // Planning an insert for the very arrays at hand copies them, for longer than it takes to store a few rows.
            // A plan that was made while a table was small must not read all of it when it has grown.
            (DbConn::Postgres(conn), Purpose::Commit) => {
                conn.batch_execute("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off")?;
            }
            // The one writer keeps the pages of its indexes at hand: 64 MiB, as needed (shared/spec/storage-notes.md).
            (DbConn::Sqlite(conn), Purpose::Write | Purpose::Commit) => {
                conn.batch_execute("PRAGMA cache_size=-65536")?;
            }
            (DbConn::Postgres(_), Purpose::Write) | (DbConn::Sqlite(_), Purpose::Read) => {}
        }
        Ok(Kept { conn, is_dead: false, used: Instant::now(), losses: 0 })
    }

    fn is_valid(&self, kept: &mut Kept) -> Result<(), ConnectError> {
        Ok(kept.conn.batch_execute("SELECT 1")?)
    }

    fn has_broken(&self, kept: &mut Kept) -> bool {
        // A panic inside a transaction leaves it open; such a connection, or one the server closed, is not used again.
        kept.is_dead
            || std::thread::panicking()
            || crate::on_backend!(&mut kept.conn, c => diesel::r2d2::R2D2Connection::is_broken(c))
    }
}

#[cfg(test)]
mod tests {
    use super::{PostgresUrl, Target};
    use diesel::{Connection, PgConnection, RunQueryDsl};

    #[test]
    fn a_server_is_watched_as_the_address_says_and_else_as_we_do() {
        let watched = |url: &str| PostgresUrl(url.to_owned()).watched();
        let ours = "connect_timeout=10&keepalives_idle=15&keepalives_interval=5&keepalives_count=3\
                    &tcp_user_timeout=30000";
        for (given, expected) in [
            ("postgres://db/x", format!("postgres://db/x?{ours}")),
            ("postgres://db/x?", format!("postgres://db/x?{ours}&")),
            ("postgres://db?connect_timeout=3&a=b", format!("postgres://db?{ours}&connect_timeout=3&a=b")),
            ("postgres://u:a?b@db/x", format!("postgres://u:a?b@db/x?{ours}")),
            ("postgres://u:a?b@db/x?c=d&", format!("postgres://u:a?b@db/x?{ours}&c=d&")),
        ] {
            assert_eq!(watched(given), expected);
        }
    }

    /// The driver takes what stands last, and an `&` at the end.
    #[test]
    fn the_driver_understands_a_watched_address() {
        let Ok(url) = std::env::var(crate::testing::POSTGRES_URL) else { return };
        for settings in ["", "?", "?connect_timeout=4&application_name=watched&"] {
            let mut conn =
                PgConnection::establish(&PostgresUrl(format!("{url}{settings}")).watched()).unwrap();
            let name: String = diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>(
                "current_setting('application_name')",
            ))
            .first(&mut conn)
            .unwrap();
            assert_eq!(name == "watched", settings.contains("watched"));
        }
    }

    #[test]
    fn addresses_are_refused_before_the_driver_could_quote_them() {
        for url in ["postgres://a:p%40b@db/x", "postgresql://db/x?host=%2Frun"] {
            assert!(Target::postgres(url, "events").is_some(), "{url}");
        }
        for url in
            ["mysql://db/x", "postgres://a:hun%ter2@db/x", "postgres://a:b%00@db/x", "postgres://a:b%4"]
        {
            assert!(Target::postgres(url, "events").is_none(), "{url}");
        }
        assert!(Target::postgres("postgres://db/x", "events; DROP").is_none());
    }
}
