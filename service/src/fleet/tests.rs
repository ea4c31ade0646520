//! Nodes with certificates of one authority, those of another, and viewers, at real servers.

use std::net::SocketAddr;
use std::time::Duration;

use nearcast_api::node::{Role, Spec, Status};
use nearcast_api::snapshot::{Node, RevokedNode};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SerialNumber};

use super::*;
use crate::client::{Config, Http};
use crate::daemon::Daemon;
use crate::http::{self as service_http, Body, Request, Response, Server, read_limited};
use crate::log::Chain;
use crate::metrics::Counter;
use crate::tls;

/// A control plane's authority.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::default());
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn identity(&self, node: &str, serial: u8) -> Identity {
        self.until(node, serial, 4000)
    }

    fn until(&self, node: &str, serial: u8, year: i32) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([format!("{node}.nodes.test")]).unwrap();
        params.serial_number = Some(SerialNumber::from_slice(&[serial, 7]));
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let own = params.signed_by(&key, &self.issuer).unwrap();
        Identity::from_pem(format!("{}{}{}", own.pem(), self.pem, key.serialize_pem()).as_bytes()).unwrap()
    }
}

/// What a node knows, and can learn.
struct World {
    identity: watch::Sender<Option<Identity>>,
    snapshot: watch::Sender<Arc<Snapshot>>,
}

impl World {
    fn new(identity: Option<Identity>) -> Self {
        Self { identity: watch::Sender::new(identity), snapshot: watch::Sender::default() }
    }

    fn fleet(&self, is_strict: bool) -> Fleet {
        Fleet::new(self.identity.subscribe(), self.snapshot.subscribe(), is_strict)
    }

    /// `origin-1` is at this address.
    fn learn(&self, address: SocketAddr) {
        let spec = Spec {
            id: "origin-1".parse().unwrap(),
            role: Role::Origin,
            region: "eu".parse().unwrap(),
            location: None,
            addresses: Vec::new(),
            urls: vec![format!("https://{address}/")],
            version: "0".into(),
        };
        let nodes = [(spec.id.clone(), Node::new(spec, Status::Ready))].into();
        self.snapshot.send_replace(Arc::new(Snapshot { nodes, ..Snapshot::default() }));
    }
}

/// A server of `origin-1` that says who asks.
async fn origin(fleet: Fleet, daemon: &Daemon) -> SocketAddr {
    let config = service_http::Config { listen: "127.0.0.1:0".parse().ok(), h3: false, ..Default::default() };
    let mut server = Server::bind(&config, &tls::Config::default(), daemon).await.unwrap();
    let address = server.secure_address().unwrap();
    server.admit_nodes(fleet.clone());
    let tell = move |request: Request| {
        let caller = fleet.caller(request.extensions());
        async move { Response::new(format!("{caller:?}").into()) }
    };
    server.serve(tell).unwrap();
    address
}

fn http(fleet: Fleet) -> FleetHttp {
    FleetHttp::new(fleet, &Config::default(), Counter::default()).unwrap()
}

async fn ask(http: &FleetHttp, url: &str) -> Result<String, String> {
    let request = ::http::Request::get(url).body(Body::empty()).unwrap();
    let answer = http.request(request).await.map_err(|error| Chain(&error).to_string())?;
    let body = read_limited(answer.into_body(), 1000).await.unwrap();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn nodes_know_each_other_until_a_certificate_is_taken_away_or_renewed() {
    let (daemon, authority) = (Daemon::new(), Authority::new());
    let there = World::new(Some(authority.identity("origin-1", 1)));
    let address = origin(there.fleet(true), &daemon).await;
    let here = World::new(Some(authority.identity("eu-1", 2)));
    here.learn(address);
    let (http, url) = (http(here.fleet(true)), format!("https://{address}/"));
    assert_eq!(ask(&http, &url).await.unwrap(), "Node");

    // In the connection that is open: nobody has to wait for it to end.
    let revoked = RevokedNode { node: "eu-1".parse().unwrap(), until: u64::MAX };
    let revoked_nodes = [("0207".to_owned(), revoked)].into();
    there.snapshot.send_replace(Arc::new(Snapshot { revoked_nodes, ..Snapshot::default() }));
    assert_eq!(ask(&http, &url).await.unwrap(), "Dismissed");
    // A new one is shown at once, and is good.
    here.identity.send_replace(Some(authority.identity("eu-1", 3)));
    assert_eq!(ask(&http, &url).await.unwrap(), "Node");
    // The other side's, too.
    there.identity.send_replace(Some(authority.identity("origin-1", 4)));
    here.identity.send_replace(Some(authority.identity("eu-1", 5)));
    assert_eq!(ask(&http, &url).await.unwrap(), "Node");
}

#[tokio::test]
async fn whoever_does_not_prove_to_be_a_node_is_none() {
    let (daemon, authority, other) = (Daemon::new(), Authority::new(), Authority::new());
    let url = |address: SocketAddr| format!("https://{address}/");
    let here = |identity: Option<Identity>, address| {
        let world = World::new(identity);
        world.learn(address);
        http(world.fleet(true))
    };
    let there = World::new(Some(authority.identity("origin-1", 1)));
    let real = origin(there.fleet(true), &daemon).await;
    let mine = || Some(authority.identity("eu-1", 2));

    let impostor = World::new(Some(other.identity("origin-1", 1)));
    let impostor = origin(impostor.fleet(true), &daemon).await;
    let refused = ask(&here(mine(), impostor), &url(impostor)).await.unwrap_err();
    assert!(refused.contains("invalid peer certificate"), "{refused}");
    let namesake = World::new(Some(authority.identity("eu-9", 1)));
    let namesake = origin(namesake.fleet(true), &daemon).await;
    let refused = ask(&here(mine(), namesake), &url(namesake)).await.unwrap_err();
    assert!(refused.contains("UnknownIssuer"), "it has not that name: {refused}");

    // What an authority that nobody knows has given opens nothing.
    assert!(ask(&here(Some(other.identity("eu-1", 2)), real), &url(real)).await.is_err());
    let over = authority.until("eu-1", 2, 2020);
    assert!(ask(&here(Some(over), real), &url(real)).await.is_err());
    for (http, problem) in [
        (here(None, real), "no certificate to show"),
        (http(World::new(mine()).fleet(true)), "not the https URL of a node"),
    ] {
        let refused = ask(&http, &url(real)).await.unwrap_err();
        assert!(refused.contains(problem) && refused.contains("control.mutual_tls"), "{refused}");
    }
    let plain = format!("http://{real}/");
    assert!(ask(&here(mine(), real), &plain).await.unwrap_err().contains("control.mutual_tls"));
}

#[tokio::test]
async fn a_fleet_in_which_some_have_no_certificate_goes_on_as_before() {
    let (daemon, authority) = (Daemon::new(), Authority::new());
    let dir = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let [certificate, key] = ["own.pem", "key.pem"].map(|name| dir.path().join(name));
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let config = service_http::Config { listen: "127.0.0.1:0".parse().ok(), h3: false, ..Default::default() };
    let tls = tls::Config { certificate: certificate.clone(), key, ..tls::Config::default() };
    let mut server = Server::bind(&config, &tls, &daemon).await.unwrap();
    let address = server.secure_address().unwrap();
    let there = World::new(None);
    let fleet = there.fleet(false);
    server.admit_nodes(fleet.clone());
    let tell = move |request: Request| {
        let caller = fleet.caller(request.extensions());
        async move { Response::new(format!("{caller:?}").into()) }
    };
    server.serve(tell).unwrap();

    let config = Config { ca: certificate, ..Config::default() };
    let url = format!("https://{address}/");
    let here = World::new(Some(authority.identity("eu-1", 2)));
    here.learn(address);
    let mixed = |here: &World| FleetHttp::new(here.fleet(false), &config, Counter::default()).unwrap();
    assert_eq!(ask(&mixed(&here), &url).await.unwrap(), "Unknown");
    // It enrols, and is known from the next connection on.
    there.identity.send_replace(Some(authority.identity("origin-1", 1)));
    let known = mixed(&here);
    assert_eq!(ask(&known, &url).await.unwrap(), "Node");
    // Viewers are shown what is configured, and are asked for nothing.
    let request = ::http::Request::get(&url).body(Body::empty()).unwrap();
    let answer = Http::new(&config).unwrap().request(request).await.unwrap();
    assert_eq!(read_limited(answer.into_body(), 100).await.unwrap(), "Unknown");
    // Without a certificate it is one of them.
    here.identity.send_replace(None);
    assert_eq!(ask(&known, &url).await.unwrap(), "Unknown");
}

#[test]
fn a_node_is_found_by_its_place_however_that_is_written() {
    let world = World::new(None);
    world.learn("127.0.0.1:443".parse().unwrap());
    let fleet = world.fleet(false);
    let at = |uri: &str| fleet.node_at(&uri.parse().unwrap()).map(|node| node.to_string());
    assert_eq!(at("https://127.0.0.1/live/demo/index.m3u8").as_deref(), Some("origin-1"));
    assert_eq!(at("https://127.0.0.1:443/").as_deref(), Some("origin-1"));
    for other in ["http://127.0.0.1:443/", "https://127.0.0.1:444/", "https://127.0.0.2/"] {
        assert_eq!(at(other), None);
    }
}

#[tokio::test]
async fn a_certificate_that_has_ended_since_counts_no_more() {
    let fleet = World::new(None).fleet(false);
    let mut extensions = Extensions::new();
    let shown = |until| ClientCertificate { serial: "0207".into(), until };
    extensions.insert(shown(SystemTime::now() + Duration::from_secs(60)));
    assert_eq!(fleet.caller(&extensions), Caller::Node);
    extensions.insert(shown(SystemTime::now()));
    assert_eq!(fleet.caller(&extensions), Caller::Dismissed);
}
