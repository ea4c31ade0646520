//! What is live: which broadcast a channel shows when origins disagree, and whether a heartbeat changes that.

use std::collections::BTreeMap;

use nearcast_api::ChannelId;
use nearcast_api::node::{Broadcast, Role};
use nearcast_api::snapshot::Live;

use super::Member;

/// The live broadcast of each channel: of an origin that is up before one that has just fallen silent, then the one that
/// started or was taken over last (the publisher came back elsewhere), then the greater id, so that all instances agree.
pub(super) fn by_channel<'a>(members: impl Iterator<Item = &'a Member>) -> BTreeMap<ChannelId, Live> {
    let mut best: BTreeMap<&ChannelId, (bool, &Broadcast, &Member)> = BTreeMap::new();
    for member in members.filter(|member| member.spec.role == Role::Origin && member.credible) {
        let up = !member.health.is_down();
        for broadcast in &member.beat.broadcasts {
            let rank = |up: bool, b: &Broadcast| (up, b.since(), b.id.clone());
            let better = best
                .get(&broadcast.channel)
                .is_none_or(|(was_up, was, _)| rank(up, broadcast) > rank(*was_up, was));
            if better {
                best.insert(&broadcast.channel, (up, broadcast, member));
            }
        }
    }
    let live = |(_, broadcast, member): (bool, &Broadcast, &Member)| Live {
        origin: member.spec.id.clone(),
        broadcast: broadcast.id.clone(),
        started_at: broadcast.started_at,
        taken_over_at: broadcast.taken_over_at,
    };
    best.into_iter().map(|(channel, chosen)| (channel.clone(), live(chosen))).collect()
}

/// Health that a heartbeat left out is as it was.
pub(super) fn keep_health(old: &[Broadcast], new: &mut [Broadcast]) {
    for broadcast in new.iter_mut().filter(|broadcast| broadcast.health.is_none()) {
        let known = old.iter().find(|old| old.id == broadcast.id && old.channel == broadcast.channel);
        broadcast.health = known.and_then(|known| known.health.clone());
    }
}

/// Whether the same broadcasts are live, however they do.
pub(super) fn same_broadcasts(old: &[Broadcast], new: &[Broadcast]) -> bool {
    let key = |Broadcast { channel, id, started_at, taken_over_at, .. }: &Broadcast| {
        (channel.clone(), id.clone(), *started_at, *taken_over_at)
    };
    old.len() == new.len() && old.iter().map(key).eq(new.iter().map(key))
}
