//! The topology: drafted, explained, published, and gone back from.

use nearcast_api::Region;
use nearcast_api::node::Role;
use nearcast_api::topology::Topology;
use nearcast_geo::Atlas;
use serde_json::{Value, json};

use super::{IfMatch, Plane, unix_millis};
use crate::access::Actor;
use crate::error::{Error, Result};
use crate::forecast::capacity::Capacity;
use crate::patch;
use crate::store::{Draft, Published};
use crate::topology::{Report, report};

/// A change of the draft.
#[derive(Debug)]
pub enum Edit {
    /// All of it.
    Replace(Value),
    /// A merge patch (RFC 7396) of the draft, or of what is published when there is none.
    Patch(Value),
}

/// How to publish.
#[derive(Debug, Default)]
pub struct Publish {
    pub note: String,
    /// The published version that whoever publishes has seen; that of the draft when left out.
    pub base: Option<u64>,
    /// Also when viewers lose the edges of their region.
    pub force: bool,
}

impl Plane {
    /// The topology that holds.
    pub async fn topology(&self) -> Result<Published> {
        self.store.topology().await
    }

    /// One version that was published.
    pub async fn topology_version(&self, version: u64) -> Result<Published> {
        self.store.topology_version(version).await
    }

    /// What the edges of a region that take viewers can do together; none where there are no such edges.
    pub fn capacity(&self, region: &Region) -> Option<Capacity> {
        let members = self.members();
        let mine = members.iter().filter(|member| {
            member.spec.role == Role::Edge && member.spec.region == *region && member.plan.weight > 0
        });
        // One without a limit leaves nothing to be said of all.
        mine.map(|member| Capacity::from(member.plan.capacity)).reduce(|sum, one| Capacity {
            viewers: sum.viewers.zip(one.viewers).map(|(sum, one)| sum.saturating_add(one)),
            egress_bps: sum.egress_bps.zip(one.egress_bps).map(|(sum, one)| sum.saturating_add(one)),
        })
    }

    /// At most `limit` versions before this one, the newest first.
    pub async fn topologies(&self, before: u64, limit: usize) -> Result<Vec<Published>> {
        self.store.topologies(before, limit).await
    }

    /// What is to be published next.
    pub async fn draft(&self) -> Result<Draft> {
        self.store.draft().await?.ok_or(Error::NoDraft)
    }

    /// Changes the draft, or begins one.
    ///
    /// # Errors
    /// [`Error::Invalid`] says what cannot be; then nothing has changed.
    pub async fn edit_draft(&self, by: &Actor, only: &IfMatch, edit: Edit) -> Result<Draft> {
        let _changing = self.changing.lock().await;
        let mut change = self.store.change(by, "changeTopologyDraft", DRAFT, unix_millis()).await?;
        let (old, published) = (change.draft().await?, change.topology().await?);
        unchanged(old.as_ref(), only)?;
        let (base, before) = match old {
            Some(draft) => (draft.base, draft.topology),
            None => (published.version, published.topology),
        };
        // Who writes the whole leaves nothing of what it was begun from.
        let (base, topology) = match edit {
            Edit::Replace(whole) => (published.version, patch::read::<Topology>(whole)),
            Edit::Patch(patch) => (base, patch::merge(&before, patch)),
        };
        let topology = topology.and_then(|topology| topology.check().map(|()| topology));
        let topology = topology.map_err(|problem| Error::Invalid { field: "topology", problem })?;
        let draft = Draft { base, topology, author: by.name.clone(), at: change.at() };
        change.put_draft(&draft).await?;
        change.before(&before);
        change.after(&draft.topology);
        change.commit().await?;
        Ok(draft)
    }

    /// Throws the draft away.
    pub async fn discard_draft(&self, by: &Actor, only: &IfMatch) -> Result<()> {
        let _changing = self.changing.lock().await;
        let mut change = self.store.change(by, "discardTopologyDraft", DRAFT, unix_millis()).await?;
        let old = change.draft().await?.ok_or(Error::NoDraft)?;
        unchanged(Some(&old), only)?;
        change.delete_draft().await?;
        change.before(&old.topology);
        change.commit().await
    }

    /// What publishing the draft would change.
    pub async fn validate_draft(&self, atlas: &Atlas) -> Result<Report> {
        let (draft, published) = (self.draft().await?, self.topology().await?);
        Ok(self.explain(&published, &draft.topology, atlas))
    }

    /// Makes the draft the topology that holds.
    ///
    /// # Errors
    /// [`Error::OutdatedDraft`] when another version was published since the draft was begun, [`Error::Outage`].
    pub async fn publish_draft(
        &self,
        by: &Actor,
        only: &IfMatch,
        how: Publish,
        atlas: &Atlas,
    ) -> Result<Published> {
        let _changing = self.changing.lock().await;
        let mut change = self.store.change(by, "publishTopology", TOPOLOGY, unix_millis()).await?;
        let (draft, old) = (change.draft().await?.ok_or(Error::NoDraft)?, change.topology().await?);
        unchanged(Some(&draft), only)?;
        let base = how.base.unwrap_or(draft.base);
        if base != old.version {
            return Err(Error::OutdatedDraft { base, newest: old.version });
        }
        self.permit(&old, &draft.topology, atlas, how.force)?;
        let published = change.publish_topology(by, draft.topology, how.note, None).await?;
        change.delete_draft().await?;
        change.before(&told(&old));
        change.after(&told(&published));
        change.commit().await?;
        self.change(|fleet| fleet.set_topology(published.topology.clone()));
        Ok(published)
    }

    /// Publishes what an earlier version said once more, as a version of its own. The draft stays.
    pub async fn roll_back(&self, by: &Actor, to: u64, how: Publish, atlas: &Atlas) -> Result<Published> {
        let _changing = self.changing.lock().await;
        let wanted = self.store.topology_version(to).await?;
        let mut change = self.store.change(by, "rollBackTopology", TOPOLOGY, unix_millis()).await?;
        let old = change.topology().await?;
        if let Some(base) = how.base.filter(|base| *base != old.version) {
            return Err(Error::OutdatedDraft { base, newest: old.version });
        }
        self.permit(&old, &wanted.topology, atlas, how.force)?;
        let published = change.publish_topology(by, wanted.topology, how.note, Some(to)).await?;
        change.before(&told(&old));
        change.after(&told(&published));
        change.commit().await?;
        self.change(|fleet| fleet.set_topology(published.topology.clone()));
        Ok(published)
    }

    fn permit(&self, old: &Published, new: &Topology, atlas: &Atlas, force: bool) -> Result<()> {
        let report = self.explain(old, new, atlas);
        match report.outage().filter(|_| !force) {
            Some(outage) => Err(Error::Outage(outage.message.clone())),
            None => Ok(()),
        }
    }

    fn explain(&self, old: &Published, new: &Topology, atlas: &Atlas) -> Report {
        report(old.version, &old.topology, new, &self.members(), atlas, unix_millis())
    }
}

/// Refuses a change that is meant for the draft as it was.
fn unchanged(draft: Option<&Draft>, only: &IfMatch) -> Result<()> {
    let etag = draft.map_or_else(|| "none".to_owned(), Draft::etag);
    if only.allows(&etag) { Ok(()) } else { Err(Error::DraftChanged) }
}

/// What the audit log says of a version.
fn told(published: &Published) -> Value {
    let Published { version, topology, note, copy_of, .. } = published;
    json!({ "version": version, "topology": topology, "note": note, "copy_of": copy_of })
}

/// What the audit log calls them.
const TOPOLOGY: &str = "topology";
const DRAFT: &str = "topology/draft";
