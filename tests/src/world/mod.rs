//! A whole platform on this machine: real programs, each in its own process, on loopback.

mod config;
mod layout;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

pub use layout::{Edge, Layout, Origin};

use crate::admin::Admin;
use crate::certificate::Certificate;
use crate::client::{Client, Protocol};
use crate::dns::{self, Answer};
use crate::metrics::Samples;
use crate::ports::Ports;
use crate::process::{Process, Program, http_status};
use crate::proxy::Proxy;
use crate::publisher::Feed;

/// A control plane, an origin and edges that run. Dropping it kills them all.
#[derive(Debug)]
pub struct World {
    pub layout: Layout,
    /// Configuration, state and logs.
    pub folder: PathBuf,
    pub certificate: Option<Certificate>,
    pub control: Process,
    pub origin: Process,
    /// The second origin, when the world was built with [`Builder::standby`].
    pub standby: Option<Process>,
    /// In the layout's order.
    pub edges: Vec<Process>,
    /// Counts what edges ask of the origin, when the world was built with [`Builder::counted`].
    pub proxy: Option<Proxy>,
    admin_token: String,
    _ports: Option<Ports>,
}

/// How a world is to be.
#[derive(Debug)]
pub struct Builder {
    name: String,
    edges: Vec<&'static str>,
    wrapper: Vec<(&'static str, Vec<&'static str>)>,
    settings: Vec<(&'static str, String)>,
    below: Vec<(&'static str, &'static str)>,
    state: Vec<(&'static str, &'static str)>,
    counted: bool,
    standby: bool,
    progress: fn(&str),
}

impl World {
    /// A world of two edges, `eu-1` and `us-1`. Its folder is `target/system/{name}`, made anew.
    pub fn builder(name: &str) -> Builder {
        Builder {
            name: name.into(),
            edges: vec!["eu-1", "us-1"],
            wrapper: Vec::new(),
            settings: Vec::new(),
            below: Vec::new(),
            state: Vec::new(),
            counted: false,
            standby: false,
            progress: |_| {},
        }
    }

    /// An operator's client.
    pub async fn admin(&self) -> Result<Admin> {
        Admin::connect(&format!("http://{}", self.layout.control), &self.admin_token).await
    }

    /// The bearer token of the API.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// Creates a channel and returns its stream key.
    pub async fn channel(&self, id: &str) -> Result<String> {
        let admin = self.admin().await?;
        admin.create_channel(id, id).await?;
        admin.create_key(id).await
    }

    /// Where a publisher with this key publishes.
    pub fn rtmp(&self, key: &str) -> String {
        format!("rtmp://{}/live/{key}", self.layout.origin.rtmp)
    }

    /// The same over TLS.
    pub fn rtmps(&self, key: &str) -> String {
        format!("rtmps://{}/live/{key}", self.layout.origin.rtmps)
    }

    /// The same over SRT; more options may follow.
    pub fn srt(&self, key: &str) -> String {
        format!("srt://{}?pkt_size=1316&streamid={key}", self.layout.origin.srt)
    }

    /// Creates the channel, publishes `feed` to it and returns once viewers of the first edge can play it.
    pub async fn broadcast(&self, channel: &str, feed: &Feed) -> Result<Process> {
        let key = self.channel(channel).await?;
        self.publish(channel, &key, feed).await
    }

    /// Publishes `feed` and returns once viewers of the first edge can play it.
    pub async fn publish(&self, channel: &str, key: &str, feed: &Feed) -> Result<Process> {
        let mut publisher = feed.publish(&self.rtmp(key), &format!("publisher-{channel}"), &self.logs())?;
        let edge = self.layout.edges.first().context("a world without edges")?.plain;
        self.playable(&mut publisher, edge, channel).await?;
        Ok(publisher)
    }

    /// Returns once `channel` can be played at the plain address of an edge (or the origin's).
    pub async fn playable(
        &self,
        publisher: &mut Process,
        at: std::net::SocketAddr,
        channel: &str,
    ) -> Result<()> {
        let path = format!("/live/{channel}/index.m3u8");
        let there = async || http_status(at, &path).await.is_ok_and(|status| status == 200);
        publisher.until("playable", there).await.with_context(|| self.all_last_words())
    }

    /// A viewer's client of an edge.
    pub async fn viewer(&self, edge: &str, protocol: Protocol) -> Result<Client> {
        let at = self.layout.edge(edge).with_context(|| format!("no edge {edge}"))?;
        let certificate = self.certificate.as_ref().context("a world without certificate")?;
        Client::connect(&format!("https://{}", at.https), protocol, &certificate.roots).await
    }

    /// A client of the origin, to compare with.
    pub async fn origin_client(&self) -> Result<Client> {
        let url = format!("http://{}", self.layout.origin.http);
        Client::connect(&url, Protocol::H1, &rustls::RootCertStore::empty()).await
    }

    /// What DNS tells a viewer in this network about `edge.{zone}`.
    pub async fn edge_addresses(&self, subnet: &str) -> Result<Answer> {
        let name = format!("edge.{}", self.layout.zone);
        dns::dig(self.layout.dns.port(), &name, &[&format!("+subnet={subnet}")]).await
    }

    /// What the origin has counted so far.
    pub async fn origin_metrics(&self) -> Result<Samples> {
        Samples::read(self.layout.origin.ops).await
    }

    /// The process of an edge.
    pub fn edge(&mut self, name: &str) -> Result<&mut Process> {
        self.edges.iter_mut().find(|edge| edge.name() == name).with_context(|| format!("no edge {name}"))
    }

    /// Where logs are.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Every program still runs; otherwise an error with the last words of those that do not.
    pub fn all_run(&mut self) -> Result<()> {
        let origins = [&mut self.origin].into_iter().chain(&mut self.standby);
        let all = [&mut self.control].into_iter().chain(origins).chain(&mut self.edges);
        for process in all {
            if !process.running() {
                bail!("{} has ended:\n{}", process.name(), process.last_words());
            }
        }
        Ok(())
    }

    /// Stops viewers' side first, as an operator would: edges, origin, control plane.
    pub async fn stop(mut self) -> Result<()> {
        let origins = [&mut self.origin].into_iter().chain(&mut self.standby);
        let all = self.edges.iter_mut().chain(origins).chain([&mut self.control]);
        for process in all {
            let status = process.stop(STOP_LIMIT).await?;
            if !status.success() {
                bail!("{} ended with {status}:\n{}", process.name(), process.last_words());
            }
        }
        Ok(())
    }

    fn all_last_words(&self) -> String {
        let all = [&self.control, &self.origin].into_iter().chain(&self.standby).chain(&self.edges);
        all.map(|process| format!("{}:\n{}", process.name(), process.last_words())).collect()
    }
}

impl Builder {
    /// With these edges instead.
    #[must_use]
    pub fn edges(mut self, names: impl Into<Vec<&'static str>>) -> Self {
        self.edges = names.into();
        self
    }

    /// Is told the name of every program that has become ready.
    #[must_use]
    pub fn progress(mut self, progress: fn(&str)) -> Self {
        self.progress = progress;
        self
    }

    /// With a second origin, `origin-2`.
    #[must_use]
    pub fn standby(mut self) -> Self {
        self.standby = true;
        self
    }

    /// Puts a counting proxy between edges and origin.
    #[must_use]
    pub fn counted(mut self) -> Self {
        self.counted = true;
        self
    }

    /// Runs one program under other words: `taskset -c 0`.
    #[must_use]
    pub fn under(mut self, program: &'static str, words: &[&'static str]) -> Self {
        self.wrapper.push((program, words.to_vec()));
        self
    }

    /// Has one edge ask another instead of origins.
    #[must_use]
    pub fn below(mut self, edge: &'static str, parent: &'static str) -> Self {
        self.below.push((edge, parent));
        self
    }

    /// Keeps one program's state in `folder`.
    #[must_use]
    pub fn state(mut self, program: &'static str, folder: &'static str) -> Self {
        self.state.push((program, folder));
        self
    }

    /// More TOML for the configuration of one program: the end of its file.
    #[must_use]
    pub fn setting(mut self, program: &'static str, toml: &str) -> Self {
        self.settings.push((program, toml.to_owned()));
        self
    }

    /// Starts everything and returns once every program is ready.
    pub async fn start(self) -> Result<World> {
        let folder = target_dir()?.join("system").join(&self.name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("emptying {}", folder.display()))?;
        }
        std::fs::create_dir_all(&folder)?;
        let certificate =
            Certificate::create(&folder, &["127.0.0.1", "127.0.0.2", "localhost", "edge.nearcast.test"])?;
        let ports = Ports::claim()?;
        let mut layout = Layout::on(&ports, &self.edges)?;
        if self.counted {
            layout.origin.url.set_port(ports.take()?);
        }
        if self.standby {
            layout.standby = Some(Origin::on(&ports, "origin-2")?);
        }
        self.start_in(layout, &folder, Some(certificate), Some(ports)).await
    }

    /// The development world, with its state in `folder` and its programs' own certificates.
    pub async fn start_development(self, folder: &Path) -> Result<World> {
        self.start_in(Layout::development(), folder, None, None).await
    }

    async fn start_in(
        self,
        layout: Layout,
        folder: &Path,
        certificate: Option<Certificate>,
        ports: Option<Ports>,
    ) -> Result<World> {
        let common = config::Common {
            layout: &layout,
            data: &folder.join("data"),
            state: &self.state,
            below: &self.below,
            admin_token: ADMIN_TOKEN,
            node_token: NODE_TOKEN,
            certificate: certificate.as_ref(),
        };
        let Origin { http, url, .. } = layout.origin;
        let proxy = if url == http { None } else { Some(Proxy::start(url, http).await?) };
        let mut control = self.spawn("nearcast-control", "control", &config::control(&common), folder)?;
        let mut origin =
            self.spawn("nearcast-origin", "origin-1", &config::origin(&common, &layout.origin), folder)?;
        let standby = layout.standby.as_ref();
        let second = |origin: &Origin| {
            self.spawn("nearcast-origin", origin.name, &config::origin(&common, origin), folder)
        };
        let mut standby = standby.map(second).transpose()?;
        let edges = layout
            .edges
            .iter()
            .map(|edge| self.spawn("nearcast-edge", edge.name, &config::edge(&common, edge), folder));
        let mut edges: Vec<Process> = edges.collect::<Result<_>>()?;
        let ops = [layout.control_ops, layout.origin.ops]
            .into_iter()
            .chain(layout.standby.iter().map(|origin| origin.ops))
            .chain(layout.edges.iter().map(|edge| edge.ops));
        let all = [&mut control, &mut origin].into_iter().chain(&mut standby).chain(&mut edges);
        for (process, ops) in all.zip(ops) {
            process.ready(ops).await?;
            (self.progress)(process.name());
        }
        let admin_token = ADMIN_TOKEN.to_owned();
        let folder = folder.to_owned();
        Ok(World {
            layout,
            folder,
            certificate,
            control,
            origin,
            standby,
            edges,
            proxy,
            admin_token,
            _ports: ports,
        })
    }

    fn spawn(&self, program: &str, name: &str, config: &str, folder: &Path) -> Result<Process> {
        let file = folder.join("config").join(format!("{name}.toml"));
        std::fs::create_dir_all(folder.join("config"))?;
        let mut config: toml::Table = config.parse().context("our own configuration")?;
        for (_, more) in self.settings.iter().filter(|(of, _)| *of == name) {
            merge(&mut config, more.parse().with_context(|| format!("the setting {more}"))?);
        }
        std::fs::write(&file, config.to_string())?;
        let wrapper = self.wrapper.iter().find(|(of, _)| *of == name).map(|(_, words)| words.as_slice());
        Program::ours(program)?
            .named(name)
            .args(["--config".to_owned(), file.to_string_lossy().into_owned()])
            .under(wrapper.unwrap_or_default())
            .start(&folder.join("logs"))
    }
}

/// Adds settings, in place of those of the same name.
fn merge(config: &mut toml::Table, more: toml::Table) {
    for (name, value) in more {
        match (config.get_mut(&name), value) {
            (Some(toml::Value::Table(section)), toml::Value::Table(more)) => merge(section, more),
            (_, value) => drop(config.insert(name, value)),
        }
    }
}

/// `target/debug` or `target/release`, where worlds keep their folders.
fn target_dir() -> Result<PathBuf> {
    crate::process::bin_dir()
}

/// Worlds live on loopback for minutes; their tokens need not be secret.
const ADMIN_TOKEN: &str = "development-admin-token";
const NODE_TOKEN: &str = "development-node-token";
/// Longer than a daemon's own drain deadline.
const STOP_LIMIT: Duration = Duration::from_secs(15);
