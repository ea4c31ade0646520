//! Which edges a viewer should use, best first.

use std::net::IpAddr;

use nearcast_api::ChannelId;
use nearcast_api::node::Role;
use nearcast_api::snapshot::Snapshot;
use nearcast_api::steer::{Edge, Steering};
use nearcast_geo::{Locator, spread_key};

/// The answer for a viewer at `address`; `None` for a channel that does not exist.
pub fn steer(
    snapshot: &Snapshot,
    locator: &Locator,
    channel: &ChannelId,
    address: IpAddr,
) -> Option<Steering> {
    let live = snapshot.channels.get(channel)?.live.is_some();
    let reachable =
        |node: &&nearcast_api::snapshot::Node| node.spec.role == Role::Edge && !node.spec.urls.is_empty();
    let place = locator.locate(address).place;
    let order = snapshot.topology.order(place.region.as_ref(), place.country);
    let nodes = snapshot.nodes.values().filter(reachable);
    let ranked = locator.atlas().rank(&place, order, spread_key(address).0, nodes);
    let edge = |node: &nearcast_api::snapshot::Node| Edge {
        node: node.spec.id.clone(),
        region: node.spec.region.clone(),
        urls: node.spec.urls.clone(),
    };
    Some(Steering { channel: channel.clone(), live, edges: ranked.nodes.into_iter().map(edge).collect() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nearcast_api::node::{Spec, Status};
    use nearcast_api::snapshot::{Channel, Node};

    use super::*;

    fn snapshot(nodes: &[(&str, Role, Status)]) -> Snapshot {
        let node = |(id, role, status): &(&str, Role, Status)| {
            let spec = Spec {
                id: id.parse().unwrap(),
                role: *role,
                region: id[..2].parse().unwrap(),
                location: None,
                addresses: Vec::new(),
                urls: vec![format!("https://{id}.example")],
                version: String::new(),
            };
            (spec.id.clone(), Node::new(spec, *status))
        };
        let channels = BTreeMap::from([("demo".parse().unwrap(), Channel::default())]);
        Snapshot { nodes: nodes.iter().map(node).collect(), channels, ..Snapshot::default() }
    }

    fn edges(snapshot: &Snapshot, address: &str) -> Vec<String> {
        let locator = Locator::new(&nearcast_geo::Config::default(), None).unwrap();
        let steering = steer(snapshot, &locator, &"demo".parse().unwrap(), address.parse().unwrap()).unwrap();
        steering.edges.into_iter().map(|edge| edge.urls[0].clone()).collect()
    }

    #[test]
    fn a_viewer_gets_its_own_regions_edge_first_and_no_origin() {
        let up = Status::Ready;
        let snapshot =
            snapshot(&[("eu-1", Role::Edge, up), ("us-1", Role::Edge, up), ("eu-o", Role::Origin, up)]);
        assert_eq!(edges(&snapshot, "198.51.100.1"), ["https://eu-1.example", "https://us-1.example"]);
        assert_eq!(edges(&snapshot, "203.0.113.1"), ["https://us-1.example", "https://eu-1.example"]);
    }

    #[test]
    fn a_sick_edge_is_left_out_until_all_are() {
        let mut world = snapshot(&[("eu-1", Role::Edge, Status::Down), ("us-1", Role::Edge, Status::Ready)]);
        assert_eq!(edges(&world, "198.51.100.1"), ["https://us-1.example"]);
        world.nodes.values_mut().for_each(|node| node.status = Status::Down);
        assert_eq!(edges(&world, "198.51.100.1").len(), 2);
    }

    #[test]
    fn a_channel_that_does_not_exist_has_no_answer() {
        let locator = Locator::new(&nearcast_geo::Config::default(), None).unwrap();
        let address = "198.51.100.1".parse().unwrap();
        assert_eq!(steer(&Snapshot::default(), &locator, &"demo".parse().unwrap(), address), None);
    }
}
