//! Prometheus metrics of one service: the registry, and the request figures that every service has.

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, HistogramOpts, HistogramVec, IntGauge, Registry, TextEncoder};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

/// Names of the metrics that every service has.
pub enum Name {
    /// Seconds from the first byte of a request to the end of its handler, by method, route template and status.
    RequestDuration,
    /// Requests being answered now.
    RequestsInFlight,
    /// Seconds that queries waited for a connection, by `kind` (read, write).
    ConnectionWait,
}

impl Name {
    /// The name as Prometheus sees it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::RequestDuration => "quintet_http_request_duration_seconds",
            Self::RequestsInFlight => "quintet_http_requests_in_flight",
            Self::ConnectionWait => "quintet_db_connection_wait_seconds",
        }
    }
}

/// Upper bounds in seconds, 0.5 ms to 10 s.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The metrics of one service. Cloning shares them.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    pub(crate) requests: HistogramVec,
    pub(crate) in_flight: IntGauge,
    waits: HistogramVec,
}

impl Metrics {
    /// Metrics labelled `service="<name>"`.
    ///
    /// # Errors
    /// Only when a name above is malformed, which a test rules out.
    pub fn new(service: &str) -> Result<Self, prometheus::Error> {
        let labels = HashMap::from([("service".to_owned(), service.to_owned())]);
        let registry = Registry::new_custom(None, Some(labels))?;
        let histogram = |name: &Name, help, labels: &[&str]| {
            let opts = HistogramOpts::new(name.as_str(), help).buckets(BUCKETS.to_vec());
            HistogramVec::new(opts, labels)
        };
        let metrics = Self {
            registry,
            requests: histogram(
                &Name::RequestDuration,
                "Seconds to answer a request.",
                &["method", "route", "status"],
            )?,
            in_flight: IntGauge::new(Name::RequestsInFlight.as_str(), "Requests being answered now.")?,
            waits: histogram(&Name::ConnectionWait, "Seconds waited for a connection.", &["kind"])?,
        };
        metrics.register(metrics.requests.clone())?;
        metrics.register(metrics.in_flight.clone())?;
        metrics.register(metrics.waits.clone())?;
        Ok(metrics)
    }

    /// Adds a metric of the service's own; gives it back for use.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn register<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C, prometheus::Error> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    /// The durations of requests with these labels, for a server that measures its requests itself.
    #[must_use]
    pub fn request_duration(&self, method: &str, route: &str, status: &str) -> prometheus::Histogram {
        self.requests.with_label_values(&[method, route, status])
    }

    /// Requests being answered now, for a server that counts its requests itself ([`Underway`]).
    #[must_use]
    pub fn requests_in_flight(&self) -> &IntGauge {
        &self.in_flight
    }

    /// The waits for connections of `kind` (`read`, `write`).
    #[must_use]
    pub fn connection_waits(&self, kind: &str) -> prometheus::Histogram {
        self.waits.with_label_values(&[kind])
    }

    /// Everything in Prometheus' text form.
    #[must_use]
    pub fn text(&self) -> String {
        encoded(&self.registry.gather())
    }
}

/// A method as a label: only known ones, because a caller must not be able to make labels.
#[must_use]
pub fn method_label(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("OTHER")
}

/// Counts a request for as long as it is being answered, however that ends.
pub struct Underway<'g>(&'g IntGauge);

impl<'g> Underway<'g> {
    /// One more.
    #[must_use]
    pub fn new(gauge: &'g IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The metrics of several services in one text, which names each metric once, as Prometheus demands.
#[must_use]
pub fn joined_text<'m>(services: impl IntoIterator<Item = &'m Metrics>) -> String {
    let mut joined: BTreeMap<String, MetricFamily> = BTreeMap::new();
    for mut family in services.into_iter().flat_map(|metrics| metrics.registry.gather()) {
        match joined.entry(family.name().to_owned()) {
            Entry::Occupied(mut known) => known.get_mut().mut_metric().extend(family.take_metric()),
            Entry::Vacant(place) => drop(place.insert(family)),
        }
    }
    encoded(&joined.into_values().collect::<Vec<_>>())
}

fn encoded(families: &[MetricFamily]) -> String {
    let mut text = Vec::new();
    // Encoding into memory fails only for a metric without samples, which the registry leaves out.
    let _ = TextEncoder::new().encode(families, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
