//! An edge gets its certificate from an ACME server, keeps it, and renews it.
//!
//! ACME servers look at port 443 and ask DNS servers at 53, so these need root, as other cases with mounts of their own do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nearcast_tests::acme::{Server, fetch};
use nearcast_tests::ports::Ports;
use nearcast_tests::process::{Process, Program};
use nearcast_tests::world::World;
use rustix::process::Signal;

/// An edge beside the world's: at port 443 of a loopback address that nobody else has.
struct Edge {
    name: &'static str,
    at: SocketAddr,
    ops: SocketAddr,
    folder: PathBuf,
}

impl Edge {
    fn new(name: &'static str, number: u8, ports: &Ports, folder: &Path) -> Result<Self> {
        let at = SocketAddr::new(own(number), 443);
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(Self { name, at, ops: SocketAddr::from(([127, 0, 0, 1], ports.take()?)), folder })
    }

    /// Starts it with a certificate for `name`, and returns once it is ready.
    async fn start(&self, world: &World, server: &Server, name: &str) -> Result<Process> {
        let Self { name: id, at, ops, folder } = self;
        let config = folder.join("edge.toml");
        let text = format!(
            "[node]\nid = {id:?}\nregion = \"eu\"\naddresses = [\"{ip}\"]\nurls = [\"https://{at}\"]\n\
             [http]\nlisten = \"{at}\"\nplain_listen = \"\"\n\
             [tls.acme]\nnames = [{name:?}]\ndirectory = {url:?}\nca = {root:?}\nagree_to_terms = true\n\
             contact = \"operator@nearcast.test\"\nfolder = {acme:?}\n\
             [ops]\nlisten = \"{ops}\"\n\
             [control]\nurl = \"http://{control}\"\ntoken = \"{token}\"\nsnapshot = {snapshot:?}\n",
            ip = at.ip(),
            url = server.url,
            root = server.root,
            acme = folder.join("acme"),
            control = world.layout.control,
            token = world.node_token(),
            snapshot = folder.join("snapshot.json"),
        );
        std::fs::write(&config, text)?;
        let args = ["--config".to_owned(), config.to_string_lossy().into_owned()];
        let mut process = Program::ours("nearcast-edge")?.named(id).args(args).start(&world.logs())?;
        process.ready(*ops).await?;
        Ok(process)
    }

    /// The leaf that a viewer is shown who trusts `root` and asks for this edge by name.
    async fn leaf(&self, root: &Path) -> Result<String> {
        let url = format!("https://{}.nearcast.test/live/none/index.m3u8", self.name);
        let resolve = format!("{}.nearcast.test:443:{}", self.name, self.at.ip());
        let (status, chain) = fetch(&url, root, &["--resolve", &resolve]).await?;
        ensure!(status == 404, "{url} was answered {status}");
        let leaf = chain.split_inclusive("-----END CERTIFICATE-----").next().context("no certificate")?;
        Ok(leaf.trim().to_owned())
    }

    /// Where its certificate is kept.
    fn pem(&self) -> Result<PathBuf> {
        let mut servers = std::fs::read_dir(self.folder.join("acme"))?;
        let server = servers.next().context("nothing is kept")??.path();
        Ok(server.join(format!("{}.nearcast.test.pem", self.name)))
    }
}

/// A world whose DNS server is at port 53, and an ACME server that asks it.
async fn world(name: &str, number: u8) -> Result<(World, Server, Ports)> {
    let dns = own(number);
    let world = World::builder(name).edges(["eu-1"]);
    let world = world.setting("control", &format!("[dns]\nlisten = \"{dns}:53\"\n")).start().await?;
    let ports = Ports::claim()?;
    let at = SocketAddr::from(([127, 0, 0, 1], ports.take()?));
    let server = Server::start(at, dns, &world.folder).await?;
    Ok((world, server, ports))
}

/// A loopback address that nobody else has, of several for this process.
fn own(number: u8) -> IpAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 100 + number, high, low).into()
}

#[tokio::test]
async fn an_edge_has_a_certificate_when_it_is_ready_keeps_it_and_renews_it() -> Result<()> {
    let (world, server, ports) = world("acme", 0).await?;
    let edge = Edge::new("acme-1", 1, &ports, &world.folder)?;
    let asked = |process: &Process| process.log().matches("for a certificate").count();
    let name = "acme-1.nearcast.test";

    let mut process = edge.start(&world, &server, name).await?;
    let first = edge.leaf(&server.root).await.with_context(|| process.last_words())?;
    let mode = std::fs::metadata(edge.pem()?)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "the key can be read with {mode:o}");

    // Whoever comes after uses it: in place of a process that serves, and after one that has ended.
    process.replace(edge.ops).await?;
    ensure!(edge.leaf(&server.root).await? == first, "the upgraded process has another certificate");
    process.stop(Duration::from_secs(20)).await?;
    let mut process = edge.start(&world, &server, name).await?;
    ensure!(edge.leaf(&server.root).await? == first, "the restarted process has another certificate");
    process.stop(Duration::from_secs(20)).await?;
    ensure!(asked(&process) == 1, "it has asked {} times:\n{}", asked(&process), process.log());
    let without = process.log().matches("clients are shown another certificate until").count();
    ensure!(without == 1, "it was without one {without} times:\n{}", process.log());

    // One that is nearly over is served, and renewed.
    let old = nearly_over(name)?;
    std::fs::write(edge.pem()?, old)?;
    let mut process = edge.start(&world, &server, name).await?;
    let log = process.log_path().to_owned();
    let renewed =
        async || std::fs::read_to_string(&log).is_ok_and(|log| log.matches("is in use").count() == 2);
    process.until("renewed", renewed).await?;
    let second = edge.leaf(&server.root).await?;
    ensure!(second != first, "it is the same certificate");
    ensure!(std::fs::read_to_string(edge.pem()?)?.contains(&second), "it is not kept");
    Ok(())
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_reported_and_not_asked_for_in_a_loop() -> Result<()> {
    let (world, server, ports) = world("acme-elsewhere", 2).await?;
    let edge = Edge::new("acme-2", 3, &ports, &world.folder)?;
    // Of an edge that knows nothing of this.
    let name = "eu-1.nearcast.test";
    let mut process = edge.start(&world, &server, name).await?;
    process.stop(Duration::from_secs(20)).await?;
    let log = process.log();
    ensure!(log.contains("eu-1.nearcast.test: ") && log.contains("lead to this node"), "it says:\n{log}");

    // The next one knows of that, and asks when it is told to.
    let mut process = edge.start(&world, &server, name).await?;
    let log = process.log();
    let wait = log.rsplit_once("wait_s=").and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
    ensure!(wait.is_some_and(|seconds: u64| seconds > 100), "it says:\n{log}");
    ensure!(log.matches("for a certificate").count() == 1, "it has asked again:\n{log}");
    process.signal(Signal::HUP);
    let log = process.log_path().to_owned();
    let again =
        async || std::fs::read_to_string(&log).is_ok_and(|log| log.matches("for a certificate").count() == 2);
    process.until("asking again", again).await?;
    Ok(())
}

/// A certificate with a life of 90 days, 80 of which are over, that nobody trusts, and its key.
fn nearly_over(name: &str) -> Result<String> {
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()])?;
    let now = time::OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - time::Duration::days(80), now + time::Duration::days(10));
    let key = rcgen::KeyPair::generate()?;
    Ok(key.serialize_pem() + &params.self_signed(&key)?.pem())
}
