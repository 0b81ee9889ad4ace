//! The gateway: the only public door of the product.
//!
//! [`start`] binds the listeners and starts the workers. A request then goes through [`serve`](crate) in one
//! direction: route table, guard, identity, limits, and on to a service or a page. Errors that the gateway makes
//! itself look as the API that owns the path would have made them.

mod alarm;
mod body;
mod cache;
mod config;
mod cors;
mod fault;
mod gateway;
mod guard;
mod identity;
mod limits;
mod metrics;
mod model;
mod pages;
mod proxy;
mod request;
mod routes;
mod schema;
mod serve;
mod server;
mod shapes;
mod store;
mod upstream;
mod waiting;
mod watch;

pub use store::MIGRATIONS;

pub use config::{Compat, Config, Limits, Timeouts, UpstreamLists, Upstreams};

use gateway::Gateway;
use identity::{Accounts, AccountsError};
use limits::{Places, RateLimit};
use metrics::GatewayMetrics;
use routes::Api;
use server::{Door, Listener, Worker, WorkerHandle};
use shared::clock::SharedClock;
use shared::config::{AuthMode, Common, ConfigError};
use shared::db::{Db, DbError};
use shared::identity::IdentityKey;
use shared::metrics::Metrics;
use shared::secrets;
use shared::stop::Stop;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use upstream::Directory;

/// Name of the gateway in settings, logs and metrics, and of its schema or SQLite file.
pub const NAME: &str = "gateway";

/// Seconds over which the request rate of one address is averaged.
const RATE_SECS: u32 = 10;

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be bound, or there is no thread to be had.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The tables cannot be opened.
    #[error(transparent)]
    Store(#[from] DbError),
    /// Users and tokens cannot be opened.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// A metric's name is wrong or taken.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// A gateway that answers.
pub struct Running {
    listeners: Vec<(&'static str, String)>,
    stop: Stop,
    metrics: GatewayMetrics,
    tasks: Vec<JoinHandle<()>>,
    workers: Arc<[WorkerHandle]>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Running {
    /// Base URL of every listener, the main one first.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.listeners.iter().map(|(_, url)| url.clone()).collect()
    }

    /// Name (`main`, `stacktach`, `panko`, `snap`, `annotate`, `fifo`) and base URL of every listener.
    #[must_use]
    pub fn listeners(&self) -> &[(&'static str, String)] {
        &self.listeners
    }

    /// Shows the metrics of the services of this process at `/metrics` too; a second call changes nothing.
    pub fn show_metrics_of(&self, services: Vec<Metrics>) {
        self.metrics.show_also(services);
    }

    /// Takes no new connections, lets open requests end within the time the settings give, then returns. Watch streams
    /// and websockets, which would go on for ever, are ended.
    pub async fn stop(self) {
        self.stop.stop();
        // With the last way in gone the workers drain: the listeners have one each until they end.
        drop(self.workers);
        for task in self.tasks {
            // A task that panicked has nothing more to stop.
            let _ = task.await;
        }
        let threads = self.threads;
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    log::error!("a worker panicked");
                }
            }
        });
        let _ = joined.await;
    }
}

/// Starts the gateway. `upstreams` are the services of this process; the settings' own lists win over them.
///
/// # Errors
/// [`StartError`] when the settings cannot work or an address cannot be bound.
pub async fn start(
    config: Config,
    common: &Common,
    key: IdentityKey,
    upstreams: Upstreams,
    clock: SharedClock,
) -> Result<Running, StartError> {
    config.validate(common)?;
    let mode = config.mode(common)?;
    let listeners = bind(&config).await?;
    let directory = Directory::open(&config, &upstreams).await;
    let metrics = Metrics::new(NAME)?;
    let gateway = Arc::new(Gateway {
        mode,
        accounts: accounts(&config, common, mode, &clock, &metrics).await?,
        everybody: Arc::new(identity::everybody()),
        nobody: Arc::new(identity::nobody()),
        key,
        clock,
        directory: directory.clone(),
        watch: Arc::default(),
        places: Places::new(&config.limits),
        request_rate: request_rate(&config),
        metrics: GatewayMetrics::new(&metrics, &directory)?,
        trusted: config.trusted_networks(),
        hosts: own_names(&config),
        grace: Duration::from_secs(common.shutdown_timeout_secs),
        config,
    });
    let mut workers = Vec::new();
    let mut threads = Vec::new();
    for number in 0..gateway.config.workers {
        let (worker, thread) = Worker::start(Arc::clone(&gateway), number)?;
        workers.push(worker);
        threads.push(thread);
    }
    let workers: Arc<[WorkerHandle]> = workers.into();
    let stop = Stop::default();
    let period = Duration::from_secs(gateway.config.dns_refresh_secs);
    let mut tasks = vec![tokio::spawn(directory.keep_fresh(period, stop.clone()))];
    if mode == AuthMode::Secure {
        tasks.push(tokio::spawn(watch::keep(Arc::clone(&gateway), stop.clone())));
    }
    let places = Arc::new(Semaphore::new(connections(&gateway.config)));
    let mut open = Vec::new();
    for (name, listener) in listeners {
        open.push((name, format!("http://{}", listener.address()?)));
        tasks.push(tokio::spawn(listener.accept(Arc::clone(&workers), Arc::clone(&places), stop.clone())));
    }
    let metrics = gateway.metrics.clone();
    Ok(Running { listeners: open, stop, metrics, tasks, workers, threads })
}

/// Places for clients' connections: half of the files that the system allows are kept for those to services and databases.
fn connections(config: &Config) -> usize {
    let (wanted, files) = (config.limits.max_connections, shared::process::open_files());
    let most = files.map_or(wanted, |files| wanted.min(files / 2));
    if most < wanted {
        log::warn!(
            "gateway.limits.max_connections: {most} instead of {wanted}, because the system allows {} open files",
            files.unwrap_or_default()
        );
    }
    most
}

/// Opens users and tokens; says where the first token is when it has just been made.
async fn accounts(
    config: &Config,
    common: &Common,
    mode: AuthMode,
    clock: &SharedClock,
    metrics: &Metrics,
) -> Result<Accounts, StartError> {
    let place = secrets::path(common, identity::ADMIN_TOKEN);
    let is_first_start = !place.exists();
    let (common, clock, metrics) = (common.clone(), Arc::clone(clock), metrics.clone());
    let failures_per_min = config.limits.login_failures_per_min;
    let open = move || {
        let db = Db::open(common.database(NAME)?, common.database_connections, MIGRATIONS)?;
        Ok(Accounts::open(&common, db.observed(&metrics), clock, mode, failures_per_min)?)
    };
    // A panic is passed on by the runtime's own message.
    let opened = tokio::task::spawn_blocking(open).await.map_err(std::io::Error::other)?;
    if is_first_start && place.exists() {
        log::info!("admin token written to {}", place.display());
    }
    opened
}

async fn bind(config: &Config) -> std::io::Result<Vec<(&'static str, Listener)>> {
    let compat = &config.compat;
    let pinned = [
        ("main", Some(&config.listen), None),
        ("stacktach", compat.stacktach.as_ref(), Some(Api::StackTach)),
        ("panko", compat.panko.as_ref(), Some(Api::Panko)),
        ("snap", compat.snap.as_ref(), Some(Api::SnapV1)),
        ("annotate", compat.annotate.as_ref(), Some(Api::Annotate)),
        ("fifo", compat.fifo.as_ref(), Some(Api::Fifo)),
    ];
    let mut listeners = Vec::new();
    for (name, address, api) in pinned {
        if let Some(address) = address {
            listeners.push((name, Listener::bind(address, Door::new(api)).await?));
        }
    }
    Ok(listeners)
}

fn request_rate(config: &Config) -> Option<RateLimit> {
    let per_sec = config.limits.requests_per_sec;
    let period = Duration::from_secs(u64::from(RATE_SECS));
    (per_sec > 0).then(|| RateLimit::new(per_sec.saturating_mul(RATE_SECS), period))
}

/// This machine's name and those of the settings, in lower case.
fn own_names(config: &Config) -> Vec<String> {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let names = config.hosts.iter().map(String::as_str).chain([machine.trim()]);
    names.filter(|name| !name.is_empty()).map(str::to_ascii_lowercase).collect()
}
