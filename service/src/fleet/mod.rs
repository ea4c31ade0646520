//! How nodes of a fleet know each other: each shows the certificate that the control plane has given it.
//!
//! ```text
//! FleetHttp -- TLS for "origin-1.nodes.ZONE", own certificate --> NodeTls of origin-1 -- Caller::Node --> its handler
//! ```
//!
//! All others, viewers first of all, ask for other names and are never asked for a certificate.

mod client;
mod server;
mod way;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use http::Extensions;
use nearcast_api::NodeId;
use nearcast_api::snapshot::Snapshot;
use tokio::sync::watch;

use crate::tls::{ClientCertificate, Identity};

pub use client::{FleetError, FleetHttp};
pub(crate) use server::NodeTls;
pub(crate) use way::{Shaken, Way};

/// This node's fleet: who it is in it, and who the others are. Clones are the same.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// None before it has enrolled, and where its certificate has ended.
    identity: watch::Receiver<Option<Identity>>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    is_strict: bool,
}

/// Who makes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A node of the fleet.
    Node,
    /// A node whose certificate was taken away; in a strict fleet one whose certificate has ended, too.
    Dismissed,
    /// Somebody who has shown no certificate that counts.
    Unknown,
}

/// The certificates of a node that had been taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    node: NodeId,
    serials: BTreeSet<String>,
}

impl Fleet {
    /// Where `is_strict`, who does not prove to be a node is not asked for anything.
    pub fn new(
        identity: watch::Receiver<Option<Identity>>,
        snapshot: watch::Receiver<Arc<Snapshot>>,
        is_strict: bool,
    ) -> Self {
        Self { identity, snapshot, is_strict }
    }

    /// What the control plane says of all nodes, as it changes.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// Whether who does not prove to be a node gets nothing that is for nodes (`control.mutual_tls`).
    pub fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// Who makes a request with these extensions, at a server that admits nodes.
    pub fn caller(&self, request: &Extensions) -> Caller {
        match request.get::<ClientCertificate>() {
            None => Caller::Unknown,
            Some(shown) if self.is_revoked(&shown.serial) => Caller::Dismissed,
            Some(shown) if SystemTime::now() < shown.until => Caller::Node,
            Some(_) if self.is_strict => Caller::Dismissed,
            // It may have no control plane to renew it at, and goes on as before it had one.
            Some(_) => Caller::Unknown,
        }
    }

    /// The node that makes a request with these extensions, if it has shown who it is.
    pub fn node(&self, request: &Extensions) -> Option<NodeId> {
        request.get::<ClientCertificate>()?.name.split('.').next()?.parse().ok()
    }

    /// By which it is seen later whether a node was sent away since.
    pub fn revoked(&self, node: &NodeId) -> Revoked {
        let snapshot = self.snapshot.borrow();
        let revoked = snapshot.revoked_nodes.iter().filter(|(_, one)| one.node == *node);
        Revoked { node: node.clone(), serials: revoked.map(|(serial, _)| serial.clone()).collect() }
    }

    /// Whether a node was sent away since.
    pub fn was_sent_away(&self, since: &Revoked) -> bool {
        !self.revoked(&since.node).serials.is_subset(&since.serials)
    }

    /// Whether the control plane has taken this certificate away.
    fn is_revoked(&self, serial: &str) -> bool {
        self.snapshot.borrow().revoked_nodes.contains_key(serial)
    }
}

#[cfg(test)]
mod tests;
