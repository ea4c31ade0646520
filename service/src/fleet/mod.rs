//! How nodes of a fleet know each other: each shows the certificate that the control plane has given it.
//!
//! ```text
//! FleetHttp -- TLS for "origin-1.nodes.ZONE", own certificate --> Door of origin-1 -- Caller::Node --> its handler
//! ```
//!
//! All others, viewers first of all, ask for other names and are never asked for a certificate.

mod client;
mod door;

use std::sync::Arc;
use std::time::SystemTime;

use http::{Extensions, Uri};
use nearcast_api::NodeId;
use nearcast_api::snapshot::Snapshot;
use tokio::sync::watch;

use crate::tls::{ClientCertificate, Identity};

pub use client::FleetHttp;
pub(crate) use client::{Fellows, Way};
pub(crate) use door::Door;

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
    /// A node whose certificate was taken away, or has ended.
    Dismissed,
    /// Somebody who has shown no certificate.
    Unknown,
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

    /// Of a node that has no certificate, and asks whom it finds in `snapshot`.
    pub fn without_identity(snapshot: watch::Receiver<Arc<Snapshot>>) -> Self {
        Self::new(watch::channel(None).1, snapshot, false)
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
        let Some(shown) = request.get::<ClientCertificate>() else { return Caller::Unknown };
        let is_over = SystemTime::now() >= shown.until;
        if is_over || self.snapshot.borrow().revoked_nodes.contains_key(&*shown.serial) {
            return Caller::Dismissed;
        }
        Caller::Node
    }

    /// The node that is reached at an `https` URI.
    fn node_at(&self, uri: &Uri) -> Option<NodeId> {
        let at = |url: &String| url.parse::<Uri>().is_ok_and(|url| is_same_place(&url, uri));
        let snapshot = self.snapshot.borrow();
        snapshot.nodes.iter().find(|(_, node)| node.spec.urls.iter().any(at)).map(|(id, _)| id.clone())
    }
}

/// Whether both are `https` at the same host and port.
fn is_same_place(one: &Uri, other: &Uri) -> bool {
    place(one).zip(place(other)).is_some_and(|((host, port), (its_host, its_port))| {
        host.eq_ignore_ascii_case(its_host) && port == its_port
    })
}

fn place(uri: &Uri) -> Option<(&str, u16)> {
    (uri.scheme_str() == Some("https")).then_some((uri.host()?, uri.port_u16().unwrap_or(443)))
}

#[cfg(test)]
mod tests;
