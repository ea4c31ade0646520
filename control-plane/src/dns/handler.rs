//! The shell around hickory-server: a request in, a message out. Tests and the fuzz body go the same way.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use hickory_proto::op::{Edns, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{Record, RecordType};
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use nearcast_api::snapshot::Snapshot;
use nearcast_geo::Locator;

use super::Config;
use super::answer::{Reply, answer};
use super::client::Client;
use super::zone::Zone;
use crate::metrics::{DnsLabels, Metrics};

/// Answers requests from the newest zone.
pub(super) struct Handler {
    pub(super) zone: Arc<ArcSwap<Zone>>,
    pub(super) locator: Arc<Locator>,
    pub(super) answers: usize,
    pub(super) metrics: Metrics,
}

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut to: R,
    ) -> ResponseInfo {
        let zone = self.zone.load();
        let (reply, edns) = reply(&zone, &self.locator, self.answers, request);
        self.count(request, reply.code);
        let response = message(request, &reply, edns.as_ref());
        let metadata = *response.metadata();
        match to.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                // The asker went away, or the kernel's buffer is full; it asks again.
                tracing::debug!(%error, "a DNS answer was not sent");
                let counts = hickory_proto::op::HeaderCounts::default();
                hickory_proto::op::Header { metadata, counts }.into()
            }
        }
    }
}

impl Handler {
    fn count(&self, request: &Request, code: ResponseCode) {
        let kind = request.queries.queries().first().map_or("none", |query| label(query.query_type()));
        let rcode = match code {
            ResponseCode::NoError => "noerror",
            ResponseCode::NXDomain => "nxdomain",
            ResponseCode::Refused => "refused",
            ResponseCode::FormErr => "formerr",
            ResponseCode::NotImp => "notimp",
            ResponseCode::BADVERS => "badvers",
            _ => "other",
        };
        self.metrics.dns_queries.get_or_create(&DnsLabels { kind, rcode }).inc();
    }
}

/// Decides the answer, and the EDNS record that goes with it when the request had one.
fn reply<'z>(
    zone: &'z Zone,
    locator: &Locator,
    answers: usize,
    request: &Request,
) -> (Reply<'z>, Option<Edns>) {
    let asked = request.edns.as_ref();
    let mut edns = asked.map(|asked| {
        let mut edns = Edns::new();
        edns.set_dnssec_ok(asked.flags().dnssec_ok);
        // hickory cuts the answer at this size, so it is the asker's limit and ours together.
        edns.set_max_payload(request.max_payload().min(MAX_PAYLOAD));
        edns
    });
    let failed = |code| Reply::empty(code);
    if request.version() > 0 {
        return (failed(ResponseCode::BADVERS), edns);
    }
    if request.metadata.op_code != OpCode::Query {
        return (failed(ResponseCode::NotImp), edns);
    }
    let [question] = request.queries.queries() else { return (failed(ResponseCode::FormErr), edns) };
    let Ok(client) = Client::new(asked, request.src().ip()) else {
        return (failed(ResponseCode::FormErr), edns);
    };
    let reply = answer(zone, locator, answers, question, &client);
    if let (Some(edns), Some(subnet)) = (&mut edns, client.echo(reply.scope)) {
        edns.options_mut().insert(EdnsOption::Subnet(subnet));
    }
    (reply, edns)
}

fn message<'q, 'z: 'q>(
    request: &'q Request,
    reply: &Reply<'z>,
    edns: Option<&'q Edns>,
) -> hickory_server::zone_handler::MessageResponse<
    'q,
    'z,
    impl Iterator<Item = &'z Record> + Send + use<'z>,
    impl Iterator<Item = &'z Record> + Send + use<'z>,
    impl Iterator<Item = &'z Record> + Send + use<'z>,
    impl Iterator<Item = &'z Record> + Send + use<'z>,
> {
    let mut metadata = Metadata::response_from_request(&request.metadata);
    metadata.response_code = reply.code;
    metadata.authoritative = reply.authoritative;
    let builder = MessageResponseBuilder::new(&request.queries, edns);
    let (answers, authority, additional) =
        (reply.answers.clone(), reply.authority.clone(), reply.additional.clone());
    builder.build(metadata, answers, authority, std::iter::empty(), additional)
}

fn label(kind: RecordType) -> &'static str {
    match kind {
        RecordType::A => "a",
        RecordType::AAAA => "aaaa",
        RecordType::HTTPS => "https",
        RecordType::NS => "ns",
        RecordType::SOA => "soa",
        RecordType::ANY => "any",
        _ => "other",
    }
}

/// Answers any bytes as if they were a query to a small zone: must neither panic nor answer with nonsense.
pub fn fuzz(data: &[u8]) {
    let snapshot = Snapshot { zone: "nearcast.test".into(), ..Snapshot::default() };
    let Ok(zone) = Zone::compile(&snapshot, &Config::default()) else { return };
    let Ok(locator) = Locator::new(&nearcast_geo::Config::default(), None) else { return };
    fuzz_with(&zone, &locator, data);
}

fn fuzz_with(zone: &Zone, locator: &Locator, data: &[u8]) -> Option<hickory_proto::op::Message> {
    use hickory_proto::serialize::binary::BinEncoder;

    let source = ([192, 0, 2, 53], 53).into();
    let request = Request::from_bytes(data.to_vec(), source, Protocol::Udp).ok()?;
    let (reply, edns) = reply(zone, locator, 2, &request);
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_max_size(MAX_PAYLOAD);
    message(&request, &reply, edns.as_ref()).destructive_emit(&mut encoder).ok()?;
    let answer = hickory_proto::op::Message::from_vec(&bytes).ok()?;
    assert_eq!(answer.metadata.id, request.metadata.id, "an answer to another question");
    Some(answer)
}

/// Fits the smallest path of IPv6 unfragmented (DNS Flag Day 2020).
const MAX_PAYLOAD: u16 = 1232;

#[cfg(test)]
mod tests;
