use std::collections::BTreeMap;
use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode};
use hickory_proto::rr::{Name, RData};
use nearcast_api::node::{Role, Spec, Status};
use nearcast_api::snapshot::Node;
use proptest::prelude::*;

use super::*;

fn node(id: &str, role: Role, region: &str, addresses: &[&str]) -> (nearcast_api::NodeId, Node) {
    let spec = Spec {
        id: id.parse().unwrap(),
        role,
        region: region.parse().unwrap(),
        location: None,
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        urls: vec![format!("https://{}:8443", addresses[0])],
        version: String::new(),
    };
    (spec.id.clone(), Node::new(spec, Status::Ready))
}

fn zone() -> Zone {
    let nodes = BTreeMap::from([
        node("eu-1", Role::Edge, "eu", &["192.0.2.1", "2001:db8::1"]),
        node("eu-2", Role::Edge, "eu", &["192.0.2.2"]),
        node("eu-3", Role::Edge, "eu", &["192.0.2.3"]),
        node("us-1", Role::Edge, "us", &["192.0.2.11"]),
        node("origin-1", Role::Origin, "eu", &["192.0.2.21"]),
    ]);
    let snapshot =
        Snapshot { version: 1 << 33 | 7, zone: "nearcast.test".into(), nodes, ..Snapshot::default() };
    Zone::compile(&snapshot, &Config::default()).unwrap()
}

fn locator() -> Locator {
    let mut config = nearcast_geo::Config::default();
    config.regions[0].networks =
        ["198.51.0.0/16", "2001:db8:e::/48"].map(|net| net.parse().unwrap()).to_vec();
    config.regions[1].networks =
        ["198.51.96.0/20", "203.0.113.0/24"].map(|net| net.parse().unwrap()).to_vec();
    Locator::new(&config, None).unwrap()
}

fn query(name: &str, kind: RecordType, subnet: Option<(IpAddr, u8)>) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    if let Some((address, prefix)) = subnet {
        let mut edns = Edns::new();
        edns.set_max_payload(4096);
        edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::new(address, prefix, 0)));
        message.edns = Some(edns);
    }
    message.to_vec().unwrap()
}

/// The addresses and the scope that a client network is answered with.
fn asked(zone: &Zone, locator: &Locator, address: IpAddr, prefix: u8) -> (Vec<RData>, u8) {
    let bytes = query("edge.nearcast.test.", RecordType::A, Some((address, prefix)));
    let answer = fuzz_with(zone, locator, &bytes).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    let Some(EdnsOption::Subnet(subnet)) = answer.edns.as_ref().unwrap().option(EdnsCode::Subnet).cloned()
    else {
        panic!("the subnet was not echoed");
    };
    assert_eq!((subnet.addr(), subnet.source_prefix()), (address, prefix));
    (answer.answers.into_iter().map(|record| record.data).collect(), subnet.scope_prefix())
}

fn cut(bits: u32, prefix: u8) -> u32 {
    bits & u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

#[test]
fn the_serial_is_the_low_half_of_the_version() {
    let bytes = query("nearcast.test.", RecordType::SOA, None);
    let answer = fuzz_with(&zone(), &locator(), &bytes).unwrap();
    let RData::SOA(soa) = &answer.answers[0].data else { panic!("no SOA") };
    assert_eq!((soa.serial, answer.metadata.authoritative), (7, true));
}

#[test]
fn names_of_any_case_are_the_same_name() {
    let bytes = query("EdGe.NearCast.TEST.", RecordType::A, None);
    assert_eq!(fuzz_with(&zone(), &locator(), &bytes).unwrap().answers.len(), 2);
}

proptest! {
    /// What a resolver may do with the scope (RFC 7871 §7.3.1): give the answer to everybody who shares that much.
    #[test]
    fn everybody_within_the_scope_gets_the_same_answer(
        near in prop_oneof![Just(0xC633_0000u32), Just(0xCB00_7100), any::<u32>()],
        low in any::<u32>(), prefix in 1u8..=24, other in any::<u32>(),
    ) {
        let (zone, locator) = (zone(), locator());
        let bits = cut(near ^ (low & 0xffff), prefix);
        let (answer, scope) = asked(&zone, &locator, IpAddr::V4(bits.into()), prefix);
        prop_assert!(scope <= 24);
        if scope <= prefix {
            let neighbour = cut(bits, scope) | (other & !cut(u32::MAX, scope));
            let (same, _) = asked(&zone, &locator, IpAddr::V4(cut(neighbour, 24).into()), 24);
            prop_assert_eq!(same, answer, "{:#x}/{} and {:#x}", bits, scope, neighbour);
        }
    }

    #[test]
    fn fuzz_survives_any_bytes(data in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz(&data);
    }

    #[test]
    fn fuzz_survives_damaged_queries(
        kind in prop::sample::select(vec![RecordType::A, RecordType::HTTPS, RecordType::ANY, RecordType::NS]),
        name in prop::sample::select(vec!["edge.nearcast.test.", "nearcast.test.", "a.b.nearcast.test.", "."]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = query(name, kind, Some(("198.51.100.0".parse().unwrap(), 24)));
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        fuzz_with(&zone(), &locator(), &bytes);
        fuzz(&bytes);
    }
}
