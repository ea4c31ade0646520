//! The process itself: killed in the middle of its work, started again, told to stop.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic; clippy only knows the tests themselves")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use http::{Method, Request, StatusCode};
use nearcast_api::snapshot::{Snapshot, Update};
use nearcast_service::client::{Config, Http};
use nearcast_service::http::{Body, read_limited};

const TOKEN: &str = "admin-token-of-the-tests";

/// A running `nearcast-control`; killed when dropped.
struct Control {
    child: Child,
    url: String,
}

impl Control {
    /// Starts it and reads its log up to the line that says where the API is.
    fn start(directory: &Path) -> Self {
        let mut child = command(directory).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut lines = lines.inspect(|line| assert!(!line.contains("ERROR"), "{line}"));
        let url =
            lines.find_map(|line| line.split_once("API and pages at ").map(|(_, url)| url.trim().to_owned()));
        // The rest of the log has to go somewhere, or the process would wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: url.expect("it never said where the API is") }
    }

    async fn call(&self, method: Method, path: &str, body: &str) -> (StatusCode, Vec<u8>) {
        let request = Request::builder().method(method).uri(format!("{}/api/v1{path}", self.url));
        let request =
            request.header("authorization", format!("Bearer {TOKEN}")).body(Body::from(body.to_owned()));
        let answer = Http::new(&Config::default()).unwrap().request(request.unwrap()).await.unwrap();
        (answer.status(), read_limited(answer.into_body(), 1 << 20).await.unwrap().to_vec())
    }

    async fn snapshot(&self) -> Snapshot {
        let (_, body) = self.call(Method::GET, "/snapshot", "").await;
        let Update::Full(snapshot) = serde_json::from_slice(&body).unwrap() else {
            panic!("not a full snapshot")
        };
        snapshot
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nearcast-control"));
    command
        .current_dir(directory)
        .env("NEARCAST_DATA_DIR", directory.join("data"))
        .env("NEARCAST_HTTP__PLAIN_LISTEN", "127.0.0.1:0")
        .env("NEARCAST_DNS__LISTEN", "127.0.0.1:0")
        .env("NEARCAST_OPS__LISTEN", "")
        .env("NEARCAST_API__ADMIN_TOKEN", TOKEN);
    command
}

#[tokio::test]
async fn a_kill_loses_nothing_that_was_answered() {
    let directory = tempfile::tempdir().unwrap();
    let first = Control::start(directory.path());
    for n in 0..20 {
        let (status, _) = first.call(Method::POST, "/channels", &format!(r#"{{"id":"c-{n}"}}"#)).await;
        assert_eq!(status, StatusCode::CREATED);
    }
    let key = r#"{"key":"demo-stream-key-0001"}"#;
    assert_eq!(first.call(Method::POST, "/channels/c-0/keys", key).await.0, StatusCode::CREATED);
    let before = first.snapshot().await;
    // SIGKILL: nothing is flushed, nothing is said.
    drop(first);

    let second = Control::start(directory.path());
    let after = second.snapshot().await;
    assert_eq!(after.channels, before.channels);
    assert!(after.version > before.version, "{} then {}", before.version, after.version);
}

#[test]
fn a_bad_configuration_is_one_line_and_exit_code_2() {
    let directory = tempfile::tempdir().unwrap();
    let output = command(directory.path()).env("NEARCAST_DNS__TTL", "86400").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.trim().lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("dns.ttl"), "{said}");
}

#[test]
fn a_damaged_geo_database_is_one_line_and_exit_code_1() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("places.mmdb");
    std::fs::write(&database, "half a download").unwrap();
    let output = command(directory.path()).env("NEARCAST_GEO__DATABASE", &database).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.trim().lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("fetch it again"), "{said}");
}
