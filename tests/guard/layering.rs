//! Who may use whom: the compile arrows of ARCHITECTURE.md, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The left crate may use those on its right. No daemon ever uses a daemon.
const ARROWS: &[(&str, &[&str])] = &[
    ("nearcast-api", &[]),
    ("nearcast-media", &[]),
    ("nearcast-geo", &["nearcast-api"]),
    ("nearcast-service", &["nearcast-api"]),
    ("nearcast-edge", &["nearcast-media", "nearcast-geo", "nearcast-service", "nearcast-api"]),
    ("nearcast-origin", &["nearcast-media", "nearcast-service", "nearcast-api"]),
    ("nearcast-control", &["nearcast-geo", "nearcast-service", "nearcast-api"]),
];
/// They look at everything, and nothing looks at them but each other in this order.
const WATCHERS: &[&str] = &["nearcast-tests", "nearcast-benches"];

#[test]
fn crates_use_only_what_the_arrows_allow() {
    let edges = edges();
    let known: BTreeSet<&str> =
        ARROWS.iter().map(|(name, _)| *name).chain(WATCHERS.iter().copied()).collect();
    let members: BTreeSet<&str> = edges.keys().map(String::as_str).collect();
    assert_eq!(
        members, known,
        "a crate came or went: its arrows belong in this table and in ARCHITECTURE.md"
    );
    for (name, allowed) in ARROWS {
        for used in &edges[*name] {
            assert!(allowed.contains(&used.as_str()), "{name} must not use {used}");
        }
    }
    assert!(!edges["nearcast-tests"].contains("nearcast-benches"), "tests must not use benches");
}

/// Direct dependencies of every workspace member on others, tests' and build scripts' too.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline", "--locked"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let ours = |name: &String| name.starts_with("nearcast-");
    packages
        .iter()
        .map(|package| {
            let used = package["dependencies"].as_array().unwrap().iter().map(name).filter(ours);
            (name(package), used.collect())
        })
        .collect()
}
