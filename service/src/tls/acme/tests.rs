//! What the configuration refuses, what an ACME server is shown, and how a start goes on without one.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{ClientConnection, DigitallySignedStruct, ServerConnection};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::*;
use crate::tls::{self, Tls};

fn config(dir: &std::path::Path) -> Config {
    Config {
        names: vec!["a.test".into()],
        // Nobody is there.
        directory: "https://127.0.0.1:1/directory".into(),
        agree_to_terms: true,
        folder: dir.join("acme"),
        ..Config::default()
    }
}

#[test]
fn what_cannot_work_is_said_in_one_line() {
    assert_eq!(Config::default().check(), Ok(()));
    let good = config("/nowhere".as_ref());
    assert_eq!(good.check(), Ok(()));
    let wrong = |change: fn(&mut Config)| {
        let mut config = good.clone();
        change(&mut config);
        config.check().unwrap_err()
    };
    assert!(wrong(|config| config.names.clear()).contains("tls.acme.names"));
    for name in ["*.a.test", "A.test", "a.test.", "192.0.2.1", "a b", "", "../x"] {
        let config = Config { names: vec![name.into()], ..good.clone() };
        assert!(config.check().unwrap_err().contains("tls.acme.names"), "{name}");
    }
    assert!(wrong(|config| config.names = vec!["a.test".into(); 101]).contains("more than 100"));
    for directory in ["http://a.test/directory", "a.test", "https://", ""] {
        let config = Config { directory: directory.into(), ..good.clone() };
        assert!(config.check().unwrap_err().contains("tls.acme.directory"), "{directory}");
    }
    assert!(wrong(|config| config.agree_to_terms = false).contains("tls.acme.agree_to_terms"));
    assert!(wrong(|config| config.contact = "mailto:a@a.test".into()).contains("tls.acme.contact"));
    assert!(wrong(|config| config.ca = "/nowhere.pem".into()).contains("/nowhere.pem"));
    let whole = tls::Config { acme: good, ..tls::Config::default() };
    assert!(whole.check(None).unwrap_err().contains("http.listen"));
    assert_eq!(whole.check(Some(([127, 0, 0, 1], 443).into())), Ok(()));
}

/// The certificate that a client is shown, and the protocol that comes about.
fn shown(tls: &Tls, name: &str, alpn: &[&[u8]]) -> Option<(Vec<u8>, Vec<u8>)> {
    let server = Arc::new(tls.server_config(&[b"h2", b"http/1.1"]).unwrap());
    let mut server = ServerConnection::new(server).unwrap();
    let mut client = client::client_config(rustls::RootCertStore::empty()).unwrap();
    client.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    // As an ACME server does: it looks at what it is shown and trusts nobody.
    client.dangerous().set_certificate_verifier(Arc::new(Looks(tls::provider())));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    while client.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut &wire[..]).unwrap();
        server.process_new_packets().ok()?;
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        let mut unread = &wire[..];
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets().ok()?;
        }
    }
    Some((client.peer_certificates()?[0].to_vec(), client.alpn_protocol()?.to_vec()))
}

#[derive(Debug)]
struct Looks(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Looks {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".into()))
    }

    // To check it, rustls would read the certificate, and refuse the extension that makes it a proof.
    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[test]
fn a_proof_is_shown_to_who_asks_for_it_and_to_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let tls = Tls::load(&tls::Config { acme: config(dir.path()), ..tls::Config::default() }).unwrap();
    let own = tls.certificate().unwrap().to_vec();
    assert_eq!(shown(&tls, "a.test", &[PROTOCOL]), None, "nothing is to be proven");
    let proving = tls.resolver.challenges().open();
    proving.prove("a.test", &[7; 32]).unwrap();
    let (proof, protocol) = shown(&tls, "A.test", &[PROTOCOL]).unwrap();
    assert_eq!(protocol, PROTOCOL);
    // RFC 8737 section 3: a critical id-pe-acmeIdentifier with the digest as an octet string.
    let extension = [&[0x2b, 6, 1, 5, 5, 7, 1, 0x1f, 1, 1, 0xff, 4, 0x22, 4, 0x20][..], &[7; 32]].concat();
    assert!(proof.windows(extension.len()).any(|window| window == extension));

    assert_eq!(shown(&tls, "b.test", &[PROTOCOL]), None, "another name");
    assert_eq!(shown(&tls, "a.test", &[b"h2"]), Some((own.clone(), b"h2".to_vec())));
    assert_eq!(shown(&tls, "a.test", &[b"h2", PROTOCOL]), Some((own, b"h2".to_vec())));
    drop(proving);
    assert_eq!(shown(&tls, "a.test", &[PROTOCOL]), None, "it is over");
    // Without ACME nobody speaks of it.
    let without = Tls::load(&tls::Config::default()).unwrap();
    assert_eq!(shown(&without, "a.test", &[PROTOCOL]), None);
}

#[tokio::test]
async fn a_start_without_the_acme_server_is_ready_and_the_next_one_does_not_ask_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let whole = tls::Config { acme: config(dir.path()), ..tls::Config::default() };
    let daemon = Daemon::new();
    let tls = Tls::load(&whole).unwrap();
    tls.watch(&daemon);
    assert!(!daemon.ready.is_ready());
    daemon.ready.opened().await;
    daemon.drain.begin();
    daemon.drain.wait(FIRST).await.unwrap();

    let (acme, kept) = Acme::load(&whole.acme, 0).unwrap();
    assert!(kept.is_none());
    let attempts = acme.folder.attempts(&whole.acme.names);
    // Once, or again where another test has sent this process a SIGHUP.
    assert!(attempts.failures > 0);
    let wait = Schedule::new(attempts, None, 0.0).wait(SystemTime::now());
    assert!(wait > Duration::from_secs(100), "{wait:?}");
}

#[tokio::test]
async fn what_is_on_disk_is_used_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let whole = tls::Config { acme: config(dir.path()), ..tls::Config::default() };
    let made = rcgen::generate_simple_self_signed(whole.acme.names.clone()).unwrap();
    let pem = made.signing_key.serialize_pem() + &made.cert.pem();
    Folder::new(&whole.acme).keep_certificate(&pem).unwrap();
    let daemon = Daemon::new();
    let tls = Tls::load(&whole).unwrap();
    tls.watch(&daemon);
    assert!(daemon.ready.is_ready());
    assert_eq!(tls.certificate().as_ref(), Some(made.cert.der()));

    // Beside a certificate in files it is for its own names.
    let (certificate, key) = (dir.path().join("certificate.pem"), dir.path().join("key.pem"));
    let other = rcgen::generate_simple_self_signed(["b.test".to_owned()]).unwrap();
    std::fs::write(&certificate, other.cert.pem()).unwrap();
    std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
    let tls = Tls::load(&tls::Config { certificate, key, ..whole }).unwrap();
    let leaf = |name| shown(&tls, name, &[b"h2"]).unwrap().0;
    assert_eq!(leaf("a.test"), made.cert.der().to_vec());
    assert_eq!(leaf("b.test"), other.cert.der().to_vec());
    assert_eq!(leaf("c.test"), other.cert.der().to_vec());
}
