//! How operators want the network: what each region and node is for, who is served where, and when nodes rest.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::playback::Country;
use crate::{NodeId, Region};

/// All of it, published as numbered versions. What it does not name works by itself: nodes of the same region are equal,
/// and viewers go to the nearest.
///
/// A node ignores what it does not know, so that it can be older than the control plane; the API refuses it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Topology {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub regions: BTreeMap<Region, RegionPlan>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<NodeId, NodePlan>,
    /// Which regions serve whom: the first route that fits a viewer holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// When nodes get no new work.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub maintenance: Vec<Window>,
}

/// What a region is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct RegionPlan {
    /// For people, at most 100 characters.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Edges that this region's edges ask instead of origins (the tier between them). They ask the origins themselves. An
    /// edge with `upstream.parents` in its own configuration keeps to that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shields: Vec<NodeId>,
}

/// What a node is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct NodePlan {
    /// Its share among equally near nodes, in proportion to theirs, 0 to 1000. With 0 it gets no viewers while another
    /// node can have them, as is right for a shield.
    pub weight: u16,
    pub capacity: Capacity,
}

/// What a node can do. Above it, new viewers go to the next one until a tenth is free again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Capacity {
    /// Viewers at a time; left out for any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub viewers: Option<u32>,
    /// Bits per second to viewers; left out for any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub egress_bps: Option<u64>,
}

/// Who is served by which regions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Route {
    /// Viewers in these countries, as the geo database knows them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<Country>,
    /// Viewers whose own region is one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<Region>,
    /// The regions that serve them, the first choice first; all others come after them.
    pub to: Vec<Region>,
}

/// A time in which a node or a region gets no new work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Window {
    /// This node; either a node or a region.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub node: Option<NodeId>,
    /// All nodes of this region.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub region: Option<Region>,
    /// When it begins, in milliseconds since the Unix epoch.
    pub from: u64,
    /// When it is over; the same.
    pub until: u64,
    /// For people, at most 200 characters.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl Topology {
    /// What a node is to do.
    pub fn plan(&self, node: &NodeId) -> NodePlan {
        self.nodes.get(node).cloned().unwrap_or_default()
    }

    /// The regions that serve a viewer first, as the first fitting route says; all others come after them by distance.
    pub fn order(&self, region: Option<&Region>, country: Option<Country>) -> &[Region] {
        self.routes.iter().find(|route| route.fits(region, country)).map_or(&[], |route| &route.to)
    }

    /// The edges that an edge is to ask instead of origins; none for those that others ask.
    pub fn shields(&self, node: &NodeId, region: &Region) -> &[NodeId] {
        match self.is_shield(node) {
            true => &[],
            false => self.regions.get(region).map_or(&[], |plan| &plan.shields),
        }
    }

    /// Whether edges ask it instead of origins.
    pub fn is_shield(&self, node: &NodeId) -> bool {
        self.regions.values().any(|plan| plan.shields.contains(node))
    }

    /// The maintenance windows that are open at `now`, in milliseconds since the Unix epoch.
    pub fn open_windows(&self, now: u64) -> impl Iterator<Item = &Window> {
        self.maintenance.iter().filter(move |window| (window.from..window.until).contains(&now))
    }

    /// Says what cannot be, if anything, and what can.
    pub fn check(&self) -> Result<(), String> {
        let bounded = |name: &str, count: usize, most: usize| match count <= most {
            true => Ok(()),
            false => Err(format!("`{name}` has {count} entries: at most {most}")),
        };
        bounded("regions", self.regions.len(), MAX_REGIONS)?;
        bounded("nodes", self.nodes.len(), MAX_NODES)?;
        bounded("routes", self.routes.len(), MAX_ROUTES)?;
        bounded("maintenance", self.maintenance.len(), MAX_WINDOWS)?;
        for (id, region) in &self.regions {
            region.check().map_err(|problem| format!("`regions.{id}.{problem}"))?;
        }
        for (id, node) in &self.nodes {
            if node.weight > MAX_WEIGHT {
                return Err(format!("`nodes.{id}.weight` is above {MAX_WEIGHT}"));
            }
            if node.capacity.viewers == Some(0) || node.capacity.egress_bps == Some(0) {
                return Err(format!(
                    "`nodes.{id}.capacity` has a 0: leave it out for no limit, or use `weight` 0 for no viewers"
                ));
            }
        }
        for (at, route) in self.routes.iter().enumerate() {
            route.check().map_err(|problem| format!("`routes[{at}]{problem}"))?;
        }
        for (at, window) in self.maintenance.iter().enumerate() {
            window.check().map_err(|problem| format!("`maintenance[{at}]{problem}"))?;
        }
        Ok(())
    }
}

impl RegionPlan {
    fn check(&self) -> Result<(), String> {
        check_text("title", &self.title, MAX_TITLE)?;
        check_list("shields", &self.shields)
    }
}

impl Route {
    fn fits(&self, region: Option<&Region>, country: Option<Country>) -> bool {
        region.is_some_and(|region| self.from.contains(region))
            || country.is_some_and(|country| self.countries.contains(&country))
    }

    fn check(&self) -> Result<(), String> {
        if self.countries.is_empty() && self.from.is_empty() {
            return Err("` is for nobody: name `countries`, or regions in `from`".to_owned());
        }
        if self.to.is_empty() {
            return Err(".to` is empty: name the regions that serve these viewers".to_owned());
        }
        if self.countries.len() > MAX_COUNTRIES {
            return Err(format!(".countries` has more than {MAX_COUNTRIES} entries"));
        }
        let dotted = |problem| format!(".{problem}");
        check_list("from", &self.from).and_then(|()| check_list("to", &self.to)).map_err(dotted)
    }
}

impl Window {
    /// Whether it is for this node.
    pub fn is_for(&self, node: &NodeId, region: &Region) -> bool {
        self.node.as_ref() == Some(node) || self.region.as_ref() == Some(region)
    }

    fn check(&self) -> Result<(), String> {
        if self.node.is_some() == self.region.is_some() {
            return Err("` names one of the two, `node` or `region`".to_owned());
        }
        if self.until <= self.from {
            return Err(".until` is not after `from`".to_owned());
        }
        if self.until - self.from > LONGEST_WINDOW {
            return Err(
                ".until` is more than 90 days after `from`: drain what is to rest for longer".to_owned()
            );
        }
        check_text("reason", &self.reason, MAX_REASON).map_err(|problem| format!(".{problem}"))
    }
}

impl Default for NodePlan {
    fn default() -> Self {
        Self { weight: NORMAL_WEIGHT, capacity: Capacity::default() }
    }
}

fn check_text(name: &str, text: &str, max: usize) -> Result<(), String> {
    match text.chars().count() > max || text.chars().any(char::is_control) {
        true => Err(format!("{name}` has more than {max} characters, or one that cannot be shown")),
        false => Ok(()),
    }
}

fn check_list<T: Ord>(name: &str, list: &[T]) -> Result<(), String> {
    if list.len() > MAX_LIST {
        return Err(format!("{name}` has more than {MAX_LIST} entries"));
    }
    match list.iter().collect::<BTreeSet<_>>().len() == list.len() {
        true => Ok(()),
        false => Err(format!("{name}` has one entry twice")),
    }
}

/// What nodes weigh that the topology does not name.
pub const NORMAL_WEIGHT: u16 = 100;
const MAX_WEIGHT: u16 = 1000;
/// Every node holds all of it, and every change of the network looks through it.
const MAX_REGIONS: usize = 500;
const MAX_NODES: usize = 10_000;
const MAX_ROUTES: usize = 500;
const MAX_WINDOWS: usize = 1000;
const MAX_LIST: usize = 32;
/// ISO 3166-1 has some 250.
const MAX_COUNTRIES: usize = 300;
const MAX_TITLE: usize = 100;
const MAX_REASON: usize = 200;
const LONGEST_WINDOW: u64 = 90 * 24 * 3600 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Topology {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_first_route_that_fits_holds() {
        let topology = read(
            r#"{"routes": [{"countries": ["BR"], "to": ["us", "eu"]}, {"from": ["eu"], "to": ["eu", "asia"]}]}"#,
        );
        topology.check().unwrap();
        let (eu, us): (Region, Region) = ("eu".parse().unwrap(), "us".parse().unwrap());
        let brazil: Country = "BR".parse().unwrap();
        assert_eq!(topology.order(Some(&eu), Some(brazil)), ["us", "eu"].map(|id| id.parse().unwrap()));
        assert_eq!(topology.order(Some(&eu), None)[1], "asia".parse().unwrap());
        assert!(topology.order(Some(&us), None).is_empty());
    }

    #[test]
    fn shields_ask_origins_whatever_region_they_are_in() {
        let topology =
            read(r#"{"regions": {"eu": {"shields": ["us-s"]}, "us": {"shields": ["eu-s", "us-s"]}}}"#);
        let shields = |node: &str, region: &str| {
            topology.shields(&node.parse().unwrap(), &region.parse().unwrap()).len()
        };
        assert_eq!([shields("eu-1", "eu"), shields("us-1", "us"), shields("x", "asia")], [1, 2, 0]);
        assert_eq!([shields("eu-s", "eu"), shields("us-s", "us")], [0, 0]);
    }

    #[test]
    fn a_window_is_open_from_its_first_millisecond_to_before_its_last() {
        let topology = read(r#"{"maintenance": [{"region": "eu", "from": 10, "until": 20}]}"#);
        let open = |now| topology.open_windows(now).count();
        assert_eq!([open(9), open(10), open(19), open(20)], [0, 1, 1, 0]);
        assert!(topology.maintenance[0].is_for(&"x".parse().unwrap(), &"eu".parse().unwrap()));
        assert!(!topology.maintenance[0].is_for(&"x".parse().unwrap(), &"us".parse().unwrap()));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let wrong = |json: &str| read(json).check().unwrap_err();
        for (json, name) in [
            (r#"{"nodes": {"eu-1": {"weight": 1001}}}"#, "`nodes.eu-1.weight`"),
            (r#"{"nodes": {"eu-1": {"capacity": {"viewers": 0}}}}"#, "`nodes.eu-1.capacity`"),
            (r#"{"regions": {"eu": {"shields": ["a", "a"]}}}"#, "`regions.eu.shields`"),
            (r#"{"regions": {"eu": {"title": "a\nb"}}}"#, "`regions.eu.title`"),
            (r#"{"routes": [{"to": ["eu"]}]}"#, "`routes[0]`"),
            (r#"{"routes": [{"countries": ["DE"]}]}"#, "`routes[0].to`"),
            (r#"{"routes": [{"from": ["eu"], "to": ["us", "us"]}]}"#, "`routes[0].to`"),
            (r#"{"maintenance": [{"from": 1, "until": 2}]}"#, "`maintenance[0]`"),
            (r#"{"maintenance": [{"node": "a", "region": "b", "from": 1, "until": 2}]}"#, "`maintenance[0]`"),
            (r#"{"maintenance": [{"node": "a", "from": 2, "until": 2}]}"#, "`maintenance[0].until`"),
            (r#"{"maintenance": [{"node": "a", "until": 8000000000}]}"#, "`maintenance[0].until`"),
        ] {
            assert!(wrong(json).contains(name), "{}", wrong(json));
        }
        assert_eq!(Topology::default().check(), Ok(()));
    }
}
