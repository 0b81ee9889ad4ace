//! How much may be under way at once: places that requests hold until their answer has passed.

mod bodies;
mod rate;
mod seat;

pub(crate) use bodies::BodyPlace;
pub(crate) use rate::RateLimit;
pub(crate) use seat::Seat;

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
    /// Websockets of whoever has not said who he is; they are among the streams too.
    unnamed: Arc<AtomicUsize>,
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
            Kind::Unnamed => &area.unnamed,
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

    /// A seat for a websocket that comes without credentials. All of them get half of an area's streams and one address a
    /// sixteenth, so that nobody who has logged in finds all taken by strangers. `None` when they are taken.
    #[must_use]
    pub(crate) fn take_seat(&self, service: Service, address: IpAddr) -> Option<Seat> {
        let count = &self.areas.get(service.index())?.unnamed;
        let all = Place(Arc::clone(count));
        let is_free = count.fetch_add(1, Ordering::Relaxed) < self.limit(Kind::Unnamed);
        let area = BodyArea { service: service.index(), kind: Kind::Unnamed };
        let own = Bodies::take(&self.bodies, area, address, self.max_streams.div_ceil(16));
        Some(Seat::new(all, own?)).filter(|_| is_free)
    }

    fn limit(&self, kind: Kind) -> usize {
        match kind {
            Kind::Unnamed => self.max_streams.div_ceil(2),
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
    Unnamed,
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
