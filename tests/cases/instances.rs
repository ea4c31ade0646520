//! Two control planes on one PostgreSQL.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use http::Method;
use nearcast_tests::admin::Admin;
use nearcast_tests::ports::Ports;
use nearcast_tests::postgres::Postgres;
use nearcast_tests::process::{Process, daemon};
use serde_json::json;
use tokio::sync::watch;

/// One of the two.
struct Instance {
    process: Process,
    ops: SocketAddr,
    url: String,
    admin: Admin,
}

impl Instance {
    async fn start(name: &str, folder: &Path, ports: &Ports, database: &str) -> Result<Self> {
        let [http, ops] = [ports.local()?, ports.local()?];
        let config = folder.join(format!("{name}.toml"));
        let data = folder.join(name);
        std::fs::write(
            &config,
            format!(
                "roles = [\"api\"]\ndata_dir = {data:?}\ndatabase = {database:?}\n\
                 [http]\nplain_listen = \"{http}\"\n\
                 [api]\nadmin_token = {ADMIN:?}\nnode_token = {NODE:?}\n\
                 [ops]\nlisten = \"{ops}\"\n"
            ),
        )?;
        let process = daemon("nearcast-control", name, &config, ops, &folder.join("logs")).await?;
        let url = format!("http://{http}");
        let admin = Admin::connect(&url, ADMIN).await?;
        Ok(Self { process, ops, url, admin })
    }

    /// Makes channels `{prefix}0`, `{prefix}1`, …, and gives the names of those that it has answered for.
    /// Each is counted in `total`.
    async fn write(&self, prefix: &str, count: u32, total: &watch::Sender<u32>) -> Vec<String> {
        let mut answered = Vec::new();
        for number in 0..count {
            let id = format!("{prefix}{number}");
            let made = self.admin.send(Method::POST, "/channels", &json!({ "id": id })).await;
            match made {
                Ok(reply) if reply.status == 201 => {
                    answered.push(id);
                    total.send_modify(|total| *total += 1);
                }
                // It was killed: what it had not answered may be there or not.
                _ => break,
            }
        }
        answered
    }
}

#[tokio::test]
async fn one_is_killed_under_writes_and_nothing_that_it_answered_is_lost() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("instances-").tempdir()?;
    let (folder, ports) = (folder.path(), Ports::claim()?);
    let database = Postgres::start().await?;
    let first = Instance::start("control-1", folder, &ports, &database.url).await?;
    let second = Instance::start("control-2", folder, &ports, &database.url).await?;
    // A node that talks to the first.
    let [http, ops] = [ports.local()?, ports.local()?];
    let config = folder.join("eu-1.toml");
    std::fs::write(
        &config,
        format!(
            "[node]\nid = \"eu-1\"\nregion = \"eu\"\naddresses = [\"127.0.0.1\"]\nurls = [\"http://{http}\"]\n\
             [http]\nlisten = \"\"\nplain_listen = \"{http}\"\n\
             [ops]\nlisten = \"{ops}\"\n\
             [control]\nurl = {:?}\nothers = [{:?}]\ntoken = {NODE:?}\nsnapshot = {:?}\n",
            first.url,
            second.url,
            folder.join("snapshot.json"),
        ),
    )?;
    let mut edge = daemon("nearcast-edge", "eu-1", &config, ops, &folder.join("logs")).await?;
    let is_up = async |admin: &Admin| {
        let nodes = admin.get("/nodes").await.unwrap_or_default();
        nodes["nodes"].as_array().is_some_and(|nodes| nodes.iter().any(|node| node["status"] == "ready"))
    };
    edge.until("up at the second", async || is_up(&second.admin).await).await?;

    let (total, mut count) = watch::channel(0);
    let writing = async {
        let all = ["a", "b", "c"].map(|prefix| first.write(prefix, u32::MAX, &total));
        futures_util::future::join_all(all).await.concat()
    };
    let killing = async {
        // In the middle of it: all three go on writing.
        count.wait_for(|total| *total >= 60).await.context("no writes")?;
        first.process.signal(rustix::process::Signal::KILL);
        anyhow::Ok(second.write("d", 50, &total).await)
    };
    let (answered, others) = tokio::join!(writing, killing);
    let others = others?;
    ensure!(answered.len() > 30 && others.len() == 50, "only {} and {} writes", answered.len(), others.len());

    let list = second.admin.all("/channels", "channels").await?;
    let has = |id: &str| list.iter().any(|channel| channel["id"] == id);
    let lost: Vec<&String> = answered.iter().chain(&others).filter(|id| !has(id)).collect();
    ensure!(lost.is_empty(), "{} writes were answered and are lost: {lost:?}", lost.len());
    // Each with its author.
    let log = second.admin.send(Method::GET, "/audit/export", &json!({})).await?.expect(200)?;
    let log = log.text()?.lines().filter(|line| line.contains("\"createChannel\"")).count();
    ensure!(log == list.len(), "{} channels, {log} lines in the audit log", list.len());

    // The node goes on with the second, and hears what happens there; it is not down for a moment.
    let newest = second.write("last", 1, &total).await;
    let snapshot = folder.join("snapshot.json");
    let knows = || std::fs::read_to_string(&snapshot).is_ok_and(|text| text.contains(&newest[0]));
    edge.until("told by the second", async || knows()).await?;
    ensure!(is_up(&second.admin).await, "the node is not up");
    let log = std::fs::read_to_string(second.process.log_path())?;
    ensure!(!log.contains("node is down"), "the node was down:\n{log}");

    // The first comes back with all of it.
    let again = daemon(
        "nearcast-control",
        "control-1",
        &folder.join("control-1.toml"),
        first.ops,
        &folder.join("logs"),
    )
    .await?;
    let back = Admin::connect(&first.url, ADMIN).await?.all("/channels", "channels").await?;
    ensure!(back.len() == list.len() + 1, "not all is back");
    drop((again, first.process));
    Ok(())
}

const ADMIN: &str = "admin-token-of-the-tests";
const NODE: &str = "node-token-of-the-tests";
