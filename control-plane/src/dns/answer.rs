//! From a question to records: pure, on a compiled zone.

use hickory_proto::op::{LowerQuery, ResponseCode};
use hickory_proto::rr::{DNSClass, Record, RecordType};
use nearcast_geo::{Locator, spread_key};

use super::client::Client;
use super::zone::{Entry, Host, Zone};

/// What goes into the answer. Sections borrow from the zone.
#[derive(Debug)]
pub(super) struct Reply<'z> {
    pub(super) code: ResponseCode,
    /// We are the authority for the name (AA).
    pub(super) authoritative: bool,
    pub(super) answers: Vec<&'z Record>,
    pub(super) authority: Vec<&'z Record>,
    pub(super) additional: Vec<&'z Record>,
    /// Leading bits of the client's address that decided.
    pub(super) scope: u8,
}

/// Answers one question of a client.
pub(super) fn answer<'z>(
    zone: &'z Zone,
    locator: &Locator,
    count: usize,
    question: &LowerQuery,
    client: &Client,
) -> Reply<'z> {
    let kind = question.query_type();
    let ours = zone.origin.zone_of(question.name());
    let internet = matches!(question.query_class(), DNSClass::IN | DNSClass::ANY);
    if !ours || !internet || matches!(kind, RecordType::AXFR | RecordType::IXFR) {
        return Reply::empty(ResponseCode::Refused);
    }
    if *question.name() == zone.origin {
        return apex(zone, kind);
    }
    match zone.entry(question.name()) {
        None => Reply::negative(zone, ResponseCode::NXDomain),
        Some(Entry::Fixed(records)) => Reply::found(zone, records.of_type(kind).iter().collect(), 0),
        Some(Entry::Pool(hosts)) => nearest(zone, locator, count, kind, hosts, client),
    }
}

fn apex(zone: &Zone, kind: RecordType) -> Reply<'_> {
    match kind {
        RecordType::SOA | RecordType::ANY => Reply::found(zone, vec![&zone.soa], 0),
        RecordType::NS => {
            let mut reply = Reply::found(zone, zone.name_servers.iter().collect(), 0);
            reply.additional = zone.glue.iter().collect();
            reply
        }
        _ => Reply::found(zone, Vec::new(), 0),
    }
}

fn nearest<'z>(
    zone: &'z Zone,
    locator: &Locator,
    count: usize,
    kind: RecordType,
    hosts: &'z [Host],
    client: &Client,
) -> Reply<'z> {
    // A node without such an address is no answer, however near.
    let fitting = hosts.iter().filter(|host| !host.records.of_type(kind).is_empty());
    let located = locator.locate(client.address);
    let (key, key_bits) = spread_key(client.address);
    let order = zone.topology.order(located.place.region.as_ref(), located.place.country);
    let ranked = locator.atlas().rank(&located.place, order, key, fitting);
    let scope = match ranked.nodes.len() {
        // Everybody gets the same.
        0 | 1 => 0,
        _ if ranked.spread(count) => located.scope.max(key_bits),
        _ => located.scope,
    };
    let records = ranked.nodes.into_iter().take(count).flat_map(|host| host.records.of_type(kind)).collect();
    Reply::found(zone, records, scope)
}

impl<'z> Reply<'z> {
    /// A bare code, about names that are not ours to speak for.
    pub(super) fn empty(code: ResponseCode) -> Self {
        Self {
            code,
            authoritative: false,
            answers: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
            scope: 0,
        }
    }

    /// Records of a name that exists; when there are none of the type (NODATA) the SOA says for how long (RFC 2308 §2.2).
    fn found(zone: &'z Zone, answers: Vec<&'z Record>, scope: u8) -> Self {
        if answers.is_empty() {
            return Self::negative(zone, ResponseCode::NoError);
        }
        Self { authoritative: true, answers, scope, ..Self::empty(ResponseCode::NoError) }
    }

    fn negative(zone: &'z Zone, code: ResponseCode) -> Self {
        Self { authoritative: true, authority: vec![&zone.soa], ..Self::empty(code) }
    }
}
