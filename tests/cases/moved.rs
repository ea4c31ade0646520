//! An operator moves the control plane to another machine while a broadcast is on, and whoever is told of broadcasts is told.

use std::convert::Infallible;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use nearcast_tests::cli::control;
use nearcast_tests::client::Protocol;
use nearcast_tests::player::{Until, follow, renditions};
use nearcast_tests::process::daemon;
use nearcast_tests::publisher::Feed;
use nearcast_tests::world::World;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

#[tokio::test]
async fn a_control_plane_goes_on_elsewhere_from_its_backup_and_nobody_who_watches_sees_it() -> Result<()> {
    let world = World::builder("moved").edges(["eu-1"]).setting("origin-1", "[transcode]\nenabled = false\n");
    let mut world = world.start().await?;
    let (receiver, mut told, _receiving) = receiver().await?;
    let said = async |words: &[&str]| -> Result<Value> {
        let text = run(&world, words).await?;
        serde_json::from_str(&text).with_context(|| format!("{words:?} says {text}"))
    };
    let hook = said(&["webhook", "create", &receiver, "--event", "channel.live", "--json"]).await?;
    let secret = hook["secret"].as_str().context("no secret")?.to_owned();
    said(&["channel", "create", "demo", "--json"]).await?;
    said(&["channel", "set", "demo", "--category", "music", "--tag", "cello", "--json"]).await?;
    let key = said(&["key", "create", "demo", "--json"]).await?;
    let key = key["key"].as_str().context("no key")?.to_owned();
    let _publisher = world.publish("demo", &key, &Feed::pattern(360)).await?;

    let (headers, body) = tokio::time::timeout(PATIENCE, told.recv()).await?.context("nobody was told")?;
    let event: Value = serde_json::from_slice(&body)?;
    ensure!(event["type"] == "channel.live" && event["data"]["channel"] == "demo", "{event}");
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut signed = format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).into_bytes();
    signed.extend_from_slice(&body);
    let signature = format!("v1,{}", hmac(&secret, &signed).await?);
    ensure!(header("webhook-signature") == signature, "{headers:?} is not signed with {signature}");

    let viewer = world.viewer("eu-1", Protocol::H2).await?;
    let source = renditions(&viewer, "demo").await?.swap_remove(0);
    let config = world.folder.join("config/control.toml");
    let moving = async {
        let backup = world.folder.join("backup.jsonl");
        let (backup, file) = (backup.to_string_lossy(), config.to_string_lossy());
        // While it runs.
        run(&world, &["backup", &backup, "--config", &file]).await?;
        let elsewhere = world.folder.join("elsewhere.toml");
        let text = std::fs::read_to_string(&config)?;
        let moved = world.folder.join("data/elsewhere");
        let folder = world.folder.join("data/control");
        std::fs::write(&elsewhere, text.replace(&*folder.to_string_lossy(), &moved.to_string_lossy()))?;
        std::fs::create_dir_all(&moved)?;
        let said = run(&world, &["restore", &backup, "--config", &elsewhere.to_string_lossy()]).await?;
        ensure!(said.contains("restored"), "{said}");
        Ok::<_, anyhow::Error>(elsewhere)
    };
    let elsewhere = moving.await?;
    let (logs, ops) = (world.logs(), world.layout.control_ops);
    let process = &mut world.control;
    let changing = async {
        process.stop(PATIENCE).await?;
        *process = daemon("nearcast-control", "elsewhere", &elsewhere, ops, &logs).await?;
        Ok(())
    };
    let (followed, ()) = tokio::try_join!(follow(&viewer, &source, Until::Segments(5)), changing)?;
    followed.strict()?;

    // All that there was is there, and what is live is heard again from those who have it.
    let admin = world.admin().await?;
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let found = async {
        loop {
            tick.tick().await;
            let found = admin.get("/directory?category=music&q=cello").await?;
            if found["channels"][0]["id"] == "demo" {
                return Ok::<_, anyhow::Error>(found);
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, found).await.context("the channel is live nowhere")??;
    ensure!(found["channels"][0]["live"]["broadcast"].is_string(), "{found}");
    let hooks = admin.get("/webhooks").await?;
    ensure!(hooks["webhooks"][0]["id"] == hook["id"], "{hooks}");
    let log = admin.get("/audit?action=createChannel").await?;
    ensure!(log["entries"][0]["target"] == "channels/demo", "{log}");
    let made = admin.send(http::Method::POST, "/channels", &json!({ "id": "next" })).await?;
    ensure!(made.status == 201, "it takes no changes: {}", made.status);
    Ok(())
}

/// What `nearcast-control` prints.
async fn run(world: &World, words: &[&str]) -> Result<String> {
    control(world.layout.control, world.admin_token(), words).await?.done()
}

/// HMAC-SHA-256 in base64, as OpenSSL makes it.
async fn hmac(secret: &str, data: &[u8]) -> Result<String> {
    let key = BASE64.decode(secret.trim_start_matches("whsec_"))?;
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let words = ["dgst", "-sha256", "-mac", "HMAC", "-macopt", &format!("hexkey:{key}"), "-binary"];
    let mut command = Command::new("openssl");
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut running = command.spawn().context("running openssl")?;
    running.stdin.take().context("no input")?.write_all(data).await?;
    Ok(BASE64.encode(running.wait_with_output().await?.stdout))
}

type Told = (HeaderMap, Bytes);

/// Somebody's server: its URL, and what it is sent.
async fn receiver() -> Result<(String, mpsc::Receiver<Told>, JoinSet<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/hook", listener.local_addr()?);
    let (sender, told) = mpsc::channel(16);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let sender = sender.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let sender = sender.clone();
                async move {
                    let (head, body) = request.into_parts();
                    if let Ok(body) = body.collect().await {
                        let _nobody_waits = sender.send((head.headers, body.to_bytes())).await;
                    }
                    Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
                }
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            connections.spawn(async move { drop(connection.await) });
        }
    });
    Ok((url, told, tasks))
}

const PATIENCE: Duration = Duration::from_secs(20);
