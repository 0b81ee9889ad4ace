//! How many bodies each client address is in the middle of sending.

use super::Kind;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Bits of an IPv6 address that its holder cannot choose (RFC 6177): the rest is his to change with each connection.
const IPV6_PREFIX_BITS: u32 = 64;

/// Requests that share places with each other alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Area {
    pub(super) service: usize,
    pub(super) kind: Kind,
}

type Key = (Area, IpAddr);

/// The counts; there is none for an address that sends nothing.
#[derive(Debug, Default)]
pub(super) struct Bodies(Mutex<HashMap<Key, usize>>);

/// One body that is not complete; counted until dropped.
#[derive(Debug)]
pub(crate) struct BodyPlace {
    bodies: Arc<Bodies>,
    key: Key,
}

impl Bodies {
    /// One more body from `address`; `None` when it has `most` under way.
    pub(super) fn take(bodies: &Arc<Self>, area: Area, address: IpAddr, most: usize) -> Option<BodyPlace> {
        let key = (area, network(address));
        let mut counts = bodies.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(BodyPlace { bodies: Arc::clone(bodies), key })
    }
}

impl Drop for BodyPlace {
    fn drop(&mut self) {
        let mut counts = self.bodies.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

/// The address, or as much of it as belongs to one holder.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let host_bits = u128::BITS - IPV6_PREFIX_BITS;
            Ipv6Addr::from_bits(address.to_bits() >> host_bits << host_bits).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: Area = Area { service: 0, kind: Kind::Quick };

    fn take(bodies: &Arc<Bodies>, area: Area, address: &str) -> Option<BodyPlace> {
        Bodies::take(bodies, area, address.parse().unwrap(), 2)
    }

    #[test]
    fn an_address_has_its_own_share_of_each_area_and_nothing_is_kept_of_it() {
        let bodies = Arc::default();
        let held = [take(&bodies, EVENTS, "10.0.0.1"), take(&bodies, EVENTS, "::ffff:10.0.0.1")];
        assert!(held.iter().all(Option::is_some));
        assert!(take(&bodies, EVENTS, "10.0.0.1").is_none());
        assert!(take(&bodies, EVENTS, "10.0.0.2").is_some());
        assert!(take(&bodies, Area { kind: Kind::Upload, ..EVENTS }, "10.0.0.1").is_some());
        assert!(take(&bodies, Area { service: 1, ..EVENTS }, "10.0.0.1").is_some());
        drop(held);
        assert!(bodies.0.lock().unwrap().is_empty());
        assert!(take(&bodies, EVENTS, "10.0.0.1").is_some());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let bodies = Arc::default();
        let _held = [take(&bodies, EVENTS, "2001:db8:0:7::1"), take(&bodies, EVENTS, "2001:db8:0:7:ffff::2")];
        assert!(take(&bodies, EVENTS, "2001:db8:0:7::3").is_none());
        assert!(take(&bodies, EVENTS, "2001:db8:0:8::1").is_some());
    }
}
