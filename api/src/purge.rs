//! What caches are to forget: purges, as an operator orders them and as snapshots carry them to the edges.

use serde::{Deserialize, Serialize};

use crate::ChannelId;

/// A purge on its way to the edges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Purge {
    /// Greater than those of all purges before it.
    pub id: u64,
    #[serde(flatten)]
    pub order: Order,
}

/// What is to be forgotten, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = PurgeOrder))]
pub struct Order {
    #[serde(flatten)]
    pub target: Target,
    /// What is purged is stale and not gone: the origin is asked before it is sent again, and it may stand in for one that
    /// fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub soft: bool,
}

/// What a purge concerns. URLs are as viewers write them, with a host (`https://www.example.net/vod/a.mp4`) or for every
/// host (`/vod/a.mp4`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = PurgeTarget))]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// One URL, with its query.
    Url(String),
    /// All URLs that begin with this one; `/` for everything.
    Prefix(String),
    /// All answers with this tag in `Surrogate-Key` or `Cache-Tag`.
    Tag(String),
    /// All that is cached of a channel.
    Channel(ChannelId),
}

/// The newest purges, oldest first. A node that has not applied [`Purges::floor`] was away for longer than they reach back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Purges {
    /// The id of the newest purge that is no longer in the list; 0 for none.
    #[serde(default)]
    pub floor: u64,
    #[serde(default)]
    pub recent: Vec<Purge>,
}

impl Purges {
    /// The newest id; 0 before the first purge.
    pub fn newest(&self) -> u64 {
        self.recent.last().map_or(self.floor, |purge| purge.id)
    }

    /// True when there was never a purge.
    pub fn is_empty(&self) -> bool {
        self.newest() == 0
    }

    /// Adds the newest purge; the oldest of more than [`Purges::MAX`] leaves.
    pub fn push(&mut self, purge: Purge) {
        self.recent.push(purge);
        while self.recent.len() > Self::MAX {
            self.floor = self.recent.remove(0).id;
        }
    }

    /// Those that a node must apply which has applied all up to `applied`. `None` when some of them are no longer in the
    /// list, or the ids are another control plane's.
    pub fn since(&self, applied: u64) -> Option<&[Purge]> {
        if applied < self.floor || applied > self.newest() {
            return None;
        }
        let first = self.recent.partition_point(|purge| purge.id <= applied);
        self.recent.get(first..)
    }

    /// Purges in the list: with URLs of usual length they are some 30 KB.
    pub const MAX: usize = 256;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purge(id: u64) -> Purge {
        Purge { id, order: Order { target: Target::Url(format!("/{id}")), soft: false } }
    }

    #[test]
    fn a_node_applies_what_it_has_not_applied_or_knows_that_it_cannot() {
        let mut purges = Purges::default();
        assert_eq!(purges.since(0), Some(&[][..]));
        (1..=3).for_each(|id| purges.push(purge(id * 10)));
        assert_eq!(purges.since(10).unwrap().len(), 2);
        assert_eq!(purges.since(30), Some(&[][..]));
        assert_eq!(purges.since(31), None, "another control plane's");
        (4..=300).for_each(|id| purges.push(purge(id * 10)));
        assert_eq!((purges.recent.len(), purges.floor), (Purges::MAX, 440));
        assert_eq!(purges.since(430), None);
        assert_eq!(purges.since(440).unwrap().len(), Purges::MAX);
    }

    #[test]
    fn a_purge_reads_as_an_operator_writes_it() {
        for (text, target) in [
            (r#"{"url":"https://a.example/x?y"}"#, Target::Url("https://a.example/x?y".into())),
            (r#"{"prefix":"/vod/"}"#, Target::Prefix("/vod/".into())),
            (r#"{"tag":"match-7"}"#, Target::Tag("match-7".into())),
            (r#"{"channel":"demo"}"#, Target::Channel("demo".parse().unwrap())),
        ] {
            let order: Order = serde_json::from_str(text).unwrap();
            assert_eq!(order, Order { target, soft: false });
            assert_eq!(serde_json::to_string(&order).unwrap(), text);
        }
        let purge: Purge = serde_json::from_str(r#"{"id":7,"tag":"a","soft":true}"#).unwrap();
        assert!(purge.id == 7 && purge.order.soft);
    }
}
