//! What the product is made of: the one place that names every service.

use anyhow::{Context, bail};
use quintet_gateway::Upstreams;
use schemars::Schema;
use serde_json::Value;
use shared::clock::{SharedClock, SystemClock};
use shared::config::{Common, Source};
use shared::db::{Db, Migrations};
use shared::identity::IdentityKey;
use shared::server::Running;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The gateway's section and its name as a target.
pub(crate) const GATEWAY: &str = "gateway";

/// A service as the rest of this crate knows it.
pub(crate) struct ServiceKind {
    /// Its section, its schema, its name as a target.
    pub(crate) name: &'static str,
    /// Starts it in this process.
    pub(crate) start: fn(&Source, &Common, IdentityKey, SharedClock) -> anyhow::Result<Running>,
    /// Its tables.
    pub(crate) migrations: Migrations,
    /// Its section: read, checked, and as a document.
    pub(crate) section: Section,
}

/// A section of the settings.
pub(crate) struct Section {
    /// Its name.
    pub(crate) name: &'static str,
    /// Reads and checks it; answers its values.
    pub(crate) values: fn(&Source, &Common) -> anyhow::Result<Value>,
    /// Describes it.
    pub(crate) schema: fn() -> Schema,
}

/// What [`ServiceKind`] holds for a service crate; all of them have the same shape.
macro_rules! service {
    ($service:ident, $check:expr) => {
        ServiceKind {
            name: $service::NAME,
            start: |source, common, key, clock| {
                Ok($service::start(source.section($service::NAME)?, common, key, clock)?)
            },
            migrations: $service::store::MIGRATIONS,
            section: Section {
                name: $service::NAME,
                values: |source, common| {
                    let config: $service::config::Config = source.section($service::NAME)?;
                    $check(&config, common)?;
                    Ok(serde_json::to_value(config)?)
                },
                schema: || schemars::schema_for!($service::config::Config),
            },
        }
    };
}

/// Every service that is built, in the order in which they start.
pub(crate) fn services() -> Vec<ServiceKind> {
    vec![
        service!(events_svc, events_svc::check),
        service!(streams_svc, streams_svc::check),
        service!(annotate_svc, |config: &annotate_svc::config::Config, _: &Common| config.validate()),
        service!(dtrace_svc, |config: &dtrace_svc::config::Config, _: &Common| config.validate()),
    ]
}

/// Every section, the gateway's first.
pub(crate) fn sections() -> Vec<Section> {
    let gateway = Section {
        name: GATEWAY,
        values: |source, common| {
            let config: quintet_gateway::Config = source.section(GATEWAY)?;
            config.validate(common)?;
            Ok(serde_json::to_value(config)?)
        },
        schema: || schemars::schema_for!(quintet_gateway::Config),
    };
    std::iter::once(gateway).chain(services().into_iter().map(|service| service.section)).collect()
}

/// What runs in this process.
pub(crate) struct Product {
    gateway: Option<quintet_gateway::Running>,
    services: Vec<Running>,
}

impl Product {
    /// Starts what `targets` names: the services first, then the gateway in front of them.
    pub(crate) async fn start(source: &Source, targets: &[String]) -> anyhow::Result<Self> {
        let common = source.common()?;
        let wanted = wanted(targets)?;
        let key = shared::secrets::internal_key(&common)?;
        let clock: SharedClock = Arc::new(SystemClock);
        let (mut running, mut upstreams) = (Vec::new(), Upstreams::new());
        for service in services().into_iter().filter(|service| wanted.contains(service.name)) {
            let source = with_neighbours(source, &upstreams)?;
            let started = (service.start)(&source, &common, key.clone(), clock.clone());
            let started = started.with_context(|| format!("{} cannot start", service.name))?;
            upstreams.insert(service.name.to_owned(), vec![started.url()]);
            running.push(started);
        }
        let gateway = if wanted.contains(GATEWAY) {
            let config = source.section(GATEWAY)?;
            let started = quintet_gateway::start(config, &common, key, upstreams, clock).await;
            Some(started.context("the gateway cannot start")?)
        } else {
            None
        };
        Ok(Self { gateway, services: running })
    }

    /// Where it answers: the gateway's main listener, or the only service's.
    pub(crate) fn url(&self) -> Option<String> {
        match &self.gateway {
            Some(gateway) => gateway.urls().into_iter().next(),
            None => self.services.first().map(Running::url),
        }
    }

    /// Stops the gateway first, so that no request is lost on its way.
    pub(crate) async fn stop(self) {
        if let Some(gateway) = self.gateway {
            gateway.stop().await;
        }
        for service in self.services {
            service.stop().await;
        }
    }
}

/// Tells a service where the services of this process are that it asks for things; the settings' own address wins.
fn with_neighbours(source: &Source, upstreams: &Upstreams) -> anyhow::Result<Source> {
    let streams: streams_svc::config::Config = source.section(streams_svc::NAME)?;
    let events = upstreams.get(events_svc::NAME).and_then(|urls| urls.first());
    Ok(match events {
        Some(url) if streams.events_url.is_empty() => source.clone().with("streams.events_url", url),
        _ => source.clone(),
    })
}

/// Checks the names of targets; `all` stands for everything.
fn wanted(targets: &[String]) -> anyhow::Result<BTreeSet<&'static str>> {
    let known: BTreeSet<&str> =
        std::iter::once(GATEWAY).chain(services().iter().map(|service| service.name)).collect();
    let mut wanted = BTreeSet::new();
    for target in targets {
        match known.get(target.as_str()) {
            Some(name) => drop(wanted.insert(*name)),
            None if target == "all" => wanted.clone_from(&known),
            None => bail!("unknown target {target}: expected all, or some of {}", join(&known)),
        }
    }
    Ok(wanted)
}

fn join(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}

/// Brings every service's tables up to date.
pub(crate) fn migrate(common: &Common) -> anyhow::Result<Vec<&'static str>> {
    let mut migrated = Vec::new();
    for service in services() {
        Db::open(common.database(service.name)?, 2, service.migrations)
            .with_context(|| format!("tables of {}", service.name))?;
        migrated.push(service.name);
    }
    Ok(migrated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_checked() {
        let names = |targets: &[&str]| {
            let targets: Vec<String> = targets.iter().map(|name| (*name).to_owned()).collect();
            wanted(&targets).map(|wanted| wanted.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(names(&["events", "gateway"]).unwrap(), ["events", "gateway"]);
        assert!(names(&["all"]).unwrap().len() > 1);
        assert!(names(&["evnts"]).unwrap_err().to_string().contains("evnts"));
    }
}
