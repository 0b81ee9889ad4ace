//! Room for callers who have not said who they are.

use super::{BodyPlace, Place};

/// A stranger's websocket, among all of them and among those of its address; free again when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    _all: Place,
    _own: BodyPlace,
}

impl Seat {
    pub(super) fn new(all: Place, own: BodyPlace) -> Self {
        Self { _all: all, _own: own }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Limits;
    use crate::limits::Places;
    use crate::routes::Service;
    use std::net::IpAddr;

    #[test]
    fn strangers_get_half_of_the_streams_and_one_address_a_sixteenth() {
        let places = Places::new(&Limits { max_streams: 32, ..Limits::default() });
        let take = |address: u8| places.take_seat(Service::Dtrace, IpAddr::from([10, 0, 0, address]));
        let mut held: Vec<_> = (0..8).flat_map(|address| [take(address), take(address)]).collect();
        assert!(held.iter().all(Option::is_some), "16 of 32, two each");
        assert!(take(9).is_none(), "all have half");
        held.pop();
        assert!(take(0).is_none(), "one has a sixteenth");
        assert!(take(9).is_some());
        assert!(places.take_seat(Service::Tasks, [10, 0, 0, 9].into()).is_some(), "another area");
    }
}
