//! How a node gets an identity of its own: a certificate for a key that only it has.

use serde::{Deserialize, Serialize};

use crate::node::Role;
use crate::{NodeId, Region};

/// A node wants its first certificate: `POST /api/v1/enrol`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = Enrol))]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What `POST /api/v1/enrolments` has given, with or without the authority's fingerprint behind its dot.
    pub token: String,
    /// What the node is called.
    pub node: NodeId,
    pub role: Role,
    pub region: Region,
    /// A certificate signing request in PEM (RFC 2986) for an ECDSA P-256 key. Only the key is taken from it.
    pub csr: String,
}

/// A node wants its next certificate: `POST /api/v1/nodes/{node}/certificate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = RenewCertificate))]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// As in [`Request::csr`].
    pub csr: String,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = IssuedCertificate))]
pub struct Issued {
    pub node: NodeId,
    /// PEM, the node's own alone.
    pub certificate: String,
    /// PEM of the authority that has signed it.
    pub ca: String,
    /// When it ends, in milliseconds since the Unix epoch.
    pub not_after: u64,
}
