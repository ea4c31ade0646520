//! A node's side of the control plane: it registers, sends heartbeats, and lives from the last snapshot.
//!
//! ```text
//! heartbeat task:  PUT node -> POST heartbeat every second -> 404? PUT node again -> ...
//! identity task:   disk -> POST enrol, once -> POST certificate at half of its life -> ...
//! snapshot task:   disk -> GET snapshot?since=V&wait=25 -> apply -> disk -> watchers -> ...
//! ```

mod call;
mod heartbeat;
mod identity;
mod store;
mod updates;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nearcast_api::NodeId;
use nearcast_api::metadata::Command;
use nearcast_api::node;
use nearcast_api::snapshot::Snapshot;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, watch};

use crate::client::{self, Http};
use crate::daemon::Daemon;
use crate::fleet::Fleet;
use crate::log::Chain;
use crate::{Error, Result};

use call::Api;
use identity::{Keeper, Token};
use store::Store;

/// `[control]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Base URL of the control plane; empty to live from the snapshot file alone.
    pub url: String,
    /// Base URLs of further instances of it, asked in turn when one does not answer.
    pub others: Vec<String>,
    /// What the node shows the control plane.
    pub token: String,
    /// A token that `nearcast-control node enrol` has made: with it the node gets a certificate of its own when it first
    /// starts, and needs no `token`. `url` has to be `https://`.
    pub enrolment_token: String,
    /// Folder for that certificate and its key, `{node.id}` standing for the node's name; empty for `identity` beside the
    /// snapshot.
    pub identity: PathBuf,
    /// Where the last snapshot is kept, `{node.id}` standing for the node's name; empty to keep it in memory only.
    pub snapshot: PathBuf,
    /// PEM file of the authorities to trust when `url` is `https://`; empty for the system's.
    pub ca: PathBuf,
    /// Only nodes that prove by their certificates who they are get from this one what is for nodes, and only such ones are
    /// asked for it. All have to be enrolled, and be reached at `https://`.
    pub mutual_tls: bool,
}

/// Who tells how the node is. A function that gives a heartbeat is one.
pub trait Report: Send + 'static {
    /// Asked every second; must be quick. `draining` is set for it while the daemon drains.
    fn heartbeat(&mut self) -> node::Heartbeat;

    /// The control plane has taken the last one.
    fn acknowledged(&mut self, _ack: &node::HeartbeatAck) {}
}

impl<F: FnMut() -> node::Heartbeat + Send + 'static> Report for F {
    fn heartbeat(&mut self) -> node::Heartbeat {
        self()
    }
}

/// The running client. Clones are the same client.
#[derive(Debug, Clone)]
pub struct Client {
    snapshot: watch::Receiver<Arc<Snapshot>>,
    fleet: Fleet,
    nudge: Arc<Notify>,
    metadata: Arc<Mutex<Option<mpsc::Receiver<Command>>>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8080".into(),
            others: Vec::new(),
            token: String::new(),
            enrolment_token: String::new(),
            identity: PathBuf::new(),
            snapshot: PathBuf::new(),
            ca: PathBuf::new(),
            mutual_tls: false,
        }
    }
}

impl Config {
    /// Says what cannot work, if anything.
    pub fn check(&self) -> Result<(), String> {
        if self.mutual_tls && (self.url.is_empty() || !self.is_secure() || !self.has_identity()) {
            return Err("`control.mutual_tls`: a node has a certificate to show when it is enrolled: use https:// in \
                        `control.url`, and set `control.snapshot` or `control.identity`"
                .into());
        }
        if self.url.is_empty() {
            return Ok(());
        }
        self.check_enrolment().map_err(|problem| format!("`control.enrolment_token`: {problem}"))?;
        let http = Http::new(&client::Config { ca: self.ca.clone(), ..client::Config::default() });
        let api = http.and_then(|http| Api::new(self.urls(), &self.token, http));
        api.map(drop).map_err(|error| format!("[control]: {}", Chain(&error)))
    }

    fn check_enrolment(&self) -> Result<(), String> {
        if self.enrolment_token.is_empty() {
            return Ok(());
        }
        Token::parse(&self.enrolment_token)?;
        if !self.is_secure() {
            return Err(
                "a certificate is shown over TLS alone: use https:// in `control.url` and `control.others`"
                    .into(),
            );
        }
        if !self.has_identity() {
            return Err("there is no place for the certificate: set `control.identity`".into());
        }
        Ok(())
    }

    /// Whether there is a place for the certificate.
    fn has_identity(&self) -> bool {
        !self.identity.as_os_str().is_empty() || !self.snapshot.as_os_str().is_empty()
    }

    /// Whether all instances are asked over TLS.
    fn is_secure(&self) -> bool {
        self.urls().all(|url| url.starts_with("https://"))
    }

    fn urls(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.url).chain(&self.others).map(String::as_str)
    }

    /// Where the node of this name keeps its snapshot.
    pub fn snapshot(&self, node: &NodeId) -> PathBuf {
        named(&self.snapshot, node)
    }

    /// Where the node of this name keeps its certificate.
    pub fn identity(&self, node: &NodeId) -> PathBuf {
        match self.identity.as_os_str().is_empty() {
            true => self.snapshot(node).parent().map(|folder| folder.join("identity")).unwrap_or_default(),
            false => named(&self.identity, node),
        }
    }
}

fn named(path: &Path, node: &NodeId) -> PathBuf {
    // A path that is no text has no name in it.
    match path.to_str() {
        Some(path) => path.replace("{node.id}", node.as_str()).into(),
        None => path.to_owned(),
    }
}

impl Client {
    /// Reads the snapshot on disk and starts the two tasks; never waits for the control plane.
    ///
    /// The daemon is not ready before there is a first snapshot, from disk or network.
    ///
    /// # Errors
    /// `url` is not a base URL or `ca` is unusable.
    pub fn start(config: &Config, spec: node::Spec, report: impl Report, daemon: &Daemon) -> Result<Self> {
        let store = Store::new(config.snapshot(&spec.id));
        let stored = store.load();
        let known = stored.is_some();
        let (sender, receiver) = watch::channel(Arc::new(stored.unwrap_or_default()));
        let (commands, metadata) = mpsc::channel(MAX_COMMANDS);
        let metadata = Arc::new(Mutex::new(Some(metadata)));
        let keeper = if config.url.is_empty() { None } else { Keeper::load(config, &spec) };
        if config.mutual_tls && keeper.as_ref().is_some_and(Keeper::has_nothing) {
            let folder = config.identity(&spec.id);
            return Err(Error::ConfigCheck(format!(
                "`control.mutual_tls` is on, and there is no certificate in {}: put a token of `nearcast-control node enrol` \
                 into `control.enrolment_token`",
                folder.display()
            )));
        }
        let identity = keeper.as_ref().map_or_else(|| watch::channel(None).1, Keeper::identity);
        let fleet = Fleet::new(identity, receiver.clone(), config.mutual_tls);
        let client = Self { snapshot: receiver, fleet, nudge: Arc::default(), metadata };
        if config.url.is_empty() {
            return Ok(client);
        }
        let http = match &keeper {
            Some(keeper) => keeper.http()?,
            None => Http::new(&client::Config { ca: config.ca.clone(), ..client::Config::default() })?,
        };
        let api = Api::new(config.urls(), &config.token, http)?;
        let (settle, settled) = watch::channel(keeper.is_none());
        if let Some(keeper) = keeper {
            let (drain, api) = (daemon.drain.clone(), api.clone());
            daemon.drain.spawn("node identity", async move {
                drain.unless_draining(keeper.run(api, settle)).await;
            });
        }
        let first = (!known).then(|| daemon.ready.hold());
        let inbox = heartbeat::Inbox::new(commands, client.nudge.clone());
        let beats = heartbeat::run(api.clone(), spec, report, inbox, daemon.clone());
        let before = identity::settled(settled.clone());
        daemon.drain.spawn("heartbeats", async move {
            before.await;
            beats.await;
        });
        let drain = daemon.drain.clone();
        daemon.drain.spawn("snapshots", async move {
            identity::settled(settled).await;
            drain.unless_draining(updates::run(api, store, sender, first)).await;
        });
        Ok(client)
    }

    /// The newest snapshot; version 0 and empty before the first.
    pub fn current(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// Who this node is to the others, and who they are.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Sends a heartbeat now: what it tells has changed, and others wait to hear it.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Metadata for this node's broadcasts, at least once each. The first who asks gets it; what is not taken waits at
    /// the control plane.
    pub fn metadata(&self) -> Option<mpsc::Receiver<Command>> {
        self.metadata.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Tells of every new snapshot.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }
}

/// As many as one answer brings.
const MAX_COMMANDS: usize = 64;

#[cfg(test)]
mod tests;
