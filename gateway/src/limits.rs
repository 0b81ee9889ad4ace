//! How much may be under way at once: places that requests hold until their answer has passed.

mod rate;

pub(crate) use rate::RateLimit;

use crate::config::Limits;
use crate::routes::{Class, Service};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Seconds after which a refused client should ask again; places come free quickly.
pub(crate) const RETRY_AFTER_SECS: u64 = 1;

/// The places of all areas. Counters only: nobody waits for a place, and no lock is shared.
#[derive(Debug)]
pub(crate) struct Places {
    areas: [Area; Service::ALL.len()],
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
            max_in_flight: limits.max_in_flight,
            max_uploads: limits.max_uploads,
            max_streams: limits.max_streams,
        }
    }

    /// A place for a request of `class` to `service`; `None` when all are taken.
    #[must_use]
    pub(crate) fn take(&self, service: Service, class: Class) -> Option<Place> {
        let area = self.areas.get(service.index())?;
        let (count, limit) = match class {
            Class::Quick | Class::Ingest => (&area.in_flight, self.max_in_flight),
            Class::Upload => (&area.uploads, self.max_uploads),
            Class::Stream | Class::Socket => (&area.streams, self.max_streams),
        };
        // Counted first, so that two requests can never share the last place.
        let place = Place(Arc::clone(count));
        (count.fetch_add(1, Ordering::Relaxed) < limit).then_some(place)
    }
}
