//! What a change of what is live, or of a node's health, is to receivers. Pure.

use nearcast_api::ChannelId;
use nearcast_api::node::{Spec, Status};
use nearcast_api::snapshot::Live;

use super::{About, Event, Kind};

/// A channel's part of a change, as the store is to tell it.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    /// A broadcast has begun, or is back.
    pub live: Option<Event>,
    /// Its end, if that waits to be told, has not been one.
    pub back: Option<Event>,
    pub taken_over: Option<Event>,
    /// A broadcast is over, and when that may be told, in milliseconds since the Unix epoch.
    pub ended: Option<(Event, u64)>,
}

/// What is to be told when `old` was live on a channel and `new` is, at `now` (milliseconds since the Unix epoch).
pub fn channel(id: &ChannelId, title: &str, old: Option<&Live>, new: Option<&Live>, now: u64) -> Told {
    let event = |kind, live: &Live, more: &str, from| {
        let occasion = occasion(id, live.broadcast.as_str(), more);
        Event::new(kind, &occasion, now, About::broadcast(id, title, live, from))
    };
    let mut told = Told::default();
    let same = matches!((old, new), (Some(old), Some(new)) if old.broadcast == new.broadcast);
    match (old, new) {
        (Some(old), Some(new)) if same => {
            if old.origin != new.origin {
                let more = format!(" {} {}", new.origin, new.since());
                told.taken_over = Some(event(Kind::ChannelTakenOver, new, &more, Some(old.origin.clone())));
            }
        }
        (old, new) => {
            // What another broadcast follows does not come back.
            let patience = if new.is_some() { 0 } else { PATIENCE };
            told.ended =
                old.map(|old| (event(Kind::ChannelEnded, old, "", None), now.saturating_add(patience)));
            told.live = new.map(|new| event(Kind::ChannelLive, new, "", None));
            told.back = new.map(|new| event(Kind::ChannelEnded, new, "", None));
        }
    }
    told
}

/// The id of the event that a broadcast of this channel has ended.
pub fn ended(channel: &ChannelId, broadcast: &str) -> String {
    Event::id_of(Kind::ChannelEnded, &occasion(channel, broadcast, ""))
}

fn occasion(channel: &ChannelId, broadcast: &str, more: &str) -> String {
    format!("{channel} {broadcast}{more}")
}

/// What is to be told of a node whose status has changed.
pub fn node(spec: &Spec, status: Status, now: u64) -> Event {
    Event::new(status.into(), &format!("{} {now}", spec.id), now, About::node(spec))
}

/// A broadcast that comes back within so many milliseconds has not ended: its origin's line has blinked.
const PATIENCE: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn live(broadcast: &str, origin: &str) -> Option<Live> {
        let (origin, broadcast) = (origin.parse().unwrap(), broadcast.parse().unwrap());
        Some(Live { origin, broadcast, started_at: 5, taken_over_at: None })
    }

    fn told(old: Option<Live>, new: Option<Live>) -> Told {
        channel(&"demo".parse().unwrap(), "Demo", old.as_ref(), new.as_ref(), 1000)
    }

    #[test]
    fn a_begin_is_told_at_once_and_an_end_when_it_has_lasted() {
        let begun = told(None, live("b1", "o-1"));
        let ended = told(live("b1", "o-1"), None);
        assert_eq!(begun.live.as_ref().unwrap().kind, Kind::ChannelLive);
        let (end, at) = ended.ended.unwrap();
        assert_eq!((end.kind, at), (Kind::ChannelEnded, 11_000));
        assert_eq!(begun.back.unwrap().id, end.id, "coming back undoes the end");
        assert_eq!(told(None, None), Told::default());
        assert_eq!(told(live("b1", "o-1"), live("b1", "o-1")), Told::default());
    }

    #[test]
    fn another_origin_is_a_takeover_and_another_broadcast_an_end_and_a_begin() {
        let taken = told(live("b1", "o-1"), live("b1", "o-2"));
        assert!(taken.live.is_none() && taken.ended.is_none());
        let event = taken.taken_over.unwrap();
        assert!(event.body().contains(r#""origin":"o-2","started_at":5,"from":"o-1""#), "{}", event.body());
        let next = told(live("b1", "o-1"), live("b2", "o-1"));
        assert_eq!(next.ended.unwrap().1, 1000);
        assert_eq!(next.live.unwrap().kind, Kind::ChannelLive);
    }
}
