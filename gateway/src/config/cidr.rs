//! Networks in the form `10.1.0.0/16` (RFC 4632), for the list of trusted proxies.

use std::net::IpAddr;

/// A network: all addresses that share its first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    prefix_bits: u32,
}

impl Cidr {
    /// Reads `address/bits`; an address alone is a network of one. A network of IPv4 inside IPv6 (`::ffff:10.1.0.0/112`)
    /// is that of IPv4: callers' addresses count as such.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = width(address);
        let prefix_bits = bits.unwrap_or(width);
        let given = (prefix_bits <= width).then_some(Self { address, prefix_bits })?;
        let canonical = address.to_canonical();
        if canonical == address {
            return Some(given);
        }
        // Of the 128 bits the first 96 say that IPv4 follows; a shorter prefix holds other networks too.
        Some(Self { address: canonical, prefix_bits: prefix_bits.checked_sub(96)? })
    }

    /// Whether `address` lies in this network; an IPv4 address inside IPv6 (`::ffff:10.1.2.3`) counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let shift = width(self.address) - self.prefix_bits;
        width(address) == width(self.address) && high(address, shift) == high(self.address, shift)
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address without its lowest `shift` bits.
fn high(address: IpAddr, shift: u32) -> u128 {
    let bits = match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    bits.checked_shr(shift).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        Cidr::parse(network).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_the_addresses_that_share_its_first_bits() {
        assert!(contains("10.1.0.0/16", "10.1.255.255") && !contains("10.1.0.0/16", "10.2.0.0"));
        assert!(contains("10.1.2.3", "10.1.2.3") && !contains("10.1.2.3", "10.1.2.4"));
        assert!(contains("0.0.0.0/0", "255.1.2.3") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("10.1.0.0/16", "::ffff:10.1.2.3"));
        assert!(
            contains("::ffff:127.0.0.0/104", "127.1.2.3") && !contains("::ffff:127.0.0.0/104", "128.0.0.1")
        );
        assert!(contains("::ffff:10.1.2.3", "10.1.2.3") && contains("::ffff:0:0/96", "::ffff:10.1.2.3"));
        assert!(
            contains("fd00::/8", "fdff::1")
                && !contains("fd00::/8", "fe00::1")
                && contains("::/0", "fe00::1")
        );
    }

    #[test]
    fn malformed_networks_are_refused() {
        for bad in [
            "",
            "::ffff:10.1.2.3/95",
            "::ffff:10.1.2.3/129",
            "10.1.0.0/33",
            "10.1/16",
            "::/129",
            "10.0.0.0/-1",
            "10.0.0.0/",
            "host/8",
        ] {
            assert_eq!(Cidr::parse(bad), None, "{bad}");
        }
    }
}
