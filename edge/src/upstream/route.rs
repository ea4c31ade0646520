//! Which parent has a channel: what the snapshot says, then what was found out by asking.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nearcast_api::NodeId;
use nearcast_api::node::{Role, Spec, Status};
use nearcast_api::snapshot::{Live, Snapshot};

/// One origin or shield.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// None for one that the configuration names by its URL.
    pub node: Option<NodeId>,
    /// Base URLs, best first, without a trailing slash.
    pub urls: Arc<[Arc<str>]>,
}

/// Where channels were last found: for a broadcast begun while the control plane was away, and for the rest of one
/// that has ended. Their number is bounded.
#[derive(Debug, Default)]
pub struct Learned(Mutex<HashMap<Box<str>, Lesson>>);

#[derive(Debug)]
struct Lesson {
    parent: Parent,
    /// What the snapshot said then. When it says something else, it knows better.
    live: Option<Live>,
}

/// The origin where the snapshot says the channel is live.
pub fn live_at(snapshot: &Snapshot, channel: &str) -> Option<Parent> {
    let live = live(snapshot, channel)?;
    snapshot.nodes.get(&live.origin).map(|node| Parent::of(&node.spec))
}

/// Every origin worth asking: those that are up or draining, and the configured ones. When the control plane
/// thinks that all are down, all of them, since it may be the one that is cut off.
pub fn origins(snapshot: &Snapshot, configured: &[String]) -> Vec<Parent> {
    let nodes = || snapshot.nodes.values().filter(|node| node.spec.role == Role::Origin);
    let alive = nodes().filter(|node| node.status != Status::Down);
    let mut parents: Vec<_> = alive.map(|node| Parent::of(&node.spec)).collect();
    if parents.is_empty() {
        parents.extend(nodes().map(|node| Parent::of(&node.spec)));
    }
    for configured in configured.iter().map(|url| Parent::new(std::slice::from_ref(url))) {
        // A node that is there proves who it is.
        if !parents.iter().any(|parent| parent.urls.contains(&configured.urls[0])) {
            parents.push(configured);
        }
    }
    parents.retain(|parent| !parent.urls.is_empty());
    parents
}

/// The edges that the topology has `node` ask instead of origins, but those that are down.
pub fn shields(snapshot: &Snapshot, node: &Spec) -> Vec<Parent> {
    let named = snapshot.topology.shields(&node.id, &node.region).iter();
    let known = named.filter_map(|shield| snapshot.nodes.get(shield));
    let usable = known.filter(|shield| {
        shield.spec.role == Role::Edge && shield.status != Status::Down && !shield.spec.urls.is_empty()
    });
    usable.map(|shield| Parent::of(&shield.spec)).collect()
}

impl Parent {
    /// A parent reached at these URLs, whoever that is.
    pub fn new(urls: &[String]) -> Self {
        Self { node: None, urls: urls.iter().map(|url| url.trim_end_matches('/').into()).collect() }
    }

    /// A node.
    pub fn of(spec: &Spec) -> Self {
        Self { node: Some(spec.id.clone()), ..Self::new(&spec.urls) }
    }

    /// What it is called in errors.
    pub fn name(&self) -> Arc<str> {
        self.urls.first().map_or_else(|| "an origin without URLs".into(), Arc::clone)
    }
}

impl Learned {
    /// Where the channel was found, unless the snapshot has changed its mind about the channel since.
    pub fn get(&self, snapshot: &Snapshot, channel: &str) -> Option<Parent> {
        let map = self.map();
        let lesson = map.get(channel)?;
        (lesson.live.as_ref() == live(snapshot, channel)).then(|| lesson.parent.clone())
    }

    /// Where the channel was last found, whatever the snapshot says.
    pub fn recall(&self, channel: &str) -> Option<Parent> {
        self.map().get(channel).map(|lesson| lesson.parent.clone())
    }

    /// The channel was found at `parent`.
    pub fn insert(&self, snapshot: &Snapshot, channel: &str, parent: &Parent) {
        let mut map = self.map();
        let live = live(snapshot, channel);
        if map.get(channel).is_some_and(|lesson| lesson.parent == *parent && lesson.live.as_ref() == live) {
            return;
        }
        if map.len() >= MAX_LEARNED && !map.contains_key(channel) {
            // They are found again when asked for; this many at a time means somebody tries names.
            map.clear();
        }
        map.insert(channel.into(), Lesson { parent: parent.clone(), live: live.cloned() });
    }

    fn map(&self) -> MutexGuard<'_, HashMap<Box<str>, Lesson>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn live<'a>(snapshot: &'a Snapshot, channel: &str) -> Option<&'a Live> {
    snapshot.channels.get(channel)?.live.as_ref()
}

/// Channels that are live, wanted here and unknown to the control plane at a time.
const MAX_LEARNED: usize = 4096;

#[cfg(test)]
mod tests {
    use nearcast_api::snapshot::{Channel, Node};
    use nearcast_api::topology::RegionPlan;

    use super::*;

    fn node(id: &str, role: Role, status: Status) -> Node {
        let spec = Spec {
            id: id.parse().unwrap(),
            role,
            region: "eu".parse().unwrap(),
            location: None,
            addresses: Vec::new(),
            urls: vec![format!("http://{id}:8600/")],
            version: "0".into(),
        };
        Node::new(spec, status)
    }

    fn snapshot(nodes: &[(&str, Role, Status)], live: Option<&str>) -> Snapshot {
        let nodes = nodes.iter().map(|(id, role, status)| (id.parse().unwrap(), node(id, *role, *status)));
        let live = live.map(|origin| Live {
            origin: origin.parse().unwrap(),
            broadcast: "b1".parse().unwrap(),
            started_at: 0,
            taken_over_at: None,
        });
        let channel = Channel { live, ..Channel::default() };
        let channels = [("demo".parse().unwrap(), channel)].into();
        Snapshot { nodes: nodes.collect(), channels, ..Snapshot::default() }
    }

    fn names(parents: &[Parent]) -> Vec<String> {
        parents.iter().map(|parent| parent.name().to_string()).collect()
    }

    #[test]
    fn a_live_channel_is_at_its_origin() {
        let snapshot = snapshot(&[("o1", Role::Origin, Status::Ready)], Some("o1"));
        assert_eq!(live_at(&snapshot, "demo").unwrap().name().as_ref(), "http://o1:8600");
        assert_eq!(live_at(&snapshot, "other"), None);
    }

    #[test]
    fn dead_origins_are_asked_only_when_all_are() {
        let mut nodes = vec![
            ("a", Role::Origin, Status::Ready),
            ("b", Role::Origin, Status::Draining),
            ("c", Role::Origin, Status::Down),
            ("e", Role::Edge, Status::Ready),
        ];
        let configured = ["http://fixed/".to_owned()];
        let asked = names(&origins(&snapshot(&nodes, None), &configured));
        assert_eq!(asked, ["http://a:8600", "http://b:8600", "http://fixed"]);
        nodes.iter_mut().for_each(|node| node.2 = Status::Down);
        let asked = names(&origins(&snapshot(&nodes, None), &[]));
        assert_eq!(asked, ["http://a:8600", "http://b:8600", "http://c:8600"]);
    }

    #[test]
    fn an_edge_asks_its_regions_shields_that_are_not_down_and_shields_ask_origins() {
        let nodes = [
            ("s1", Role::Edge, Status::Ready),
            ("s2", Role::Edge, Status::Down),
            ("o1", Role::Origin, Status::Ready),
        ];
        let mut snapshot = snapshot(&nodes, None);
        let ids = ["s1", "s2", "o1", "s9"].map(|id| id.parse().unwrap()).to_vec();
        let plan = RegionPlan { shields: ids, ..RegionPlan::default() };
        snapshot.topology.regions.insert("eu".parse().unwrap(), plan);
        let edge = |id| node(id, Role::Edge, Status::Ready).spec;
        assert_eq!(names(&shields(&snapshot, &edge("eu-1"))), ["http://s1:8600"]);
        assert!(shields(&snapshot, &edge("s1")).is_empty());
    }

    #[test]
    fn what_was_learned_holds_until_the_snapshot_changes_its_mind() {
        let nodes = [("a", Role::Origin, Status::Ready), ("b", Role::Origin, Status::Ready)];
        let (before, learned) = (snapshot(&nodes, None), Learned::default());
        learned.insert(&before, "demo", &Parent::new(&["http://b:8600".into()]));
        assert_eq!(learned.get(&before, "demo").unwrap().name().as_ref(), "http://b:8600");
        assert_eq!(learned.get(&snapshot(&nodes, Some("a")), "demo"), None);
        assert_eq!(learned.recall("demo").unwrap().name().as_ref(), "http://b:8600");
    }

    #[test]
    fn a_storm_of_found_names_stays_bounded() {
        let (snapshot, learned) = (Snapshot::default(), Learned::default());
        for name in 0..3 * MAX_LEARNED {
            learned.insert(&snapshot, &name.to_string(), &Parent::new(&["http://a".into()]));
            assert!(learned.map().len() <= MAX_LEARNED);
        }
    }
}
