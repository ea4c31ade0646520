//! A snapshot compiled into the zone's records, so that a query only has to choose among them.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::net::IpAddr;

use hickory_proto::rr::rdata::svcb::{Alpn, IpHint, SvcParamKey, SvcParamValue};
use hickory_proto::rr::rdata::{A, AAAA, HTTPS, NS, SOA, SVCB};
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};
use nearcast_api::node::Role;
use nearcast_api::snapshot::{Node, Snapshot};
use nearcast_api::topology::Topology;

use super::{Config, EDGE, INGEST, NAME_SERVER, parse_name};
use crate::error::Result;

/// All records of one snapshot.
#[derive(Debug)]
pub(super) struct Zone {
    pub(super) origin: LowerName,
    pub(super) soa: Record,
    pub(super) name_servers: Vec<Record>,
    /// Addresses of name servers inside the zone.
    pub(super) glue: Vec<Record>,
    pub(super) topology: Topology,
    names: HashMap<LowerName, Entry>,
}

/// What is at a name.
#[derive(Debug)]
pub(super) enum Entry {
    /// The nearest of several nodes.
    Pool(Vec<Host>),
    /// Always the same records.
    Fixed(Records),
}

/// A node in a pool: its records carry the pool's name.
#[derive(Debug)]
pub(super) struct Host {
    node: Node,
    pub(super) records: Records,
}

/// Records of one name by type.
#[derive(Debug, Default)]
pub(super) struct Records {
    a: Vec<Record>,
    aaaa: Vec<Record>,
    https: Vec<Record>,
}

impl Zone {
    /// # Errors
    /// The zone or a name server is not a DNS name.
    pub(super) fn compile(snapshot: &Snapshot, config: &Config) -> Result<Self> {
        let origin = parse_name("zone", &snapshot.zone)?;
        let child = |label: &str| parse_name("zone", &format!("{label}.{origin}"));
        let servers = config.name_servers(&origin)?;
        let own = child(NAME_SERVER)?;
        let mut names = HashMap::new();
        for (id, node) in &snapshot.nodes {
            let name = child(id.as_str())?;
            let records = Records::of(&name, node, config.ttl);
            names.insert(LowerName::from(&name), Entry::Fixed(records));
        }
        // After the nodes: a name of the zone's own is never a node's.
        for (label, role) in [(EDGE, Role::Edge), (INGEST, Role::Origin)] {
            let name = child(label)?;
            let of_role = snapshot.nodes.values().filter(|node| node.spec.role == role);
            let host =
                |node: &Node| Host { records: Records::of(&name, node, config.ttl), node: node.clone() };
            names.insert(LowerName::from(&name), Entry::Pool(of_role.map(host).collect()));
        }
        let glue = Records::at(&own, &config.addresses, STABLE_TTL);
        let shown = if servers.contains(&own) { glue.all() } else { Vec::new() };
        names.insert(LowerName::from(&own), Entry::Fixed(glue));

        let primary = servers.first().cloned().unwrap_or_else(|| own.clone());
        let ns = |name: Name| Record::from_rdata(origin.clone(), STABLE_TTL, RData::NS(NS(name)));
        Ok(Self {
            soa: soa(&origin, primary, child("hostmaster")?, snapshot.version, config.ttl),
            name_servers: servers.into_iter().map(ns).collect(),
            glue: shown,
            origin: LowerName::from(&origin),
            topology: snapshot.topology.clone(),
            names,
        })
    }

    pub(super) fn entry(&self, name: &LowerName) -> Option<&Entry> {
        self.names.get(name)
    }
}

impl Records {
    fn of(name: &Name, node: &Node, ttl: u32) -> Self {
        let mut records = Self::at(name, &node.spec.addresses, ttl);
        if node.spec.role == Role::Edge {
            records.https.extend(https(name, node, ttl));
        }
        records
    }

    fn at(name: &Name, addresses: &[IpAddr], ttl: u32) -> Self {
        let mut records = Self::default();
        for address in addresses {
            let record = |data| Record::from_rdata(name.clone(), ttl, data);
            match address.to_canonical() {
                IpAddr::V4(v4) => records.a.push(record(RData::A(A(v4)))),
                IpAddr::V6(v6) => records.aaaa.push(record(RData::AAAA(AAAA(v6)))),
            }
        }
        records
    }

    /// The records of a type; for ANY those of one type that exists (RFC 8482 §4.1).
    pub(super) fn of_type(&self, kind: RecordType) -> &[Record] {
        match kind {
            RecordType::A => &self.a,
            RecordType::AAAA => &self.aaaa,
            RecordType::HTTPS => &self.https,
            RecordType::ANY if self.a.is_empty() => &self.aaaa,
            RecordType::ANY => &self.a,
            _ => &[],
        }
    }

    fn all(&self) -> Vec<Record> {
        self.a.iter().chain(&self.aaaa).cloned().collect()
    }
}

impl Borrow<Node> for Host {
    fn borrow(&self) -> &Node {
        &self.node
    }
}

/// Announces HTTP/3 before the first connection (RFC 9460 §9), at the port of the node's HTTPS URL.
fn https(name: &Name, node: &Node, ttl: u32) -> Option<Record> {
    let secure = node.spec.urls.iter().filter_map(|url| url.parse::<http::Uri>().ok());
    let url = secure.into_iter().find(|url| url.scheme_str() == Some("https"))?;
    // In the order of their keys, as RFC 9460 §2.2 demands.
    let alpn = ["h3", "h2"].map(str::to_owned).to_vec();
    let mut params = vec![(SvcParamKey::Alpn, SvcParamValue::Alpn(Alpn(alpn)))];
    if let Some(port) = url.port_u16().filter(|port| *port != HTTPS_PORT) {
        params.push((SvcParamKey::Port, SvcParamValue::Port(port)));
    }
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for address in &node.spec.addresses {
        match address.to_canonical() {
            IpAddr::V4(address) => v4.push(A(address)),
            IpAddr::V6(address) => v6.push(AAAA(address)),
        }
    }
    if !v4.is_empty() {
        params.push((SvcParamKey::Ipv4Hint, SvcParamValue::Ipv4Hint(IpHint(v4))));
    }
    if !v6.is_empty() {
        params.push((SvcParamKey::Ipv6Hint, SvcParamValue::Ipv6Hint(IpHint(v6))));
    }
    let data = SVCB::new(SERVICE_MODE, Name::root(), params);
    Some(Record::from_rdata(name.clone(), ttl, RData::HTTPS(HTTPS(data))))
}

/// The serial is the snapshot's version; negative answers live as short as positive ones (RFC 2308 §4).
fn soa(origin: &Name, primary: Name, mailbox: Name, version: u64, ttl: u32) -> Record {
    let serial = (version & u64::from(u32::MAX)) as u32;
    let data = SOA::new(primary, mailbox, serial, REFRESH, RETRY, EXPIRE, ttl);
    Record::from_rdata(origin.clone(), ttl, RData::SOA(data))
}

/// Seconds for what does not change with the fleet: who the name servers are.
const STABLE_TTL: u32 = 3600;
const HTTPS_PORT: u16 = 443;
/// RFC 9460 §2.4.1: anything but 0, which would be an alias.
const SERVICE_MODE: u16 = 1;
/// No secondary transfers this zone, so these are only there because the record has them.
const REFRESH: i32 = 3600;
const RETRY: i32 = 600;
const EXPIRE: i32 = 86_400;
