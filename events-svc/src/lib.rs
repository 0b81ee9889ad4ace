//! The event service: notifications and events in, one event store, both versions of the reading API out, and the
//! feed that other services follow.
//!
//! Data goes one way: `api` reads a request, `distill` or `model` turn it into an event, `engine` commits it with
//! others, `store` keeps it; reading goes `api` -> `store` -> `wire`.

pub mod api;
pub mod config;
pub mod distill;
pub mod engine;
pub mod error;
mod metrics;
pub mod model;
mod schema;
pub mod store;
pub mod wire;

use actix_web::web::{Data, ServiceConfig};
use config::Config;
use distill::{Dialect, Distiller};
use engine::amqp::Consumers;
use engine::{FeedLag, Ingest, Notifications, Trim};
use shared::clock::SharedClock;
use shared::config::Common;
use shared::db::Db;
use shared::identity::IdentityKey;
use shared::metrics::Metrics;
use shared::server::{Check, Running, Service, StartError};
use shared::stop::Stop;
use std::time::Duration;

/// Short name of the service: its section, its schema, its label in metrics.
pub const NAME: &str = "events";

/// Everything that handlers ask for. Cloning shares it.
#[derive(Clone)]
pub struct State {
    config: Data<Config>,
    db: Data<Db>,
    ingest: Data<Ingest>,
    notifications: Data<Notifications>,
    feed_lag: Data<FeedLag>,
    trim: Option<Trim>,
}

impl State {
    /// Puts the parts of the service together over an open database.
    ///
    /// # Errors
    /// When a committer thread cannot be started.
    pub fn new(config: Config, db: Db, distiller: Distiller, clock: SharedClock) -> std::io::Result<Self> {
        let ingest = Ingest::start(&db)?;
        let room = store::Room { letters: config.max_dead_letters, bytes: config.max_dead_letter_bytes };
        let notifications = Notifications::new(distiller, ingest.clone(), db.clone(), clock, room);
        Ok(Self {
            config: Data::new(config),
            db: Data::new(db),
            ingest: Data::new(ingest),
            notifications: Data::new(notifications),
            feed_lag: Data::new(FeedLag::new().map_err(std::io::Error::other)?),
            trim: None,
        })
    }

    /// Removes old events as this says, besides what the settings say.
    #[must_use]
    pub fn with_trim(mut self, trim: Option<Trim>) -> Self {
        self.trim = trim;
        self
    }

    /// Adds the routes and what they need to an app.
    pub fn configure(&self, cfg: &mut ServiceConfig) {
        cfg.app_data(Data::clone(&self.config))
            .app_data(Data::clone(&self.db))
            .app_data(Data::clone(&self.ingest))
            .app_data(Data::clone(&self.notifications))
            .app_data(Data::clone(&self.feed_lag))
            .configure(api::routes);
    }
}

/// Starts the service: database, conversion, committers, listener, background tasks.
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
    let (distiller, trim) = (distiller(&config, common)?, trim(common)?);
    let metrics = Metrics::new(NAME)?;
    let db = Db::open(common.database(NAME)?, common.database_connections, store::MIGRATIONS)?;
    let db = db.observed(&metrics);
    db.write_blocking(store::continue_feed)?;
    let listen = config.listen.clone();
    let failed = |cause| StartError::Listen { name: NAME, address: listen.address.clone(), cause };
    let state = State::new(config, db.clone(), distiller, clock.clone()).map_err(failed)?.with_trim(trim);
    metrics::register(&metrics, &state)?;
    let consumers = Consumers::new(&state.config.amqp)?;
    consumers.register(&metrics)?;
    let service = Service {
        name: NAME,
        version: env!("CARGO_PKG_VERSION"),
        listen: listen.clone(),
        key,
        clock: clock.clone(),
        metrics,
        checks: vec![Check::database(&db), consumers.check()],
        shutdown_timeout: Duration::from_secs(common.shutdown_timeout_secs),
    };
    let routes = state.clone();
    let running = shared::server::start(service, move |cfg| routes.configure(cfg))?;
    let stop = Stop::default();
    let mut background = consumers.start(&state.notifications, &stop);
    background.push(tokio::spawn(engine::watch_feed(state.clone(), stop.clone())));
    background.push(tokio::spawn(engine::retain(state, clock, stop.clone())));
    Ok(running.with_background(stop, background))
}

/// Checks what [`start`] would refuse without starting anything: values, and the files they name.
///
/// # Errors
/// [`StartError::Config`] with what the operator has to change.
pub fn check(config: &Config, common: &Common) -> Result<(), StartError> {
    config.validate()?;
    distiller(config, common)?;
    trim(common).map(|_good| ())
}

/// The removal of old events that the `winchester_config` asks for.
fn trim(common: &Common) -> Result<Option<Trim>, StartError> {
    let trim = common.winchester_config.as_deref().map(Trim::from_winchester).transpose();
    trim.map(Option::flatten).map_err(|cause| StartError::Config(format!("winchester_config: {cause}")))
}

/// The conversion that the settings ask for: that of `winchester_config`, if it names one, before `event_definitions` before
/// the built-in one.
fn distiller(config: &Config, common: &Common) -> Result<Distiller, StartError> {
    let catch_all = !config.drop_unmatched_notifications;
    let refused =
        |key: &'static str| move |cause: shared::yaml::Error| StartError::Config(format!("{key}: {cause}"));
    let winchester = common.winchester_config.as_deref().map(Distiller::from_winchester).transpose();
    let distiller =
        match (winchester.map_err(refused("winchester_config"))?.flatten(), &common.event_definitions) {
            (Some(distiller), definitions) => {
                if definitions.is_some() {
                    log::warn!("event_definitions is not used: winchester_config names a distiller_config");
                }
                distiller
            }
            (None, Some(definitions)) => Distiller::load(definitions, Dialect::Ceilometer, catch_all)
                .map_err(refused("event_definitions"))?,
            (None, None) => Distiller::builtin().map_err(refused("event_definitions"))?,
        };
    Ok(distiller.with_store_raw(&config.store_raw))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::path::PathBuf;

    /// The names of an event's traits that are not everybody's, by definitions of these two origins.
    fn traits(winchester: Option<&str>, has_own: bool) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| -> PathBuf {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        write("distiller.yaml", "[{event_type: x, traits: {of_winchester: {fields: payload.v}}}]");
        let own = write("own.yaml", "[{event_type: x, traits: {own: {fields: payload.v}}}]");
        let common = Common {
            winchester_config: winchester.map(|text| write("winchester.yaml", text)),
            event_definitions: has_own.then_some(own),
            ..Common::default()
        };
        let distiller = distiller(&Config::default(), &common).unwrap();
        let body = json!({"message_id": "1", "event_type": "x", "publisher_id": "p", "payload": {"v": "V"}});
        let now = chrono::DateTime::UNIX_EPOCH.naive_utc();
        let distill::Outcome::Event(event) = distiller.distill(&body, now).outcome else {
            panic!("no event")
        };
        let names = event.traits.into_iter().map(|property| property.name);
        names.filter(|name| ["own", "of_winchester"].contains(&name.as_str())).collect()
    }

    #[test]
    fn a_winchester_config_without_definitions_leaves_them_to_event_definitions() {
        let (with, without) = ("distiller_config: distiller.yaml", "trigger_definitions: triggers.yaml");
        assert_eq!(traits(Some(with), true), ["of_winchester"]);
        assert_eq!(traits(Some(without), true), ["own"]);
        assert_eq!(traits(None, true), ["own"]);
        assert!(traits(Some(without), false).is_empty());
    }
}
