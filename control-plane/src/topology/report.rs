//! A change of the topology in words and figures: what differs, who is moved, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use nearcast_api::node::{Role, Status};
use nearcast_api::topology::{Topology, Window};
use nearcast_api::{NodeId, Region};
use nearcast_geo::Atlas;
use serde::Serialize;
use utoipa::ToSchema;

use super::diff::{Difference, differences};
use super::effect::{Effect, InRegion, Move};
use crate::fleet::Member;

/// What publishing a topology would change.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = TopologyReport)]
pub struct Report {
    /// The version that is published, with which it is compared.
    pub published: u64,
    pub differences: Vec<Difference>,
    /// The gravest first.
    pub findings: Vec<Finding>,
    /// Each region with edges.
    pub regions: BTreeMap<Region, InRegion>,
    /// Viewers who would be served by another edge, as of those that are there now: the larger groups first. New ones
    /// are at once; those who watch go on where they are until their page or resolver asks again.
    pub moves: Vec<Move>,
    /// All of them together.
    pub viewers_moved: u64,
}

/// Something that whoever publishes it should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TopologyFinding)]
pub struct Finding {
    pub severity: Severity,
    /// What it is and what to do.
    pub message: String,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = TopologySeverity)]
pub enum Severity {
    /// Viewers lose the edges of their region: it is only published with `force`.
    Outage,
    Warning,
    Note,
}

/// Explains what it means to go from `before`, which is the published version `published`, to `after` at `now`
/// (milliseconds since the Unix epoch).
pub fn report(
    published: u64,
    before: &Topology,
    after: &Topology,
    members: &[Member],
    atlas: &Atlas,
    now: u64,
) -> Report {
    let json = |topology| serde_json::to_value(topology).unwrap_or_default();
    let Effect { regions, moves } = Effect::new(before, after, members, atlas, now);
    let mut findings = Findings { known: Known::new(members), found: Vec::new() };
    findings.outages(&regions);
    findings.capacities(&regions);
    findings.names(after);
    findings.shields(before, after, members);
    findings.windows(after, now);
    let mut findings = findings.found;
    findings.sort_by_key(|finding| finding.severity);
    Report {
        published,
        differences: differences(&json(before), &json(after)),
        findings,
        regions,
        viewers_moved: moves.iter().map(|moved| moved.viewers).sum(),
        moves,
    }
}

impl Report {
    /// What would be worse than anybody should publish without meaning it.
    pub fn outage(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.severity == Severity::Outage)
    }
}

/// What there is.
struct Known {
    nodes: BTreeMap<NodeId, (Role, bool)>,
    regions: BTreeSet<Region>,
}

struct Findings {
    known: Known,
    found: Vec<Finding>,
}

impl Known {
    fn new(members: &[Member]) -> Self {
        let node =
            |member: &Member| (member.spec.id.clone(), (member.spec.role, member.status() != Status::Down));
        Self {
            nodes: members.iter().map(node).collect(),
            regions: members.iter().map(|member| member.spec.region.clone()).collect(),
        }
    }
}

impl Findings {
    fn add(&mut self, severity: Severity, message: String) {
        self.found.push(Finding { severity, message });
    }

    fn outages(&mut self, regions: &BTreeMap<Region, InRegion>) {
        let left: usize = regions.values().map(|region| region.after.edges).sum();
        if left == 0 && regions.values().any(|region| region.before.edges > 0) {
            return self.add(Severity::Outage, "no edge at all would take viewers".to_owned());
        }
        for (id, region) in regions {
            if region.before.edges > 0 && region.after.edges == 0 {
                let viewers = region.viewers;
                let message = format!(
                    "region {id} would have no edge that takes viewers: its {viewers} viewers go elsewhere"
                );
                self.add(Severity::Outage, message);
            }
        }
    }

    fn capacities(&mut self, regions: &BTreeMap<Region, InRegion>) {
        for (id, region) in regions {
            let expected = region.after.expected_viewers;
            if let Some(most) = region.after.capacity_viewers.filter(|most| expected > *most && *most > 0) {
                let message = format!(
                    "region {id} would have {expected} viewers and room for {most}: the others go elsewhere"
                );
                self.add(Severity::Warning, message);
            }
        }
    }

    /// Names of what is not there.
    fn names(&mut self, topology: &Topology) {
        let shields = topology.regions.values().flat_map(|region| &region.shields);
        let resting = topology.maintenance.iter().filter_map(|window| window.node.as_ref());
        let named: BTreeSet<_> = topology.nodes.keys().chain(shields).chain(resting).collect();
        for node in named {
            if !self.known.nodes.contains_key(node) {
                let message = format!("no node {node} is registered: what is said of it waits until it is");
                self.add(Severity::Note, message);
            }
        }
        let routes = topology.routes.iter().flat_map(|route| route.from.iter().chain(&route.to));
        let resting = topology.maintenance.iter().filter_map(|window| window.region.as_ref());
        let named: BTreeSet<_> = topology.regions.keys().chain(routes).chain(resting).collect();
        for region in named {
            if !self.known.regions.contains(region) {
                self.add(Severity::Warning, format!("no node is in region {region}: is it spelt right?"));
            }
        }
    }

    fn shields(&mut self, before: &Topology, after: &Topology, members: &[Member]) {
        for (id, region) in &after.regions {
            let known: Vec<_> =
                region.shields.iter().filter_map(|shield| self.known.nodes.get(shield).copied()).collect();
            if known.iter().any(|(role, _)| *role != Role::Edge) {
                self.add(
                    Severity::Warning,
                    format!("a shield of region {id} is no edge: edges cannot ask it"),
                );
            }
            if !known.is_empty() && known.iter().all(|(_, is_up)| !is_up) {
                self.add(
                    Severity::Warning,
                    format!("all shields of region {id} are down: its edges ask origins"),
                );
            }
        }
        let moved = members.iter().filter(|member| {
            let of = |topology: &Topology| topology.shields(&member.spec.id, &member.spec.region).to_vec();
            member.spec.role == Role::Edge && of(before) != of(after)
        });
        let count = moved.count();
        if count > 0 {
            self.add(
                Severity::Note,
                format!("edges that would ask other parents: {count}; what they have cached stays"),
            );
        }
    }

    fn windows(&mut self, topology: &Topology, now: u64) {
        let name = |window: &Window| match (&window.node, &window.region) {
            (Some(node), _) => format!("node {node}"),
            (None, Some(region)) => format!("region {region}"),
            (None, None) => "nothing".to_owned(),
        };
        for window in &topology.maintenance {
            if window.until <= now {
                let message =
                    format!("a maintenance window of {} is over: it can be taken out", name(window));
                self.add(Severity::Note, message);
            } else if window.from <= now {
                let message = format!("the maintenance of {} begins at once", name(window));
                self.add(Severity::Warning, message);
            }
        }
    }
}

#[cfg(test)]
mod tests;
