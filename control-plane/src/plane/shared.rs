//! Several instances on one PostgreSQL: each hears its own nodes and tells the others what they say, and whoever changes
//! something tells the others to look.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use nearcast_api::NodeId;
use nearcast_service::backoff::Backoff;
use nearcast_service::drain::Drain;
use nearcast_service::log::Chain;

use super::{Plane, Unsaid, stored};
use crate::error::Result;
use crate::store::Listener;

impl Plane {
    /// Tells the others what nodes say here, and hears what they said there.
    pub(super) async fn share(self: Arc<Self>, drain: Drain) {
        let (mut failing, mut known) = (false, BTreeMap::new());
        // Beats are gathered: telling of each as it comes would cost a write for every node and second.
        while drain.unless_draining(tokio::time::sleep(INTERVAL)).await.is_some() {
            match self.exchange(&mut known).await {
                Ok(()) => failing = false,
                Err(error) => say(&mut failing, &error),
            }
        }
        // What this instance has heard last is worth something to those that go on.
        if let Err(error) = self.exchange(&mut known).await {
            say(&mut failing, &error);
        }
    }

    /// `known` has when each node was last heard by another instance.
    async fn exchange(&self, known: &mut BTreeMap<NodeId, i64>) -> Result<()> {
        let mut told = {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *heard)
        };
        let beats: Vec<_> = {
            let fleet = self.lock();
            let members = told.iter().filter_map(|id| fleet.members().get(id));
            members.map(|member| (member.spec.id.clone(), member.beat.clone())).collect()
        };
        if let Err(error) = self.store.share_beats(&beats).await {
            self.heard.lock().unwrap_or_else(PoisonError::into_inner).append(&mut told);
            return Err(error);
        }
        let span = u64::try_from(SPAN.as_millis()).unwrap_or(u64::MAX);
        let (mut others, now) = (self.store.beats_of_others(span).await?, Instant::now());
        {
            let fleet = self.lock();
            // A node that only the others know so far is heard when this instance knows it too.
            others.retain(|heard| fleet.members().contains_key(&heard.node));
        }
        others.retain(|heard| known.insert(heard.node.clone(), heard.at) != Some(heard.at));
        if !others.is_empty() {
            self.change(|fleet| {
                for heard in others {
                    let at = now.checked_sub(Duration::from_millis(heard.age)).unwrap_or(now);
                    if let Some(member) = fleet.members().get(&heard.node) {
                        self.note_elsewhere(&member.spec, &heard.beat, heard.age);
                    }
                    fleet.heard_elsewhere(&heard.node, heard.beat, at);
                }
            });
            self.purged.notify_waiters();
        }
        // Here rather than when one is left: the origin may be on its way from another instance.
        self.collect().await
    }

    /// Looks at the store whenever another instance says that it has changed.
    pub(super) async fn hear(self: Arc<Self>, drain: Drain) {
        let (mut listener, mut failing) = (None, false);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            let Some(heard) = drain.unless_draining(self.next(&mut listener)).await else { return };
            match heard {
                Ok(()) => (failing, _) = (false, backoff.reset()),
                Err(error) => {
                    listener = None;
                    say(&mut failing, &error);
                    // A database that is away must not be asked in a tight loop.
                    if drain.unless_draining(tokio::time::sleep(backoff.delay())).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for a change, and looks at it. A new listener looks at everything: what was said before it is lost.
    async fn next(&self, listener: &mut Option<Listener>) -> Result<()> {
        match listener {
            None => *listener = self.store.listen().await?,
            // Without news now and then, in case that some were lost.
            Some(hearing) => match tokio::time::timeout(LOOK, hearing.changed()).await {
                Ok(changed) => changed?,
                Err(_silence) => {}
            },
        }
        self.reload().await
    }

    /// Looks at the store again after a change that was committed could not be read back, until it can.
    pub(super) async fn mend(self: Arc<Self>, drain: Drain) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        while drain.unless_draining(self.stale.notified()).await.is_some() {
            while let Err(error) = self.reload().await {
                tracing::warn!("a change is not in force yet, looking again: {}", Chain(&error));
                if drain.unless_draining(tokio::time::sleep(backoff.delay())).await.is_none() {
                    return;
                }
            }
            backoff.reset();
        }
    }

    /// What was committed is read back with `reload`, now or as soon as it can be.
    pub(super) async fn in_force<T>(&self, reload: impl Future<Output = Result<T>>) -> Result<T> {
        reload.await.inspect_err(|_| self.stale.notify_one())
    }

    /// Makes this instance say what the store says.
    async fn reload(&self) -> Result<()> {
        let _changing = self.changing.lock().await;
        // Who may call comes first: what else cannot be read must not keep somebody in who was sent away.
        self.reload_tokens().await?;
        self.reload_people().await?;
        self.reload_certificates().await?;
        let (state, nodes, Unsaid { index, fading }) = stored(&self.store).await?;
        self.change(|fleet| fleet.reload(state, nodes, Instant::now()));
        self.fade(None, fading);
        *self.index() = index;
        Ok(())
    }
}

/// Once until it works again.
fn say(failing: &mut bool, error: &crate::error::Error) {
    if !std::mem::replace(failing, true) {
        tracing::warn!("the other instances are not heard: {}", Chain(error));
    }
}

/// A node is down after seconds of silence: others know of a heartbeat well before.
const INTERVAL: Duration = Duration::from_millis(250);
/// More than what passes between two looks, however slow they are: what is known already changes nothing.
const SPAN: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_secs(10);
