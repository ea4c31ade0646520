//! Who asks: the client that a resolver speaks for (EDNS Client Subnet, RFC 7871), or the asker itself.

use std::net::IpAddr;

use hickory_proto::op::Edns;
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};

/// The address to be near to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    subnet: Option<ClientSubnet>,
}

/// The option breaks RFC 7871 §6 or §7.1; the answer is FORMERR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl Client {
    /// `source` is where the query came from.
    pub(super) fn new(edns: Option<&Edns>, source: IpAddr) -> Result<Self, Malformed> {
        let subnet = match edns.and_then(|edns| edns.option(EdnsCode::Subnet)) {
            Some(EdnsOption::Subnet(subnet)) => Some(*subnet),
            Some(_) => return Err(Malformed),
            None => None,
        };
        let Some(subnet) = subnet else { return Ok(Self { address: source, subnet }) };
        let width = width(subnet.addr());
        // A query's scope is 0, and nothing stands behind the prefix.
        if subnet.source_prefix() > width || subnet.scope_prefix() != 0 || has_bits_after(subnet) {
            return Err(Malformed);
        }
        // A prefix of 0 is a wish for privacy (§7.1.2): then the resolver is who we know.
        let address = if subnet.source_prefix() == 0 { source } else { subnet.addr() };
        Ok(Self { address, subnet: Some(subnet) })
    }

    /// The option to answer with: the same prefix, and how much of it the answer hangs on (§7.2.1).
    ///
    /// Asking for more than resolvers tell (/24, /56) would only fill their caches, so the scope ends there.
    pub(super) fn echo(&self, scope: u8) -> Option<ClientSubnet> {
        let mut subnet = self.subnet?;
        let source = subnet.source_prefix();
        let useful = if subnet.addr().is_ipv4() { USEFUL_V4 } else { USEFUL_V6 };
        let scope = if source == 0 { 0 } else { scope.min(source.max(useful)) };
        subnet.set_scope_prefix(scope);
        Some(subnet)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn has_bits_after(subnet: ClientSubnet) -> bool {
    let left = |bits: u128| bits.checked_shl(subnet.source_prefix().into()).unwrap_or(0) != 0;
    match subnet.addr() {
        IpAddr::V4(v4) => left(u128::from(v4.to_bits()) << 96),
        IpAddr::V6(v6) => left(v6.to_bits()),
    }
}

const USEFUL_V4: u8 = 24;
const USEFUL_V6: u8 = 56;

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "192.0.2.53";

    fn client(address: &str, source: u8, scope: u8) -> Result<Client, Malformed> {
        let mut edns = Edns::new();
        let subnet = ClientSubnet::new(address.parse().unwrap(), source, scope);
        edns.options_mut().insert(EdnsOption::Subnet(subnet));
        Client::new(Some(&edns), SOURCE.parse().unwrap())
    }

    #[test]
    fn the_subnet_is_who_asks_and_is_echoed_with_the_scope() {
        let found = client("198.51.100.0", 24, 0).unwrap();
        assert_eq!(found.address.to_string(), "198.51.100.0");
        assert_eq!(found.echo(20), Some(ClientSubnet::new(found.address, 24, 20)));
        assert_eq!(client("2001:db8::", 56, 0).unwrap().echo(44).unwrap().scope_prefix(), 44);
    }

    #[test]
    fn a_scope_never_asks_for_more_than_resolvers_tell() {
        assert_eq!(client("198.51.0.0", 16, 0).unwrap().echo(30).unwrap().scope_prefix(), 24);
        assert_eq!(client("198.51.100.128", 25, 0).unwrap().echo(30).unwrap().scope_prefix(), 25);
        assert_eq!(client("2001:db8::", 48, 0).unwrap().echo(128).unwrap().scope_prefix(), 56);
    }

    #[test]
    fn without_a_subnet_the_source_is_who_asks() {
        let source = SOURCE.parse().unwrap();
        for edns in [None, Some(&Edns::new())] {
            let found = Client::new(edns, source).unwrap();
            assert_eq!((found.address, found.echo(24)), (source, None));
        }
        let private = client("0.0.0.0", 0, 0).unwrap();
        assert_eq!((private.address, private.echo(24).unwrap().scope_prefix()), (source, 0));
    }

    #[test]
    fn a_subnet_that_breaks_the_rules_is_refused() {
        for (address, source, scope) in [
            ("198.51.100.0", 24, 24),
            ("198.51.100.1", 24, 0),
            ("198.51.100.0", 33, 0),
            ("2001:db8::1", 64, 0),
            ("0.0.0.1", 0, 0),
        ] {
            assert_eq!(client(address, source, scope), Err(Malformed), "{address}/{source}/{scope}");
        }
    }
}
