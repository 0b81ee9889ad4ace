//! What the product is made of: the one place that names every service.

use anyhow::{Context, bail, ensure};
use quintet_gateway::Upstreams;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::clock::{SharedClock, SystemClock};
use shared::config::{Common, Source};
use shared::db::{Db, Migrations};
use shared::identity::IdentityKey;
use shared::secrets;
use shared::server::{Listen, Running};
use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

/// The gateway's section and its name as a target.
pub(crate) const GATEWAY: &str = "gateway";

/// A service as the rest of this crate knows it.
pub(crate) struct ServiceKind {
    /// Its section, its schema, its name as a target.
    pub(crate) name: &'static str,
    /// Starts it in this process.
    pub(crate) start: fn(&Source, &Common, IdentityKey, SharedClock) -> anyhow::Result<Running>,
    /// Where it listens.
    listen: fn(&Source) -> anyhow::Result<Listen>,
    /// Its tables.
    migrations: Migrations,
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
            listen: |source| {
                let config: $service::config::Config = source.section($service::NAME)?;
                Ok(config.listen)
            },
            migrations: $service::store::MIGRATIONS,
            section: Section {
                name: $service::NAME,
                values: |source, common| {
                    let config: $service::config::Config = source.section($service::NAME)?;
                    $check(&config, common)?;
                    config.listen.check($service::NAME)?;
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

/// A refusal of settings, with where their key is set.
pub(crate) fn located(source: &Source, cause: anyhow::Error) -> anyhow::Error {
    source.located(&cause.to_string()).map_or(cause, anyhow::Error::msg)
}

/// Sections of services that are still to come. Their keys that are promised may be set; any other is a mistake.
pub(crate) fn check_sections_to_come(source: &Source) -> anyhow::Result<()> {
    #[derive(Default, Deserialize, Serialize, JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    struct Tasks {
        plugin_trust: Value,
        node_name: Value,
    }
    #[derive(Default, Deserialize, Serialize, JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    struct Tribe {
        seed: Value,
    }
    source.section::<Tasks>("tasks")?;
    source.section::<Tribe>("tribe")?;
    Ok(())
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
        check_sections_to_come(source)?;
        let gateway: quintet_gateway::Config = source.section(GATEWAY)?;
        let mut wanted = wanted(targets);
        if wanted.contains(GATEWAY) {
            gateway.validate(&common).map_err(|cause| located(source, cause.into()))?;
        }
        let mut is_whole = wanted.contains(GATEWAY) && wanted.len() > 1;
        if targets.iter().any(|target| target == "all") {
            for (name, urls) in gateway.upstreams.by_name().into_iter().filter(|(_, urls)| !urls.is_empty()) {
                log::info!("{name} is elsewhere: {}", urls.join(", "));
                is_whole &= !wanted.remove(name);
            }
        }
        let has_key = common.auth.internal_key.is_some() || secrets::path(&common, "internal_key").exists();
        let key = secrets::internal_key(&common).map_err(|cause| located(source, cause.into()))?;
        if !is_whole && !has_key {
            log::warn!(
                "auth.internal_key is not set, and {} has just been made: a gateway and services in other processes need the \
                same key",
                secrets::path(&common, "internal_key").display()
            );
        }
        let clock: SharedClock = Arc::new(SystemClock);
        let (mut running, mut upstreams) = (Vec::new(), Upstreams::new());
        for service in services().into_iter().filter(|service| wanted.contains(service.name)) {
            let events = upstreams.get(events_svc::NAME).unwrap_or(&gateway.upstreams.events);
            let source = with_events(source, events)?;
            let source = if wanted.contains(GATEWAY) { with_gateway(source)? } else { source };
            (service.section.values)(&source, &common).map_err(|cause| located(&source, cause))?;
            let started = (service.start)(&source, &common, key.clone(), clock.clone());
            let started = started.with_context(|| format!("{} cannot start", service.name))?;
            upstreams.insert(service.name.to_owned(), vec![started.url()]);
            running.push(started);
        }
        let gateway = if wanted.contains(GATEWAY) {
            let started = quintet_gateway::start(gateway, &common, key, upstreams, clock).await;
            let started = started.map_err(|cause| located(source, cause.into()));
            let started = started.context("the gateway cannot start")?;
            started.show_metrics_of(running.iter().map(|service| service.metrics().clone()).collect());
            Some(started)
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

    /// Whether callers can come in here.
    pub(crate) fn has_gateway(&self) -> bool {
        self.gateway.is_some()
    }

    /// Stops the gateway first, so that no request is lost on its way; then the services, who asks before who is asked.
    pub(crate) async fn stop(self) {
        if let Some(gateway) = self.gateway {
            gateway.stop().await;
        }
        for service in self.services.into_iter().rev() {
            service.stop().await;
        }
    }
}

/// Tells streams-svc where the event service is; the settings' own address wins.
fn with_events(source: &Source, urls: &[String]) -> anyhow::Result<Source> {
    let streams: streams_svc::config::Config = source.section(streams_svc::NAME)?;
    let is_told = !streams.events_url.is_empty() || urls.is_empty();
    Ok(if is_told { source.clone() } else { source.clone().with("streams.events_url", urls) })
}

/// Tells dtrace-svc where the gateway of this process says whose a token is; the settings' own address wins. A port that
/// is not known before the gateway starts cannot be told.
fn with_gateway(source: Source) -> anyhow::Result<Source> {
    let dtrace: dtrace_svc::config::Config = source.section(dtrace_svc::NAME)?;
    Ok(match local_url(&source, GATEWAY) {
        Ok(url) if dtrace.identity_url.is_none() => {
            source.with("dtrace.identity_url", format!("{url}/internal/identity"))
        }
        Ok(_) | Err(_) => source,
    })
}

/// What can be started on its own, the gateway first.
pub(crate) fn target_names() -> Vec<&'static str> {
    std::iter::once(GATEWAY).chain(services().iter().map(|service| service.name)).collect()
}

/// The targets named; `all` stands for everything.
fn wanted(targets: &[String]) -> BTreeSet<&'static str> {
    let is_wanted = |name: &&str| targets.iter().any(|target| target == "all" || target == name);
    target_names().into_iter().filter(is_wanted).collect()
}

/// The address on this machine at which the settings make `target` answer, one of [`target_names`].
pub(crate) fn local_url(source: &Source, target: &str) -> anyhow::Result<String> {
    let address = match services().into_iter().find(|service| service.name == target) {
        Some(service) => (service.listen)(source)?.address,
        None => source.section::<quintet_gateway::Config>(GATEWAY)?.listen,
    };
    let Some(mut found) = address.to_socket_addrs().ok().and_then(|mut found| found.next()) else {
        bail!("{target}: expected host:port, found {address}");
    };
    ensure!(
        found.port() != 0,
        "{target} listens on {address}, a free port that only the running process knows"
    );
    if found.ip().is_unspecified() {
        let loopback =
            if found.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        found = SocketAddr::new(loopback, found.port());
    }
    Ok(format!("http://{found}"))
}

/// Brings the tables of the gateway and of every service up to date.
pub(crate) fn migrate(common: &Common) -> anyhow::Result<Vec<&'static str>> {
    let services = services().into_iter().map(|service| (service.name, service.migrations));
    let mut migrated = Vec::new();
    for (name, migrations) in std::iter::once((GATEWAY, quintet_gateway::MIGRATIONS)).chain(services) {
        Db::open(common.database(name)?, 2, migrations).with_context(|| format!("tables of {name}"))?;
        migrated.push(name);
    }
    Ok(migrated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_targets_are_everything() {
        let names = |targets: &[&str]| {
            let targets: Vec<String> = targets.iter().map(|name| (*name).to_owned()).collect();
            wanted(&targets).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(names(&["events", "gateway"]), ["events", "gateway"]);
        assert_eq!(names(&["all"]), ["annotate", "dtrace", "events", "gateway", "streams"]);
        assert_eq!(names(&["events", "all"]), names(&["all"]));
    }

    #[test]
    fn a_target_is_asked_on_this_machine() {
        let source = |address: &str| Source::load(None).unwrap().with("events.listen.address", address);
        let url = |address: &str| local_url(&source(address), "events").map_err(|error| error.to_string());
        assert_eq!(url("0.0.0.0:9001").unwrap(), "http://127.0.0.1:9001");
        assert_eq!(url("[::]:9001").unwrap(), "http://[::1]:9001");
        assert_eq!(url("127.0.0.2:9001").unwrap(), "http://127.0.0.2:9001");
        assert!(url("127.0.0.1:0").unwrap_err().contains("free port"));
        assert!(url("nonsense").unwrap_err().contains("host:port"));
        assert_eq!(local_url(&source("x"), GATEWAY).unwrap(), "http://127.0.0.1:8080");
    }
}
