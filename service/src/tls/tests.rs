//! The set-up as its users see it: files that change, names that clients ask for, sessions that go on.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::{ClientConnection, HandshakeKind, NamedGroup, RootCertStore, ServerConnection};
use rustls_pki_types::ServerName;

use super::watch::POLL;
use super::*;
use crate::client::client_config;

fn write(dir: &Path, name: &str) -> Config {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let config =
        Config { certificate: dir.join("certificate.pem"), key: dir.join("key.pem"), ..Config::default() };
    std::fs::write(&config.certificate, made.cert.pem()).unwrap();
    std::fs::write(&config.key, made.signing_key.serialize_pem()).unwrap();
    config
}

#[test]
fn a_self_signed_certificate_has_a_pin() {
    let tls = Tls::load(&Config::default()).unwrap();
    assert_eq!(BASE64.decode(tls.spki()).unwrap().len(), 32);
    assert_ne!(tls.spki(), Tls::load(&Config::default()).unwrap().spki());
}

#[test]
fn a_reload_takes_the_new_files_and_keeps_the_old_ones_when_they_are_broken() {
    let dir = tempfile::tempdir().unwrap();
    let tls = Tls::load(&write(dir.path(), "a.test")).unwrap();
    let first = tls.spki();
    let config = write(dir.path(), "b.test");
    tls.reload_one(0).unwrap();
    let second = tls.spki();
    assert_ne!(first, second);

    std::fs::write(&config.key, "not a key").unwrap();
    let error = tls.reload_one(0).unwrap_err().to_string();
    assert!(error.contains("`tls.key`") && error.contains("key.pem"), "{error}");
    assert_eq!(tls.spki(), second);
}

#[tokio::test(start_paused = true)]
async fn changed_files_and_a_hangup_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let stamp = |config: &Config, seconds| {
        let file = std::fs::File::options().append(true).open(&config.key).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        let file = std::fs::File::options().append(true).open(&config.certificate).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    stamp(&write(dir.path(), "a.test"), 1);
    let daemon = Daemon::new();
    let tls = Tls::load(&write(dir.path(), "a.test")).unwrap();
    tls.watch(&daemon);
    let change_from = async |old: &str| {
        while tls.spki() == old {
            tokio::time::sleep(POLL).await;
        }
        tls.spki()
    };
    let first = tls.spki();
    tokio::time::sleep(POLL * 2).await;
    stamp(&write(dir.path(), "b.test"), 2);
    let second = change_from(&first).await;

    stamp(&write(dir.path(), "c.test"), 2);
    let told = std::process::Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status();
    assert!(told.unwrap().success());
    assert_ne!(change_from(&second).await, first);
    daemon.drain.begin();
    daemon.drain.wait(POLL).await.unwrap();
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut config = write(one.path(), "a.test");
    config.key = write(two.path(), "b.test").key;
    assert!(matches!(Tls::load(&config), Err(Error::KeyMismatch { .. })));
}

#[test]
fn a_missing_file_is_named() {
    let config =
        Config { certificate: "/nowhere/a.pem".into(), key: "/nowhere/b.pem".into(), ..Config::default() };
    assert!(Tls::load(&config).unwrap_err().to_string().contains("/nowhere/a.pem"));
}

/// Two of them beside the default, in folders of their own.
fn three(dir: &Path) -> Config {
    let pair = |name: &str| {
        let folder = dir.join(name);
        std::fs::create_dir(&folder).unwrap();
        let Config { certificate, key, .. } = write(&folder, name);
        Pair { certificate, key }
    };
    Config { certificates: vec![pair("a.test"), pair("*.b.test")], ..write(dir, "default.test") }
}

/// Shakes hands in memory; what the client got, and how.
fn shake(
    server: &Arc<ServerConfig>,
    client: &Arc<rustls::ClientConfig>,
    name: &str,
) -> Result<(CertificateDer<'static>, HandshakeKind), rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name)?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    let mut wire = Vec::new();
    while client.wants_write() || server.wants_write() {
        wire.clear();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut unread = &wire[..];
        while !unread.is_empty() {
            server.read_tls(&mut unread).unwrap();
            server.process_new_packets()?;
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut unread = &wire[..];
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    let leaf = client.peer_certificates().unwrap()[0].clone().into_owned();
    Ok((leaf, client.handshake_kind().unwrap()))
}

/// A client that trusts these, each a certificate that signed itself.
fn trusting(config: &Config) -> rustls::ClientConfig {
    let mut roots = RootCertStore::empty();
    for (_, source) in config.sources() {
        roots.add(source.read().unwrap().cert[0].clone()).unwrap();
    }
    client_config(roots).unwrap()
}

#[test]
fn a_client_gets_the_certificate_for_the_name_that_it_asks_for() {
    let dir = tempfile::tempdir().unwrap();
    let config = three(dir.path());
    assert_eq!(config.check(None), Ok(()));
    let tls = Tls::load(&config).unwrap();
    let server = Arc::new(tls.server_config(&[b"h2"]).unwrap());
    let client = Arc::new(trusting(&config));
    let leaf = |index: usize| config.sources().nth(index).unwrap().1.read().unwrap().cert[0].clone();
    // Names are compared without regard to case (RFC 6066 section 3).
    for (name, index) in [("default.test", 0), ("a.test", 1), ("A.Test", 1), ("x.b.test", 2)] {
        assert_eq!(shake(&server, &client, name).unwrap().0, leaf(index), "{name}");
    }
    // Whoever asks for another name gets the default and refuses it.
    assert!(matches!(
        shake(&server, &client, "b.test"),
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::NotValidForNameContext { .. }))
    ));

    // One of them is renewed, and then another one is broken.
    let before = leaf(1);
    write(&dir.path().join("a.test"), "a.test");
    tls.reload_one(1).unwrap();
    let client = Arc::new(trusting(&config));
    assert_ne!(before, leaf(1));
    assert_eq!(shake(&server, &client, "a.test").unwrap().0, leaf(1));
    assert_eq!(shake(&server, &client, "x.b.test").unwrap().0, leaf(2));
    std::fs::write(&config.certificates[1].certificate, "not a certificate").unwrap();
    let error = tls.reload_one(2).unwrap_err();
    let error = Chain(&error).to_string();
    assert!(error.contains("`certificate` of [[tls.certificates]]") && error.contains("*.b.test"), "{error}");
    assert_eq!(config.check(None), Err(format!("[tls]: {error}")));
    assert_eq!(shake(&server, &client, "x.b.test").unwrap().1, HandshakeKind::Resumed);
}

#[test]
fn a_certificate_that_nobody_could_ask_for_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let Config { certificate, key, .. } = write(dir.path(), "192.0.2.1");
    let config = Config { certificates: vec![Pair { certificate, key }], ..Config::default() };
    assert!(matches!(Tls::load(&config), Err(Error::NoNames { .. })));
    assert!(config.check(None).unwrap_err().contains("has no DNS name"));
}

/// Gives its one ticket whatever name is asked for, as no honest client does.
#[derive(Debug, Default)]
struct Careless(std::sync::Mutex<Vec<Tls13ClientSessionValue>>);

impl ClientSessionStore for Careless {
    fn set_kx_hint(&self, _name: ServerName<'static>, _group: NamedGroup) {}

    fn kx_hint(&self, _name: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _name: ServerName<'static>, _value: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _name: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.lock().unwrap().push(value);
    }

    fn take_tls13_ticket(&self, _name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.lock().unwrap().pop()
    }
}

#[test]
fn a_session_goes_on_with_any_worker_and_never_under_another_name() {
    let dir = tempfile::tempdir().unwrap();
    let config = three(dir.path());
    let server = Arc::new(Tls::load(&config).unwrap().server_config(&[b"h2"]).unwrap());
    let mut client = trusting(&config);
    client.resumption = Resumption::store(Arc::new(Careless::default()));
    let client = Arc::new(client);
    let (of_a, kind) = shake(&server, &client, "a.test").unwrap();
    assert_eq!(kind, HandshakeKind::Full);
    // All workers have this one configuration; each connection is one of another worker's.
    assert_eq!(shake(&server, &client, "a.test").unwrap().1, HandshakeKind::Resumed);
    let (of_b, kind) = shake(&server, &client, "x.b.test").unwrap();
    assert_eq!(kind, HandshakeKind::Full);
    assert_ne!(of_a, of_b);
}

#[test]
fn ticket_keys_are_changed_within_their_life() {
    let tls = Tls::load(&Config::default()).unwrap();
    let ticketer = tls.server_config(&[]).unwrap().ticketer;
    assert!(ticketer.enabled());
    // Of the ticketer that has a current key and the one before, each for half of this.
    assert_eq!(ticketer.lifetime(), 12 * 60 * 60);
}
