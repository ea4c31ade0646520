//! A table from networks to values: the longest prefix wins, and the lookup says how many bits decided.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// Networks of both families. IPv4-mapped IPv6 addresses (RFC 4291 §2.5.5.2) are IPv4.
#[derive(Debug, Clone)]
pub struct Networks<T> {
    v4: Trie,
    v6: Trie,
    values: Vec<T>,
}

impl<T> Networks<T> {
    pub fn new(entries: impl IntoIterator<Item = (IpNet, T)>) -> Self {
        let mut networks = Self { v4: Trie::new(), v6: Trie::new(), values: Vec::new() };
        for (network, value) in entries {
            let index = networks.values.len() as u32;
            networks.values.push(value);
            match canonical(network) {
                IpNet::V4(net) => {
                    networks.v4.insert(u128::from(net.network().to_bits()) << 96, net.prefix_len(), index)
                }
                IpNet::V6(net) => networks.v6.insert(net.network().to_bits(), net.prefix_len(), index),
            }
        }
        networks
    }

    /// The value of the longest network that holds `address`, and the number of leading bits of the address which
    /// decided that: all addresses that share them get the same value. That is the network's own length unless a
    /// longer one lies inside it, and 0 when the table says nothing about the family.
    pub fn lookup(&self, address: IpAddr) -> (Option<&T>, u8) {
        let (found, depth) = match address.to_canonical() {
            IpAddr::V4(v4) => {
                let (found, depth) = self.v4.walk(u128::from(v4.to_bits()) << 96, 32);
                // Asked as ::ffff:a.b.c.d, the same bits lie 96 further down.
                (found, if address.is_ipv6() && depth > 0 { depth + MAPPED_BITS } else { depth })
            }
            IpAddr::V6(v6) => self.v6.walk(v6.to_bits(), 128),
        };
        (found.and_then(|index| self.values.get(index as usize)), depth)
    }
}

/// `::ffff:198.51.100.0/120` is 198.51.100.0/24.
fn canonical(network: IpNet) -> IpNet {
    match (network.network().to_canonical(), network.prefix_len().checked_sub(MAPPED_BITS)) {
        (address @ IpAddr::V4(_), Some(length)) if network.addr().is_ipv6() => {
            IpNet::new(address, length).unwrap_or(network)
        }
        _ => network,
    }
}

/// Bits before the IPv4 address in an IPv4-mapped one.
pub(crate) const MAPPED_BITS: u8 = 96;

/// The address with all but its first `length` bits cleared.
pub(crate) fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(u32::from(length))).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(u32::from(length))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

/// One bit per step, nodes in one vector; child 0 (the root is nobody's child) means none.
#[derive(Debug, Clone)]
struct Trie {
    nodes: Vec<TrieNode>,
}

#[derive(Debug, Clone, Default)]
struct TrieNode {
    children: [u32; 2],
    value: Option<u32>,
}

impl Trie {
    fn new() -> Self {
        Self { nodes: vec![TrieNode::default()] }
    }

    fn insert(&mut self, bits: u128, length: u8, value: u32) {
        let mut at = 0;
        for depth in 0..length {
            let side = bit(bits, depth);
            if self.nodes[at].children[side] == 0 {
                self.nodes[at].children[side] = self.nodes.len() as u32;
                self.nodes.push(TrieNode::default());
            }
            at = self.nodes[at].children[side] as usize;
        }
        self.nodes[at].value = Some(value);
    }

    fn walk(&self, bits: u128, width: u8) -> (Option<u32>, u8) {
        let mut at = 0;
        let mut found = None;
        for depth in 0..=width {
            let node = &self.nodes[at];
            found = node.value.or(found);
            if node.children == [0, 0] || depth == width {
                return (found, depth);
            }
            match node.children[bit(bits, depth)] {
                // The sibling is somebody else's network, so this bit took part in the decision.
                0 => return (found, depth + 1),
                next => at = next as usize,
            }
        }
        (found, width)
    }
}

fn bit(bits: u128, depth: u8) -> usize {
    usize::from(bits >> (127 - depth) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(nets: &[&'static str]) -> Networks<&'static str> {
        Networks::new(nets.iter().map(|net| (net.parse().unwrap(), *net)))
    }

    fn lookup(table: &Networks<&'static str>, address: &str) -> (Option<&'static str>, u8) {
        let (found, depth) = table.lookup(address.parse().unwrap());
        (found.copied(), depth)
    }

    #[test]
    fn the_longest_network_wins_and_the_scope_covers_no_other() {
        let table = table(&["198.51.0.0/16", "198.51.100.0/24", "2001:db8::/32"]);
        assert_eq!(lookup(&table, "198.51.100.7"), (Some("198.51.100.0/24"), 24));
        // 198.51.0.0/16 as a scope would also cover 198.51.100.0/24, which has another answer.
        assert_eq!(lookup(&table, "198.51.200.7"), (Some("198.51.0.0/16"), 17));
        assert_eq!(lookup(&table, "198.51.101.7"), (Some("198.51.0.0/16"), 24));
        assert_eq!(lookup(&table, "8.8.8.8"), (None, 1));
        assert_eq!(lookup(&table, "2001:db8::1"), (Some("2001:db8::/32"), 32));
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        let table = table(&["198.51.100.0/24", "::ffff:203.0.113.0/120"]);
        assert_eq!(lookup(&table, "::ffff:198.51.100.7"), (Some("198.51.100.0/24"), 120));
        assert_eq!(lookup(&table, "203.0.113.9"), (Some("::ffff:203.0.113.0/120"), 24));
        assert_eq!(lookup(&table, "2001:db8::1"), (None, 0));
    }

    #[test]
    fn an_empty_table_depends_on_nothing_and_a_default_route_on_no_bit() {
        assert_eq!(lookup(&table(&[]), "8.8.8.8"), (None, 0));
        assert_eq!(lookup(&table(&["0.0.0.0/0"]), "8.8.8.8"), (Some("0.0.0.0/0"), 0));
        assert_eq!(lookup(&table(&["8.8.8.8/32"]), "8.8.8.8"), (Some("8.8.8.8/32"), 32));
    }

    fn networks() -> impl Strategy<Value = Vec<IpNet>> {
        // Few distinct bits, so that networks nest and meet.
        let v4 = (0u32..16, 0u8..=32)
            .prop_map(|(top, length)| IpNet::new(IpAddr::V4((top << 28).into()), length).unwrap().trunc());
        let v6 = (0u128..16, 0u8..=128)
            .prop_map(|(top, length)| IpNet::new(IpAddr::V6((top << 124).into()), length).unwrap().trunc());
        prop::collection::vec(prop_oneof![v4, v6], 0..12)
    }

    proptest! {
        #[test]
        fn lookup_is_the_longest_match_by_brute_force_and_every_address_in_scope_agrees(
            nets in networks(), top in any::<u8>(), noise in any::<u128>(), v6 in any::<bool>(),
        ) {
            let address = |bits: u128| -> IpAddr {
                if v6 { IpAddr::V6(bits.into()) } else { IpAddr::V4(((bits >> 96) as u32).into()) }
            };
            let bits = u128::from(top) << 120;
            let table = Networks::new(nets.iter().map(|net| (*net, *net)));
            let asked = address(bits);
            prop_assume!(asked.to_canonical() == asked);
            let (found, depth) = table.lookup(asked);
            let longest = nets.iter().filter(|net| net.contains(&asked)).max_by_key(|net| net.prefix_len());
            prop_assert_eq!(found, longest);

            let kept = u128::MAX.checked_shl(128 - u32::from(depth)).unwrap_or(0);
            let neighbour = address(bits & kept | noise & !kept);
            prop_assume!(neighbour.to_canonical() == neighbour);
            prop_assert_eq!(table.lookup(neighbour).0, found);
        }
    }
}
