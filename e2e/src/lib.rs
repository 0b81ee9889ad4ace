//! The whole product as its users see it: the real binary, started as a process, on either engine.

pub mod browser;

use anyhow::{Context, bail, ensure};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Address of a PostgreSQL whose user may make databases.
const POSTGRES_URL: &str = "QUINTET_TEST_POSTGRES_URL";

/// Where an installation keeps its data: a folder, and a database of its own on PostgreSQL.
pub struct Home {
    folder: TempDir,
    database: Option<Database>,
}

/// A database that goes away with this value.
struct Database {
    server: String,
    name: String,
    url: String,
}

impl Drop for Database {
    fn drop(&mut self) {
        let Ok(mut conn) = PgConnection::establish(&self.server) else { return };
        // A database that stays is only litter on a test server.
        let _ = conn.batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

impl Home {
    /// An empty home on SQLite.
    ///
    /// # Errors
    /// When no folder can be made.
    pub fn sqlite() -> anyhow::Result<Self> {
        Ok(Self { folder: tempfile::tempdir()?, database: None })
    }

    /// An empty home on PostgreSQL; `None` when no server is named and none is required.
    ///
    /// # Errors
    /// When `QUINTET_TEST_REQUIRE_SERVICES` is set and no server is named, or the database cannot be made.
    pub fn postgres() -> anyhow::Result<Option<Self>> {
        let Some(server) = postgres_server()? else { return Ok(None) };
        let name = format!("e2e_{}", uuid::Uuid::new_v4().simple());
        let mut conn = PgConnection::establish(&server)?;
        conn.batch_execute(&format!("CREATE DATABASE {name}"))?;
        let (base, _) = server.rsplit_once('/').context("the address names no database")?;
        let url = format!("{base}/{name}");
        Ok(Some(Self { folder: tempfile::tempdir()?, database: Some(Database { server, name, url }) }))
    }

    /// The folder, for files of a test.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A command of the product with this home.
    ///
    /// # Errors
    /// When the product is not built.
    pub fn command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(binary()?);
        command.current_dir(self.folder.path()).env("QUINTET_GATEWAY__LISTEN", "127.0.0.1:0");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("QUINTET_")) {
            if name != "QUINTET_GATEWAY__LISTEN" {
                command.env_remove(name);
            }
        }
        if let Some(database) = &self.database {
            command.env("QUINTET_DATABASE_URL", &database.url);
        }
        Ok(command)
    }

    /// Starts the product with further settings and waits until it answers.
    ///
    /// # Errors
    /// When it ends before it is ready; the error holds what it wrote.
    pub fn start(&self, settings: &[(&str, &str)]) -> anyhow::Result<Product> {
        self.start_as("log", &["serve", "--target", "all"], settings)
    }

    /// Starts the product with these arguments, its log in a file of that name, and waits until it answers.
    ///
    /// # Errors
    /// When it ends before it is ready; the error holds what it wrote.
    pub fn start_as(
        &self,
        log_name: &str,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Product> {
        let mut command = self.command()?;
        command.args(arguments).envs(settings.iter().copied());
        let log_file = self.folder.path().join(log_name);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&log_file)?;
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let Some(line) = lines.next().transpose()? else {
            child.wait()?;
            bail!("the product did not start: {}", std::fs::read_to_string(log_file)?);
        };
        let url = line.strip_prefix("ready ").context("the first line must be `ready http://…`")?.to_owned();
        Ok(Product { child, url })
    }
}

/// Address of a PostgreSQL for the whole product; `None` when none is named and none is required.
///
/// # Errors
/// When `QUINTET_TEST_REQUIRE_SERVICES` is set and no server is named.
pub fn postgres_server() -> anyhow::Result<Option<String>> {
    // The suite on SQLite runs with the address under another name, so that these tests still find the server.
    let server = std::env::var(POSTGRES_URL).or_else(|_unset| std::env::var("QUINTET_TEST_E2E_POSTGRES_URL"));
    match server {
        Ok(server) => Ok(Some(server)),
        Err(_unset) => {
            let is_required = std::env::var_os("QUINTET_TEST_REQUIRE_SERVICES").is_some();
            ensure!(!is_required, "{POSTGRES_URL} is not set");
            Ok(None)
        }
    }
}

/// The product's binary beside the running test.
///
/// # Errors
/// When the product is not built.
pub fn binary() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test.parent().and_then(|deps| deps.parent()).context("no build folder")?;
    let binary = profile.join("quintet");
    ensure!(binary.exists(), "{} is missing: run `cargo build -p quintet`", binary.display());
    Ok(binary)
}

/// A running product; it is killed when this value goes.
pub struct Product {
    child: Child,
    /// Address of the gateway.
    pub url: String,
}

impl Product {
    /// Ends the process at once, as a power cut would.
    ///
    /// # Errors
    /// When the process cannot be killed.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks the process to end and waits for it.
    ///
    /// # Errors
    /// When it does not end with success within half a minute.
    pub async fn terminate(mut self) -> anyhow::Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "ended with {status}");
                return Ok(());
            }
            ensure!(tokio::time::Instant::now() < deadline, "did not end on SIGTERM");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        // Already ended: nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
