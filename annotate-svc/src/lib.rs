//! The annotation service: what happened to whom and when, in Bosun annotate's form and in Grafana's.
//!
//! Data goes one way: `api` reads a request, `model` makes an annotation or a search of it, `engine` commits it with
//! others, `store` keeps it. `page` is what people see of it in a browser.

pub mod api;
pub mod client;
pub mod config;
pub mod engine;
pub mod error;
mod metrics;
pub mod model;
mod schema;
pub mod store;

use actix_web::web::{Data, ServiceConfig};
use config::Config;
use engine::{Changes, Writes};
use shared::clock::SharedClock;
use shared::config::Common;
use shared::db::Db;
use shared::identity::IdentityKey;
use shared::metrics::Metrics;
use shared::server::{Check, Running, Service, StartError};
use shared::stop::Stop;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Short name of the service: its section, its schema, its label in metrics.
pub const NAME: &str = "annotate";

/// Everything that handlers ask for. Cloning shares it.
#[derive(Clone)]
pub struct State {
    config: Data<Config>,
    db: Data<Db>,
    writes: Data<Writes>,
    changes: Data<Changes>,
    clock: Data<SharedClock>,
}

impl State {
    /// Puts the parts of the service together over an open database.
    ///
    /// # Errors
    /// When a committer thread cannot be started.
    pub fn new(config: Config, db: Db, clock: SharedClock) -> std::io::Result<Self> {
        let writes = Writes::start(&db)?;
        let changes = Changes::new(db.clone(), config.max_listeners);
        Ok(Self {
            config: Data::new(config),
            db: Data::new(db),
            writes: Data::new(writes),
            changes: Data::new(changes),
            clock: Data::new(clock),
        })
    }

    /// Starts the tasks that work without a request: listeners to changes are served until `draining`, the rest ends
    /// on `stop`.
    #[must_use]
    pub fn start_background(&self, draining: &Stop, stop: &Stop) -> Vec<JoinHandle<()>> {
        let clock = SharedClock::clone(&self.clock);
        let feed = Changes::clone(&self.changes).run(Writes::clone(&self.writes), draining.clone());
        vec![tokio::spawn(feed), tokio::spawn(engine::retain(self.clone(), clock, stop.clone()))]
    }

    /// Adds the routes and what they need to an app.
    pub fn configure(&self, cfg: &mut ServiceConfig) {
        cfg.app_data(Data::clone(&self.config))
            .app_data(Data::clone(&self.db))
            .app_data(Data::clone(&self.writes))
            .app_data(Data::clone(&self.changes))
            .app_data(Data::clone(&self.clock))
            .configure(api::routes);
    }
}

/// Starts the service: database, committers, listener, background tasks.
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
    let metrics = Metrics::new(NAME)?;
    let db = Db::open(common.database(NAME)?, common.database_connections, store::MIGRATIONS)?;
    let db = db.observed(&metrics);
    db.write_blocking(store::continue_changes)?;
    let listen = config.listen.clone();
    let failed = |cause| StartError::Listen { name: NAME, address: listen.address.clone(), cause };
    let state = State::new(config, db.clone(), clock.clone()).map_err(failed)?;
    metrics::register(&metrics, &state)?;
    let service = Service {
        name: NAME,
        version: env!("CARGO_PKG_VERSION"),
        listen: listen.clone(),
        key,
        clock,
        metrics,
        checks: vec![Check::database(&db)],
        shutdown_timeout: Duration::from_secs(common.shutdown_timeout_secs),
    };
    let routes = state.clone();
    let running = shared::server::start(service, move |cfg| routes.configure(cfg))?;
    let (draining, stop) = (Stop::default(), Stop::default());
    let background = state.start_background(&draining, &stop);
    Ok(running.with_draining(draining).with_background(stop, background))
}
