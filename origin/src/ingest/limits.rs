//! How many connections are let in: all together, and from one address, so that nobody takes everybody's places.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The places of one kind of listener. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Limits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: usize,
    per_address: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    limits: Limits,
    address: IpAddr,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("this origin has as many publishers as it takes: try again later")]
    Total,
    #[error(
        "your address has as many connections as it may have: stop one of them, or ask the operator for more"
    )]
    Address,
}

impl Limits {
    pub(super) fn new(total: usize, per_address: usize) -> Self {
        Self(Arc::new(Inner { total, per_address, taken: Mutex::default() }))
    }

    /// A place for a connection from this address.
    pub(super) fn enter(&self, address: IpAddr) -> Result<Place, Full> {
        let address = owner(address);
        let mut taken = self.taken();
        if taken.values().sum::<usize>() >= self.0.total {
            return Err(Full::Total);
        }
        let count = taken.get(&address).copied().unwrap_or(0);
        if count >= self.0.per_address {
            return Err(Full::Address);
        }
        taken.insert(address, count + 1);
        drop(taken);
        Ok(Place { limits: self.clone(), address })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Full {
    /// For the metric.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Total => "max_connections",
            Self::Address => "per_address",
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.limits.taken();
        match taken.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.address)),
        }
    }
}

/// Whoever has one IPv6 address has the 2^64 of its network (RFC 6177): they count as one.
fn owner(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_everybodys_places() {
        let limits = Limits::new(3, 2);
        let [a, b]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        let first = limits.enter(a).unwrap();
        let _second = limits.enter("::ffff:192.0.2.1".parse().unwrap()).unwrap();
        assert_eq!(limits.enter(a).unwrap_err(), Full::Address);
        let _third = limits.enter(b).unwrap();
        assert_eq!(limits.enter(b).unwrap_err(), Full::Total);
        drop(first);
        assert!(limits.enter(a).is_ok());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let limits = Limits::new(9, 1);
        let _place = limits.enter("2001:db8::1".parse().unwrap()).unwrap();
        assert_eq!(limits.enter("2001:db8::2:0:0:3".parse().unwrap()).unwrap_err(), Full::Address);
        assert!(limits.enter("2001:db8:0:1::1".parse().unwrap()).is_ok());
    }

    #[test]
    fn places_are_given_back() {
        let limits = Limits::new(1, 1);
        for _ in 0..3 {
            limits.enter("192.0.2.1".parse().unwrap()).unwrap();
        }
        assert!(limits.taken().is_empty());
    }
}
