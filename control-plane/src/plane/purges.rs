//! Purges: from an operator's call to the edges, and back how far they are.

use std::time::Duration;

use nearcast_api::NodeId;
use nearcast_api::node::{Role, Status};
use nearcast_api::purge::{Order, Purge, Target};

use super::{Plane, unix_millis};
use crate::access::Actor;
use crate::error::{Error, Result};

/// How far a purge is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Edges that have forgotten what it says.
    pub applied: Vec<NodeId>,
    /// Edges that have not said so yet.
    pub pending: Vec<NodeId>,
    /// Edges that cannot be reached: they forget it when they are back.
    pub down: Vec<NodeId>,
}

impl Plane {
    /// Tells all edges to forget something. What they are told is in the store first.
    pub async fn purge(&self, by: &Actor, order: Order) -> Result<Purge> {
        check(&order.target)?;
        let _changing = self.changing.lock().await;
        let newest = self.lock().snapshot().purges.newest();
        let mut change = self.store.change(by, "createPurge", "purges", unix_millis()).await?;
        // Times, so that they grow even when the store was lost.
        let purge = change.add_purge(unix_millis().max(newest + 1), order).await?;
        change.after(&purge);
        change.commit().await?;
        self.in_force(self.reload_purges()).await?;
        Ok(purge)
    }

    /// All of them: one of another instance may have come before, and edges skip what is below what they have.
    async fn reload_purges(&self) -> Result<()> {
        let purges = self.store.purges().await?;
        self.change(|fleet| fleet.set_purges(purges));
        Ok(())
    }

    /// The newest purges, oldest first, and how far they are.
    pub fn purges(&self) -> Vec<(Purge, Progress)> {
        let purges = self.lock().snapshot().purges.recent.clone();
        purges.into_iter().map(|purge| (purge.clone(), self.progress(purge.id))).collect()
    }

    /// One of them.
    pub fn purge_by_id(&self, id: u64) -> Result<(Purge, Progress)> {
        let purges = self.lock().snapshot().purges.recent.clone();
        let purge = purges.into_iter().find(|purge| purge.id == id).ok_or(Error::NoPurge(id))?;
        Ok((purge, self.progress(id)))
    }

    /// Waits until every edge that can be reached has carried the purge out, at most `patience`.
    pub async fn purged(&self, id: u64, patience: Duration) -> Progress {
        let waiting = async {
            loop {
                // Registered before the look, so that what comes in between is heard.
                let heard = self.purged.notified();
                tokio::pin!(heard);
                heard.as_mut().enable();
                if self.progress(id).pending.is_empty() {
                    return;
                }
                heard.await;
            }
        };
        // Whether it was in time is seen from what is pending.
        let _in_time = tokio::time::timeout(patience, waiting).await;
        self.progress(id)
    }

    fn progress(&self, id: u64) -> Progress {
        let mut progress = Progress::default();
        let fleet = self.lock();
        for (node, member) in fleet.members().iter().filter(|(_, member)| member.spec.role == Role::Edge) {
            let list = if member.beat.purged >= id {
                &mut progress.applied
            } else if member.status() == Status::Down {
                &mut progress.down
            } else {
                &mut progress.pending
            };
            list.push(node.clone());
        }
        progress
    }
}

/// What the types do not say.
fn check(target: &Target) -> Result<()> {
    let invalid = |field, problem: &str| Err(Error::Invalid { field, problem: problem.to_owned() });
    match target {
        Target::Url(url) if !is_url(url) => invalid("url", URL),
        Target::Prefix(prefix) if !is_url(prefix) => invalid("prefix", URL),
        Target::Tag(tag) if tag.is_empty() || tag.len() > MAX_TAG || tag.chars().any(char::is_control) => {
            invalid("tag", "use a tag of 1 to 1024 bytes, as the origin sends it")
        }
        Target::Url(_) | Target::Prefix(_) | Target::Tag(_) | Target::Channel(_) => Ok(()),
    }
}

fn is_url(url: &str) -> bool {
    let plain = url.len() <= MAX_URL && url.chars().all(|c| c.is_ascii_graphic()) && !url.contains('#');
    let absolute = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let host = |rest: &str| rest.split(['/', '?']).next().is_some_and(|host| !host.is_empty());
    plain && (url.starts_with('/') || absolute.is_some_and(host))
}

const URL: &str = "use a URL as viewers write it (https://HOST/PATH), or a path from `/` for every host, without fragment, \
                   percent-encoded, of at most 2048 bytes";
const MAX_URL: usize = 2048;
const MAX_TAG: usize = 1024;
