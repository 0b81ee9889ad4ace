//! The DTrace service: scripts with their metadata, and runs of them streamed to listeners.
//!
//! Data goes one way: `api` reads a request in one of the two forms of `wire`, `model` checks it, `store` keeps it.

pub mod api;
pub mod config;
pub mod error;
mod metrics;
pub mod model;
mod schema;
pub mod store;
pub mod wire;

use actix_web::web::{Data, ServiceConfig};
use config::Config;
use shared::clock::SharedClock;
use shared::config::Common;
use shared::db::Db;
use shared::identity::IdentityKey;
use shared::metrics::Metrics;
use shared::server::{Check, Running, Service, StartError};
use std::time::Duration;

/// Short name of the service: its section, its schema, its label in metrics.
pub const NAME: &str = "dtrace";

/// Everything that handlers ask for. Cloning shares it.
#[derive(Clone)]
pub struct State {
    config: Data<Config>,
    db: Data<Db>,
}

impl State {
    /// Puts the parts of the service together over an open database.
    #[must_use]
    pub fn new(config: Config, db: Db) -> Self {
        Self { config: Data::new(config), db: Data::new(db) }
    }

    /// Adds the routes and what they need to an app.
    pub fn configure(&self, cfg: &mut ServiceConfig) {
        cfg.app_data(Data::clone(&self.config)).app_data(Data::clone(&self.db)).configure(api::routes);
    }
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
    let db = Db::open(common.database(NAME)?, common.database_connections, store::MIGRATIONS)?;
    start_on(db, config, key, clock, Duration::from_secs(common.shutdown_timeout_secs))
}

/// Starts the service on an open database.
///
/// # Errors
/// [`StartError`] with what the operator has to change.
pub fn start_on(
    db: Db,
    config: Config,
    key: IdentityKey,
    clock: SharedClock,
    shutdown_timeout: Duration,
) -> Result<Running, StartError> {
    let metrics = Metrics::new(NAME)?;
    let db = db.observed(metrics.connection_waits("read"), metrics.connection_waits("write"));
    let listen = config.listen.clone();
    let state = State::new(config, db.clone());
    let service = Service {
        name: NAME,
        version: env!("CARGO_PKG_VERSION"),
        listen,
        key,
        clock,
        metrics,
        checks: vec![Check::database(&db)],
        shutdown_timeout,
    };
    shared::server::start(service, move |cfg| state.configure(cfg))
}
