//! The client against a control plane that is played by our own HTTP server.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use nearcast_api::node::{Heartbeat, Load, Role, Spec};
use nearcast_api::snapshot::{Delta, Update};
use tokio::sync::mpsc;

use super::*;
use crate::http::{Body, Request, Response, Server, read_limited};
use crate::{http as service_http, tls};

/// What the control plane saw: method, path with query, token, body.
type Seen = (Method, String, String, String);

/// Answers by script: the next answer to a matching path, or the last word of it.
async fn control_plane(
    daemon: &Daemon,
    answer: impl Fn(&Method, &str) -> Option<(StatusCode, String)> + Send + Sync + 'static,
) -> (SocketAddr, mpsc::Receiver<Seen>) {
    let config = service_http::Config { plain_listen: "127.0.0.1:0".parse().ok(), ..Default::default() };
    let server = Server::bind(&config, &tls::Config::default(), daemon).await.unwrap();
    let address = server.plain_address().unwrap();
    let (sender, seen) = mpsc::channel(64);
    let answer = Arc::new(answer);
    server
        .serve(move |request: Request| {
            let (sender, answer) = (sender.clone(), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = read_limited(body, 10_000).await.unwrap();
                let path = parts.uri.path_and_query().unwrap().to_string();
                let token = parts.headers.get("authorization").map_or("", |value| value.to_str().unwrap());
                let body = String::from_utf8(body.to_vec()).unwrap();
                sender.send((parts.method.clone(), path.clone(), token.to_owned(), body)).await.unwrap();
                // No answer is a long poll that nothing ends.
                let Some((status, body)) = answer(&parts.method, &path) else {
                    return std::future::pending().await;
                };
                let mut response = Response::new(Body::from(body));
                *response.status_mut() = status;
                response
            }
        })
        .unwrap();
    (address, seen)
}

fn spec() -> Spec {
    Spec {
        id: "eu-1".parse().unwrap(),
        role: Role::Edge,
        region: "eu".parse().unwrap(),
        location: None,
        addresses: vec!["127.0.0.1".parse().unwrap()],
        urls: vec!["https://127.0.0.1:8443".into()],
        version: "0.1.0".into(),
    }
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        load: Load { cpu: 0.5, viewers: 7, egress_bps: 9, cache_ratio: None },
        ..Heartbeat::default()
    }
}

fn config(address: SocketAddr, snapshot: &Path) -> Config {
    Config {
        url: format!("http://{address}/"),
        token: "t0ken".into(),
        snapshot: snapshot.to_owned(),
        ..Default::default()
    }
}

fn full(version: u64) -> String {
    let snapshot = Snapshot { version, zone: "nearcast.test".into(), ..Snapshot::default() };
    serde_json::to_string(&Update::Full(snapshot)).unwrap()
}

fn delta(from: u64, to: u64) -> String {
    serde_json::to_string(&Update::Delta(Delta { from, to, ..Delta::default() })).unwrap()
}

async fn stop(daemon: Daemon) {
    daemon.drain.begin();
    daemon.drain.wait(Duration::from_secs(10)).await.unwrap();
}

#[test]
fn what_cannot_be_reached_is_said_before_a_node_starts() {
    let with = |url: &str| Config { url: url.into(), ..Config::default() };
    assert_eq!(with("http://127.0.0.1:8080").check(), Ok(()));
    assert_eq!(with("").check(), Ok(()));
    assert!(with("control.example.net").check().unwrap_err().contains("control.example.net"));
    let unusable = Config { ca: "/nowhere/ca.pem".into(), ..Config::default() };
    assert!(unusable.check().unwrap_err().contains("/nowhere/ca.pem"));
}

#[test]
fn each_node_has_a_snapshot_of_its_own() {
    let id = "eu-1".parse().unwrap();
    let path = |snapshot: &str| Config { snapshot: snapshot.into(), ..Config::default() }.snapshot(&id);
    assert_eq!(path("data/{node.id}/snapshot.json"), PathBuf::from("data/eu-1/snapshot.json"));
    assert_eq!(path("/var/s.json"), PathBuf::from("/var/s.json"));
}

const ACK: &str = "{\"snapshot\": 3}";

#[tokio::test]
async fn a_node_registers_beats_and_registers_again_when_it_was_forgotten() {
    let (plane, node) = (Daemon::new(), Daemon::new());
    let beats = AtomicU64::new(0);
    let (address, mut seen) = control_plane(&plane, move |method, path| match (method.as_str(), path) {
        ("PUT", _) => Some((StatusCode::OK, "{}".into())),
        ("POST", _) if beats.fetch_add(1, Ordering::Relaxed) == 0 => {
            Some((StatusCode::NOT_FOUND, String::new()))
        }
        ("POST", _) => Some((StatusCode::OK, ACK.into())),
        _ => None,
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let client =
        Client::start(&config(address, &dir.path().join("s.json")), spec(), heartbeat, &node).unwrap();
    let mut next = async || loop {
        let one: Seen = seen.recv().await.unwrap();
        if one.0 != Method::GET {
            return one;
        }
    };
    for _ in 0..2 {
        let (method, path, token, body) = next().await;
        assert_eq!((method.as_str(), token.as_str()), ("PUT", "Bearer t0ken"));
        assert!(path.starts_with("/api/v1/nodes/eu-1?started_at=1"), "{path}");
        assert_eq!(serde_json::from_str::<Spec>(&body).unwrap(), spec());
        let (method, path, _, body) = next().await;
        assert_eq!((method.as_str(), path.as_str()), ("POST", "/api/v1/nodes/eu-1/heartbeat"));
        let beat = serde_json::from_str::<Heartbeat>(&body).unwrap();
        assert!(beat.started_at > 0);
        assert!(beat.joining, "nobody is to be sent to a node without a snapshot");
        assert_eq!(Heartbeat { started_at: 0, joining: false, ..beat }, heartbeat());
    }
    assert!(!node.ready.is_ready(), "there is no snapshot yet");
    assert_eq!(client.current().version, 0);

    node.drain.begin();
    let (_, _, _, body) = next().await;
    assert!(serde_json::from_str::<Heartbeat>(&body).unwrap().draining);
    stop(node).await;
    stop(plane).await;
}

#[tokio::test]
async fn snapshots_are_applied_kept_on_disk_and_lived_from_when_the_control_plane_is_away() {
    let (plane, node) = (Daemon::new(), Daemon::new());
    let (address, _seen) = control_plane(&plane, |method, path| match (method.as_str(), path) {
        ("GET", "/api/v1/snapshot?since=0&wait=25") => Some((StatusCode::OK, full(3))),
        ("GET", "/api/v1/snapshot?since=3&wait=25") => Some((StatusCode::OK, delta(3, 5))),
        // A delta that does not fit makes the node ask for all of it.
        ("GET", "/api/v1/snapshot?since=5&wait=25") => Some((StatusCode::OK, delta(4, 6))),
        ("GET", _) => None,
        _ => Some((StatusCode::OK, ACK.into())),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let config = config(address, &dir.path().join("data/snapshot.json"));
    let client = Client::start(&config, spec(), heartbeat, &node).unwrap();
    let mut watch = client.watch();
    for expected in [3, 5, 3, 5] {
        watch.wait_for(|snapshot| snapshot.version == expected).await.unwrap();
    }
    assert!(node.ready.is_ready());
    stop(node).await;
    stop(plane).await;

    let node = Daemon::new();
    let client = Client::start(&config, spec(), heartbeat, &node).unwrap();
    assert!(client.current().version >= 3);
    assert_eq!(client.current().zone, "nearcast.test");
    assert!(node.ready.is_ready(), "the control plane is away, the snapshot is not");
    stop(node).await;
}

#[tokio::test]
async fn a_control_plane_that_does_not_wait_is_asked_less_and_less_often() {
    let (plane, node) = (Daemon::new(), Daemon::new());
    let (address, mut seen) = control_plane(&plane, |method, _| match method.as_str() {
        "GET" => Some((StatusCode::NO_CONTENT, String::new())),
        _ => Some((StatusCode::OK, ACK.into())),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let began = std::time::Instant::now();
    let _client =
        Client::start(&config(address, &dir.path().join("s.json")), spec(), heartbeat, &node).unwrap();
    let mut polls = 0;
    while polls < 4 {
        polls += usize::from(seen.recv().await.unwrap().0 == Method::GET);
    }
    // Three delays of at least half of 200, 400 and 800 ms.
    assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
    stop(node).await;
    stop(plane).await;
}

#[tokio::test]
async fn a_node_without_a_control_plane_is_ready_at_once() {
    let node = Daemon::new();
    let config = Config { url: String::new(), ..Config::default() };
    assert_eq!(Client::start(&config, spec(), heartbeat, &node).unwrap().current().version, 0);
    assert!(node.ready.is_ready());
    assert_eq!(node.drain.tasks(), 0);
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_with_the_form_that_is_right() {
    for wrong in ["127.0.0.1:8080", "ftp://a", "http://", "http://a/?b", "nonsense url"] {
        let config = Config { url: wrong.into(), ..Config::default() };
        let error = Client::start(&config, spec(), heartbeat, &Daemon::new()).unwrap_err().to_string();
        assert!(error.contains("http://HOST:PORT"), "{wrong}: {error}");
    }
}
