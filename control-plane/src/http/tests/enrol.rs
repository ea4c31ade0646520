//! Nodes with certificates, over real TLS: how they get them, what they open, how they lose them.

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use nearcast_api::node::{Heartbeat, Role, Spec};
use nearcast_service::client::{self, Http, Trust};
use nearcast_service::control;
use nearcast_service::daemon::Daemon;
use nearcast_service::http::{Body, read_limited};
use nearcast_service::tls::Identity;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use super::snapshot;
use crate::Config;
use crate::testing::{ADMIN, Answer, NODE, World, postgres, spec};

/// A control plane with HTTPS, and where its data is.
struct Place {
    world: World,
    directory: TempDir,
    /// Its authority's fingerprint.
    pin: [u8; 32],
}

impl Place {
    async fn start(database: Option<&Url>, change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let world = World::start_with(directory.path(), |config| {
            config.http.listen = Some(([127, 0, 0, 1], 0).into());
            config.database = database.map(Url::to_string).unwrap_or_default();
            change(config);
        });
        let world = world.await;
        let made = world.post("/enrolments", json!({})).await.json();
        let pin = made["token"].as_str().unwrap().split_once('.').unwrap().1;
        Self { world, directory, pin: URL_SAFE_NO_PAD.decode(pin).unwrap().try_into().unwrap() }
    }

    async fn token(&self, body: Value) -> String {
        let made = self.world.post("/enrolments", body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
        assert_eq!(made.headers["cache-control"], "no-store");
        made.json()["token"].as_str().unwrap().to_owned()
    }

    /// Over TLS, as the node with this certificate. The server is known by the fingerprint alone, as a new node knows it.
    async fn call(
        &self,
        as_node: Option<&Node>,
        method: Method,
        path: &str,
        token: &str,
        body: &str,
    ) -> Answer {
        let trust = Trust { pin: Some(self.pin), ..Trust::default() };
        let identity = as_node.map(|node| &node.identity);
        let http = Http::mutual(&client::Config::default(), &trust, identity).unwrap();
        self.send(&http, method, path, token, body).await
    }

    async fn send(&self, http: &Http, method: Method, path: &str, token: &str, body: &str) -> Answer {
        let uri = format!("https://{}/api/v1{path}", self.world.https());
        let mut request = http::Request::builder().method(method).uri(uri);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = http.request(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = read_limited(body, 1 << 20).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn try_to_enrol(&self, token: &str, node: &str, role: &str) -> (Answer, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let csr = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
        let body = json!({ "token": token, "node": node, "role": role, "region": "eu", "csr": csr });
        (self.call(None, Method::POST, "/enrol", "", &body.to_string()).await, key)
    }

    async fn enrol(&self, node: &str) -> Node {
        let token = self.token(json!({ "node": node })).await;
        let (answer, key) = self.try_to_enrol(&token, node, "edge").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        Node::new(node, &answer.json(), &key)
    }

    async fn register(&self, node: &Node) -> Answer {
        let spec = spec(&node.id, "edge", "eu", &["127.0.0.1"]).to_string();
        self.call(Some(node), Method::PUT, &format!("/nodes/{}", node.id), "", &spec).await
    }

    async fn audit(&self, action: &str) -> Vec<Value> {
        let log = self.world.get(&format!("/audit?action={action}")).await.json();
        log["entries"].as_array().unwrap().clone()
    }

    /// Waits until the log says so, for at most `patience` seconds.
    async fn logged(&self, action: &str, patience: u64, is_so: impl Fn(&[Value]) -> bool) {
        let said = async {
            while !is_so(&self.audit(action).await) {
                // The log tells nobody that it has a new line: it is asked again.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(patience), said).await.expect(action);
    }
}

/// A node with a certificate.
struct Node {
    id: String,
    identity: Identity,
}

impl Node {
    fn new(id: &str, issued: &Value, key: &KeyPair) -> Self {
        let text = |field: &str| issued[field].as_str().unwrap();
        let pem = format!("{}{}{}", text("certificate"), text("ca"), key.serialize_pem());
        Self { id: id.to_owned(), identity: Identity::from_pem(pem.as_bytes()).unwrap() }
    }
}

/// Each of these on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $test() { super::$test(None).await; })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $test() {
                super::$test(Some(crate::testing::postgres::database().await)).await;
            })*
        }
    };
}

on_both! {
    a_token_lets_one_node_in_once
    a_certificate_opens_its_own_nodes_path_and_nothing_else
    a_node_that_is_sent_away_is_cut_off_at_once
    a_node_renews_by_itself_and_misses_nothing
}

async fn a_token_lets_one_node_in_once(database: Option<Url>) {
    let place = Place::start(database.as_ref(), |_| ()).await;
    let limits = json!({ "node": "eu-9", "role": "edge", "region": "eu", "label": "rack 4" });
    let token = place.token(limits).await;
    for (node, role) in [("eu-8", "edge"), ("eu-9", "origin")] {
        let (refused, _) = place.try_to_enrol(&token, node, role).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text());
    }
    let (enrolled, key) = place.try_to_enrol(&token, "eu-9", "edge").await;
    assert_eq!(enrolled.status, StatusCode::OK, "{}", enrolled.text());
    let node = Node::new("eu-9", &enrolled.json(), &key);
    assert_eq!(place.register(&node).await.status, StatusCode::OK);
    assert_eq!(
        place.world.get("/nodes/eu-9").await.json()["certificate_ends_at"],
        enrolled.json()["not_after"]
    );
    // It is what it enrolled as.
    let other = spec("eu-9", "origin", "eu", &["127.0.0.1"]).to_string();
    let refused = place.call(Some(&node), Method::PUT, "/nodes/eu-9", "", &other).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text());

    let (replayed, _) = place.try_to_enrol(&token, "eu-9", "edge").await;
    assert_eq!(replayed.status, StatusCode::CONFLICT);
    assert!(replayed.problem().detail.contains("used already"), "{}", replayed.text());
    let refused = place.audit("refused").await;
    assert!(
        refused.iter().any(|one| one["actor"].as_str().unwrap().starts_with("enrolment:")),
        "{refused:?}"
    );
    let (unknown, _) = place.try_to_enrol("nce_something", "eu-9", "edge").await;
    assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
    // Who may have any name does not get one that is another's.
    let (taken, _) = place.try_to_enrol(&place.token(json!({})).await, "eu-9", "edge").await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    assert!(taken.problem().detail.contains("eu-9"), "{}", taken.text());

    let listed = place.world.get("/enrolments").await;
    let secret = token.split_once('.').unwrap().0;
    assert!(!listed.text().contains(secret), "it is shown once");
    let used =
        listed.json()["enrolments"].as_array().unwrap().iter().find(|one| one["label"] == "rack 4").cloned();
    assert_eq!(used.unwrap()["used_by"], "eu-9");
    let [enrolled] = place.audit("enrolNode").await.try_into().unwrap();
    assert_eq!(enrolled["target"], "nodes/eu-9");
    assert!(enrolled["actor"].as_str().unwrap().starts_with("enrolment:"));
    for file in std::fs::read_dir(place.directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(
            !bytes.windows(secret.len()).any(|window| window == secret.as_bytes()),
            "the token is on disk"
        );
    }

    let late = place.token(json!({ "expires_in": 1 })).await;
    // What ends it is the clock, and there is no event to wait for.
    tokio::time::sleep(Duration::from_millis(1001)).await;
    let (late, _) = place.try_to_enrol(&late, "eu-7", "edge").await;
    assert_eq!(late.status, StatusCode::UNAUTHORIZED);
    assert!(late.problem().detail.contains("too late"), "{}", late.text());
    let deleted = place.world.post("/enrolments", json!({})).await.json();
    let id = deleted["id"].as_str().unwrap();
    assert_eq!(place.world.delete(&format!("/enrolments/{id}")).await.status, StatusCode::NO_CONTENT);
    let (gone, _) = place.try_to_enrol(deleted["token"].as_str().unwrap(), "eu-7", "edge").await;
    assert_eq!(gone.status, StatusCode::UNAUTHORIZED);
    for (body, says) in [
        (json!({ "expires_in": 0 }), "expires_in"),
        (json!({ "expires_in": 604_801 }), "expires_in"),
        (json!({ "node": "A B" }), "node"),
        (json!({ "role": "king" }), "role"),
        (json!({ "label": "x".repeat(101) }), "label"),
    ] {
        let answer = place.world.post("/enrolments", body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.problem().detail.contains(says), "{}", answer.text());
    }
}

async fn a_certificate_opens_its_own_nodes_path_and_nothing_else(database: Option<Url>) {
    let place = Place::start(database.as_ref(), |config| config.api.node_tokens = false).await;
    let pem = place.world.send(Method::GET, "/api/v1/ca.pem", "", "").await.text();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----") && !pem.contains("PRIVATE"));
    let node = place.enrol("eu-1").await;
    assert_eq!(place.register(&node).await.status, StatusCode::OK);
    let call = async |method, path: &str, body: &str| place.call(Some(&node), method, path, "", body).await;
    assert_eq!(call(Method::GET, "/snapshot", "").await.status, StatusCode::OK);
    let beat = json!({ "load": { "cpu": 0.5, "viewers": 7, "egress_bps": 1 } }).to_string();
    let acknowledged = call(Method::POST, "/nodes/eu-1/heartbeat", &beat).await;
    assert_eq!(acknowledged.status, StatusCode::OK, "{}", acknowledged.text());
    let other = spec("eu-2", "edge", "eu", &["127.0.0.1"]).to_string();
    for (method, path, body) in [
        (Method::PUT, "/nodes/eu-2", &other),
        (Method::POST, "/nodes/eu-2/heartbeat", &beat),
        (Method::POST, "/nodes/eu-2/certificate", &beat),
    ] {
        let refused = call(method, path, body).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}: {}", refused.text());
        assert!(refused.problem().detail.contains("/api/v1/nodes/eu-1"), "{}", refused.text());
    }
    let refused = place.audit("refused").await;
    assert_eq!(refused[0]["actor"], "node:eu-1");
    // It is no admin, and the token that nodes would share is of no use here.
    assert_eq!(call(Method::GET, "/channels", "").await.status, StatusCode::UNAUTHORIZED);
    let shared = place.call(None, Method::GET, "/snapshot", NODE, "").await;
    assert_eq!(shared.status, StatusCode::FORBIDDEN);
    assert!(shared.problem().detail.contains("node_tokens"), "{}", shared.text());
    assert_eq!(place.call(None, Method::GET, "/snapshot", ADMIN, "").await.status, StatusCode::OK);
    let bad = json!({ "csr": "nonsense" }).to_string();
    let refused = call(Method::POST, "/nodes/eu-1/certificate", &bad).await;
    assert_eq!((refused.status.as_u16(), refused.problem().detail.contains("csr")), (422, true));
    assert_eq!(place.world.post("/nodes/eu-5/revoke", json!({})).await.status, StatusCode::NOT_FOUND);
}

async fn a_node_that_is_sent_away_is_cut_off_at_once(database: Option<Url>) {
    let place = Place::start(database.as_ref(), |_| ()).await;
    let (node, stays) = (place.enrol("eu-1").await, place.enrol("eu-2").await);
    for node in [&node, &stays] {
        assert_eq!(place.register(node).await.status, StatusCode::OK);
    }
    let version = snapshot(&place.world.get("/snapshot").await).version;
    let path = format!("/snapshot?since={version}&wait=25");
    let waiting = async { (place.call(Some(&node), Method::GET, &path, "", "").await, Instant::now()) };
    let revoking = async {
        // Long enough for the other call to be waiting: when it is cannot be seen from outside.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let revoked = place.world.post("/nodes/eu-1/revoke", json!({})).await;
        assert_eq!(revoked.status, StatusCode::NO_CONTENT, "{}", revoked.text());
        Instant::now()
    };
    let ((answer, ended), revoked) = tokio::join!(waiting, revoking);
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text());
    assert!(answer.problem().detail.contains("revoked"), "{}", answer.text());
    assert!(ended.saturating_duration_since(revoked) < Duration::from_secs(1));
    let again = place.register(&node).await;
    assert_eq!(again.status, StatusCode::FORBIDDEN, "{}", again.text());
    // Nor by its name alone.
    let spec = spec("eu-1", "edge", "eu", &["127.0.0.1"]);
    assert_eq!(place.world.register(&spec).await.status, StatusCode::FORBIDDEN);
    assert_eq!(place.register(&stays).await.status, StatusCode::OK);
    let now = snapshot(&place.world.get("/snapshot").await);
    assert_eq!(now.nodes.keys().map(|id| id.as_str()).collect::<Vec<_>>(), ["eu-2"]);
    assert_eq!(now.revoked_nodes.values().map(|one| one.node.as_str()).collect::<Vec<_>>(), ["eu-1"]);
    assert_eq!(place.audit("revokeNode").await[0]["after"]["certificates"], 1);

    let back = place.enrol("eu-1").await;
    assert_eq!(place.register(&back).await.status, StatusCode::OK);
    assert_eq!(place.register(&node).await.status, StatusCode::FORBIDDEN, "the old one stays revoked");
}

/// A real node.
fn start(place: &Place, token: &str, folder: &Path) -> (control::Client, Daemon) {
    let config = control::Config {
        url: format!("https://{}", place.world.https()),
        enrolment_token: token.to_owned(),
        snapshot: folder.join("snapshot.json"),
        ..control::Config::default()
    };
    config.check().unwrap();
    let spec = Spec {
        id: "eu-1".parse().unwrap(),
        role: Role::Edge,
        region: "eu".parse().unwrap(),
        location: None,
        addresses: vec!["127.0.0.1".parse().unwrap()],
        urls: Vec::new(),
        version: "0.1.0".into(),
    };
    let daemon = Daemon::new();
    (control::Client::start(&config, spec, Heartbeat::default, &daemon).unwrap(), daemon)
}

async fn stop(daemon: Daemon) {
    daemon.drain.begin();
    daemon.drain.wait(Duration::from_secs(10)).await.unwrap();
}

async fn a_node_renews_by_itself_and_misses_nothing(database: Option<Url>) {
    let place = Place::start(database.as_ref(), |config| {
        config.ca.node_lifetime = 6;
        config.api.node_tokens = false;
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let token = place.token(json!({ "node": "eu-1" })).await;
    let (client, daemon) = start(&place, &token, folder.path());
    let mut watch = client.watch();
    let seen = watch.wait_for(|snapshot| snapshot.nodes.contains_key("eu-1"));
    tokio::time::timeout(Duration::from_secs(10), seen).await.expect("enrolled").unwrap();

    // Longer than its first certificate lasts: it is on the third by then.
    place.logged("renewCertificate", 20, |lines| lines.len() >= 2).await;
    let first = &place.audit("renewCertificate").await[0];
    assert_eq!((&first["actor"], &first["target"]), (&json!("node:eu-1"), &json!("nodes/eu-1/certificate")));
    place.world.post("/channels", json!({ "id": "demo" })).await;
    let told = watch.wait_for(|snapshot| snapshot.channels.contains_key("demo"));
    tokio::time::timeout(Duration::from_secs(5), told).await.expect("told").unwrap();
    assert!(place.audit("refused").await.is_empty(), "it was never refused");

    // The next process goes on with what is on disk, whatever has become of the token.
    stop(daemon).await;
    let (client, daemon) = start(&place, &token, folder.path());
    place.world.post("/channels", json!({ "id": "second" })).await;
    let mut watch = client.watch();
    let told = watch.wait_for(|snapshot| snapshot.channels.contains_key("second"));
    tokio::time::timeout(Duration::from_secs(5), told).await.expect("told again").unwrap();
    assert_eq!(place.audit("enrolNode").await.len(), 1);

    // Sent away it hears nothing more, and a new token brings it back.
    assert_eq!(place.world.post("/nodes/eu-1/revoke", json!({})).await.status, StatusCode::NO_CONTENT);
    place.world.post("/channels", json!({ "id": "third" })).await;
    place.logged("refused", 5, |lines| lines.iter().any(|one| one["actor"] == "node:eu-1")).await;
    assert!(!client.current().channels.contains_key("third"));
    stop(daemon).await;
    let (client, daemon) = start(&place, &place.token(json!({ "node": "eu-1" })).await, folder.path());
    let mut watch = client.watch();
    let told = watch.wait_for(|snapshot| snapshot.channels.contains_key("third"));
    tokio::time::timeout(Duration::from_secs(10), told).await.expect("back").unwrap();
    let registered = watch.wait_for(|snapshot| snapshot.nodes.contains_key("eu-1"));
    tokio::time::timeout(Duration::from_secs(10), registered).await.expect("registered").unwrap();
    stop(daemon).await;
}

#[tokio::test]
async fn whoever_is_sent_away_at_one_instance_is_cut_off_at_the_other() {
    let database = postgres::database().await;
    let a = Place::start(Some(&database), |_| ()).await;
    let b = Place::start(Some(&database), |_| ()).await;
    assert_eq!(a.world.get("/ca.pem").await.text(), b.world.get("/ca.pem").await.text());
    let node = a.enrol("eu-1").await;
    assert_eq!(a.register(&node).await.status, StatusCode::OK);
    let version = snapshot(&a.world.get("/snapshot").await).version;
    let path = format!("/snapshot?since={version}&wait=25");
    let waiting = async {
        loop {
            // What the other instance says of other things ends a wait as well.
            let answer = a.call(Some(&node), Method::GET, &path, "", "").await;
            if answer.status != StatusCode::OK {
                return answer;
            }
        }
    };
    let revoking = async {
        let revoked = b.world.post("/nodes/eu-1/revoke", json!({})).await;
        assert_eq!(revoked.status, StatusCode::NO_CONTENT, "{}", revoked.text());
    };
    let both = async { tokio::join!(waiting, revoking).0 };
    let answer = tokio::time::timeout(Duration::from_secs(5), both).await.expect("cut off");
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text());
    let refused = b.register(&node).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text());
}
