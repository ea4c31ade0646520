//! A node that enrols with a token, and is sent away while it serves.

use anyhow::{Context as _, Result, ensure};
use http::Method;
use nearcast_tests::admin::Admin;
use nearcast_tests::ports::Ports;
use nearcast_tests::process::daemon;
use serde_json::json;

#[tokio::test]
async fn an_edge_enrols_with_a_token_and_goes_on_serving_when_it_is_sent_away() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("enrol-").tempdir()?;
    let (folder, ports) = (folder.path(), Ports::claim()?);
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
    let enrol = async || -> Result<String> {
        let made = admin.send(Method::POST, "/enrolments", &json!({ "node": "eu-1" })).await?.expect(201)?;
        let made: serde_json::Value = serde_json::from_slice(&made.body)?;
        Ok(made["token"].as_str().context("no token")?.to_owned())
    };

    let [edge_http, edge_ops] = [ports.local()?, ports.local()?];
    let config = folder.join("eu-1.toml");
    let configure = |token: &str| {
        std::fs::write(
            &config,
            format!(
                "[node]\nid = \"eu-1\"\nregion = \"eu\"\naddresses = [\"127.0.0.1\"]\nurls = [\"http://{edge_http}\"]\n\
                 [http]\nlisten = \"\"\nplain_listen = \"{edge_http}\"\n\
                 [ops]\nlisten = \"{edge_ops}\"\n\
                 [control]\nurl = \"https://{https}\"\nenrolment_token = {token:?}\nsnapshot = {:?}\n",
                folder.join("eu-1/snapshot.json"),
            ),
        )
    };
    configure(&enrol().await?)?;
    let mut edge = daemon("nearcast-edge", "eu-1", &config, edge_ops, &folder.join("logs")).await?;
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

    configure(&enrol().await?)?;
    let mut edge = daemon("nearcast-edge", "eu-1-again", &config, edge_ops, &folder.join("logs")).await?;
    edge.until("up again", async || is_up().await).await?;
    drop((edge, control));
    Ok(())
}

const ADMIN: &str = "admin-token-of-the-tests";
