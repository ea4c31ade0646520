//! Clients that show certificates.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::sign::SingleCertAndKey;

use super::harness::{client_endpoint, connect, over_h3};
use super::*;
use crate::client::{self, Http, Trust};
use crate::daemon::Daemon;
use crate::tls::authority::Authority;
use crate::tls::{self, ClientCertificate, Identity};
use crate::{log::Chain, quic};

fn give(authority: &Authority, serial: u8) -> String {
    authority.give(&["127.0.0.1", "localhost"], serial, 4000, authority)
}

fn identity(authority: &Authority, serial: u8) -> Identity {
    Identity::from_pem(give(authority, serial).as_bytes()).unwrap()
}

/// Answers with the protocol and the serial number of what the client has shown.
async fn tell(request: Request) -> Response {
    let peer = *request.extensions().get::<Peer>().unwrap();
    let shown = request.extensions().get::<ClientCertificate>();
    let serial = shown.map_or("nothing", |shown| &*shown.serial);
    Response::new(format!("{} {serial}", peer.protocol.as_str()).into())
}

#[tokio::test]
async fn a_certificate_is_seen_in_every_protocol_and_nobody_has_to_have_one() {
    let (authority, other) = (Authority::new(), Authority::new());
    let daemon = Daemon::new();
    let config = Config { listen: "127.0.0.1:0".parse().ok(), ..Config::default() };
    let mut server = Server::bind(&config, &tls::Config::default(), &daemon).await.unwrap();
    server.ask_clients(&authority.pem).unwrap();
    assert!(server.ask_clients("nonsense").is_err());
    server.tls().unwrap().put_default(&give(&authority, 1)).unwrap();
    let address = server.secure_address().unwrap();
    server.serve(tell).unwrap();

    let (identity, others) = (identity(&authority, 0x4a), identity(&other, 0x4a));
    let pin = tls::fingerprint(&identity.authorities()[0]).unwrap();
    let ask = async |http2, pin, identity: Option<&Identity>| {
        let config = client::Config { http2, ..client::Config::default() };
        let http = Http::mutual(&config, &Trust { pin, ..Trust::default() }, identity).unwrap();
        let request = http::Request::get(format!("https://{address}/")).body(Body::empty()).unwrap();
        let body = http.request(request).await.map_err(|error| Chain(&error).to_string())?.into_body();
        let bytes = read_limited(body, 1000).await.unwrap();
        Ok::<_, String>(String::from_utf8(bytes.to_vec()).unwrap())
    };
    assert_eq!(ask(true, Some(pin), Some(&identity)).await.unwrap(), "h2 4a07");
    assert_eq!(ask(false, Some(pin), Some(&identity)).await.unwrap(), "h1 4a07");
    assert_eq!(ask(true, Some(pin), None).await.unwrap(), "h2 nothing");
    // Nobody says of himself who he is, on either side.
    assert!(ask(true, Some(pin), Some(&others)).await.is_err());
    for pin in [None, Some([7; 32])] {
        let refused = ask(true, pin, None).await.unwrap_err();
        assert!(refused.contains("UnknownIssuer"), "{refused}");
    }

    let mut roots = RootCertStore::empty();
    roots.add(identity.authorities()[0].clone()).unwrap();
    let mut endpoint = client_endpoint(&roots);
    let mut config = client::client_config(roots).unwrap();
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity.certified.clone()));
    endpoint.set_default_client_config(quic::client_config(config).unwrap());
    let (h3, driver) = connect(&endpoint, address).await;
    let request = http::Request::get(format!("https://{address}/")).body(()).unwrap();
    let answer = over_h3(h3.clone(), request, Bytes::new()).await.unwrap();
    assert_eq!(text(&answer), "h3 4a07");

    daemon.drain.begin();
    daemon.drain.wait(Duration::from_secs(10)).await.unwrap();
    drop(h3);
    driver.await.unwrap();
}
