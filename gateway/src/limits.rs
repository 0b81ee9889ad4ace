//! How much may be under way at once: places that requests hold until their answer has passed.

mod bodies;
mod rate;

pub(crate) use bodies::BodyPlace;
pub(crate) use rate::RateLimit;

use crate::config::Limits;
use crate::routes::{Class, Service};
use bodies::{Area as BodyArea, Bodies};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Seconds after which a refused client should ask again; places come free quickly.
pub(crate) const RETRY_AFTER_SECS: u64 = 1;

/// The places of all areas. Counters only: nobody waits for a place, and none but requests with bodies share a lock.
#[derive(Debug)]
pub(crate) struct Places {
    areas: [Area; Service::ALL.len()],
    bodies: Arc<Bodies>,
    max_in_flight: usize,
    max_uploads: usize,
    max_streams: usize,
}

#[derive(Debug, Default)]
struct Area {
    in_flight: Arc<AtomicUsize>,
    uploads: Arc<AtomicUsize>,
    streams: Arc<AtomicUsize>,
}

/// A held place; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Places {
    /// All free.
    #[must_use]
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            areas: Default::default(),
            bodies: Arc::default(),
            max_in_flight: limits.max_in_flight,
            max_uploads: limits.max_uploads,
            max_streams: limits.max_streams,
        }
    }

    /// A place for a request of `class` to `service`; `None` when all are taken.
    #[must_use]
    pub(crate) fn take(&self, service: Service, class: Class) -> Option<Place> {
        let area = self.areas.get(service.index())?;
        let count = match Kind::of(class) {
            Kind::Quick => &area.in_flight,
            Kind::Upload => &area.uploads,
            Kind::Stream => &area.streams,
        };
        let limit = self.limit(Kind::of(class));
        // Counted first, so that two requests can never share the last place.
        let place = Place(Arc::clone(count));
        (count.fetch_add(1, Ordering::Relaxed) < limit).then_some(place)
    }

    /// Leave to send a body slowly: one address gets half of an area's places for bodies that are not complete, so that
    /// it cannot take them all with bodies that never are. `None` when it has them.
    #[must_use]
    pub(crate) fn take_body(&self, service: Service, class: Class, address: IpAddr) -> Option<BodyPlace> {
        let kind = Kind::of(class);
        let most = self.limit(kind).div_ceil(2);
        Bodies::take(&self.bodies, BodyArea { service: service.index(), kind }, address, most)
    }

    fn limit(&self, kind: Kind) -> usize {
        match kind {
            Kind::Quick => self.max_in_flight,
            Kind::Upload => self.max_uploads,
            Kind::Stream => self.max_streams,
        }
    }
}

/// Requests that share places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Quick,
    Upload,
    Stream,
}

impl Kind {
    fn of(class: Class) -> Self {
        match class {
            Class::Quick | Class::Ingest => Self::Quick,
            Class::Upload => Self::Upload,
            Class::Stream | Class::Socket => Self::Stream,
        }
    }
}
