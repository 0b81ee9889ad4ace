//! Triggers, streams and pipelines: the stream engine behind `/v1/streams`.
//!
//! | module | what |
//! |---|---|
//! | `triggers`, `engine`, `pipeline`, `counters`, `winchester`, `model` | pure: no database, no clock of their own |
//! | `store` | all SQL |
//! | `drive` | what runs without a request: follower, worker, sender |
//! | `api` | the routes |
//! | `clock_service` | a program of its own: the clock of a replay |

pub mod api;
pub mod clock_service;
pub mod config;
pub mod counters;
pub mod definitions;
pub mod drive;
pub mod engine;
pub mod error;
mod metrics;
pub mod model;
pub mod pipeline;
mod schema;
pub mod statistics;
pub mod store;
pub mod triggers;
mod unjoined;
pub mod winchester;

pub use shared::timex;

use actix_web::web::{Data, ServiceConfig};
use config::Config;
use definitions::Definitions;
use drive::{EventService, Follower, Following, HttpEvents, Net, Now, Replica, Sender, Worker};
use prometheus::IntCounter;
use shared::clock::SharedClock;
use shared::config::Common;
use shared::db::Db;
use shared::identity::IdentityKey;
use shared::metrics::Metrics;
use shared::server::{Check, Running, Service, StartError};
use shared::stop::Stop;
use statistics::Statistics;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;

/// Short name of the service: its section, its schema, its label in metrics.
pub const NAME: &str = "streams";

/// Everything that handlers and workers ask for. Cloning shares it.
#[derive(Clone)]
pub struct State {
    config: Data<Config>,
    db: Data<Db>,
    clock: Data<SharedClock>,
    definitions: Arc<Definitions>,
    events: Arc<dyn EventService>,
    statistics: Arc<Statistics>,
    followed: IntCounter,
    following: Arc<Following>,
    now: Arc<Now>,
    net: Arc<Net>,
    tails: Arc<Semaphore>,
    /// Name of this process among its replicas.
    replica: Arc<str>,
    /// Given when answers without an end have to end.
    draining: Stop,
    /// Changes whenever a piece of the feed was taken.
    progress: watch::Sender<u64>,
    /// Told when a stream has become ready.
    ready: Arc<Notify>,
    /// Told when there is something in the outbox.
    outgoing: Arc<Notify>,
}

impl State {
    /// Puts the parts of the service together over an open database. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When an HTTP client cannot be made.
    pub fn new(
        config: Config,
        db: Db,
        clock: SharedClock,
        definitions: Definitions,
        events: Arc<dyn EventService>,
    ) -> Result<Self, StartError> {
        let (definitions, client) = (Arc::new(definitions), client()?);
        Ok(Self {
            tails: Arc::new(Semaphore::new(config.max_tails)),
            replica: replica_name().into(),
            now: Arc::new(Now::new(Arc::clone(&clock), Arc::clone(&definitions), client.clone())),
            net: Arc::new(Net::new(client)),
            config: Data::new(config),
            db: Data::new(db),
            clock: Data::new(clock),
            definitions,
            events,
            statistics: Arc::new(Statistics::new()?),
            followed: metrics::followed()?,
            following: Arc::new(Following::new()?),
            draining: Stop::default(),
            progress: watch::Sender::new(0),
            ready: Arc::default(),
            outgoing: Arc::default(),
        })
    }

    /// Adds the routes and what they need to an app.
    pub fn configure(&self, cfg: &mut ServiceConfig) {
        cfg.app_data(Data::clone(&self.config))
            .app_data(Data::clone(&self.db))
            .app_data(Data::clone(&self.clock))
            .app_data(Data::new(self.clone()))
            .configure(api::routes);
    }

    /// The present, as the engine sees it.
    #[must_use]
    pub fn now(&self) -> &Now {
        &self.now
    }

    /// Whether the feed is followed.
    #[must_use]
    pub fn following(&self) -> &Following {
        &self.following
    }

    /// Starts everything that works without a request; it ends on `stop`.
    #[must_use]
    pub fn start_background(&self, stop: &Stop) -> Vec<JoinHandle<()>> {
        vec![
            tokio::spawn(Follower::new(self.clone()).run(stop.clone())),
            tokio::spawn(Worker::new(self.clone()).run(stop.clone())),
            tokio::spawn(Replica::new(self.clone()).run(stop.clone())),
            tokio::spawn(Sender::new(self.clone()).run(stop.clone())),
            tokio::spawn(drive::keep(self.clone(), stop.clone())),
            tokio::spawn(drive::report(self.clone(), stop.clone())),
        ]
    }
}

/// Starts the service: definitions, database, listener, follower, worker. Must be called inside a tokio runtime.
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
    if config.event_services().next().is_none() {
        let text = "streams.events_url: the base URL of the event service is needed (http://host:port)";
        return Err(StartError::Config(text.to_owned()));
    }
    let definitions = load(&config, common)?;
    let metrics = Metrics::new(NAME)?;
    let db = Db::open(common.database(NAME)?, common.database_connections, store::MIGRATIONS)?;
    let db = db.observed(&metrics);
    db.write_blocking(store::continue_history)?;
    let events = HttpEvents::new(config.event_services(), key.clone(), Arc::clone(&clock));
    let events = events.map_err(|cause| StartError::Config(format!("no HTTP client: {cause}")))?;
    let listen = config.listen.clone();
    let state = State::new(config, db.clone(), Arc::clone(&clock), definitions, Arc::new(events))?;
    metrics::register(&metrics, &state)?;
    let service = Service {
        name: NAME,
        version: env!("CARGO_PKG_VERSION"),
        listen,
        key,
        clock,
        metrics,
        checks: vec![Check::database(&db), feed_check(Arc::clone(&state.following))],
        shutdown_timeout: Duration::from_secs(common.shutdown_timeout_secs),
    };
    let routes = state.clone();
    let running = shared::server::start(service, move |cfg| routes.configure(cfg))?;
    let stop = Stop::default();
    let background = state.start_background(&stop);
    Ok(running.with_draining(state.draining).with_background(stop, background))
}

/// Tells how the feed is followed. Streams can be read and changed without it, so this never fails.
fn feed_check(following: Arc<Following>) -> Check {
    Check::new("events", move || {
        let report = following.report();
        async move { Ok(report) }
    })
}

/// Checks what [`start`] would refuse without starting anything: values, and the files they name.
///
/// # Errors
/// [`StartError::Config`] with what the operator has to change.
pub fn check(config: &Config, common: &Common) -> Result<(), StartError> {
    config.validate()?;
    load(config, common).map(|_good| ())
}

fn load(config: &Config, common: &Common) -> Result<Definitions, StartError> {
    Definitions::load(common.winchester_config.clone(), config)
        .map_err(|cause| StartError::Config(cause.to_string()))
}

/// Says where a process is and which one it is.
fn replica_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{} {}", host.trim(), uuid::Uuid::new_v4()).trim_start().to_owned()
}

fn client() -> Result<reqwest::Client, StartError> {
    // Calls stay where they are sent: a redirect could carry a signed identity elsewhere.
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
    client.map_err(|cause| StartError::Config(format!("no HTTP client: {cause}")))
}
