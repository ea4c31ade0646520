//! Nodes with certificates of one authority, those of another, and viewers, at real servers.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nearcast_api::snapshot::RevokedNode;

use super::*;
use crate::client::{Config, Http};
use crate::daemon::Daemon;
use crate::http::{self as service_http, Body, Request, Response, Server, read_limited};
use crate::log::Chain;
use crate::metrics::Counter;
use crate::tls::{self, authority::Authority};

/// A node's certificate.
fn identity(authority: &Authority, node: &str, serial: u8) -> Identity {
    until(authority, node, serial, 4000, authority)
}

/// One that ends with a year, and has the certificate of the authority `behind` it.
fn until(authority: &Authority, node: &str, serial: u8, year: i32, behind: &Authority) -> Identity {
    let pem = authority.give(&[&format!("{node}.nodes.test")], serial, year, behind);
    Identity::from_pem(pem.as_bytes()).unwrap()
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

    /// This certificate of a node was taken away.
    fn revoke(&self, serial: &str, node: &str) {
        let revoked = RevokedNode { node: node.parse().unwrap(), until: u64::MAX };
        let revoked_nodes = [(serial.to_owned(), revoked)].into();
        self.snapshot.send_replace(Arc::new(Snapshot { version: 1, revoked_nodes, ..Snapshot::default() }));
    }
}

/// A server of `origin-1` that says who asks.
async fn origin(fleet: Fleet, daemon: &Daemon) -> SocketAddr {
    serve(&tls::Config::default(), fleet, daemon).await
}

async fn serve(tls: &tls::Config, fleet: Fleet, daemon: &Daemon) -> SocketAddr {
    let config = service_http::Config { listen: "127.0.0.1:0".parse().ok(), h3: false, ..Default::default() };
    let mut server = Server::bind(&config, tls, daemon).await.unwrap();
    let address = server.secure_address().unwrap();
    server.admit_nodes(fleet.clone());
    let tell = move |request: Request| {
        let caller = fleet.caller(request.extensions());
        async move { Response::new(format!("{caller:?}").into()) }
    };
    server.serve(tell).unwrap();
    address
}

/// A server that counts who asks, and answers when it may.
async fn hold(
    tls: &tls::Config,
    fleet: Fleet,
    daemon: &Daemon,
) -> (SocketAddr, watch::Receiver<usize>, watch::Sender<bool>) {
    let config = service_http::Config { listen: "127.0.0.1:0".parse().ok(), h3: false, ..Default::default() };
    let mut server = Server::bind(&config, tls, daemon).await.unwrap();
    let address = server.secure_address().unwrap();
    server.admit_nodes(fleet);
    let (asking, asked) = watch::channel(0);
    let (go, gone) = watch::channel(false);
    let hold = move |_: Request| {
        let mut gone = gone.clone();
        asking.send_modify(|count| *count += 1);
        async move {
            gone.wait_for(|gone| *gone).await.unwrap();
            Response::new("late".into())
        }
    };
    server.serve(hold).unwrap();
    (address, asked, go)
}

/// A certificate for the address in URLs, in files.
fn own_certificate(dir: &Path) -> tls::Config {
    let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let [certificate, key] = ["own.pem", "key.pem"].map(|name| dir.join(name));
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    tls::Config { certificate, key, ..tls::Config::default() }
}

fn http(fleet: Fleet) -> FleetHttp {
    FleetHttp::new(fleet, &Config::default(), Counter::default()).unwrap()
}

async fn ask(http: &FleetHttp, url: &str) -> Result<String, String> {
    ask_node(http, Some("origin-1"), url).await
}

async fn ask_node(http: &FleetHttp, node: Option<&str>, url: &str) -> Result<String, String> {
    let node = node.map(|node| node.parse().unwrap());
    let request = ::http::Request::get(url).body(Body::empty()).unwrap();
    let answer = http.request(node.as_ref(), request).await.map_err(|error| Chain(&error).to_string())?;
    let body = read_limited(answer.into_body(), 1000).await.unwrap();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn nodes_know_each_other_until_a_certificate_is_taken_away_or_renewed() {
    let (daemon, authority, next) = (Daemon::new(), Authority::new(), Authority::new());
    let there = World::new(Some(identity(&authority, "origin-1", 1)));
    let address = origin(there.fleet(true), &daemon).await;
    let here = World::new(Some(identity(&authority, "eu-1", 2)));
    let (http, url) = (http(here.fleet(true)), format!("https://{address}/"));
    assert_eq!(ask(&http, &url).await.unwrap(), "Node");

    // In the connection that is open: nobody has to wait for it to end.
    there.revoke("0207", "eu-1");
    assert_eq!(ask(&http, &url).await.unwrap(), "Dismissed");
    // A new one is shown at once, and is good.
    here.identity.send_replace(Some(identity(&authority, "eu-1", 3)));
    assert_eq!(ask(&http, &url).await.unwrap(), "Node");
    // The other side's, too: both are of an authority that neither knew before.
    there.identity.send_replace(Some(identity(&next, "origin-1", 4)));
    here.identity.send_replace(Some(identity(&next, "eu-1", 5)));
    assert_eq!(ask(&http, &url).await.unwrap(), "Node");
    // Who is asked is looked at as well, also where there is a connection already.
    here.revoke("0407", "origin-1");
    let refused = ask(&http, &url).await.unwrap_err();
    assert!(refused.contains("origin-1.nodes.test was taken away"), "{refused}");
}

#[tokio::test]
async fn what_is_on_its_way_when_a_certificate_is_renewed_still_arrives() {
    let (daemon, authority) = (Daemon::new(), Authority::new());
    let there = World::new(Some(identity(&authority, "origin-1", 1)));
    let (address, mut asked, go) = hold(&tls::Config::default(), there.fleet(true), &daemon).await;
    let url = format!("https://{address}/");
    let here = World::new(Some(identity(&authority, "eu-1", 2)));
    let http = http(here.fleet(true));
    let renew = async {
        asked.wait_for(|count| *count == 1).await.unwrap();
        here.identity.send_replace(Some(identity(&authority, "eu-1", 3)));
        let answer = async {
            asked.wait_for(|count| *count == 2).await.unwrap();
            go.send_replace(true);
        };
        tokio::join!(ask(&http, &url), answer).0
    };
    let answers = tokio::join!(ask(&http, &url), renew);
    assert_eq!(answers, (Ok("late".to_owned()), Ok("late".to_owned())));
}

#[tokio::test]
async fn whoever_does_not_prove_to_be_a_node_is_none() {
    let (daemon, authority, other) = (Daemon::new(), Authority::new(), Authority::new());
    let url = |address: SocketAddr| format!("https://{address}/");
    let here = |identity: Option<Identity>| http(World::new(identity).fleet(true));
    let there = World::new(Some(identity(&authority, "origin-1", 1)));
    let real = origin(there.fleet(true), &daemon).await;
    let mine = || here(Some(identity(&authority, "eu-1", 2)));

    let impostor = World::new(Some(identity(&other, "origin-1", 1)));
    let impostor = origin(impostor.fleet(true), &daemon).await;
    let refused = ask(&mine(), &url(impostor)).await.unwrap_err();
    assert!(refused.contains("invalid peer certificate"), "{refused}");
    let namesake = World::new(Some(identity(&authority, "eu-9", 1)));
    let namesake = origin(namesake.fleet(true), &daemon).await;
    let refused = ask(&mine(), &url(namesake)).await.unwrap_err();
    assert!(refused.contains("invalid peer certificate"), "it has not that name: {refused}");

    // What an authority that the server does not know has given opens nothing, nor does what has ended.
    for year in [4000, 2020] {
        let refused = ask(&here(Some(until(&other, "eu-1", 2, year, &authority))), &url(real)).await;
        assert!(refused.is_err(), "{refused:?}");
    }
    let over = until(&authority, "eu-1", 2, 2020, &authority);
    for (http, node, url) in [
        (here(None), Some("origin-1"), url(real)),
        (here(Some(over)), Some("origin-1"), url(real)),
        (mine(), None, url(real)),
        (mine(), Some("origin-"), url(real)),
        (mine(), Some("origin-1"), format!("http://{real}/")),
    ] {
        let refused = ask_node(&http, node, &url).await.unwrap_err();
        assert!(refused.contains("control.mutual_tls"), "{node:?} at {url}: {refused}");
    }
}

#[tokio::test]
async fn a_fleet_in_which_some_have_no_certificate_goes_on_as_before() {
    let (daemon, authority) = (Daemon::new(), Authority::new());
    let dir = tempfile::tempdir().unwrap();
    let tls = own_certificate(dir.path());
    let there = World::new(None);
    let address = serve(&tls, there.fleet(false), &daemon).await;
    let config = Config { ca: tls.certificate, ..Config::default() };
    let url = format!("https://{address}/");
    let here = World::new(Some(identity(&authority, "eu-1", 2)));
    let mixed = |here: &World| FleetHttp::new(here.fleet(false), &config, Counter::default()).unwrap();
    assert_eq!(
        ask_node(&mixed(&here), Some("origin-"), &url).await.unwrap(),
        "Unknown",
        "no label of a name"
    );
    let known = mixed(&here);
    assert_eq!(ask(&known, &url).await.unwrap(), "Unknown");
    // It enrols, and is known when it is next tried by its name: from then on by all.
    there.identity.send_replace(Some(identity(&authority, "origin-1", 1)));
    assert_eq!(ask(&known, &url).await.unwrap(), "Unknown");
    known.may_try_names_again();
    assert_eq!(ask(&known, &url).await.unwrap(), "Node");
    assert_eq!(ask(&known, &url).await.unwrap(), "Node");
    // Viewers are shown what is configured, and are asked for nothing.
    let request = ::http::Request::get(&url).body(Body::empty()).unwrap();
    let answer = Http::new(&config).unwrap().request(request).await.unwrap();
    assert_eq!(read_limited(answer.into_body(), 100).await.unwrap(), "Unknown");
    // Without a certificate it is one of them.
    here.identity.send_replace(None);
    assert_eq!(ask(&known, &url).await.unwrap(), "Unknown");
}

#[tokio::test]
async fn who_is_sent_away_while_its_name_is_tried_again_is_not_gone_on_with() {
    let (daemon, authority) = (Daemon::new(), Authority::new());
    let dir = tempfile::tempdir().unwrap();
    let tls = own_certificate(dir.path());
    let there = World::new(None);
    let (address, mut asked, go) = hold(&tls, there.fleet(false), &daemon).await;
    let (url, config) = (format!("https://{address}/"), Config { ca: tls.certificate, ..Config::default() });
    let here = World::new(Some(identity(&authority, "eu-1", 2)));
    let http = FleetHttp::new(here.fleet(false), &config, Counter::default()).unwrap();
    go.send_replace(true);
    assert_eq!(ask(&http, &url).await.unwrap(), "late");
    there.identity.send_replace(Some(identity(&authority, "origin-1", 1)));
    http.may_try_names_again();
    go.send_replace(false);
    let revoke = async {
        asked.wait_for(|count| *count == 2).await.unwrap();
        here.revoke("0107", "origin-1");
        go.send_replace(true);
    };
    let (answer, ()) = tokio::join!(ask(&http, &url), revoke);
    assert_eq!(answer.unwrap(), "late", "it was on its way");
    let refused = ask(&http, &url).await.unwrap_err();
    assert!(refused.contains("origin-1.nodes.test was taken away"), "{refused}");
}

#[test]
fn a_certificate_that_has_ended_since_counts_no_more() {
    let shown = |until| {
        let mut extensions = Extensions::new();
        extensions.insert(ClientCertificate { serial: "0207".into(), name: "eu-1.nodes.test".into(), until });
        extensions
    };
    let world = World::new(None);
    let good = shown(SystemTime::now() + Duration::from_secs(60));
    let over = shown(SystemTime::now());
    for (is_strict, expected) in [(true, Caller::Dismissed), (false, Caller::Unknown)] {
        let fleet = world.fleet(is_strict);
        assert_eq!((fleet.caller(&good), fleet.caller(&over)), (Caller::Node, expected));
    }
    world.revoke("0207", "eu-1");
    let fleet = world.fleet(false);
    assert_eq!((fleet.caller(&good), fleet.caller(&over)), (Caller::Dismissed, Caller::Dismissed));
    assert_eq!(fleet.caller(&Extensions::new()), Caller::Unknown);
}
