//! Which broadcast a channel shows when origins disagree.

use std::collections::BTreeMap;

use nearcast_api::ChannelId;
use nearcast_api::node::{Broadcast, Role};
use nearcast_api::snapshot::Live;

use super::Member;

/// The live broadcast of each channel: of an origin that is up before one that has just fallen silent, then the one that
/// started last (the publisher came back elsewhere), then the greater id, so that all instances agree.
pub(super) fn by_channel<'a>(members: impl Iterator<Item = &'a Member>) -> BTreeMap<ChannelId, Live> {
    let mut best: BTreeMap<&ChannelId, (bool, &Broadcast, &Member)> = BTreeMap::new();
    for member in members.filter(|member| member.spec.role == Role::Origin && member.credible) {
        let up = !member.health.is_down();
        for broadcast in &member.beat.broadcasts {
            let rank = |up: bool, b: &Broadcast| (up, b.started_at, b.id.clone());
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
    };
    best.into_iter().map(|(channel, chosen)| (channel.clone(), live(chosen))).collect()
}
