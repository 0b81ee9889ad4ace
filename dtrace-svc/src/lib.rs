//! The DTrace service: scripts with their metadata, and runs of them streamed to listeners.
//!
//! Data goes one way: `api` reads a request in one of the two forms of `wire`, `model` checks it, `store` keeps it. A
//! run goes `api` -> `engine`, which plans it with `script` and drives an `executor`; its figures come back the same
//! way, and `histogram` is for whoever shows them.

pub mod api;
pub mod catalogue;
pub mod config;
pub mod engine;
pub mod error;
pub mod executor;
pub mod histogram;
pub mod metrics;
pub mod model;
mod permit;
mod schema;
pub mod script;
pub mod store;
pub mod wire;

use actix_web::web::{Data, ServiceConfig};
use api::Parts;
use config::{Config, Setting};
use engine::{Fleet, Identify, Runs};
use executor::{Local, Remote};
use metrics::RunMetrics;
use shared::clock::SharedClock;
use shared::config::Common;
use shared::db::Db;
use shared::identity::IdentityKey;
use shared::metrics::Metrics;
use shared::server::{Check, Running, Service, StartError};
use shared::stop::Stop;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Short name of the service: its section, its schema, its label in metrics.
pub const NAME: &str = "dtrace";

/// Longest wait for a connection to another service.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for the tracers to end when the service stops.
const TRACERS_TIMEOUT: Duration = Duration::from_secs(8);

/// Everything that handlers ask for. Cloning shares it.
#[derive(Clone)]
pub struct State {
    config: Data<Config>,
    db: Data<Db>,
    parts: Data<Parts>,
    tracker: TaskTracker,
}

impl State {
    /// Puts the parts of the service together over an open database; runs go on the current runtime.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(
        config: Config,
        db: Db,
        key: &IdentityKey,
        clock: &SharedClock,
        metrics: RunMetrics,
    ) -> Result<Self, StartError> {
        let client = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).build();
        let client = client.map_err(|cause| StartError::Config(format!("no HTTP client: {cause}")))?;
        let tracker = TaskTracker::new();
        let fleet = fleet(&config, &client, key, clock, &tracker);
        let kept = (db.clone(), Arc::clone(clock));
        let runs =
            Runs::new(fleet, config.runs.clone(), kept, metrics.clone(), Handle::current(), tracker.clone());
        let identify = Identify::new(config.identity_url.clone(), client, key.clone(), Arc::clone(clock));
        let draining = Stop::default();
        let parts = Parts { db: db.clone(), runs, identify, metrics, draining, config: config.clone() };
        Ok(Self { config: Data::new(config), db: Data::new(db), parts: Data::new(parts), tracker })
    }

    /// Adds the routes and what they need to an app.
    pub fn configure(&self, cfg: &mut ServiceConfig) {
        cfg.app_data(Data::clone(&self.config))
            .app_data(Data::clone(&self.db))
            .app_data(Data::clone(&self.parts))
            .configure(api::routes);
    }
}

/// The servers that the settings name.
fn fleet(
    config: &Config,
    client: &reqwest::Client,
    key: &IdentityKey,
    clock: &SharedClock,
    tracker: &TaskTracker,
) -> Fleet {
    let programs = (config.bpftrace_path.clone(), config.dtrace_path.clone());
    let bounds = (&config.tracer, config.allow_files);
    let local = Local::new(config.executor, programs, bounds, Arc::clone(clock), tracker);
    let remotes = config.remotes.iter().map(|(name, server)| {
        (name.clone(), Remote::new(&server.url, client.clone(), key.clone(), Arc::clone(clock)))
    });
    let here = config.vms.iter().map(|vm| (vm.clone(), config.server.clone()));
    let there = config
        .remotes
        .iter()
        .flat_map(|(name, server)| server.vms.iter().map(move |vm| (vm.clone(), name.clone())));
    let name = (config.executor != Setting::Remote).then(|| config.server.clone());
    Fleet::new(Arc::new(local), name, remotes.collect(), here.chain(there).collect())
}

/// Starts the service: database, listener, background tasks.
///
/// # Errors
/// [`StartError`] with what the operator has to change.
pub fn start(
    config: Config,
    common: &Common,
    key: IdentityKey,
    clock: SharedClock,
) -> Result<Running, StartError> {
    config.validate()?;
    config.listen.check(NAME)?;
    let is_tracing = config.executor != Setting::Remote;
    let db = Db::open(common.database(NAME)?, common.database_connections, store::MIGRATIONS)?;
    let wait = Duration::from_secs(common.shutdown_timeout_secs);
    let (running, state) = start_with(db, config, key, clock, wait)?;
    if is_tracing {
        tokio::spawn(tell_tracer(state));
    }
    Ok(running)
}

/// Starts the service on an open database.
///
/// # Errors
/// [`StartError`] with what the operator has to change.
pub fn start_with(
    db: Db,
    config: Config,
    key: IdentityKey,
    clock: SharedClock,
    shutdown_timeout: Duration,
) -> Result<(Running, State), StartError> {
    let metrics = Metrics::new(NAME)?;
    let db = db.observed(&metrics);
    let listen = config.listen.clone();
    let state = State::new(config, db.clone(), &key, &clock, RunMetrics::register(&metrics)?)?;
    let service = Service {
        name: NAME,
        version: env!("CARGO_PKG_VERSION"),
        listen,
        key,
        clock,
        metrics,
        checks: vec![Check::database(&db), tracer_check(state.parts.runs.clone())],
        shutdown_timeout,
    };
    let routes = state.clone();
    let running = shared::server::start(service, move |cfg| routes.configure(cfg))?;
    let (stop, draining) = (Stop::default(), state.parts.draining.clone());
    let background = vec![
        tokio::spawn(state.parts.runs.clone().tend_record(stop.clone())),
        tokio::spawn(end_tracers(state.tracker.clone(), stop.clone())),
    ];
    Ok((running.with_draining(draining).with_background(stop, background), state))
}

/// Logs once what runs the scripts of this machine.
async fn tell_tracer(state: State) {
    let Parts { runs, draining, .. } = &**state.parts;
    let found = tokio::select! {
        () = draining.stopped() => return,
        found = runs.fleet().local().found() => found,
    };
    match found {
        Ok(tracer) => log::info!(tracer; "scripts are run by {tracer}"),
        // No trouble: most installations only keep scripts, and a run says what it lacks.
        Err(missing) => log::info!("scripts are kept, but cannot be run here: {missing}"),
    }
}

/// Waits, after the stop, until every tracer has ended.
async fn end_tracers(tracker: TaskTracker, stop: Stop) {
    stop.stopped().await;
    tracker.close();
    if tokio::time::timeout(TRACERS_TIMEOUT, tracker.wait()).await.is_err() {
        log::warn!("{} tracers did not end in time", tracker.len());
    }
}

/// Tells what this machine can trace. Scripts can be kept without a tracer, so this never fails.
fn tracer_check(runs: Runs) -> Check {
    Check::new("tracer", move || {
        let runs = runs.clone();
        async move { Ok(runs.fleet().local().probed().await.described()) }
    })
}
