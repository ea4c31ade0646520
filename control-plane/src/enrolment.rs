//! Nodes with certificates: what each may be, and which certificates count. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use nearcast_api::node::Role;
use nearcast_api::snapshot::RevokedNode;
use nearcast_api::{NodeId, Region};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, Result};
use crate::store::StoredCertificate;

/// What a node has to be; what is left out is the node's to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = EnrolmentLimits)]
pub struct Limits {
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub node: Option<NodeId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub role: Option<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub region: Option<Region>,
}

/// The certificates that have not ended for long, as of the last look at the store.
#[derive(Debug, Default)]
pub struct Certificates {
    by_serial: HashMap<String, Arc<StoredCertificate>>,
    /// Nodes all of whose certificates were taken away.
    revoked: HashSet<NodeId>,
}

impl Limits {
    /// Refuses a node that is something else.
    pub fn check(&self, node: &NodeId, role: Role, region: &Region) -> Result<()> {
        let wrong = |field: &'static str, is: String| Err(Error::OtherNodes { field, is });
        match self {
            Self { node: Some(own), .. } if own != node => wrong("node", own.to_string()),
            Self { role: Some(own), .. } if *own != role => wrong("role", format!("{own:?}").to_lowercase()),
            Self { region: Some(own), .. } if own != region => wrong("region", own.to_string()),
            _ => Ok(()),
        }
    }
}

impl Certificates {
    pub fn new(all: impl IntoIterator<Item = StoredCertificate>) -> Self {
        let all = all.into_iter().map(|one| (one.serial.clone(), Arc::new(one)));
        let by_serial: HashMap<_, _> = all.collect();
        let of = |revoked: bool| {
            let some = by_serial.values().filter(move |one| one.revoked_at.is_some() == revoked);
            some.map(|one| one.node.clone()).collect::<HashSet<_>>()
        };
        let revoked = of(true).difference(&of(false)).cloned().collect();
        Self { by_serial, revoked }
    }

    /// The certificate with this serial number, if it counts at `now`, in milliseconds since the Unix epoch.
    pub fn get(&self, serial: &str, now: u64) -> Result<Arc<StoredCertificate>> {
        match self.by_serial.get(serial) {
            Some(one) if one.revoked_at.is_some() => Err(Error::RevokedNode(one.node.clone())),
            Some(one) if now < one.not_after => Ok(Arc::clone(one)),
            _ => Err(Error::UnknownCertificate),
        }
    }

    /// Whether the node was sent away, and not let in again.
    pub fn is_revoked(&self, node: &NodeId) -> bool {
        self.revoked.contains(node)
    }

    /// How many certificates of the node count at `now`.
    pub fn count(&self, node: &NodeId, now: u64) -> usize {
        self.of(node, now).count()
    }

    /// When the node's newest certificate ends, if one counts at `now`.
    pub fn until(&self, node: &NodeId, now: u64) -> Option<u64> {
        self.of(node, now).map(|one| one.not_after).max()
    }

    fn of<'a>(&'a self, node: &'a NodeId, now: u64) -> impl Iterator<Item = &'a Arc<StoredCertificate>> {
        let all = self.by_serial.values().filter(move |one| one.node == *node);
        all.filter(move |one| one.revoked_at.is_none() && now < one.not_after)
    }

    /// For snapshots: those that were taken away.
    pub fn revoked(&self) -> BTreeMap<String, RevokedNode> {
        let revoked = self.by_serial.values().filter(|one| one.revoked_at.is_some());
        let told = |one: &Arc<StoredCertificate>| RevokedNode {
            node: one.node.clone(),
            until: one.not_after + SLOW_CLOCKS,
        };
        revoked.map(|one| (one.serial.clone(), told(one))).collect()
    }
}

/// To a node whose clock is slow by so many milliseconds, a certificate has not ended where it has.
pub const SLOW_CLOCKS: u64 = 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(serial: &str, node: &str, revoked_at: Option<u64>) -> StoredCertificate {
        let (serial, node) = (serial.to_owned(), node.parse().unwrap());
        StoredCertificate {
            serial,
            node,
            limits: Limits::default(),
            issued_at: 1,
            not_after: 100,
            revoked_at,
        }
    }

    #[test]
    fn a_certificate_counts_until_it_ends_or_is_taken_away() {
        let all = [
            certificate("a1", "eu-1", Some(5)),
            certificate("a2", "eu-1", None),
            certificate("b1", "eu-2", Some(5)),
        ];
        let all = Certificates::new(all);
        assert_eq!(all.get("a2", 99).unwrap().node.as_str(), "eu-1");
        assert!(matches!(all.get("a2", 100), Err(Error::UnknownCertificate)));
        assert!(matches!(all.get("zz", 1), Err(Error::UnknownCertificate)));
        assert!(matches!(all.get("a1", 1), Err(Error::RevokedNode(_))));
        assert!(matches!(all.get("a1", 100), Err(Error::RevokedNode(_))));
        // The first has a newer one.
        let is_revoked = |node: &str| all.is_revoked(&node.parse().unwrap());
        assert!(!is_revoked("eu-1") && is_revoked("eu-2") && !is_revoked("eu-3"));
        assert_eq!(all.revoked().keys().collect::<Vec<_>>(), ["a1", "b1"]);
        let eu_1 = "eu-1".parse().unwrap();
        assert_eq!((all.count(&eu_1, 50), all.until(&eu_1, 50), all.until(&eu_1, 100)), (1, Some(100), None));
    }

    #[test]
    fn a_node_is_what_it_enrolled_as() {
        let (eu, us) = ("eu".parse().unwrap(), "us".parse().unwrap());
        let limits = Limits { node: Some("eu-1".parse().unwrap()), role: Some(Role::Edge), region: Some(eu) };
        let check = |node: &str, role, region| limits.check(&node.parse().unwrap(), role, region);
        let eu = limits.region.clone().unwrap();
        check("eu-1", Role::Edge, &eu).unwrap();
        for (wrong, says) in [
            (check("eu-2", Role::Edge, &eu), "eu-1"),
            (check("eu-1", Role::Origin, &eu), "edge"),
            (check("eu-1", Role::Edge, &us), "region"),
        ] {
            assert!(wrong.unwrap_err().to_string().contains(says));
        }
        Limits::default().check(&"x".parse().unwrap(), Role::Control, &us).unwrap();
    }
}
