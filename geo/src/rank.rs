//! Which node should serve a place: health, region, distance, then an even spread.

use std::borrow::Borrow;
use std::net::IpAddr;

use nearcast_api::Region;
use nearcast_api::node::Status;
use nearcast_api::snapshot::Node;

use crate::networks::masked;
use crate::{Atlas, Place, distance_km};

/// Nodes worth using, best first.
#[derive(Debug, Clone)]
pub struct Ranked<'a, T = Node> {
    pub nodes: Vec<&'a T>,
    costs: Vec<Cost>,
}

/// What decides before the spread does. Less is better, compared in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    /// Where its region stands in the order that the topology wants.
    place: usize,
    elsewhere: bool,
    /// In steps of [`STEP_KM`].
    distance: u32,
}

impl Atlas {
    /// Orders `nodes` for someone at `viewer`.
    ///
    /// Only nodes that are ready and have room, while there is one; else those that are full; else those that are not to
    /// have viewers; else, because an answer that may work beats none, those that are down (fail open). Among these the
    /// regions of `order` go first, then the viewer's, then the nearest; equals are ordered by weighted rendezvous hash of
    /// `key` (see [`spread_key`]) and node id, so each gets its share of the viewers and losing one moves only its own.
    pub fn rank<'a, T: Borrow<Node>>(
        &self,
        viewer: &Place,
        order: &[Region],
        key: u64,
        nodes: impl IntoIterator<Item = &'a T>,
    ) -> Ranked<'a, T> {
        let mut best = u8::MAX;
        let mut ranked: Vec<(Cost, f64, &T)> = Vec::new();
        for candidate in nodes {
            let node = candidate.borrow();
            let class = class(node);
            if class > best {
                continue;
            }
            if class < best {
                best = class;
                ranked.clear();
            }
            let hash = mix(key ^ fnv1a(node.spec.id.as_str().as_bytes()));
            ranked.push((self.cost(viewer, order, node), score(hash, node.weight), candidate));
        }
        ranked.sort_unstable_by(|a, b| {
            let by_score = || b.1.total_cmp(&a.1);
            let by_id = || a.2.borrow().spec.id.cmp(&b.2.borrow().spec.id);
            a.0.cmp(&b.0).then_with(by_score).then_with(by_id)
        });
        Ranked {
            costs: ranked.iter().map(|(cost, ..)| *cost).collect(),
            nodes: ranked.into_iter().map(|(.., node)| node).collect(),
        }
    }

    fn cost(&self, viewer: &Place, order: &[Region], node: &Node) -> Cost {
        let distance = match (viewer.location, self.locate_node(&node.spec)) {
            (Some(from), Some(to)) => (distance_km(from, to) / STEP_KM) as u32,
            // Nobody knows how far: after every node that is known to be near, level with each other.
            _ => u32::MAX,
        };
        let elsewhere = viewer.region.as_ref().is_some_and(|region| *region != node.spec.region);
        let place = order.iter().position(|region| *region == node.spec.region).unwrap_or(order.len());
        Cost { place, elsewhere, distance }
    }
}

impl<'a, T> Ranked<'a, T> {
    /// The first nodes, as far as nothing but the key orders them.
    pub fn equals(&self) -> &[&'a T] {
        let equal = self.costs.iter().take_while(|cost| Some(*cost) == self.costs.first()).count();
        &self.nodes[..equal]
    }

    /// True when the key, not only the place, decided which nodes are the first `count`, or their order.
    pub fn spread(&self, count: usize) -> bool {
        self.costs.windows(2).take(count).any(|pair| pair[0] == pair[1])
    }
}

/// The key by which an address takes its turn among equal nodes, and the bits of the address that went into it:
/// a household's network (/56) or a small IPv4 one (/24), the most that resolvers tell (RFC 7871 §11.1).
pub fn spread_key(address: IpAddr) -> (u64, u8) {
    let (canonical, length) = match address.to_canonical() {
        v4 @ IpAddr::V4(_) => (v4, SPREAD_V4),
        v6 @ IpAddr::V6(_) => (v6, SPREAD_V6),
    };
    let key = match masked(canonical, length) {
        IpAddr::V4(v4) => fnv1a(&v4.octets()),
        IpAddr::V6(v6) => fnv1a(&v6.octets()),
    };
    let mapped = canonical.is_ipv4() && address.is_ipv6();
    (key, if mapped { length + crate::networks::MAPPED_BITS } else { length })
}

fn class(node: &Node) -> u8 {
    match node.status {
        Status::Ready if node.weight > 0 && !node.full => 0,
        Status::Ready if node.weight > 0 => 1,
        Status::Ready | Status::Joining | Status::Draining => 2,
        Status::Down => 3,
    }
}

/// Weighted rendezvous hashing: the greatest of `-weight / ln(hash)`, with the hash in (0, 1), is a node in proportion to
/// its weight (Schindelhauer and Schomaker 2005, the logarithmic method).
fn score(hash: u64, weight: u16) -> f64 {
    // 53 bits, as many as a double has, and never 0 or 1.
    let unit = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    -f64::from(weight.max(1)) / unit.ln()
}

/// FNV-1a, 64 bits: the same on every machine and in every version, unlike the standard library's hasher.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The finalizer of splitmix64: FNV's high bits hardly move for short inputs, and a rendezvous compares those.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Nodes within 50 km of each other (half a millisecond of fibre) are equally near.
const STEP_KM: f64 = 50.0;
const SPREAD_V4: u8 = 24;
const SPREAD_V6: u8 = 56;

#[cfg(test)]
mod tests;
