//! How often somebody may ask: rates, and what counts requests against them.
//!
//! Files in reading order: `table` (what is remembered of each client, in bounded memory), `together` (the buckets of a
//! limiter, and how processes count them together), `limiter` (one rate for many clients), `policy` (a limiter as the
//! client reads of it).

mod limiter;
mod policy;
mod table;
mod together;

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

pub use limiter::{Decision, Limiter};
pub use policy::{Policy, whole_seconds, write_refused};
use table::Seed;
pub use table::{Place, Table};
pub use together::{Buckets, Counting, Together, Told};

/// So many requests in a time, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many in `per`, for as long as one likes.
    pub requests: NonZeroU32,
    /// The time for these.
    pub per: Duration,
    /// How many at once after a rest.
    pub burst: NonZeroU32,
}

impl Rate {
    /// A rate in numbers; a zero counts as one.
    pub const fn new(requests: u32, per: Duration, burst: u32) -> Self {
        Self { requests: at_least_one(requests), per, burst: at_least_one(burst) }
    }
}

const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// Where a client comes from, as far as it can't choose: an IPv4 address, or the /64 that an IPv6 client has to
/// itself. All that come from nowhere are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(Option<IpAddr>);

impl Origin {
    /// Of an address; IPv4 written as IPv6 is IPv4.
    pub fn of(address: Option<IpAddr>) -> Self {
        Self(address.map(|address| match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        }))
    }

    /// As bytes, IPv4 written as IPv6; all zero of nowhere.
    pub fn bytes(self) -> [u8; 16] {
        match self.0 {
            None => [0; 16],
            Some(IpAddr::V4(address)) => address.to_ipv6_mapped().octets(),
            Some(IpAddr::V6(address)) => address.octets(),
        }
    }

    /// The address, or the network's first.
    pub fn address(self) -> Option<IpAddr> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g04_an_origin_is_an_ipv4_address_or_an_ipv6_network() {
        let origin = |text: &str| Origin::of(Some(text.parse().unwrap()));
        assert_eq!(origin("2001:db8:0:1::7"), origin("2001:db8:0:1:ffff::"));
        assert_ne!(origin("2001:db8:0:1::7"), origin("2001:db8:0:2::7"));
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
        assert_ne!(origin("::ffff:192.0.2.1"), origin("::ffff:192.0.2.2"));
        assert_ne!(origin("192.0.2.1"), Origin::of(None));
    }
}
