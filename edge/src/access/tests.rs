use std::net::SocketAddr;

use http::HeaderValue;
use jsonwebtoken::{EncodingKey, Header};
use nearcast_api::channel::Settings;
use nearcast_api::playback::{self, Claims, Playback, Revocation};
use nearcast_api::snapshot::Channel;
use nearcast_service::http::Protocol;
use proptest::prelude::*;

use super::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const OTHER: &[u8] = b"another secret of thirty-two byte";
const PLACES: &str = "../geo/testdata/places.mmdb";

/// Channels `open` and `demo`, which needs a token of key `k`, or of `mine`, which opens only `other`.
fn snapshot() -> Snapshot {
    let encode = |secret: &[u8]| {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret)
    };
    let key = |secret, channels: &[&str]| playback::Key {
        algorithm: playback::Algorithm::Hs256,
        key: encode(secret),
        channels: channels.iter().map(|channel| channel.parse().unwrap()).collect(),
    };
    let closed = Playback { token: Some(true), ..Playback::default() };
    let channel =
        |playback| Channel { settings: Settings { playback, ..Settings::default() }, ..Channel::default() };
    Snapshot {
        channels: [
            ("demo".parse().unwrap(), channel(Some(closed))),
            ("open".parse().unwrap(), channel(None)),
        ]
        .into(),
        playback_keys: [("k".to_owned(), key(SECRET, &[])), ("mine".to_owned(), key(OTHER, &["other"]))]
            .into(),
        version: 1,
        ..Snapshot::default()
    }
}

fn claims() -> Claims {
    Claims {
        exp: unix_millis() / 1000 + 60,
        nbf: None,
        jti: Some("t1".into()),
        sub: Some("anna".into()),
        channels: vec!["demo".into()],
        networks: None,
        countries: None,
        sessions: None,
    }
}

fn sign(claims: &Claims, kid: &str, secret: &[u8]) -> String {
    let header = Header { kid: Some(kid.into()), ..Header::default() };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret)).unwrap()
}

fn access(snapshot: Snapshot, config: &Config) -> Access {
    let (_, snapshots) = watch::channel(Arc::new(snapshot));
    Access::new(config, snapshots, false).unwrap()
}

fn peer(address: &str) -> Peer {
    let address = SocketAddr::new(address.parse().unwrap(), 1);
    Peer { address, protocol: Protocol::H1, secure: true }
}

fn ask(access: &Access, channel: &str, token: Option<&str>) -> Result<Admitted> {
    access.admit(Some(channel), token, &HeaderMap::new(), peer("198.51.100.7"))
}

#[test]
fn a_channel_that_needs_a_token_is_open_to_those_who_have_one() {
    let access = access(snapshot(), &Config::default());
    assert!(matches!(ask(&access, "demo", None), Err(Error::NoToken)));
    let token = sign(&claims(), "k", SECRET);
    // The second time the signature is known.
    for _ in 0..2 {
        let admitted = ask(&access, "demo", Some(&token)).unwrap();
        assert!(admitted.private);
        assert_eq!(admitted.token.unwrap().claims.sub.as_deref(), Some("anna"));
    }
    let admitted = ask(&access, "open", None).unwrap();
    assert!(!admitted.private && admitted.token.is_none());
    assert!(ask(&access, "unknown", None).is_ok());
    assert!(access.admit(None, None, &HeaderMap::new(), peer("198.51.100.7")).is_ok());
}

#[test]
fn a_token_is_taken_from_the_path_a_header_or_a_cookie() {
    let access = access(snapshot(), &Config::default());
    let token = sign(&claims(), "k", SECRET);
    let with = |name: &'static str, value: &str| {
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static(name),
            HeaderValue::try_from(value).unwrap(),
        )]);
        access.admit(Some("demo"), None, &headers, peer("198.51.100.7"))
    };
    assert!(with("authorization", &format!("Bearer {token}")).is_ok());
    assert!(with("authorization", &format!("bearer  {token}")).is_ok());
    assert!(with("cookie", &format!("a=b; nearcast_token={token}; c=d")).is_ok());
    assert!(matches!(with("authorization", "Basic YTpi"), Err(Error::NoToken)));
    assert!(matches!(with("cookie", "nearcast_token2=x"), Err(Error::NoToken)));

    for (path, split) in [
        ("/~abc.d/live/demo/index.m3u8", (Some("abc.d"), "/live/demo/index.m3u8")),
        ("/%7Eabc/live/x", (Some("abc"), "/live/x")),
        ("/live/demo/index.m3u8", (None, "/live/demo/index.m3u8")),
        ("/~", (Some(""), "/")),
        ("/~abc", (Some("abc"), "/")),
    ] {
        assert_eq!(token::split(path), split);
    }
}

#[test]
fn a_token_that_is_not_for_this_says_why() {
    let config = Config { countries: PLACES.into(), ..Config::default() };
    let access = access(snapshot(), &config);
    let refusal = |claims: Claims, kid: &str, secret: &[u8]| {
        let refused = ask(&access, "demo", Some(&sign(&claims, kid, secret)));
        refused.map(drop).map_err(|error| error.to_string()).err().unwrap_or_default()
    };
    let now = unix_millis() / 1000;
    let germany = || Some(vec!["DE".parse().unwrap()]);
    let canada = || Some(vec!["CA".parse().unwrap()]);
    for (claims, kid, secret, why) in [
        (Claims { exp: now - 1, ..claims() }, "k", SECRET, "it has expired"),
        (Claims { nbf: Some(now + 40), ..claims() }, "k", SECRET, "does not count yet"),
        (Claims { nbf: Some(now + 10), ..claims() }, "k", SECRET, ""),
        (Claims { channels: vec!["other".into()], ..claims() }, "k", SECRET, "not for this channel"),
        (Claims { channels: vec!["*".into()], ..claims() }, "k", SECRET, ""),
        (Claims { channels: vec!["*".into()], ..claims() }, "mine", OTHER, "not for this channel"),
        (claims(), "mine", OTHER, "not for this channel"),
        (claims(), "k", OTHER, "signature is wrong"),
        (claims(), "gone", SECRET, "names no playback key"),
        (
            Claims { networks: Some(vec!["203.0.113.0/24".parse().unwrap()]), ..claims() },
            "k",
            SECRET,
            "this network",
        ),
        (Claims { networks: Some(vec!["198.51.100.0/24".parse().unwrap()]), ..claims() }, "k", SECRET, ""),
        (Claims { countries: canada(), ..claims() }, "k", SECRET, "this country"),
        (Claims { countries: germany(), ..claims() }, "k", SECRET, ""),
    ] {
        let got = refusal(claims.clone(), kid, secret);
        assert!(
            got.contains(why) && (why.is_empty() == got.is_empty()),
            "{claims:?} {kid}: {got:?}, not {why:?}"
        );
    }
    for (token, why) in [("", "no JWT"), ("a.b.c", "no JWT"), (&*"a".repeat(5000), "longer than")] {
        let error = ask(&access, "demo", Some(token)).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_token_without_signature_or_of_another_algorithm_is_none() {
    use base64::Engine;
    let access = access(snapshot(), &Config::default());
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let payload = encode(&serde_json::to_string(&claims()).unwrap());
    for header in [
        r#"{"alg":"none","kid":"k"}"#,
        r#"{"alg":"HS512","kid":"k"}"#,
        r#"{"alg":"EdDSA","kid":"k"}"#,
        r#"{"alg":"HS256","kid":"k"}"#,
        r#"{"alg":"HS256"}"#,
    ] {
        let token = format!("{}.{payload}.", encode(header));
        assert!(matches!(ask(&access, "demo", Some(&token)), Err(Error::BadToken { .. })), "{header}");
    }
}

#[test]
fn ed25519_is_verified_with_the_public_half() {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use base64::Engine;
    let pair = Ed25519KeyPair::generate().unwrap();
    let mut snapshot = snapshot();
    let key = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let key = playback::Key { algorithm: playback::Algorithm::EdDsa, key, channels: Vec::new() };
    snapshot.playback_keys.insert("ed".into(), key);
    let access = access(snapshot, &Config::default());
    let header = Header { kid: Some("ed".into()), ..Header::new(jsonwebtoken::Algorithm::EdDSA) };
    let signing = EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref());
    let mut token = jsonwebtoken::encode(&header, &claims(), &signing).unwrap();
    assert!(ask(&access, "demo", Some(&token)).is_ok());
    // The same with a byte of the signature changed.
    let changed = if token.ends_with("AA") { "BB" } else { "AA" };
    token.replace_range(token.len() - 4..token.len() - 2, changed);
    assert!(matches!(ask(&access, "demo", Some(&token)), Err(Error::BadToken { .. })));
}

#[tokio::test]
async fn a_key_that_is_taken_away_and_a_viewer_sent_away_stop_at_once() {
    let (sender, snapshots) = watch::channel(Arc::new(snapshot()));
    let access = Arc::new(Access::new(&Config::default(), snapshots, true).unwrap());
    let drain = Drain::new();
    drain.spawn("rules", Arc::clone(&access).follow(drain.clone()));
    let publish = async |change: &dyn Fn(&mut Snapshot)| {
        let mut next = Snapshot::clone(&sender.borrow());
        next.version += 1;
        change(&mut next);
        let version = next.version;
        sender.send_replace(Arc::new(next));
        while access.rules.load().version() != version {
            tokio::task::yield_now().await;
        }
    };
    let token = sign(&claims(), "k", SECRET);
    assert!(ask(&access, "demo", Some(&token)).is_ok());
    let until = unix_millis() + 60_000;
    let kick = |change: fn(&mut Revocation)| {
        let mut revocation = Revocation { until, ..Revocation::default() };
        change(&mut revocation);
        move |snapshot: &mut Snapshot| {
            snapshot.revocations = [("r".to_owned(), revocation.clone())].into();
        }
    };
    for (change, away) in [
        (kick(|r| r.subject = Some("anna".into())), true),
        (kick(|r| r.subject = Some("bert".into())), false),
        (kick(|r| r.token = Some("t1".into())), true),
        (kick(|r| (r.token, r.channel) = (Some("t1".into()), "open".parse().ok())), false),
        (kick(|r| (r.token, r.subject) = (Some("t1".into()), Some("bert".into()))), false),
        (kick(|r| r.network = "198.51.100.0/24".parse().ok()), true),
        (kick(|r| r.network = "203.0.113.0/24".parse().ok()), false),
        (kick(|r| (r.subject, r.network) = (Some("anna".into()), "203.0.113.0/24".parse().ok())), false),
        (kick(|r| (r.subject, r.until) = (Some("anna".into()), 1)), false),
    ] {
        publish(&change).await;
        let answer = ask(&access, "demo", Some(&token));
        assert_eq!(
            matches!(answer, Err(Error::SentAway)),
            away,
            "{answer:?}: {:?}",
            sender.borrow().revocations
        );
    }
    // Who was sent away does not come back through a channel that needs no token.
    publish(&kick(|r| r.subject = Some("anna".into()))).await;
    assert!(matches!(ask(&access, "open", Some(&token)), Err(Error::SentAway)));
    assert!(ask(&access, "open", None).is_ok());
    publish(&|snapshot| snapshot.revocations.clear()).await;
    assert!(ask(&access, "demo", Some(&token)).is_ok());
    publish(&|snapshot| drop(snapshot.playback_keys.remove("k"))).await;
    assert!(matches!(ask(&access, "demo", Some(&token)), Err(Error::BadToken { .. })));
    drain.begin();
}

#[test]
fn a_channel_for_some_countries_is_open_there_alone() {
    let mut snapshot = snapshot();
    let only = Playback { countries: Some(vec!["DE".parse().unwrap()]), ..Playback::default() };
    snapshot.channels.get_mut("open").unwrap().settings.playback = Some(only);
    let known = access(snapshot.clone(), &Config { countries: PLACES.into(), ..Config::default() });
    let from = |access: &Access, address| access.admit(Some("open"), None, &HeaderMap::new(), peer(address));
    assert!(from(&known, "198.51.100.7").unwrap().private, "others on the way must not keep it");
    assert!(matches!(from(&known, "203.0.113.200"), Err(Error::Country { country: Some(_) })));
    assert!(matches!(from(&known, "8.8.8.8"), Err(Error::Country { country: None })));
    let unknown = access(snapshot, &Config::default());
    assert!(matches!(from(&unknown, "198.51.100.7"), Err(Error::Country { country: None })));
}

#[test]
fn a_channel_that_is_not_known_yet_needs_a_token_where_that_is_asked_for() {
    let config = Config { token_for_unknown: true, ..Config::default() };
    let access = access(snapshot(), &config);
    assert!(matches!(ask(&access, "new", None), Err(Error::NoToken)));
    let token = sign(&Claims { channels: vec!["new".into()], ..claims() }, "k", SECRET);
    assert!(ask(&access, "new", Some(&token)).is_ok());
    assert!(ask(&access, "open", None).is_ok());
}

#[test]
fn one_address_and_one_token_ask_so_often_and_no_more() {
    let config = Config { address_requests: 10, ..Config::default() };
    let by_address = access(snapshot(), &config);
    let allowed = (0..100).filter(|_| ask(&by_address, "open", None).is_ok()).count();
    assert!((30..40).contains(&allowed), "{allowed}");
    assert!(by_address.admit(Some("open"), None, &HeaderMap::new(), peer("198.51.100.8")).is_ok());

    let by_token = access(snapshot(), &Config { token_requests: 10, ..Config::default() });
    let token = sign(&claims(), "k", SECRET);
    let allowed = (0..100).filter(|_| ask(&by_token, "demo", Some(&token)).is_ok()).count();
    assert!((30..40).contains(&allowed), "{allowed}");
    let second = sign(&Claims { jti: Some("t2".into()), ..claims() }, "k", SECRET);
    assert!(ask(&by_token, "demo", Some(&second)).is_ok());
}

#[test]
fn what_cannot_work_is_said() {
    let wrong = Config { cookie_origins: vec!["www.example.net".into()], ..Config::default() };
    assert!(wrong.check().unwrap_err().contains("cookie_origins"));
    let wrong = Config { countries: "nowhere.mmdb".into(), ..Config::default() };
    assert!(wrong.check().unwrap_err().contains("nowhere.mmdb"));
    let right = Config { cookie_origins: vec!["http://localhost:8080".into()], ..Config::default() };
    assert_eq!(right.check(), Ok(()));
}

proptest! {
    #[test]
    fn fuzz_survives_noise(text in "[/~%7Ea-zA-Z0-9._=; -]{0,80}") {
        token::fuzz(text.as_bytes());
    }

    #[test]
    fn fuzz_survives_a_damaged_token(edits in prop::collection::vec((0..200usize, any::<u8>()), 1..6)) {
        let mut token = sign(&claims(), "k", OTHER).into_bytes();
        for (at, byte) in edits {
            let at = at % token.len();
            token[at] = byte;
        }
        token::fuzz(&token);
        token.splice(0..0, *b"Bearer ");
        token::fuzz(&token);
    }
}

#[tokio::test]
async fn a_channel_with_rules_is_open_to_nobody_once_it_is_deleted() {
    let (sender, snapshots) = watch::channel(Arc::<Snapshot>::default());
    let access = Arc::new(Access::new(&Config::default(), snapshots, true).unwrap());
    assert!(matches!(ask(&access, "open", None), Err(Error::NoSnapshot)), "nothing is known of any channel");
    let drain = Drain::new();
    drain.spawn("rules", Arc::clone(&access).follow(drain.clone()));
    let publish = async |version, names: &[&str]| {
        let mut next = Snapshot { version, ..snapshot() };
        next.channels.retain(|id, _| names.contains(&id.as_str()));
        sender.send_replace(Arc::new(next));
        while access.rules.load().version() != version {
            tokio::task::yield_now().await;
        }
    };
    publish(1, &["demo", "open"]).await;
    assert!(matches!(ask(&access, "demo", None), Err(Error::NoToken)) && ask(&access, "open", None).is_ok());
    let token = sign(&claims(), "k", SECRET);
    for version in [2, 3] {
        publish(version, &[]).await;
        assert!(matches!(ask(&access, "demo", Some(&token)), Err(Error::NotFound)));
        assert!(ask(&access, "open", None).is_ok());
    }
    publish(4, &["demo"]).await;
    assert!(ask(&access, "demo", Some(&token)).is_ok());
}
