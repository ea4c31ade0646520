//! Who is served where, before and after a change: each region's viewers choose among the edges once more.

use std::collections::{BTreeMap, BTreeSet};

use nearcast_api::node::{Role, Status};
use nearcast_api::snapshot::Node;
use nearcast_api::topology::{Capacity, Topology};
use nearcast_api::{NodeId, Region};
use nearcast_geo::{Atlas, Place};
use serde::Serialize;
use utoipa::ToSchema;

use crate::fleet::Member;

/// A region's edges, before and after.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = TopologyRegionEffect)]
pub struct InRegion {
    /// At its edges now.
    pub viewers: u64,
    pub before: Edges,
    pub after: Edges,
}

/// The edges of a region that take viewers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = TopologyEdges)]
pub struct Edges {
    pub edges: usize,
    /// Viewers that they are expected to have.
    pub expected_viewers: u64,
    /// What they can have together; left out when one of them has no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub capacity_viewers: Option<u64>,
    /// Bits per second; left out when one of them has no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub capacity_egress_bps: Option<u64>,
}

/// Viewers who would be served by another edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TopologyMove)]
pub struct Move {
    pub from: NodeId,
    pub to: NodeId,
    pub viewers: u64,
}

/// What a change does to viewers.
#[derive(Debug, Default)]
pub(super) struct Effect {
    pub(super) regions: BTreeMap<Region, InRegion>,
    pub(super) moves: Vec<Move>,
}

/// The edges under one topology, and which of them [`SAMPLES`] viewers of each region get.
struct Side {
    edges: Vec<(Node, Capacity)>,
    choices: BTreeMap<Region, Vec<Option<NodeId>>>,
}

impl Effect {
    /// Between `before` and `after`, at `now` in milliseconds since the Unix epoch. Viewers are taken to be of the region
    /// whose edge they are at, and to be spread over its networks evenly.
    pub(super) fn new(
        before: &Topology,
        after: &Topology,
        members: &[Member],
        atlas: &Atlas,
        now: u64,
    ) -> Self {
        let edges: Vec<&Member> = members.iter().filter(|member| is_edge(member)).collect();
        let mut viewers = BTreeMap::<Region, u64>::new();
        for edge in &edges {
            let there = if edge.status() == Status::Down { 0 } else { edge.beat.load.viewers };
            *viewers.entry(edge.spec.region.clone()).or_default() += u64::from(there);
        }
        let [old, new] =
            [before, after].map(|topology| Side::new(topology, &edges, viewers.keys(), atlas, now));
        let region = |id: &Region| InRegion {
            viewers: viewers.get(id).copied().unwrap_or_default(),
            before: old.region(id, &viewers),
            after: new.region(id, &viewers),
        };
        let regions = viewers.keys().map(|id| (id.clone(), region(id))).collect();
        let mut moves = BTreeMap::<(&NodeId, &NodeId), f64>::new();
        for (id, viewers) in &viewers {
            for (from, to) in old.chosen(id).iter().zip(new.chosen(id)) {
                if let (Some(from), Some(to)) = (from, to)
                    && from != to
                {
                    *moves.entry((from, to)).or_default() += share(*viewers);
                }
            }
        }
        let moved = |((from, to), viewers): ((&NodeId, &NodeId), f64)| Move {
            from: from.clone(),
            to: to.clone(),
            viewers: viewers.round() as u64,
        };
        let mut moves: Vec<_> = moves.into_iter().map(moved).filter(|moved| moved.viewers > 0).collect();
        moves.sort_by_key(|moved| std::cmp::Reverse(moved.viewers));
        Self { regions, moves }
    }
}

impl Side {
    fn new<'a>(
        topology: &Topology,
        edges: &[&Member],
        regions: impl Iterator<Item = &'a Region>,
        atlas: &Atlas,
        now: u64,
    ) -> Self {
        let edge = |member: &&Member| (member.under(topology, now), topology.plan(&member.spec.id).capacity);
        let edges: Vec<_> = edges.iter().map(edge).collect();
        let nodes: Vec<&Node> = edges.iter().map(|(node, _)| node).collect();
        let choose = |id: &Region| {
            let place = Place { region: Some(id.clone()), location: atlas.location(id), country: None };
            (id.clone(), choices(atlas, &place, topology.order(Some(id), None), &nodes))
        };
        let choices = regions.map(choose).collect();
        Self { edges, choices }
    }

    /// What a region's viewers get.
    fn chosen(&self, region: &Region) -> &[Option<NodeId>] {
        self.choices.get(region).map_or(&[], Vec::as_slice)
    }

    /// A region's edges, when this many viewers are in each region.
    fn region(&self, id: &Region, viewers: &BTreeMap<Region, u64>) -> Edges {
        let (mut edges, mut most_viewers, mut most_bps) = (0, Some(0u64), Some(0u64));
        let there = |node: &Node| node.spec.region == *id;
        for (_, capacity) in self.edges.iter().filter(|(node, _)| there(node) && takes_viewers(node)) {
            edges += 1;
            most_viewers = most_viewers.zip(capacity.viewers).map(|(sum, one)| sum + u64::from(one));
            most_bps = most_bps.zip(capacity.egress_bps).map(|(sum, one)| sum.saturating_add(one));
        }
        let mine: BTreeSet<_> =
            self.edges.iter().filter(|(node, _)| there(node)).map(|(node, _)| &node.spec.id).collect();
        let expected = self.choices.iter().map(|(from, chosen)| {
            let here = chosen.iter().flatten().filter(|node| mine.contains(node)).count();
            here as f64 * share(viewers.get(from).copied().unwrap_or_default())
        });
        Edges {
            edges,
            expected_viewers: expected.sum::<f64>().round() as u64,
            capacity_viewers: most_viewers,
            capacity_egress_bps: most_bps,
        }
    }
}

/// How many of so many viewers one sample stands for.
fn share(viewers: u64) -> f64 {
    viewers as f64 / SAMPLES as f64
}

fn is_edge(member: &Member) -> bool {
    member.spec.role == Role::Edge && !member.spec.urls.is_empty()
}

/// Whether viewers are sent to it while others could have them.
fn takes_viewers(node: &Node) -> bool {
    node.status == Status::Ready && node.weight > 0
}

/// The edge that each of [`SAMPLES`] viewers at a place gets.
fn choices(atlas: &Atlas, place: &Place, order: &[Region], nodes: &[&Node]) -> Vec<Option<NodeId>> {
    // Only equals are chosen among by the viewer's own key.
    let ranked = atlas.rank(place, order, 0, nodes.iter().copied());
    let choose = |sample: u64| {
        let key = sample.wrapping_mul(GOLDEN);
        let ranked = atlas.rank(place, order, key, ranked.equals().iter().copied());
        ranked.nodes.first().map(|node| node.spec.id.clone())
    };
    (0..SAMPLES).map(choose).collect()
}

/// Spreads consecutive numbers over all 64 bits (2^64 over the golden ratio).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// Enough for shares to be right to a few percent.
const SAMPLES: u64 = 512;
