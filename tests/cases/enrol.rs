//! A node that enrols with a token, and is sent away while it serves.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use http::Method;
use nearcast_tests::admin::Admin;
use nearcast_tests::client::{Client, Protocol};
use nearcast_tests::player::{Until, follow, renditions};
use nearcast_tests::ports::Ports;
use nearcast_tests::process::{Process, daemon, http_status};
use nearcast_tests::publisher::Feed;
use rustls::RootCertStore;
use serde_json::{Value, json};
use tokio::process::Command;

#[tokio::test]
async fn an_edge_enrols_with_a_token_and_goes_on_serving_when_it_is_sent_away() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("enrol-").tempdir()?;
    let (folder, ports) = (folder.path(), Ports::claim()?);
    let fleet = Fleet::start(folder, &ports).await?;
    let admin = &fleet.admin;
    let [edge_http, edge_ops] = [ports.local()?, ports.local()?];
    let config = format!(
        "urls = [\"http://{edge_http}\"]\n\
         [http]\nlisten = \"\"\nplain_listen = \"{edge_http}\"\n\
         [ops]\nlisten = \"{edge_ops}\"\n"
    );
    let mut edge = fleet.node("nearcast-edge", "eu-1", &config, edge_ops).await?;
    let is_up = async || {
        let nodes = admin.get("/nodes").await.unwrap_or_default();
        nodes["nodes"].as_array().is_some_and(|nodes| nodes.iter().any(|node| node["status"] == "ready"))
    };
    edge.until("ready", async || is_up().await).await?;
    let log = admin.get("/audit?action=enrolNode").await?;
    ensure!(log["entries"][0]["target"] == "nodes/eu-1", "not in the audit log: {log}");

    admin.send(Method::POST, "/nodes/eu-1/revoke", &json!({})).await?.expect(204)?;
    let log_path = edge.log_path().to_owned();
    let says = |text: &str| std::fs::read_to_string(&log_path).is_ok_and(|log| log.contains(text));
    edge.until("told that it was revoked", async || says("was revoked")).await?;
    ensure!(!is_up().await, "it is still up");
    // Viewers are served on: its snapshot is as good as before.
    edge.ready(edge_ops).await?;
    drop(edge);

    // It has its certificate still; a new token gives it another.
    let mut edge = fleet.node("nearcast-edge", "eu-1", &config, edge_ops).await?;
    edge.until("up again", async || is_up().await).await?;
    drop((edge, fleet));
    Ok(())
}

#[tokio::test]
async fn media_goes_between_nodes_that_prove_who_they_are_and_a_revoked_one_gets_none() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("mutual-").tempdir()?;
    let (folder, ports) = (folder.path(), Ports::claim()?);
    let fleet = Fleet::start(folder, &ports).await?;
    let [media, rtmp, origin_ops] = [ports.local()?, ports.local()?, ports.local()?];
    let [viewers, edge_ops] = [ports.local()?, ports.local()?];
    let origin = format!(
        "urls = [\"https://{media}\"]\n\
         [http]\nlisten = \"{media}\"\nplain_listen = \"\"\n\
         [rtmp]\nlisten = \"{rtmp}\"\n[rtmps]\nlisten = \"\"\n[srt]\nlisten = \"\"\n\
         [transcode]\nenabled = false\n\
         [ops]\nlisten = \"{origin_ops}\"\n"
    );
    let origin = fleet.node("nearcast-origin", "origin-1", &origin, origin_ops).await?;
    let edge = format!(
        "urls = [\"http://{viewers}\"]\n\
         [http]\nlisten = \"\"\nplain_listen = \"{viewers}\"\n\
         [ops]\nlisten = \"{edge_ops}\"\n"
    );
    let mut edge = fleet.node("nearcast-edge", "eu-1", &edge, edge_ops).await?;

    fleet.admin.create_channel("demo", "demo").await?;
    let key = fleet.admin.create_key("demo").await?;
    let feed = Feed::pattern(360);
    let mut publisher =
        feed.publish(&format!("rtmp://{rtmp}/live/{key}"), "publisher", &folder.join("logs"))?;
    let path = "/live/demo/index.m3u8";
    let plays = async || http_status(viewers, path).await.is_ok_and(|status| status == 200);
    publisher.until("playable", plays).await.with_context(|| edge.last_words())?;
    let client = Client::connect(&format!("http://{viewers}"), Protocol::H1, &RootCertStore::empty()).await?;
    let source = renditions(&client, "demo").await?.swap_remove(0);
    follow(&client, &source, Until::Segments(3)).await?.strict()?;

    // Whoever asks the origin without a certificate gets nothing; the edge's own opens it, until it is taken away.
    let name = format!("origin-1.nodes.nearcast.test:{}", media.port());
    let address = format!("{name}:{}", media.ip());
    let identity = folder.join("eu-1/identity/identity.pem").to_string_lossy().into_owned();
    let ca = folder.join("ca.pem");
    std::fs::write(&ca, fleet.admin.get_text("/ca.pem").await?)?;
    let ca = ca.to_string_lossy();
    let stranger = curl(&["--insecure", &format!("https://{media}{path}")]).await?;
    ensure!(stranger.starts_with("421") && stranger.contains("control.mutual_tls"), "{stranger}");
    let at = format!("https://{name}{path}");
    let known = ["--cacert", &ca, "--resolve", &address, &at];
    let nobody = curl(&known).await?;
    ensure!(nobody.starts_with("000"), "without a certificate, by the node's name: {nobody}");
    let shown = [["--cert", &identity, "--key", &identity].as_slice(), &known].concat();
    let node = curl(&shown).await?;
    ensure!(node.starts_with("200") && node.contains("#EXTM3U"), "{node}");

    let began = Instant::now();
    fleet.admin.send(Method::POST, "/nodes/eu-1/revoke", &json!({})).await?.expect(204)?;
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    loop {
        tick.tick().await;
        let answer = curl(&shown).await?;
        if answer.starts_with("403") {
            break;
        }
        ensure!(began.elapsed() < Duration::from_secs(5), "the revoked edge still gets media: {answer}");
    }
    // Nor does the edge itself, over the connection that it has.
    let log = edge.log_path().to_owned();
    let refused = || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("answered with status 403"));
    edge.until("refused by the origin", async || refused()).await?;
    drop(origin);
    Ok(())
}

/// A control plane that lets nodes in with certificates alone.
struct Fleet {
    folder: PathBuf,
    https: SocketAddr,
    admin: Admin,
    _control: Process,
}

impl Fleet {
    async fn start(folder: &Path, ports: &Ports) -> Result<Self> {
        let [http, https, ops] = [ports.local()?, ports.local()?, ports.local()?];
        let config = folder.join("control.toml");
        std::fs::write(
            &config,
            format!(
                "roles = [\"api\"]\ndata_dir = {:?}\n\
                 [http]\nlisten = \"{https}\"\nplain_listen = \"{http}\"\n\
                 [api]\nadmin_token = {ADMIN:?}\nnode_tokens = false\n\
                 [ops]\nlisten = \"{ops}\"\n",
                folder.join("control")
            ),
        )?;
        let control = daemon("nearcast-control", "control", &config, ops, &folder.join("logs")).await?;
        let admin = Admin::connect(&format!("http://{http}"), ADMIN).await?;
        Ok(Self { folder: folder.to_owned(), https, admin, _control: control })
    }

    /// A token that lets `node` in once.
    async fn token(&self, node: &str) -> Result<String> {
        let made =
            self.admin.send(Method::POST, "/enrolments", &json!({ "node": node })).await?.expect(201)?;
        let made: Value = serde_json::from_slice(&made.body)?;
        Ok(made["token"].as_str().context("no token")?.to_owned())
    }

    /// Starts a node with a new token, which knows and is known by its certificate alone. `rest` of its configuration begins
    /// in `[node]`.
    async fn node(&self, program: &str, id: &str, rest: &str, ops: SocketAddr) -> Result<Process> {
        let token = self.token(id).await?;
        let config = self.folder.join(format!("{id}.toml"));
        let snapshot = self.folder.join(id).join("snapshot.json");
        let text = format!(
            "[node]\nid = {id:?}\nregion = \"eu\"\naddresses = [\"127.0.0.1\"]\n{rest}\
             [control]\nurl = \"https://{}\"\nenrolment_token = {token:?}\nsnapshot = {snapshot:?}\nmutual_tls = true\n",
            self.https
        );
        std::fs::write(&config, text)?;
        daemon(program, id, &config, ops, &self.folder.join("logs")).await
    }
}

/// The status of an answer, and the answer; 000 where there is none.
async fn curl(words: &[&str]) -> Result<String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--max-time", "10", "--write-out", "%{stderr}%{http_code} "]).args(words);
    let output = command.kill_on_drop(true).output().await.context("running curl")?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok(text(&output.stderr) + &text(&output.stdout))
}

const ADMIN: &str = "admin-token-of-the-tests";
