use nearcast_api::node::{Broadcast, Load, Role, Status};
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A fleet in virtual time.
struct World {
    fleet: Fleet,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self::restore(0, Vec::new())
    }

    fn restore(version: u64, nodes: Vec<Known>) -> Self {
        Self::restore_live(version, nodes, None)
    }

    fn restore_live(version: u64, nodes: Vec<Known>, live: Option<Live>) -> Self {
        let now = Instant::now();
        let channels = [("demo".parse().unwrap(), Channel { live, ..Channel::default() })].into();
        let snapshot = Snapshot { version, zone: "nearcast.test".into(), channels, ..Snapshot::default() };
        let fleet = Fleet::restore(Config::default(), snapshot, nodes, now);
        Self { fleet, now }
    }

    /// Passes time, and with it every deadline on the way.
    fn pass(&mut self, seconds: f64) {
        let end = self.now + Duration::from_secs_f64(seconds);
        while let Some(due) = self.fleet.poll_timeout().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.fleet.expire(self.now);
        }
        self.now = end;
        self.fleet.expire(end);
    }

    fn register(&mut self, id: &str, role: Role) {
        self.fleet.register(spec(id, role), 0, self.now);
    }

    /// Registers, and says that it is ready.
    fn join(&mut self, id: &str, role: Role) {
        self.register(id, role);
        self.beat(id, &[]);
    }

    fn beat(&mut self, id: &str, broadcasts: &[(&str, u64)]) {
        let broadcast = |(id, started_at): &(&str, u64)| Broadcast {
            channel: "demo".parse().unwrap(),
            id: id.parse().unwrap(),
            started_at: *started_at,
            taken_over_at: None,
            health: None,
        };
        let beat =
            Heartbeat { broadcasts: broadcasts.iter().map(broadcast).collect(), ..Heartbeat::default() };
        self.fleet.heartbeat(&id.parse().unwrap(), beat, self.now).unwrap();
    }

    fn status(&self, id: &str) -> Status {
        self.fleet.snapshot().nodes[id].status
    }

    fn live(&self) -> Option<(String, String)> {
        let snapshot = self.fleet.snapshot();
        snapshot.channels["demo"]
            .live
            .as_ref()
            .map(|live| (live.origin.to_string(), live.broadcast.to_string()))
    }
}

fn spec(id: &str, role: Role) -> Spec {
    Spec {
        id: id.parse().unwrap(),
        role,
        region: "eu".parse().unwrap(),
        location: None,
        addresses: vec!["127.0.0.1".parse().unwrap()],
        urls: vec!["http://127.0.0.1:1".into()],
        version: "0".into(),
    }
}

fn titled(title: String) -> Channel {
    Channel { title, ..Channel::default() }
}

#[test]
fn a_node_joins_when_it_registers_is_ready_when_it_says_so_and_down_after_five_silent_seconds() {
    let mut world = World::new();
    world.register("eu-1", Role::Edge);
    assert_eq!(world.status("eu-1"), Status::Joining);
    world.beat("eu-1", &[]);
    assert_eq!(world.status("eu-1"), Status::Ready);
    world.pass(4.9);
    assert_eq!(world.status("eu-1"), Status::Ready);
    world.pass(0.1);
    assert_eq!(world.status("eu-1"), Status::Down);
}

#[test]
fn a_node_that_was_down_comes_up_with_its_second_heartbeat_in_a_row() {
    let mut world = World::new();
    world.register("eu-1", Role::Edge);
    world.pass(10.0);
    world.beat("eu-1", &[]);
    assert_eq!(world.status("eu-1"), Status::Down);
    world.pass(6.0);
    world.beat("eu-1", &[]);
    assert_eq!(world.status("eu-1"), Status::Down, "the first was too long ago to count");
    world.pass(1.0);
    world.register("eu-1", Role::Edge);
    assert_eq!(world.status("eu-1"), Status::Down, "saying its name is no proof of health");
    world.beat("eu-1", &[]);
    assert_eq!(world.status("eu-1"), Status::Ready);
}

#[test]
fn steady_heartbeats_change_no_version() {
    let mut world = World::new();
    world.join("eu-1", Role::Edge);
    let version = world.fleet.snapshot().version;
    for _ in 0..100 {
        world.pass(1.0);
        world.beat("eu-1", &[]);
    }
    assert_eq!(world.fleet.snapshot().version, version);
    assert_eq!(world.status("eu-1"), Status::Ready);
}

#[test]
fn a_drain_is_the_operators_or_the_nodes_and_ends_with_both() {
    let mut world = World::new();
    world.join("eu-1", Role::Edge);
    let id = "eu-1".parse().unwrap();
    world.fleet.set_drain(&id, true).unwrap();
    assert_eq!(world.status("eu-1"), Status::Draining);
    world.register("eu-1", Role::Edge);
    assert_eq!(world.status("eu-1"), Status::Draining, "a restart does not end an operator's drain");
    world.fleet.set_drain(&id, false).unwrap();
    assert_eq!(world.status("eu-1"), Status::Ready);

    let beat = Heartbeat { draining: true, ..Heartbeat::default() };
    world.fleet.heartbeat(&id, beat, world.now).unwrap();
    assert_eq!(world.status("eu-1"), Status::Draining);
    world.pass(5.0);
    assert_eq!(world.status("eu-1"), Status::Down);
}

#[test]
fn an_unknown_node_is_told_so() {
    let mut world = World::new();
    let id = "ghost".parse().unwrap();
    assert_eq!(
        world.fleet.heartbeat(&id, Heartbeat::default(), world.now),
        Err(UnknownNode(id.clone()).into())
    );
    assert!(world.fleet.set_drain(&id, true).is_err() && world.fleet.remove(&id).is_err());
}

#[test]
fn a_broadcast_is_live_while_its_origin_says_so() {
    let mut world = World::new();
    world.register("origin-1", Role::Origin);
    world.beat("origin-1", &[("b1", 100)]);
    assert_eq!(world.live(), Some(("origin-1".into(), "b1".into())));
    world.beat("origin-1", &[]);
    assert_eq!(world.live(), None);
    world.register("eu-1", Role::Edge);
    world.beat("eu-1", &[("b2", 100)]);
    assert_eq!(world.live(), None, "an edge has no broadcasts of its own");
}

#[test]
fn the_newest_broadcast_wins_and_a_silent_origin_loses_to_one_that_is_heard() {
    let mut world = World::new();
    world.register("origin-1", Role::Origin);
    world.register("origin-2", Role::Origin);
    world.beat("origin-1", &[("b1", 100)]);
    world.beat("origin-2", &[("b2", 200)]);
    assert_eq!(world.live().unwrap().1, "b2");
    world.pass(4.0);
    world.beat("origin-1", &[("b1", 100)]);
    world.pass(1.0);
    assert_eq!(world.status("origin-2"), Status::Down);
    assert_eq!(world.live().unwrap().1, "b1");
}

#[test]
fn a_broadcast_is_where_it_was_taken_over() {
    let mut world = World::new();
    world.register("origin-1", Role::Origin);
    world.register("origin-2", Role::Origin);
    let beat = |taken_over_at| {
        let (channel, id) = ("demo".parse().unwrap(), "b1".parse().unwrap());
        let broadcast = Broadcast { channel, id, started_at: 100, taken_over_at, health: None };
        Heartbeat { broadcasts: vec![broadcast], ..Heartbeat::default() }
    };
    world.fleet.heartbeat(&"origin-2".parse().unwrap(), beat(None), world.now).unwrap();
    assert_eq!(world.live().unwrap().0, "origin-2");
    world.fleet.heartbeat(&"origin-1".parse().unwrap(), beat(Some(150)), world.now).unwrap();
    assert_eq!(
        world.live(),
        Some(("origin-1".into(), "b1".into())),
        "though the other is not known to be down"
    );
}

#[test]
fn a_silent_origins_broadcast_lingers_and_then_ends() {
    let mut world = World::new();
    world.register("origin-1", Role::Origin);
    world.beat("origin-1", &[("b1", 100)]);
    world.pass(29.0);
    assert_eq!((world.status("origin-1"), world.live().is_some()), (Status::Down, true));
    world.pass(1.0);
    assert_eq!(world.live(), None);
    world.beat("origin-1", &[("b1", 100)]);
    assert!(world.live().is_some(), "a lost one heals itself");
}

#[test]
fn after_a_restart_silence_is_forgiven_for_a_while_and_the_version_goes_on() {
    let known = |id: &str, down| Known { spec: spec(id, Role::Edge), drain: false, down };
    let mut world = World::restore(41, vec![known("eu-1", false), known("us-1", true)]);
    assert_eq!((world.status("eu-1"), world.status("us-1")), (Status::Ready, Status::Down));
    world.pass(14.0);
    assert_eq!(world.status("eu-1"), Status::Ready);
    world.pass(1.0);
    assert_eq!(world.status("eu-1"), Status::Down);
    assert_eq!(world.fleet.snapshot().version, 43, "one for what was restored, one for the change");
}

#[test]
fn after_a_restart_what_was_live_is_live_until_its_origin_has_been_silent_for_too_long() {
    let known = || vec![Known { spec: spec("origin-1", Role::Origin), drain: false, down: false }];
    let live = |origin: &str| {
        Some(Live {
            origin: origin.parse().unwrap(),
            broadcast: "b1".parse().unwrap(),
            started_at: 100,
            taken_over_at: None,
        })
    };
    let mut world = World::restore_live(0, known(), live("origin-1"));
    assert_eq!(world.live(), Some(("origin-1".into(), "b1".into())));
    world.beat("origin-1", &[]);
    assert_eq!(world.live(), None);

    let mut world = World::restore_live(0, known(), live("origin-1"));
    world.pass(30.0);
    assert_eq!(world.live(), None);
    assert_eq!(World::restore_live(0, known(), live("forgotten")).live(), None);
}

#[test]
fn a_revocation_that_is_over_leaves_the_snapshot() {
    let mut world = World::new();
    let until = |until| Revocation { until, ..Revocation::default() };
    world.fleet.set_revocations([("a".into(), until(1000)), ("b".into(), until(2000))].into());
    let version = world.fleet.snapshot().version;
    world.fleet.let_in_again(999);
    assert_eq!(world.fleet.snapshot().version, version);
    world.fleet.let_in_again(1000);
    assert_eq!(world.fleet.snapshot().revocations.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(world.fleet.snapshot().version, version + 1);

    let until = |until| RevokedNode { node: "eu-1".parse().unwrap(), until };
    world.fleet.set_revoked_nodes([("0a".into(), until(1500)), ("0b".into(), until(2500))].into());
    let Some(Update::Delta(delta)) = world.fleet.update_since(version + 1) else { panic!("no delta") };
    assert_eq!(delta.revoked_nodes.len(), 2);
    world.fleet.let_in_again(1500);
    assert_eq!(world.fleet.snapshot().revoked_nodes.keys().collect::<Vec<_>>(), ["0b"]);
    assert_eq!(world.fleet.snapshot().revocations.len(), 1);
}

#[test]
fn a_follower_that_is_too_far_behind_or_ahead_gets_everything() {
    let mut world = World::new();
    for n in 0..200 {
        world.fleet.put_channel("demo".parse().unwrap(), titled(format!("title {n}")));
    }
    let version = world.fleet.snapshot().version;
    assert!(matches!(world.fleet.update_since(version - 128), Some(Update::Delta(_))));
    assert!(matches!(world.fleet.update_since(version - 129), Some(Update::Full(_))));
    assert!(matches!(world.fleet.update_since(version + 1), Some(Update::Full(_))));
    assert_eq!(world.fleet.update_since(version), None);
}

proptest! {
    #[test]
    fn versions_only_grow_and_every_follower_arrives_at_the_same_snapshot(
        steps in prop::collection::vec((0..8u8, 0..3usize, 0..40u64), 1..80)
    ) {
        let mut world = World::restore(7, Vec::new());
        let ids: Vec<NodeId> = ["a", "b", "c"].map(|id| id.parse().unwrap()).to_vec();
        let mut followers = vec![Snapshot::clone(&world.fleet.snapshot())];
        for (step, which, value) in steps {
            let (id, now) = (&ids[which], world.now);
            let role = if which == 0 { Role::Edge } else { Role::Origin };
            let before = world.fleet.snapshot();
            match step {
                0 => world.fleet.register(spec(id.as_str(), role), 0, now),
                1 | 2 => {
                    let id: NodeId = id.clone();
                    if world.fleet.members().contains_key(&id) {
                        world.beat(id.as_str(), &[("b", value)][..(value % 2) as usize]);
                    }
                }
                3 => world.pass(value as f64 / 4.0),
                4 => world.fleet.set_drain(id, value % 2 == 0).unwrap_or(()),
                5 => world.fleet.remove(id).unwrap_or(()),
                6 => world.fleet.put_channel("demo".parse().unwrap(), titled(value.to_string())),
                _ => world.fleet.remove_channel(&"demo".parse().unwrap()),
            }
            let after = world.fleet.snapshot();
            prop_assert!(after.version >= before.version);
            prop_assert_eq!(after.version == before.version, after == before, "the same version is the same content");
            if value % 5 == 0 {
                followers.push(Snapshot::clone(&after));
            }
        }
        for mut follower in followers {
            if let Some(update) = world.fleet.update_since(follower.version) {
                follower.apply(update).unwrap();
            }
            prop_assert_eq!(&follower, &*world.fleet.snapshot());
        }
    }
}

#[test]
fn of_two_processes_with_one_name_the_one_that_started_later_is_heard() {
    let mut world = World::new();
    let id: NodeId = "origin-1".parse().unwrap();
    let beat = |world: &mut World, started_at| {
        world.fleet.heartbeat(&id, Heartbeat { started_at, ..Heartbeat::default() }, world.now).map(|_| ())
    };
    let register = |world: &mut World, started_at| {
        world.fleet.register(spec("origin-1", Role::Origin), started_at, world.now);
    };
    register(&mut world, 100);
    assert_eq!(beat(&mut world, 100), Ok(()));
    assert!(!world.fleet.is_shared(&id, 200, world.now));
    register(&mut world, 200);
    assert_eq!(beat(&mut world, 100), Err(Unheard::Shared(id.clone())));
    assert_eq!(beat(&mut world, 200), Ok(()));
    world.pass(1.0);
    assert!(world.fleet.is_shared(&id, 100, world.now));
    // The later one ends, and the other has to say who it is.
    world.pass(5.0);
    assert!(!world.fleet.is_shared(&id, 100, world.now));
    assert_eq!(beat(&mut world, 100), Err(UnknownNode(id.clone()).into()));
    register(&mut world, 100);
    assert_eq!(beat(&mut world, 100), Ok(()));
}

fn planned(json: serde_json::Value) -> Topology {
    serde_json::from_value(json).unwrap()
}

fn reason(world: &World, id: &str) -> String {
    world.fleet.members()[id].reason(world.now).unwrap_or_default()
}

#[test]
fn a_node_rests_while_its_maintenance_window_is_open_also_one_that_comes_later() {
    let mut world = World::new();
    world.join("eu-1", Role::Edge);
    let window = json!({ "region": "eu", "from": 1000, "until": 2000, "reason": "new disks" });
    world.fleet.set_topology(planned(json!({ "maintenance": [window] })));
    world.fleet.keep_windows(999);
    assert_eq!(world.status("eu-1"), Status::Ready);
    world.fleet.keep_windows(1000);
    assert_eq!(world.status("eu-1"), Status::Draining);
    assert_eq!(reason(&world, "eu-1"), "maintenance until 1970-01-01T00:00:02Z: new disks");
    world.join("eu-2", Role::Edge);
    assert_eq!(world.status("eu-2"), Status::Draining);
    let version = world.fleet.snapshot().version;
    world.fleet.keep_windows(1999);
    assert_eq!(world.fleet.snapshot().version, version, "an open window is no news");
    world.fleet.keep_windows(2000);
    assert_eq!((world.status("eu-1"), world.status("eu-2")), (Status::Ready, Status::Ready));
}

#[test]
fn a_node_is_full_at_its_capacity_and_has_room_again_when_a_tenth_is_free() {
    let mut world = World::new();
    world.join("eu-1", Role::Edge);
    let capacity = json!({ "viewers": 100, "egress_bps": 1_000_000 });
    world.fleet.set_topology(planned(json!({ "nodes": { "eu-1": { "capacity": capacity, "weight": 7 } } })));
    let mut full_at = |viewers, egress_bps| {
        let load = Load { viewers, egress_bps, ..Load::default() };
        let beat = Heartbeat { load, ..Heartbeat::default() };
        world.fleet.heartbeat(&"eu-1".parse().unwrap(), beat, world.now).unwrap();
        let node = &world.fleet.snapshot().nodes["eu-1"];
        assert_eq!((node.status, node.weight), (Status::Ready, 7));
        node.full
    };
    assert!(!full_at(99, 0));
    assert!(full_at(100, 0));
    assert!(full_at(90, 0));
    assert!(!full_at(89, 0));
    assert!(full_at(0, 1_000_000));
    assert!(reason(&world, "eu-1").contains("1000000 bit/s"));
    world.fleet.set_topology(Topology::default());
    let node = &world.fleet.snapshot().nodes["eu-1"];
    assert_eq!((node.full, node.weight), (false, 100), "a limit that is gone binds nobody");
}

#[test]
fn why_a_node_gets_no_work_is_said_in_words() {
    let mut world = World::new();
    world.register("eu-1", Role::Edge);
    assert!(reason(&world, "eu-1").contains("waits for a snapshot"));
    world.beat("eu-1", &[]);
    assert_eq!(reason(&world, "eu-1"), "");
    world.fleet.set_drain(&"eu-1".parse().unwrap(), true).unwrap();
    assert_eq!(reason(&world, "eu-1"), "an operator drains it");
    world.pass(7.0);
    assert_eq!(reason(&world, "eu-1"), "no heartbeat for 7 s");
    world.beat("eu-1", &[]);
    assert!(reason(&world, "eu-1").contains("heard again"));
}
