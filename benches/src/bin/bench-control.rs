//! `make bench-control`: 500 nodes that say how they are once a second. What do they cost a control plane, and how soon is a
//! published topology at all of them? Alone on SQLite, and as two instances on one PostgreSQL that share the nodes.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::join_all;
use http::Method;
use nearcast_api::node::{Heartbeat, Role, Spec};
use nearcast_api::snapshot::Snapshot;
use nearcast_benches::cpu;
use nearcast_benches::report::{self, Row};
use nearcast_service::control::{Client, Config};
use nearcast_service::daemon::Daemon;
use nearcast_tests::admin::Admin;
use nearcast_tests::ports::Ports;
use nearcast_tests::postgres::Postgres;
use nearcast_tests::process::{Process, daemon};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

#[tokio::main]
async fn main() -> ExitCode {
    report::exit(run().await)
}

async fn run() -> Result<()> {
    let mut rows = measure("SQLite", &[""]).await?;
    let database = Postgres::start().await?;
    rows.extend(measure("PostgreSQL, two instances", &[&database.url, &database.url]).await?);
    let text = report::write("control", &rows)?;
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

/// One instance for each database, and the nodes spread over them.
async fn measure(name: &str, databases: &[&str]) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let ports = Ports::claim()?;
    let mut instances = Vec::new();
    for (number, database) in databases.iter().enumerate() {
        instances.push(start(folder.path(), &ports, number, database).await?);
    }
    let daemon = Daemon::new();
    let mut nodes = Vec::new();
    for number in 0..NODES {
        let (_, url) = instances.get(number % instances.len()).context("no instance")?;
        let config = Config { url: url.clone(), token: TOKEN.to_owned(), ..Config::default() };
        nodes.push(Client::start(&config, spec(number)?, Heartbeat::default, &daemon)?.watch());
    }
    until(&mut nodes, |now| now.nodes.len() == NODES).await.context("the nodes never knew each other")?;
    // All have registered, which each of them was told: that is not what is measured.
    sleep(SETTLE).await;

    let mut rows = Vec::new();
    let used = || instances.iter().map(|(process, _)| cpu::seconds(process.id())).sum::<Result<f64>>();
    let mut cost = Vec::new();
    for _ in 0..RUNS {
        let (before, began) = (used()?, Instant::now());
        // The time over which the cost is measured.
        sleep(RUN).await;
        cost.push((used()? - before) / began.elapsed().as_secs_f64() * 100.0);
    }
    let measure = format!("{name}: {NODES} nodes at 1 Hz, CPU of all instances");
    rows.push(Row::of(&measure, "% of a core", cost).within("budget", 10.0));

    // At the first; half of the nodes are another's where there is one.
    let admin = Admin::connect(&instances.first().context("no instance")?.1, TOKEN).await?;
    let mut last = Vec::new();
    for change in 1..=CHANGES {
        let draft = json!({ "nodes": { "edge-0": { "weight": change } } });
        admin.send(Method::PUT, "/topology/draft", &draft).await?.expect(200)?;
        let began = Instant::now();
        admin.send(Method::POST, "/topology/draft/publish", &json!({})).await?.expect(201)?;
        let told = until(&mut nodes, |now| {
            now.nodes.get("edge-0").is_some_and(|node| u32::from(node.weight) == change)
        });
        told.await.context("not all nodes were told")?;
        last.push(began.elapsed().as_secs_f64());
        // The nodes are in this process: let them finish with one change before the next.
        sleep(PAUSE).await;
    }
    let measure = format!("{name}: from publishing a topology to the last of {NODES} nodes");
    rows.push(Row::of(&measure, "s", last).within("budget", 1.0));
    daemon.drain.begin();
    let _all_in_time = daemon.drain.wait(PATIENCE).await;
    Ok(rows)
}

/// Waits until all nodes have a snapshot that is so.
async fn until(
    nodes: &mut [watch::Receiver<Arc<Snapshot>>],
    is_so: impl Fn(&Snapshot) -> bool,
) -> Result<()> {
    // What is waited for is let go at once: who holds it holds up the next snapshot.
    let told = nodes.iter_mut().map(async |node| node.wait_for(|now| is_so(now)).await.map(drop));
    let told = timeout(PATIENCE, join_all(told)).await?;
    ensure!(told.iter().all(Result::is_ok), "a node has ended");
    Ok(())
}

async fn start(folder: &Path, ports: &Ports, number: usize, database: &str) -> Result<(Process, String)> {
    let (http, ops) = (ports.local()?, ports.local()?);
    let (file, data) = (folder.join(format!("{number}.toml")), folder.join(number.to_string()));
    let config = format!(
        "roles = [\"api\"]\ndata_dir = {data:?}\ndatabase = {database:?}\n\
         [http]\nplain_listen = \"{http}\"\n\
         [api]\nadmin_token = {TOKEN:?}\nnode_token = {:?}\n\
         [ops]\nlisten = \"{ops}\"\n[log]\nlevel = \"warn\"\n",
        format!("node-{TOKEN}"),
    );
    std::fs::write(&file, config)?;
    let name = format!("control-{number}");
    let process = daemon("nearcast-control", &name, &file, ops, &folder.join("logs")).await?;
    Ok((process, format!("http://{http}")))
}

fn spec(number: usize) -> Result<Spec> {
    Ok(Spec {
        id: format!("edge-{number}").parse()?,
        role: Role::Edge,
        region: format!("region-{}", number % 20).parse()?,
        location: None,
        addresses: vec![[192, 0, 2, u8::try_from(number % 250)?].into()],
        urls: vec![format!("https://edge-{number}.example.net")],
        version: "0.1.0".to_owned(),
    })
}

const NODES: usize = 500;
/// The admin's, which opens what nodes need as well.
const TOKEN: &str = "token-of-the-benchmark";
const RUNS: u32 = 5;
const RUN: Duration = Duration::from_secs(5);
const CHANGES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(300);
const SETTLE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);
