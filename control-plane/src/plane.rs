//! The state of the role `api`: the fleet, the store behind it, and the tasks that keep both right.
//!
//! A change is written to the store first and then to the fleet, one at a time, so that what was answered survives a kill
//! and both tell the same story. Heartbeats touch only the fleet and the audience's meter; the keeper remembers what they
//! changed.

mod audience;
mod categories;
mod channels;
mod directory;
mod enrolments;
mod ingest;
mod keeper;
mod metadata;
mod playback;
mod purges;
mod sessions;
mod shared;
mod stream_keys;
mod tokens;
mod topology;
mod users;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nearcast_api::NodeId;
use nearcast_api::node::{Heartbeat, HeartbeatAck, Role, Spec};
use nearcast_api::snapshot::{KeyHash, Snapshot, Update};
use nearcast_service::daemon::Daemon;
use serde_json::json;
use tokio::sync::watch;

use crate::access::{Actor, Refusals};
use crate::audience::Meter;
use crate::ca;
use crate::error::{Error, Result};
use crate::fleet::{self, Fleet, Known, Member, UnknownNode};
use crate::metadata::Outbox;
use crate::metrics::Metrics;
use crate::store::{Store, StoredToken};
use crate::webhooks::{About, Kind};

pub use audience::Whose;
pub use channels::IfMatch;
pub use directory::Categories;
pub use ingest::Ingest;
pub use playback::{NewKey, NewToken, Token};
pub use purges::Progress;
pub use sessions::{Began, Identity, SignedIn};
pub use topology::{Edit, Publish};
pub use users::{NewUser, UserChange};

use enrolments::Enrolments;

/// The shared state.
#[derive(Debug)]
pub struct Plane {
    fleet: Mutex<Fleet>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    store: Store,
    /// Held from the write to the store to the change of the fleet.
    changing: tokio::sync::Mutex<()>,
    /// Metadata that origins have not heard yet.
    outbox: Mutex<Outbox>,
    /// An edge has said how far it is with purges.
    purged: tokio::sync::Notify,
    /// The API's, by their hashes.
    tokens: RwLock<HashMap<KeyHash, Arc<StoredToken>>>,
    /// Nodes that have said something here, which other instances have not been told.
    heard: Mutex<BTreeSet<NodeId>>,
    refusals: Mutex<Refusals>,
    /// What was committed could not be read back: memory says less than the store.
    stale: tokio::sync::Notify,
    index: Mutex<directory::Index>,
    searches: tokio::sync::Semaphore,
    /// Old stream keys that count for a while.
    fading: Mutex<Vec<stream_keys::Fading>>,
    /// The audience of the minute under way.
    meter: Mutex<Meter>,
    audience: crate::audience::Config,
    /// Of those who could not sign in: however many they are, they hide no others.
    not_signed_in: Mutex<Refusals>,
    /// Who may sign in, and has.
    people: RwLock<sessions::People>,
    enrolments: Enrolments,
}

impl Plane {
    /// Brings back what the store knows.
    pub async fn open(
        config: fleet::Config,
        audience: crate::audience::Config,
        ca: &ca::Config,
        zone: String,
        store: Store,
    ) -> Result<Arc<Self>> {
        playback::first_key(&store).await?;
        let (state, nodes, Unsaid { index, fading }) = stored(&store).await?;
        let enrolments = Enrolments::open(ca, &zone, &store).await?;
        let snapshot = Snapshot { version: store.first_version().await?, zone, ..state };
        let tokens = tokens::by_hash(&store).await?;
        let people = sessions::people(&store).await?;
        let fleet = Fleet::restore(config, snapshot, nodes, Instant::now());
        Ok(Arc::new(Self {
            snapshot: watch::Sender::new(fleet.snapshot()),
            fleet: Mutex::new(fleet),
            store,
            changing: tokio::sync::Mutex::default(),
            // Time goes on between two starts, and nobody announces a thousand events a millisecond.
            outbox: Mutex::new(Outbox::new(unix_millis().saturating_mul(1000))),
            purged: tokio::sync::Notify::new(),
            tokens: RwLock::new(tokens),
            heard: Mutex::default(),
            refusals: Mutex::default(),
            stale: tokio::sync::Notify::new(),
            index: Mutex::new(index),
            searches: tokio::sync::Semaphore::new(directory::SEARCHES),
            fading: Mutex::new(fading),
            meter: Mutex::default(),
            audience,
            not_signed_in: Mutex::default(),
            people: RwLock::new(people),
            enrolments,
        }))
    }

    /// Starts the tasks that end silent nodes and remember what changed.
    pub fn spawn(self: &Arc<Self>, daemon: &Daemon, metrics: &Metrics) {
        daemon.drain.spawn("fleet expiry", self.clone().expire(daemon.drain.clone()));
        let keeper = keeper::run(self.store.clone(), self.subscribe(), metrics.clone(), daemon.drain.clone());
        daemon.drain.spawn("fleet keeper", keeper);
        let audience = self.clone().keep_audience(metrics.clone(), daemon.drain.clone());
        daemon.drain.spawn("audience", audience);
        daemon.drain.spawn("what was not read back", self.clone().mend(daemon.drain.clone()));
        if self.store.is_shared() {
            daemon.drain.spawn("other instances", self.clone().share(daemon.drain.clone()));
            daemon.drain.spawn("others' changes", self.clone().hear(daemon.drain.clone()));
        }
    }

    /// What outlives the process.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The newest snapshot, and a signal for each later one.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    /// See [`Fleet::update_since`].
    pub fn update_since(&self, version: u64) -> Option<Update> {
        self.lock().update_since(version)
    }

    /// A copy of one node's state.
    pub fn member(&self, id: &NodeId) -> Result<Member> {
        Ok(self.lock().members().get(id).cloned().ok_or_else(|| UnknownNode(id.clone()))?)
    }

    /// A copy of all nodes' states.
    pub fn members(&self) -> Vec<Member> {
        self.lock().members().values().cloned().collect()
    }

    /// A node says who it is, and when its process started (milliseconds since the Unix epoch).
    pub async fn register(&self, spec: Spec, started_at: u64) -> Result<HeartbeatAck> {
        let _changing = self.changing.lock().await;
        let (known, count) = {
            let fleet = self.lock();
            if fleet.is_shared(&spec.id, started_at, Instant::now()) {
                return Err(Error::SharedName(spec.id));
            }
            (fleet.members().get(&spec.id).map(|member| member.spec.clone()), fleet.members().len())
        };
        // It may have been sent away since the call came in.
        self.check_not_revoked(&spec.id)?;
        if known.is_none() && count >= MAX_NODES {
            return Err(Error::FleetFull { max: MAX_NODES });
        }
        // All nodes register again when they were cut off: no reason to write what is written.
        if known.as_ref() != Some(&spec) {
            self.store.put_node(&spec, unix_millis()).await?;
            tracing::info!(node = %spec.id, role = ?spec.role, region = %spec.region, "node registered");
        }
        Ok(self.change(|fleet| {
            fleet.register(spec, started_at, Instant::now());
            let (snapshot, at) = (fleet.snapshot().version, unix_millis());
            HeartbeatAck { snapshot, at, events: None, metadata: Vec::new() }
        }))
    }

    /// A node says how it is, and hears what it has not heard yet.
    pub fn heartbeat(&self, id: &NodeId, mut beat: Heartbeat) -> Result<HeartbeatAck> {
        let received = std::mem::take(&mut beat.received);
        let (ack, heard) = self.change(|fleet| {
            let ack = fleet.heartbeat(id, beat, Instant::now())?;
            let edge = fleet.members().get(id).filter(|member| member.spec.role == Role::Edge);
            Ok::<_, Error>((ack, edge.map(|edge| (edge.spec.clone(), edge.beat.clone()))))
        })?;
        // Not under the fleet's lock: to count hundreds of channels takes its time.
        heard.iter().for_each(|(spec, beat)| self.note(spec, beat));
        if self.store.is_shared() {
            self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        }
        self.purged.notify_waiters();
        Ok(HeartbeatAck { at: unix_millis(), metadata: self.hand_over(id, &received), ..ack })
    }

    /// An operator starts or ends a node's drain.
    pub async fn set_drain(&self, by: &Actor, id: &NodeId, drain: bool) -> Result<()> {
        let _changing = self.changing.lock().await;
        let member = self.member(id)?;
        let action = if drain { "drainNode" } else { "undrainNode" };
        let mut change = self.store.change(by, action, format!("nodes/{id}"), unix_millis()).await?;
        change.before(&json!({ "drain": member.drain }));
        change.set_node_drain(id, drain).await?;
        change.after(&json!({ "drain": drain }));
        change.commit().await?;
        Ok(self.change(|fleet| fleet.set_drain(id, drain))?)
    }

    /// Forgets a node.
    pub async fn remove_node(&self, by: &Actor, id: &NodeId) -> Result<()> {
        let _changing = self.changing.lock().await;
        let member = self.member(id)?;
        let target = format!("nodes/{id}");
        let mut change = self.store.change(by, "forgetNode", target, unix_millis()).await?;
        change.before(&member.spec);
        change.tell(Kind::NodeForgotten, About::node(&member.spec)).await?;
        change.delete_node(id).await?;
        change.commit().await?;
        Ok(self.change(|fleet| fleet.remove(id))?)
    }

    /// Ends what has been silent for too long, when it is due.
    async fn expire(self: Arc<Self>, drain: nearcast_service::drain::Drain) {
        loop {
            let now = Instant::now();
            let due = self.lock().poll_timeout();
            // A node that registers meanwhile is due later than the next look.
            let wait = due.map_or(LOOK, |due| due.saturating_duration_since(now)).min(LOOK);
            if drain.unless_draining(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
            self.change(|fleet| {
                fleet.expire(Instant::now());
                let now = unix_millis();
                fleet.let_in_again(now);
                fleet.keep_windows(now);
            });
            self.end_old_keys(unix_millis());
        }
    }

    /// Changes the fleet and tells everybody who watches.
    fn change<R>(&self, change: impl FnOnce(&mut Fleet) -> R) -> R {
        let mut fleet = self.lock();
        let result = change(&mut fleet);
        // Still under the lock, so that watchers see versions in their order.
        self.snapshot.send_if_modified(|current| {
            let newest = fleet.snapshot();
            let newer = current.version != newest.version;
            if newer {
                *current = newest;
            }
            newer
        });
        result
    }

    fn lock(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What all instances know of channels beside what snapshots say.
struct Unsaid {
    index: directory::Index,
    fading: Vec<stream_keys::Fading>,
}

/// All that the store knows: what snapshots say, but for their version, zone and nodes, the nodes, and what is in no snapshot.
async fn stored(store: &Store) -> Result<(Snapshot, Vec<Known>, Unsaid)> {
    let (mut channels, mut fading) = (BTreeMap::new(), Vec::new());
    let known = store.channels().await?;
    for stored in &known {
        channels.insert(stored.id.clone(), channels::snapshot(stored));
    }
    for key in store.keys().await? {
        if let Some(channel) = channels.get_mut(&key.channel) {
            stream_keys::admit(channel, &mut fading, key, unix_millis());
        }
    }
    let index = directory::Index::new(&known, store.categories().await?);
    let snapshot = Snapshot {
        channels,
        playback_keys: playback::verifying(&store.playback_keys().await?),
        revocations: playback::running(store).await?,
        revoked_nodes: enrolments::certificates(store).await?.revoked(),
        purges: store.purges().await?,
        topology: store.topology().await?.topology,
        ..Snapshot::default()
    };
    Ok((snapshot, store.nodes().await?, Unsaid { index, fading }))
}

/// Milliseconds since the Unix epoch.
pub fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// No node is ever due sooner than this after it registers.
const LOOK: Duration = Duration::from_secs(1);
/// Every node holds every other in memory and on disk: a stolen node token must not fill them.
const MAX_NODES: usize = 10_000;
