//! How often one address may try something that is open to everybody.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// The tries of the minute that began last. No clock: `now` is an argument.
#[derive(Debug, Default)]
pub struct Tries {
    began: Option<Instant>,
    by_address: HashMap<IpAddr, u32>,
}

impl Tries {
    /// Counts one, and whether it is not one too many.
    pub fn allow(&mut self, address: IpAddr, now: Instant) -> bool {
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= MINUTE) {
            self.began = Some(now);
            self.by_address.clear();
        }
        let network = network(address);
        if self.by_address.len() >= MOST_ADDRESSES && !self.by_address.contains_key(&network) {
            return false;
        }
        let tries = self.by_address.entry(network).or_default();
        *tries = tries.saturating_add(1);
        *tries <= MOST
    }
}

/// Whoever has one IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// A rack of nodes behind one address may start together; others try again a little later.
const MOST: u32 = 30;
const MOST_ADDRESSES: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_tries_in_a_minute() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        let [one, other] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(IpAddr::from);
        assert_eq!((0..100).filter(|_| tries.allow(one, now)).count(), MOST as usize);
        assert!(tries.allow(other, now) && !tries.allow(one, now + MINUTE / 2));
        assert!(tries.allow(one, now + MINUTE));
    }

    #[test]
    fn neighbours_in_one_network_are_one_and_there_are_not_too_many() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        let near = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
        assert_eq!((0..100).filter(|last| tries.allow(near(*last), now)).count(), MOST as usize);
        let far = |number: u32| IpAddr::from((10 << 24 | number).to_be_bytes());
        let allowed = (0..20_000).filter(|number| tries.allow(far(*number), now)).count();
        assert_eq!(allowed, MOST_ADDRESSES - 1);
    }
}
