use std::time::Instant;

use nearcast_api::node::{Heartbeat, Load, Spec};
use nearcast_api::snapshot::Snapshot;
use serde_json::{Value, json};

use super::*;
use crate::fleet::{Config, Fleet};

/// Two edges in eu and one in us, each with this many viewers, and an origin.
fn members(viewers: u32) -> Vec<Member> {
    let now = Instant::now();
    let mut fleet = Fleet::restore(Config::default(), Snapshot::default(), Vec::new(), now);
    for (id, role) in
        [("eu-1", Role::Edge), ("eu-2", Role::Edge), ("us-1", Role::Edge), ("eu-origin", Role::Origin)]
    {
        let spec = Spec {
            id: id.parse().unwrap(),
            role,
            region: id[..2].parse().unwrap(),
            location: None,
            addresses: Vec::new(),
            urls: vec![format!("https://{id}.example")],
            version: String::new(),
        };
        fleet.register(spec, 0, now);
        let load = Load { viewers, ..Load::default() };
        fleet.heartbeat(&id.parse().unwrap(), Heartbeat { load, ..Heartbeat::default() }, now).unwrap();
    }
    fleet.members().values().cloned().collect()
}

fn change(after: Value) -> Report {
    let after = serde_json::from_value(after).unwrap();
    let atlas = Atlas::new(&nearcast_geo::Config::default()).unwrap();
    report(3, &Topology::default(), &after, &members(1000), &atlas, 1_000_000)
}

fn says(report: &Report, severity: Severity, text: &str) -> bool {
    report.findings.iter().any(|finding| finding.severity == severity && finding.message.contains(text))
}

#[test]
fn nothing_changes_nothing() {
    let report = change(json!({}));
    assert_eq!((report.published, report.viewers_moved), (3, 0));
    assert_eq!(
        (&report.differences[..], &report.findings[..], &report.moves[..]),
        (&[][..], &[][..], &[][..])
    );
    let eu = &report.regions["eu"];
    assert_eq!((eu.viewers, eu.before.edges, eu.after.expected_viewers), (2000, 2, 2000));
}

#[test]
fn a_weight_moves_its_share_and_nobody_else() {
    let report = change(json!({ "nodes": { "eu-1": { "weight": 300 } } }));
    // From a half to three quarters of 2000.
    assert!((400..600).contains(&report.viewers_moved), "{}", report.viewers_moved);
    let [moved] = &report.moves[..] else { panic!("{:?}", report.moves) };
    assert_eq!((moved.from.as_str(), moved.to.as_str()), ("eu-2", "eu-1"));
    assert_eq!(report.differences[0].path, "/nodes");
    assert!(report.outage().is_none());
}

#[test]
fn a_region_without_an_edge_is_an_outage_and_says_where_its_viewers_go() {
    let report = change(json!({ "nodes": { "us-1": { "weight": 0 } } }));
    assert!(report.outage().unwrap().message.contains("region us would have no edge"));
    assert_eq!(report.viewers_moved, 1000);
    assert!(report.moves.iter().all(|moved| moved.from.as_str() == "us-1"));
    assert_eq!(report.regions["eu"].after.expected_viewers, 3000);
    let all = json!({ "weight": 0 });
    let report = change(json!({ "nodes": { "us-1": all, "eu-1": all, "eu-2": all } }));
    assert!(report.outage().unwrap().message.contains("no edge at all"));
}

#[test]
fn a_region_at_rest_is_an_outage_while_the_window_is_open() {
    let window = |from, until| json!({ "maintenance": [{ "region": "us", "from": from, "until": until }] });
    let report = change(window(999_000, 1_001_000));
    assert!(report.outage().is_some() && says(&report, Severity::Warning, "begins at once"));
    let report = change(window(1_001_000, 1_002_000));
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert!(says(&change(window(1, 2)), Severity::Note, "is over"));
}

#[test]
fn a_route_takes_a_regions_viewers_elsewhere() {
    let report = change(json!({ "routes": [{ "from": ["us"], "to": ["eu"] }] }));
    assert_eq!(report.viewers_moved, 1000);
    assert_eq!(report.regions["us"].after.expected_viewers, 0);
    assert!(report.outage().is_none(), "its edge is there for others");
}

#[test]
fn too_little_room_is_said() {
    let small = json!({ "capacity": { "viewers": 400 } });
    let report = change(json!({ "nodes": { "eu-1": small, "eu-2": small } }));
    assert!(
        says(&report, Severity::Warning, "room for 800") || report.regions["eu"].after.expected_viewers == 0
    );
    // Both are full, so that their viewers go to the other region.
    assert_eq!(report.regions["us"].after.expected_viewers, 3000);
}

#[test]
fn names_of_what_is_not_there_and_shields_that_cannot_be_asked_are_told() {
    let report = change(json!({
        "nodes": { "eu-9": {} },
        "regions": { "eu": { "shields": ["us-1"] }, "us": { "shields": ["eu-origin"] }, "mars": {} },
    }));
    assert!(says(&report, Severity::Note, "no node eu-9 is registered"));
    assert!(says(&report, Severity::Warning, "region mars"));
    assert!(says(&report, Severity::Warning, "a shield of region us is no edge"));
    assert!(says(&report, Severity::Note, "would ask other parents: 2"), "{:?}", report.findings);
}
