use std::collections::BTreeMap;

use nearcast_api::node::{Location, Role, Spec};
use proptest::prelude::*;

use super::*;
use crate::{Config, Locator};

fn node(id: &str, region: &str, status: Status) -> Node {
    let spec = Spec {
        id: id.parse().unwrap(),
        role: Role::Edge,
        region: region.parse().unwrap(),
        location: None,
        addresses: Vec::new(),
        urls: Vec::new(),
        version: "0".into(),
    };
    Node::new(spec, status)
}

fn rank(address: &str, nodes: &[Node]) -> Vec<String> {
    let locator = Locator::new(&Config::default(), None).unwrap();
    let address = address.parse().unwrap();
    let place = locator.locate(address).place;
    let ranked = locator.atlas().rank(&place, &[], spread_key(address).0, nodes);
    ranked.nodes.iter().map(|node| node.spec.id.to_string()).collect()
}

#[test]
fn a_viewer_goes_to_its_own_region_and_then_abroad() {
    let nodes = [node("us-1", "us", Status::Ready), node("eu-1", "eu", Status::Ready)];
    assert_eq!(rank("198.51.100.7", &nodes), ["eu-1", "us-1"]);
    assert_eq!(rank("203.0.113.7", &nodes), ["us-1", "eu-1"]);
}

#[test]
fn a_down_or_draining_node_is_left_out_while_another_is_up() {
    let mut nodes = [node("us-1", "us", Status::Ready), node("eu-1", "eu", Status::Down)];
    assert_eq!(rank("198.51.100.7", &nodes), ["us-1"]);
    nodes[1].status = Status::Draining;
    assert_eq!(rank("198.51.100.7", &nodes), ["us-1"]);
}

#[test]
fn when_all_are_down_the_answer_fails_open() {
    let mut nodes = [node("us-1", "us", Status::Down), node("eu-1", "eu", Status::Down)];
    assert_eq!(rank("203.0.113.7", &nodes), ["us-1", "eu-1"]);
    nodes[1].status = Status::Draining;
    assert_eq!(rank("203.0.113.7", &nodes), ["eu-1"], "one that drains still works");
    assert!(rank("203.0.113.7", &[]).is_empty());
}

#[test]
fn the_nearer_of_two_in_the_region_wins_and_one_of_unknown_place_is_last() {
    let at = |latitude, longitude| Some(Location { latitude, longitude });
    let mut nodes = ["far", "near", "lost"].map(|id| node(id, "eu", Status::Ready));
    nodes[0].spec.location = at(60.17, 24.94);
    nodes[1].spec.location = at(48.86, 2.35);
    nodes[2].spec.region = "elsewhere".parse().unwrap();
    assert_eq!(rank("198.51.100.7", &nodes), ["near", "far", "lost"]);
}

#[test]
fn equals_share_the_viewers_evenly_and_losing_one_moves_only_its_own() {
    let ids = ["eu-1", "eu-2", "eu-3", "eu-4"];
    let mut nodes: Vec<_> = ids.iter().map(|id| node(id, "eu", Status::Ready)).collect();
    let atlas = Atlas::new(&Config::default()).unwrap();
    let place = Place { region: "eu".parse().ok(), ..Place::default() };
    let networks: Vec<IpAddr> = (0..4000u32).map(|n| IpAddr::V4((0x0a00_0000 + (n << 8)).into())).collect();
    let choose = |nodes: &[Node], address: &IpAddr| -> String {
        let ranked = atlas.rank(&place, &[], spread_key(*address).0, nodes);
        assert!(ranked.spread(1));
        ranked.nodes[0].spec.id.to_string()
    };
    let before: Vec<_> = networks.iter().map(|address| choose(&nodes, address)).collect();
    let mut share = BTreeMap::<&str, usize>::new();
    before.iter().for_each(|id| *share.entry(id).or_default() += 1);
    assert!(share.values().all(|count| (900..1100).contains(count)), "{share:?}");

    nodes[1].status = Status::Down;
    for (address, before) in networks.iter().zip(&before) {
        if before != "eu-2" {
            assert_eq!(choose(&nodes, address), *before);
        }
    }
}

#[test]
fn nodes_share_by_weight_and_a_change_of_one_moves_nobody_between_others() {
    let mut nodes: Vec<_> = ["eu-1", "eu-2", "eu-3"].map(|id| node(id, "eu", Status::Ready)).into();
    nodes[0].weight = 300;
    let atlas = Atlas::new(&Config::default()).unwrap();
    let choose = |nodes: &[Node], key| -> String {
        atlas.rank(&Place::default(), &[], key, nodes).nodes[0].spec.id.to_string()
    };
    let keys = (0..5000u32).map(|n| spread_key(IpAddr::V4((0x0a00_0000 + (n << 8)).into())).0);
    let before: Vec<_> = keys.map(|key| (key, choose(&nodes, key))).collect();
    let heavy = before.iter().filter(|(_, id)| id == "eu-1").count();
    assert!((2850..3150).contains(&heavy), "{heavy} of 5000 at 300 of 500");
    nodes[0].weight = 50;
    for (key, before) in before.iter().filter(|(_, id)| id != "eu-1") {
        assert_eq!(choose(&nodes, *key), *before);
    }
    nodes[0].weight = 0;
    assert!(before.iter().all(|(key, _)| choose(&nodes, *key) != "eu-1"));
}

#[test]
fn a_full_node_is_used_when_all_are_and_before_one_that_is_to_have_nobody() {
    let mut nodes = [node("us-1", "us", Status::Ready), node("eu-1", "eu", Status::Ready)];
    nodes[1].full = true;
    assert_eq!(rank("198.51.100.7", &nodes), ["us-1"]);
    nodes[0].full = true;
    assert_eq!(rank("198.51.100.7", &nodes), ["eu-1", "us-1"]);
    nodes[0].weight = 0;
    assert_eq!(rank("198.51.100.7", &nodes), ["eu-1"]);
}

#[test]
fn the_regions_that_the_topology_names_go_first_and_then_the_viewers_own() {
    let nodes = ["eu-1", "us-1", "asia-1"].map(|id| node(id, id.split('-').next().unwrap(), Status::Ready));
    let atlas = Atlas::new(&Config::default()).unwrap();
    let place = Place { region: "eu".parse().ok(), ..Place::default() };
    let order = ["asia".parse().unwrap()];
    let ranked = atlas.rank(&place, &order, 7, &nodes);
    let ids: Vec<_> = ranked.nodes.iter().map(|node| node.spec.id.as_str()).collect();
    assert_eq!(ids, ["asia-1", "eu-1", "us-1"]);
}

#[test]
fn only_a_tie_among_the_answers_makes_them_depend_on_the_key() {
    let nodes = [
        node("eu-1", "eu", Status::Ready),
        node("us-1", "us", Status::Ready),
        node("us-2", "us", Status::Ready),
    ];
    let atlas = Atlas::new(&Config::default()).unwrap();
    let place = Place { region: "eu".parse().ok(), ..Place::default() };
    let ranked = atlas.rank(&place, &[], 7, &nodes);
    assert!(!ranked.spread(1));
    assert!(ranked.spread(2), "which of the two is second is the key's choice");
}

#[test]
fn the_spread_key_is_the_network_not_the_host() {
    let key = |address: &str| spread_key(address.parse().unwrap());
    assert_eq!(key("198.51.100.1"), key("198.51.100.254"));
    assert_ne!(key("198.51.100.1").0, key("198.51.101.1").0);
    assert_eq!(key("::ffff:198.51.100.1"), (key("198.51.100.1").0, 120));
    assert_eq!(key("2001:db8::1"), key("2001:db8:0:ff::1"));
    assert_ne!(key("2001:db8::1").0, key("2001:db8:0:100::1").0);
}

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let status =
        prop_oneof![Just(Status::Ready), Just(Status::Joining), Just(Status::Draining), Just(Status::Down)];
    let region = prop_oneof![Just("eu"), Just("us"), Just("moon")];
    let place = prop::option::of((any::<f64>(), any::<f64>()));
    prop::collection::vec((status, region, place), 0..12).prop_map(|drawn| {
        let mut nodes = Vec::new();
        for (status, region, place) in drawn {
            let mut node = node(&format!("n{}", nodes.len()), region, status);
            node.spec.location = place.map(|(latitude, longitude)| Location { latitude, longitude });
            nodes.push(node);
        }
        nodes
    })
}

proptest! {
    #[test]
    fn an_answer_exists_whenever_a_node_does_and_never_prefers_the_sick(nodes in nodes(), bits in any::<u32>()) {
        let address = IpAddr::V4(bits.into()).to_string();
        let order = rank(&address, &nodes);
        prop_assert_eq!(order.is_empty(), nodes.is_empty());
        let healthiest = nodes.iter().map(class).min();
        for id in &order {
            let node = nodes.iter().find(|node| node.spec.id.as_str() == id).unwrap();
            prop_assert_eq!(Some(class(node)), healthiest);
        }
        // The order the nodes came in says nothing.
        let reversed: Vec<Node> = nodes.iter().rev().cloned().collect();
        prop_assert_eq!(order, rank(&address, &reversed));
    }
}
