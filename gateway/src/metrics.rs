//! Figures of the gateway, beside those that every service has.

use crate::routes::{Api, Route, Service};
use crate::server::Door;
use crate::upstream::Directory;
use hyper::{Method, StatusCode};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, IntCounterVec, IntGauge, IntGaugeVec, Opts};
use shared::metrics::{Metrics, method_label};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// Names of the gateway's own metrics.
enum Name {
    /// Retries, by service.
    Retries,
    /// Requests that the gateway refused or could not get answered, by status.
    Faults,
    /// Replicas, by service.
    Replicas,
    /// Requests under way, by service and replica.
    InFlight,
    /// 1 while a replica's breaker is open, by service and replica.
    BreakerOpen,
    /// Answers, by service and replica.
    Answers,
    /// Failures, by service and replica.
    Failures,
}

impl Name {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Retries => "quintet_gateway_retries_total",
            Self::Faults => "quintet_gateway_faults_total",
            Self::Replicas => "quintet_gateway_replicas",
            Self::InFlight => "quintet_gateway_replica_requests_in_flight",
            Self::BreakerOpen => "quintet_gateway_replica_breaker_open",
            Self::Answers => "quintet_gateway_replica_answers_total",
            Self::Failures => "quintet_gateway_replica_failures_total",
        }
    }
}

/// The metrics of the gateway. Cloning shares them.
#[derive(Clone)]
pub(crate) struct GatewayMetrics {
    metrics: Metrics,
    /// Those of the services in this process, which nobody could find: they listen on ports of chance.
    services: Arc<OnceLock<Vec<Metrics>>>,
    retries: IntCounterVec,
    faults: IntCounterVec,
}

impl GatewayMetrics {
    /// All of them, at zero.
    ///
    /// # Errors
    /// When a name is malformed or taken, which a test rules out.
    pub(crate) fn new(metrics: &Metrics, directory: &Directory) -> Result<Self, prometheus::Error> {
        let counter = |name: Name, help, label| IntCounterVec::new(Opts::new(name.as_str(), help), &[label]);
        metrics.register(ReplicaFigures::new(directory)?)?;
        Ok(Self {
            retries: metrics.register(counter(Name::Retries, "Requests tried again.", "upstream")?)?,
            faults: metrics.register(counter(
                Name::Faults,
                "Requests refused or not answered.",
                "status",
            )?)?,
            metrics: metrics.clone(),
            services: Arc::default(),
        })
    }

    /// A request to `service` is tried again.
    pub(crate) fn retried(&self, service: Service) {
        self.retries.with_label_values(&[service.name()]).inc();
    }

    /// The gateway answered with an error of its own.
    pub(crate) fn refused(&self, status: StatusCode) {
        self.faults.with_label_values(&[status.as_str()]).inc();
    }

    /// Requests being answered.
    #[must_use]
    pub(crate) fn in_flight(&self) -> &IntGauge {
        self.metrics.requests_in_flight()
    }

    /// Shows the metrics of services too. They are known once, when all have started.
    pub(crate) fn show_also(&self, services: Vec<Metrics>) {
        if self.services.set(services).is_err() {
            log::warn!("the metrics of the services are shown already");
        }
    }

    /// Everything in Prometheus' text form.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        let services = self.services.get().map_or(Default::default(), Vec::as_slice);
        shared::metrics::joined_text(std::iter::once(&self.metrics).chain(services))
    }

    /// Durations for one worker.
    #[must_use]
    pub(crate) fn timers(&self) -> Timers {
        Timers { metrics: self.metrics.clone(), known: RefCell::default(), latest: RefCell::default() }
    }
}

/// Looks a histogram up once and keeps it, so that a request takes no lock on the shared registry.
pub(crate) struct Timers {
    metrics: Metrics,
    known: RefCell<HashMap<Key, Histogram>>,
    /// The one of the request before, which is usually the one of the next.
    latest: RefCell<Option<(Key, Histogram)>>,
}

/// Listener, route, method, status.
type Key = (Option<Api>, usize, &'static str, StatusCode);

impl Timers {
    /// A request took `secs`.
    pub(crate) fn observe(
        &self,
        door: &Door,
        route: Option<&Route>,
        method: &Method,
        status: StatusCode,
        secs: f64,
    ) {
        let method = method_label(method.as_str());
        let key = (door.pinned, route.map_or(usize::MAX, |route| route.index), method, status);
        let mut latest = self.latest.borrow_mut();
        if let Some((of, histogram)) = latest.as_ref()
            && *of == key
        {
            return histogram.observe(secs);
        }
        let mut known = self.known.borrow_mut();
        let histogram = known.entry(key).or_insert_with(|| {
            let route = route.map_or("unmatched", |route| route.pattern.as_str());
            self.metrics.request_duration(method, route, status.as_str())
        });
        histogram.observe(secs);
        *latest = Some((key, histogram.clone()));
    }
}

/// What is known about replicas, read when somebody asks.
#[derive(Clone)]
struct ReplicaFigures {
    directory: Directory,
    replicas: IntGaugeVec,
    in_flight: IntGaugeVec,
    breaker_open: IntGaugeVec,
    answers: IntCounterVec,
    failures: IntCounterVec,
}

impl ReplicaFigures {
    fn new(directory: &Directory) -> Result<Self, prometheus::Error> {
        let labels = ["upstream", "replica"];
        let gauge =
            |name: Name, help, labels: &[&str]| IntGaugeVec::new(Opts::new(name.as_str(), help), labels);
        let counter = |name: Name, help| IntCounterVec::new(Opts::new(name.as_str(), help), &labels);
        Ok(Self {
            directory: directory.clone(),
            replicas: gauge(Name::Replicas, "Replicas known.", &["upstream"])?,
            in_flight: gauge(Name::InFlight, "Requests under way.", &labels)?,
            breaker_open: gauge(Name::BreakerOpen, "1 while the breaker is open.", &labels)?,
            answers: counter(Name::Answers, "Requests answered.")?,
            failures: counter(Name::Failures, "Requests failed.")?,
        })
    }

    fn read(&self) {
        self.in_flight.reset();
        self.breaker_open.reset();
        self.answers.reset();
        self.failures.reset();
        for upstream in self.directory.all().iter().filter(|upstream| upstream.is_installed()) {
            let (name, replicas) = (upstream.service.name(), upstream.replicas());
            self.replicas.with_label_values(&[name]).set(count(replicas.len()));
            for replica in replicas.iter() {
                let address = replica.address().to_string();
                let labels = [name, address.as_str()];
                let (answered, failed) = replica.tally();
                self.in_flight.with_label_values(&labels).set(count(replica.load()));
                self.breaker_open.with_label_values(&labels).set(i64::from(replica.breaker().is_open()));
                self.answers.with_label_values(&labels).inc_by(answered);
                self.failures.with_label_values(&labels).inc_by(failed);
            }
        }
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Collector for ReplicaFigures {
    fn desc(&self) -> Vec<&Desc> {
        let vectors: [&dyn Collector; 5] =
            [&self.replicas, &self.in_flight, &self.breaker_open, &self.answers, &self.failures];
        vectors.into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.read();
        let vectors: [&dyn Collector; 5] =
            [&self.replicas, &self.in_flight, &self.breaker_open, &self.answers, &self.failures];
        vectors.into_iter().flat_map(Collector::collect).collect()
    }
}
